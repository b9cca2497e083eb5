#include "statistics.cuh"

#include "launch.cuh"

namespace nasp::cuda {

int moment_pieces(const Map& map) { return pieces_of(map.pixels()); }

void launch_moments(Queue& queue, MomentsArguments a) {
  a.pieces = moment_pieces(a.map);
  a.pixels_a_piece = pixels_a_piece(a.map.pixels());
  const bool four = by_four({a.map.channels, a.g_pitch}, {a.g, a.centre}) && by_four(a.x);
  const Reduction shape = reduction(a.map.channels / (four ? 4 : 1), a.pieces);
  launch(queue, "piece_moments", four ? piece_moments<4> : piece_moments<1>, shape.grid, shape.block, a);
  launch_merge_moments(queue, a);
}

void launch_merge_moments(Queue& queue, MomentsArguments a) {
  a.pieces = moment_pieces(a.map);
  launch_each(queue, "merge_moments", merge_moments, a.map.channels, a);
}

}  // namespace nasp::cuda
