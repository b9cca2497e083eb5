// Alpha on the host: discretise (the proximal step, paper Proposition 1), and the fused update
// gradient + regulariser -> Adam -> clip to [0, 1] -> discretise (Algorithm 1, steps 3 to 5).
#pragma once
#include <algorithm>

#include "../../core/cell_shape.h"
#include "../step_entries.h"

namespace nasp {

template <class S>
void update(const AlphaTable<S>& a, const AlphaStep& o) {
  const int entries = cell_edges * a.candidates;
  if (!std::all_of(a.gradient, a.gradient + entries, [](S g) { return is_finite(g); })) return;
  for (int i = 0; i < entries; i++) {
    const AlphaEntry<S> entry = stepped<S>({a.value[i], a.first[i], a.second[i]}, a.gradient[i], a.weight[i],
                                           a.cost ? a.cost[i % a.candidates] : 0, o);
    a.value[i] = entry.value, a.first[i] = entry.first, a.second[i] = entry.second;
  }
}

template <class S>
void discretise(const AlphaTable<S>& a, const AlphaStep& o, std::uint32_t type) {
  const auto draw = [&](int number) { return draw_selection(o.seed, type, o.counter, number); };
  const bool random = o.epsilon > 0 && uniform(draw(selection_chance)) < o.epsilon;
  int selected[cell_edges];
  S strength[cell_edges];
  for (int e = 0; e < cell_edges; e++) {
    const S* row = a.value + static_cast<std::ptrdiff_t>(e) * a.candidates;
    selected[e] = 0;
    for (int k = 1; k < a.candidates; k++) {
      if (strength_of(row[k]) > strength_of(row[selected[e]])) selected[e] = k;
    }
    if (random) selected[e] = static_cast<int>(below(draw(e), static_cast<std::uint32_t>(a.candidates)));
    strength[e] = strength_of(row[selected[e]]);
  }
  const int entries = cell_edges * a.candidates;
  std::fill(a.weight, a.weight + entries, 0.0);
  std::fill(a.use, a.use + entries, o.dense ? Use::propagated : Use::probed);
  for (int j = 0; j < cell_nodes; j++) {
    const int first = edge_of(j, 0), inputs = j + cell_inputs;
    int kept[2] = {-1, -1};
    for (int e = first; e < first + inputs; e++) {
      if (kept[0] < 0 || strength[e] > strength[kept[0]])
        kept[1] = kept[0], kept[0] = e;
      else if (kept[1] < 0 || strength[e] > strength[kept[1]])
        kept[1] = e;
    }
    for (int e = first; e < first + inputs; e++) {
      if (o.two_edges && e != kept[0] && e != kept[1]) continue;
      const int entry = e * a.candidates + selected[e];
      a.weight[entry] = chosen_weight(a.value[entry], o);
      a.use[entry] = Use::propagated;
    }
  }
}

// Both matrices: first `step`'s update, then D of alpha, then its projection.
//
//   update   Adam (coupled weight decay; torch.optim.Adam) or the plain gradient on every entry; then the box, where the
//            projection is it. A matrix whose gradient is not finite stays as it is, moments too. The regulariser is eta * sum_k cost_k * ||A_:k||^2, at D or at alpha (paper 3.3; NASP-codes)
//   D        every row's first maximum (or, by chance epsilon, random operations), the two rows a node with the largest
//            maxima (the earlier of equals; NaN is below all numbers), as 1 or as alpha's own value. `dense`: every entry is propagated, at its
//            weight; else those that are not zeroed. Drawn at (seed, counter), a cell type apart from the other
//   project  alpha <- clip to [0, 1] of D, and D likewise: plain proximal iterations (paper, equation 9), whose order is
//            Proposition 1's: discrete first, then the box
template <class S>
void update_alpha(const Run&, const AlphaTable<S> (&tables)[2], const AlphaStep& step) {
  for (std::uint32_t type = 0; type < 2; type++) {
    const AlphaTable<S>& a = tables[type];
    if (step.update) update(a, step);
    if (step.discretise) discretise(a, step, type);
    for (int i = 0; step.project_discrete && i < cell_edges * a.candidates; i++)
      a.value[i] = static_cast<S>(a.weight[i]);
  }
}

}  // namespace nasp
