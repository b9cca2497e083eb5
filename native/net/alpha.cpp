#include "alpha.h"

#include "../core/cell_shape.h"

namespace nasp {

template <class S>
void AlphaMatrix<S>::allocate(const Memory& memory) {
  scalars_.allocate(4 * size() + cell_edges + cell_nodes, memory);
  sums_.allocate(gradients() + cell_nodes, memory);
  const std::vector<S> start(size(), S(0.5));
  memory.write_at(value(), start.data(), size() * sizeof(S));
}

template class AlphaMatrix<float>;
template class AlphaMatrix<double>;

}  // namespace nasp
