// Kernel body of alpha's update: gradient + regulariser -> Adam -> clip to [0, 1] -> D, in one launch, a cell type a block.
// What it does is written in host/alpha.h, which it follows.
#pragma once
#include "../../core/cell_shape.h"
#include "../step_entries.h"
#include "kernel.h"

namespace nasp::NASP_KERNELS {

constexpr int alpha_candidates = 64;  // that the tile holds

__device__ inline void update_entry(const AlphaTable<float>& a, const AlphaStep& o, int i) {
  const AlphaEntry<float> entry =
      stepped<float>({read(a.value, i), o.adam ? read(a.first, i) : 0, o.adam ? read(a.second, i) : 0},
                     read(a.gradient, i), read(a.weight, i), a.cost ? read(a.cost, i % a.candidates) : 0, o);
  write(a.value, i, entry.value);
  if (o.adam) write(a.first, i, entry.first), write(a.second, i, entry.second);
}

__global__ void update_alpha(AlphaArguments all) {
  NASP_SHARED(float, tile, cell_edges* alpha_candidates);
  NASP_SHARED(int, selected, cell_edges);
  NASP_SHARED(float, strength, cell_edges);
  NASP_SHARED(int, kept, cell_edges);
  NASP_SHARED(int, diverged, 1);
  const AlphaTable<float>& a = all.tables[blockIdx.x];
  const AlphaStep& o = all.step;
  const int thread = threadIdx.x, candidates = a.candidates, entries = cell_edges * candidates;
  if (thread == 0) put(diverged, 0, 0);
  __syncthreads();
  for (int i = thread; o.update && i < entries; i += blockDim.x) {
    if (!is_finite(read(a.gradient, i))) put(diverged, 0, 1);
  }
  __syncthreads();
  const bool update = o.update && get(diverged, 0) == 0;
  for (int i = thread; i < entries; i += blockDim.x) {
    if (update) update_entry(a, o, i);
    put(tile, i, read(a.value, i));
  }
  __syncthreads();
  if (o.discretise) {
    const auto draw = [&](int number) { return draw_selection(o.seed, blockIdx.x, o.counter, number); };
    const bool random = o.epsilon > 0 && uniform(draw(selection_chance)) < o.epsilon;
    // A row by the first thread of a warp: rows that threads of one warp walk down would meet in banks.
    for (int edge = thread / 32; thread % 32 == 0 && edge < cell_edges; edge += blockDim.x / 32) {
      int best = 0;
      float largest = strength_of(get(tile, edge * candidates));
      for (int k = 1; k < candidates; k++) {
        const float value = strength_of(get(tile, edge * candidates + k));
        if (value > largest) largest = value, best = k;
      }
      if (random) best = static_cast<int>(below(draw(edge), candidates));
      put(strength, edge, strength_of(get(tile, edge * candidates + best)));
      put(selected, edge, best);
    }
    __syncthreads();
    if (thread < cell_edges) {
      int node = 0;  // that the edge leads to: edges first .. end - 1 do
      while (thread >= edge_of(node + 1, 0)) node++;
      const int first = edge_of(node, 0), end = edge_of(node + 1, 0);
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
      write(a.weight, i, chosen ? chosen_weight(get(tile, i), o) : 0.0);
      write(a.use, i, chosen || o.dense ? Use::propagated : Use::probed);
    }
  }
  for (int i = thread; o.project_discrete && i < entries; i += blockDim.x)
    write(a.value, i, static_cast<float>(read(a.weight, i)));
}

}  // namespace nasp::NASP_KERNELS
