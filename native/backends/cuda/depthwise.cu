#include "depthwise.cuh"

#include "launch.cuh"

namespace nasp::cuda {

namespace {

// run.template operator()<K>() for the kernel's size; ops/operation.cpp makes no others.
template <class Run>
void with_kernel(Queue& queue, int kernel, const Run& run) {
  switch (kernel) {
    case 3:
      return run.template operator()<3>();
    case 5:
      return run.template operator()<5>();
    case 7:
      return run.template operator()<7>();
    default:
      queue.fail("ERR_NASP_INTERNAL", "Expected 3, 5 or 7 for a depthwise kernel but received %d", kernel);
  }
}

}  // namespace

void launch_depthwise_forward(Queue& queue, int kernel, const DepthwiseArguments& a) {
  const bool four = by_four({a.output.channels}, {a.y, a.w}) && by_four(a.x);
  with_kernel(queue, kernel, [&]<int K>() {
    if (four)
      launch_over(queue, "depthwise_forward", depthwise_forward<K, 4>, a.output, 4, a);
    else
      launch_over(queue, "depthwise_forward", depthwise_forward<K, 1>, a.output, 1, a);
  });
}

void launch_depthwise_data_gradient(Queue& queue, int kernel, const DepthwiseArguments& a) {
  const bool four = by_four({a.output.channels}, {a.y, a.w}) && by_four(a.to);
  with_kernel(queue, kernel, [&]<int K>() {
    if (four)
      launch_over(queue, "depthwise_data_gradient", depthwise_data_gradient<K, 4>, a.input, 4, a);
    else
      launch_over(queue, "depthwise_data_gradient", depthwise_data_gradient<K, 1>, a.input, 1, a);
  });
}

void launch_depthwise_data_gradient_sums(Queue& queue, int kernel, DepthwiseArguments a,
                                         MomentsArguments merged) {
  a.pixels_a_piece = pixels_a_piece(a.input.pixels());
  a.sums = merged.partial;
  const bool four = by_four({a.output.channels}, {a.y, a.w}) && by_four(a.to);
  const Reduction shape = reduction(a.input.channels / (four ? 4 : 1), moment_pieces(a.input));
  with_kernel(queue, kernel, [&]<int K>() {
    launch(queue, "depthwise_data_gradient_sums",
           four ? depthwise_data_gradient_sums<K, 4> : depthwise_data_gradient_sums<K, 1>, shape.grid,
           shape.block, a);
  });
  merged.only_products = true;
  launch_merge_moments(queue, merged);
}

int depthwise_pieces(const Map& output) { return pieces_of(output.pixels()); }

void launch_depthwise_weight_gradient(Queue& queue, int kernel, DepthwiseArguments a, float* total) {
  a.pixels_a_piece = pixels_a_piece(a.output.pixels());
  const int pieces = depthwise_pieces(a.output);
  const Reduction shape = reduction(a.output.channels, pieces);
  with_kernel(queue, kernel, [&]<int K>() {
    launch(queue, "depthwise_weight_gradient", depthwise_weight_gradient<K>, shape.grid, shape.block, a);
  });
  launch_sum_pieces(queue, {total, a.partial, pieces, kernel * kernel * a.output.channels});
}

}  // namespace nasp::cuda
