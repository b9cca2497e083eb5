#include "pool.cuh"

#include "launch.cuh"

namespace nasp::cuda {

void launch_pool_forward(Queue& queue, const PoolArguments& pool, MomentsArguments moments) {
  moments.pieces = moment_pieces(moments.map);
  moments.pixels_a_piece = pixels_a_piece(moments.map.pixels());
  const bool four =
      by_four({pool.output.channels, pool.y_pitch, moments.g_pitch}, {pool.y, moments.g, moments.first}) &&
      by_four(pool.x);
  const Reduction shape = reduction(pool.output.channels / (four ? 4 : 1), moments.pieces);
  const auto kernel = pool.max ? (four ? pool_forward<true, 4> : pool_forward<true, 1>)
                               : (four ? pool_forward<false, 4> : pool_forward<false, 1>);
  launch(queue, "pool_forward", kernel, shape.grid, shape.block, PoolMomentsArguments{pool, moments});
  launch_merge_moments(queue, moments);
}

void launch_pool_backward(Queue& queue, const PoolArguments& a) {
  if (a.max) {
    const bool four = by_four({a.output.channels}, {a.winner}) && by_four(a.x);
    NASP_LAUNCH_OVER(queue, max_pool_winners, four, a.output, a);
  }
  const bool four = by_four({a.output.channels}, {a.dy}) && by_four(a.to);
  NASP_LAUNCH_OVER(queue, pool_backward, four, a.input, a);
}

}  // namespace nasp::cuda
