#include "elementwise.cuh"

#include "launch.cuh"

namespace nasp::cuda {

void launch_activate(Queue& queue, const ActivateArguments& a) {
  const bool four = by_four({a.to.channels}, {a.y}) && by_four(a.x);
  NASP_LAUNCH_OVER(queue, activate, four, a.to, a);
}

void launch_fold_gradient(Queue& queue, const FoldArguments& a) {
  const bool four = by_four({a.map.channels, a.g_pitch, a.x_pitch}, {a.y, a.g, a.x, a.mean, a.a, a.b, a.c});
  NASP_LAUNCH_OVER(queue, fold_gradient, four, a.map, a);
}

void launch_pass_gradient(Queue& queue, const PassArguments& a) {
  const bool four = by_four({a.input.channels}, {a.d}) && by_four(a.to);
  NASP_LAUNCH_OVER(queue, pass_gradient, four, a.input, a);
}

void launch_node_sum(Queue& queue, const NodeSumArguments& a) {
  bool four = by_four({a.map.channels, a.pitch}, {a.y});
  for (int t = 0; t < a.count; t++) four = four && by_four(a.x[t]);
  NASP_LAUNCH_OVER(queue, node_sum, four, a.map, a);
}

void launch_add(Queue& queue, const AddArguments& a) {
  const bool four = by_four({a.map.channels, a.dx_pitch, a.g_pitch}, {a.dx, a.g});
  NASP_LAUNCH_OVER(queue, add_scaled, four, a.map, a);
}

void launch_split_parts(Queue& queue, const PartsArguments& a) {
  launch_over(queue, "split_parts", split_parts, a.map, 1, a);
}
void launch_join_parts(Queue& queue, const PartsArguments& a) {
  launch_over(queue, "join_parts", join_parts, a.map, 1, a);
}

void launch_global_average(Queue& queue, const AverageArguments& a) {
  const bool four = by_four({a.map.channels}, {a.y}) && by_four(a.x);
  const Map images = {a.map.batch, 1, 1, a.map.channels};
  NASP_LAUNCH_OVER(queue, global_average, four, images, a);
}

void launch_global_average_backward(Queue& queue, const AverageArguments& a) {
  const bool four = by_four({a.map.channels, a.dx_pitch}, {a.y, a.dx});
  NASP_LAUNCH_OVER(queue, global_average_backward, four, a.map, a);
}

void launch_sum_pieces(Queue& queue, const SumPiecesArguments& a) {
  launch_each(queue, "sum_pieces", sum_pieces, a.count, a);
}

}  // namespace nasp::cuda
