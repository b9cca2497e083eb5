#include "optimizer.cuh"

#include "launch.cuh"

namespace nasp::cuda {

void launch_norm(Queue& queue, const NormArguments& a) {
  launch(queue, "square_pieces", square_pieces, dim3(a.table.piece_count), dim3(1, threads_a_block), a);
  launch(queue, "root_of_pieces", root_of_pieces, dim3(1), dim3(1, threads_a_block), a);
}

void launch_sgd(Queue& queue, const SgdArguments& a) {
  launch(queue, "sgd", sgd, dim3(a.table.piece_count), dim3(threads_a_block), a);
}

void launch_combine(Queue& queue, const CombineArguments& a) {
  launch(queue, "combine", combine, dim3(a.table.piece_count), dim3(threads_a_block), a);
}

}  // namespace nasp::cuda
