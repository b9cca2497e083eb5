#include "batch_norm.cuh"

#include "launch.cuh"

namespace nasp::cuda {

void launch_normalise(Queue& queue, const NormaliseArguments& a) {
  launch_each(queue, "normalise", normalise, a.norm.channels, a);
}

void launch_fold(Queue& queue, const FoldNormArguments& a) {
  launch_each(queue, "fold", fold, a.norm.channels, a);
}

void launch_add_product(Queue& queue, const ProductArguments& a) {
  launch(queue, "add_product", add_product, dim3(1), dim3(1, threads_a_block), a);
}

void launch_convert(Queue& queue, const ConvertArguments& a) {
  launch_each(queue, "convert", convert, a.count, a);
}

}  // namespace nasp::cuda
