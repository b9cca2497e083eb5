// Kernel body of alpha's update: gradient + regulariser -> Adam -> clip to [0, 1] -> D, in one launch, a cell type a block.
// What it does is written in net/alpha.h, whose host version it follows.
#pragma once
#include "../../core/rng.h"
#include "kernel.h"

namespace nasp::NASP_KERNELS {

constexpr int alpha_edges = 14, most_candidates = 64;
constexpr unsigned char alpha_probed = 1, alpha_propagated = 2;  // Use (net/session.h)

__device__ inline void update_entry(const AlphaTable<float>& a, const AlphaStep& o, int i) {
  const double value = read(a.value, i);
  double g = read(a.gradient, i);
  if (a.cost) g += 2 * o.eta * read(a.cost, i % a.candidates) * (o.cost_on_alpha ? value : read(a.weight, i));
  g += o.weight_decay * value;
  double step_size = o.lr * g;
  if (o.adam) {
    const double first = o.beta1 * read(a.first, i) + (1 - o.beta1) * g,
                 second = o.beta2 * read(a.second, i) + (1 - o.beta2) * g * g;
    write(a.first, i, static_cast<float>(first));
    write(a.second, i, static_cast<float>(second));
    step_size = o.lr * (first / o.correction1) / (sqrt(second / o.correction2) + o.eps);
  }
  double moved = value - step_size;
  if (o.box) moved = moved < 0 ? 0 : moved > 1 ? 1 : moved;
  write(a.value, i, static_cast<float>(moved));
}

__global__ void update_alpha(AlphaArguments all) {
  NASP_SHARED(float, tile, alpha_edges* most_candidates);
  NASP_SHARED(int, selected, alpha_edges);
  NASP_SHARED(float, strength, alpha_edges);
  NASP_SHARED(int, kept, alpha_edges);
  const AlphaTable<float>& a = all.tables[blockIdx.x];
  const AlphaStep& o = all.step;
  const int thread = threadIdx.x, candidates = a.candidates, entries = alpha_edges * candidates;
  for (int i = thread; i < entries; i += blockDim.x) {
    if (o.update) update_entry(a, o, i);
    put(tile, i, read(a.value, i));
  }
  __syncthreads();
  if (o.discretise) {
    const auto draw = [&](std::uint64_t i) {
      return philox(o.seed, static_cast<std::uint32_t>(Stream::selection), blockIdx.x, o.counter * 16 + i)
          .word[0];
    };
    const bool random = o.epsilon > 0 && uniform(draw(15)) < o.epsilon;
    // A row by the first thread of a warp: rows that threads of one warp walk down would meet in banks.
    for (int edge = thread / 32; thread % 32 == 0 && edge < alpha_edges; edge += blockDim.x / 32) {
      int best = 0;
      float largest = get(tile, edge * candidates);
      for (int k = 1; k < candidates; k++) {
        const float value = get(tile, edge * candidates + k);
        if (value > largest) largest = value, best = k;
      }
      put(strength, edge, largest);
      put(selected, edge, random ? static_cast<int>(below(draw(edge), candidates)) : best);
    }
    __syncthreads();
    if (thread < alpha_edges) {
      // The node that the edge leads to: edges first .. end - 1 do.
      int first = 0, end = 2;
      while (thread >= end) {
        const int inputs = end - first;
        first = end, end += inputs + 1;
      }
      // How many edges of the node are stronger, the earlier of equals first.
      const float own = get(strength, thread);
      int stronger = 0;
      for (int e = first; e < end; e++) {
        const float other = get(strength, e);
        stronger += other > own || (other == own && e < thread) ? 1 : 0;
      }
      put(kept, thread, !o.two_edges || stronger < 2 ? 1 : 0);
    }
    __syncthreads();
    for (int i = thread; i < entries; i += blockDim.x) {
      const int edge = i / candidates, k = i % candidates;
      const bool chosen = get(kept, edge) == 1 && get(selected, edge) == k;
      const double strong = o.value_one ? 1.0 : get(tile, i);
      write(a.weight, i, chosen ? strong : 0.0);
      write(a.use, i, chosen || o.dense ? alpha_propagated : alpha_probed);
    }
  }
  for (int i = thread; o.project_discrete && i < entries; i += blockDim.x) {
    const double weight = read(a.weight, i), clipped = weight < 0 ? 0 : weight > 1 ? 1 : weight;
    write(a.weight, i, clipped);
    write(a.value, i, static_cast<float>(clipped));
  }
}

}  // namespace nasp::NASP_KERNELS
