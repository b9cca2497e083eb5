// Kernel bodies of the net's head: the classifier's bias, softmax cross-entropy (host/loss.h on the host). Its products are
// cuBLAS's.
#pragma once
#include "../step_entries.h"
#include "kernel.h"

namespace nasp::NASP_KERNELS {

// y (rows, columns) = b, for a product to be added to.
__global__ void spread_bias(BiasArguments a) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < a.rows * a.columns) write(a.y, i, read(a.b, i % a.columns));
}

// db = the sum of dy's rows; a column a thread.
__global__ void sum_bias(BiasArguments a) {
  const int o = blockIdx.x * blockDim.x + threadIdx.x;
  if (o >= a.columns) return;
  float sum = 0;
  for (int n = 0; n < a.rows; n++) sum += read(a.y, n * a.columns + o);
  write(a.db, o, sum);
}

// The place of the block's largest value, the first of equals; of rows of the block (1, threads). `values` is free again
// afterwards, `places` is not.
__device__ inline int first_largest(double value, int place, double* values, int* places) {
  const int i = threadIdx.y;
  put(values, i, value);
  put(places, i, place);
  for (int rows = blockDim.y; rows > 1;) {
    const int half = (rows + 1) / 2;
    __syncthreads();
    if (i + half < rows) {
      const double other = get(values, i + half);
      const int at = get(places, i + half);
      if (other > get(values, i) || (other == get(values, i) && at < get(places, i))) {
        put(values, i, other);
        put(places, i, at);
      }
    }
    rows = half;
  }
  __syncthreads();
  return get(places, 0);
}

// An image a block: d_logits, and the image's loss and whether it is right.
__global__ void cross_entropy(LossArguments a) {
  NASP_SHARED(double, values, 256);
  NASP_SHARED(int, places, 256);
  const int n = blockIdx.x;
  const float* row = a.logits + static_cast<std::size_t>(n) * a.classes;
  double largest = -__builtin_huge_val();
  int place = 0;
  for (int o = threadIdx.y; o < a.classes; o += blockDim.y) {
    const double x = read(row, o);
    if (x > largest || o < static_cast<int>(blockDim.y)) largest = x, place = o;
  }
  if (static_cast<int>(threadIdx.y) >= a.classes) place = a.classes;
  const int best = first_largest(largest, place, values, places);
  const float top = read(row, best < a.classes ? best : 0);
  double part = 0;
  for (int o = threadIdx.y; o < a.classes; o += blockDim.y) part += exponential(read(row, o), top);
  sum_rows(part, values);
  const double sum = get(values, 0);
  const int target = read(a.targets, n);
  for (int o = threadIdx.y; o < a.classes; o += blockDim.y) {
    write(a.d_logits, static_cast<std::size_t>(n) * a.classes + o,
          logit_gradient<float>(exponential(read(row, o), top), sum, o == target, a.batch));
  }
  if (threadIdx.y > 0) return;
  write(a.loss, n, image_loss(sum, read(row, target), top));
  write(a.correct, n, best == target ? 1 : 0);
}

// One block: the batch's mean loss and number of right images.
__global__ void sum_losses(LossArguments a) {
  NASP_SHARED(double, memory, 256);
  double loss = 0, correct = 0;
  for (int n = threadIdx.y; n < a.batch; n += blockDim.y) {
    loss += read(a.loss, n);
    correct += read(a.correct, n);
  }
  const double total = sum_rows(loss, memory), right = sum_rows(correct, memory);
  if (threadIdx.y > 0) return;
  write(&a.numbers->loss, 0, total / a.batch);
  write(&a.numbers->correct, 0, static_cast<int>(right));
}

}  // namespace nasp::NASP_KERNELS
