// The architecture matrices: discretise (the proximal step, paper Proposition 1), and the fused update
// gradient + regulariser -> Adam -> clip to [0, 1] -> discretise (Algorithm 1, steps 3 to 5).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cell.h"
#include "session.h"

namespace nasp {

template <class S>
struct AlphaMatrix {                              // (edges, candidates)
  std::string name;                               // alphas_normal, alphas_reduce
  std::vector<S> value, gradient, first, second;  // Adam's moments
  std::vector<S> node_gradient, bypass_gradient;  // (nodes), (edges)
  Mixture mixture;                                // D

  AlphaMatrix(std::string name, int candidates)
      : name(std::move(name)),
        value(static_cast<std::size_t>(cell_edges) * candidates, S(0.5)),
        gradient(value.size()),
        first(value.size()),
        second(value.size()),
        node_gradient(cell_nodes),
        bypass_gradient(cell_edges),
        mixture(candidates) {}
};

// D of alpha: every row's first maximum (or, by chance epsilon, random operations), the two rows a node with the
// largest maxima (the earlier of equals), as 1 or as alpha's own value. `dense`: every entry is propagated, at its
// weight; else those that are not zeroed. Drawn at (seed, options.counter); `type` keeps the cell types' draws apart.
template <class S>
void discretise(AlphaMatrix<S>& alpha, const Discretise& options, std::uint64_t seed, std::uint32_t type,
                bool dense);

// One step on every entry: Adam (coupled weight decay; torch.optim.Adam) or the plain gradient; then the box, where
// the projection is it. step counts from 1. The regulariser is eta * sum_k cost_k * ||A_:k||^2, at D or at alpha (paper 3.3; NASP-codes).
template <class S>
void update_alpha(AlphaMatrix<S>& alpha, const AlphaUpdate& options, const std::vector<double>& cost,
                  std::uint64_t step);

// alpha <- clip to [0, 1] of D, and D likewise: the projection of plain proximal iterations (paper, equation 9), whose
// order is Proposition 1's: discrete first, then the box.
template <class S>
void project_discrete(AlphaMatrix<S>& alpha);

}  // namespace nasp
