#include "pool.cuh"

#include "launch.cuh"

namespace nasp::cuda {

void launch_pool_forward(Queue& queue, const PoolArguments& a) {
  const bool four = by_four({a.output.channels, a.y_pitch}, {a.y}) && by_four(a.x);
  if (a.max)
    NASP_LAUNCH_OVER(queue, max_pool_forward, four, a.output, a);
  else
    NASP_LAUNCH_OVER(queue, avg_pool_forward, four, a.output, a);
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
