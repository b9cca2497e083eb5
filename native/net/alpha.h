// The architecture matrices: discretise (the proximal step, paper Proposition 1), and the fused update
// gradient + regulariser -> Adam -> clip to [0, 1] -> discretise (Algorithm 1, steps 3 to 5).
#pragma once
#include <string>

#include "../core/store.h"
#include "cell.h"

namespace nasp {

// (edges, candidates). Vectors of scalars lie in the backend's memory, one behind the other: value, Adam's moments,
// gradient of the mixture, of the bypass (edges), of the nodes' sums (nodes). The last three are sums over cells first.
template <class S>
class AlphaMatrix {
 public:
  std::string name;  // alphas_normal, alphas_reduce
  Mixture mixture;   // D; host

  AlphaMatrix(std::string name, int candidates) : name(std::move(name)), mixture(candidates) {}
  void allocate(const Memory& memory);

  std::size_t size() const { return mixture.weight.size(); }
  S* value() { return scalars_.data(); }
  S* first() { return value() + size(); }
  S* second() { return value() + 2 * size(); }
  S* gradient() { return value() + 3 * size(); }
  S* bypass_gradient() { return gradient() + size(); }
  S* node_gradient() { return bypass_gradient() + cell_edges; }
  std::size_t gradients() const { return size() + cell_edges; }  // of mixture and bypass

  // Of this pass: zero at first.
  MixtureGradient sums(bool nodes) {
    double* s = sums_.data();
    return {s, s + size(), nodes ? s + gradients() : nullptr};
  }
  std::size_t sums_bytes() const { return sums_.bytes(); }

 private:
  Store<S> scalars_;
  Store<double> sums_;
};

// Both matrices: first `step`'s update, then D of alpha, then its projection.
//
//   update   Adam (coupled weight decay; torch.optim.Adam) or the plain gradient on every entry; then the box, where the
//            projection is it. The regulariser is eta * sum_k cost_k * ||A_:k||^2, at D or at alpha (paper 3.3; NASP-codes)
//   D        every row's first maximum (or, by chance epsilon, random operations), the two rows a node with the largest
//            maxima (the earlier of equals), as 1 or as alpha's own value. `dense`: every entry is propagated, at its
//            weight; else those that are not zeroed. Drawn at (seed, counter), a cell type apart from the other
//   project  alpha <- clip to [0, 1] of D, and D likewise: plain proximal iterations (paper, equation 9), whose order is
//            Proposition 1's: discrete first, then the box
template <class S>
void update_alpha(const Run& run, const AlphaTable<S> (&tables)[2], const AlphaStep& step);

}  // namespace nasp
