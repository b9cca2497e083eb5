#include "loss.cuh"

#include "launch.cuh"

namespace nasp::cuda {

void launch_spread_bias(Queue& queue, const BiasArguments& a) {
  launch_each(queue, "spread_bias", spread_bias, a.rows * a.columns, a);
}

void launch_sum_bias(Queue& queue, const BiasArguments& a) {
  launch_each(queue, "sum_bias", sum_bias, a.columns, a);
}

void launch_cross_entropy(Queue& queue, const LossArguments& a) {
  launch(queue, "cross_entropy", cross_entropy, dim3(a.batch), dim3(1, 128), a);
  launch(queue, "sum_losses", sum_losses, dim3(1), dim3(1, threads_a_block), a);
}

}  // namespace nasp::cuda
