// A search cell's shape, what becomes of its edges' operations, and what their selection draws: the same for nets on the host
// and for devices' kernels.
#pragma once
#include <cstdint>

#include "rng.h"

namespace nasp {

// Edges in order: node 0 from inputs 0, 1; node 1 from 0, 1, 2; and so on.
constexpr int cell_nodes = 4, cell_inputs = 2, cell_edges = 14;
constexpr int edge_of(int node, int input) { return node * (node + 3) / 2 + input; }
// The first node that has an edge from a source (inputs, then nodes); all later ones have too.
constexpr int first_reader(int source) { return source < cell_inputs ? 0 : source - cell_inputs + 1; }
static_assert(edge_of(cell_nodes, 0) == cell_edges && edge_of(1, 0) == cell_inputs);

constexpr int most_candidates = 256;  // operations on an edge

// Of an entry of the mixture. absent: not run at all; probed: measured where gradients of the mixture are wanted;
// propagated: run, stored and differentiated.
enum class Use : std::uint8_t { absent, probed, propagated };

// Numbers that the selection at `counter` draws for a cell type: one an edge, for its random operation; and the last, for
// whether operations are random.
constexpr int selection_draws = 16, selection_chance = selection_draws - 1;
static_assert(cell_edges <= selection_chance);
constexpr std::uint32_t draw_selection(std::uint64_t seed, std::uint32_t type, std::uint64_t counter,
                                       int number) {
  return philox(seed, static_cast<std::uint32_t>(Stream::selection), type, counter * selection_draws + number)
      .word[0];
}

}  // namespace nasp
