// The architecture matrices, in the backend's memory, whose step functions update and discretise them.
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

}  // namespace nasp
