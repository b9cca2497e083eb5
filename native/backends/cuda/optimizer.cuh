// Kernel bodies over all weights of a net, a piece of a slot a block: norms, SGD with clipping, sums of vectors. The host's
// are host/optimizer.h.
#pragma once
#include "../step_entries.h"
#include "kernel.h"

namespace nasp::NASP_KERNELS {

// partial[piece] = the piece's sum of squares.
__global__ void square_pieces(NormArguments a) {
  NASP_SHARED(double, memory, 256);
  const WeightPiece piece = read(a.table.pieces, blockIdx.x);
  double sum = 0;
  if (!a.gradient || read(a.table.has_gradient, piece.slot)) {
    for (unsigned i = threadIdx.y; i < piece.count; i += blockDim.y) {
      const double v = load<1>(a.vector + piece.offset + i).v[0];
      sum += v * v;
    }
  }
  const double total = sum_rows(sum, memory);
  if (threadIdx.y == 0) write(a.table.partial, blockIdx.x, total);
}

// One block.
__global__ void root_of_pieces(NormArguments a) {
  NASP_SHARED(double, memory, 256);
  double sum = 0;
  for (int i = threadIdx.y; i < a.table.piece_count; i += blockDim.y) sum += read(a.table.partial, i);
  const double total = sum_rows(sum, memory);
  if (threadIdx.y == 0) write(a.to, 0, sqrt(total));
}

__global__ void sgd(SgdArguments a) {
  const StepNumbers numbers = read(a.numbers, 0);
  if (!is_finite(numbers.loss) || !is_finite(numbers.gradient_norm)) return;
  const WeightPiece piece = read(a.table.pieces, blockIdx.x);
  const bool has_gradient = read(a.table.has_gradient, piece.slot);
  if (!has_gradient && !a.step.decay_unselected) return;
  const SgdFactors<float> factors(a.step, numbers.gradient_norm);
  for (unsigned i = threadIdx.x; i < piece.count; i += blockDim.x) {
    const std::size_t at = piece.offset + i;
    const SgdEntry<float> entry =
        stepped<float>({load<1>(a.table.values + at).v[0], load<1>(a.table.momentum + at).v[0]},
                       has_gradient ? load<1>(a.table.gradients + at).v[0] : 0, factors);
    store(a.table.momentum + at, Vec<1>{{entry.momentum}});
    store(a.table.values + at, Vec<1>{{entry.weight}});
  }
}

__global__ void combine(CombineArguments a) {
  const WeightPiece piece = read(a.table.pieces, blockIdx.x);
  const bool has_gradient = read(a.table.has_gradient, piece.slot);
  for (unsigned i = threadIdx.x; i < piece.count; i += blockDim.x) {
    double sum = 0;
    for (int t = 0; t < a.count; t++) {
      if (!a.terms[t].gradient || has_gradient)
        sum += a.terms[t].factor * load<1>(a.terms[t].data + piece.offset + i).v[0];
    }
    store(a.to + piece.offset + i, Vec<1>{{static_cast<float>(sum)}});
  }
}

}  // namespace nasp::NASP_KERNELS
