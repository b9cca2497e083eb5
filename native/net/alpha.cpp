#include "alpha.h"

#include <algorithm>
#include <cmath>

#include "../core/rng.h"

namespace nasp {

template <class S>
void discretise(AlphaMatrix<S>& alpha, const Discretise& options, std::uint64_t seed, std::uint32_t type,
                bool dense) {
  Mixture& m = alpha.mixture;
  const int candidates = m.candidates;
  const auto draw = [&](std::uint64_t i) {
    return philox(seed, static_cast<std::uint32_t>(Stream::selection), type, options.counter * 16 + i)
        .word[0];
  };
  const bool random = options.epsilon > 0 && uniform(draw(15)) < options.epsilon;
  int selected[cell_edges];
  S strength[cell_edges];
  for (int e = 0; e < cell_edges; e++) {
    const S* row = alpha.value.data() + static_cast<std::size_t>(e) * candidates;
    selected[e] = 0;
    for (int k = 1; k < candidates; k++) {
      if (row[k] > row[selected[e]]) selected[e] = k;
    }
    strength[e] = row[selected[e]];
    if (random)
      selected[e] = static_cast<int>(
          below(draw(static_cast<std::uint64_t>(e)), static_cast<std::uint32_t>(candidates)));
  }
  std::fill(m.weight.begin(), m.weight.end(), 0.0);
  std::fill(m.use.begin(), m.use.end(), dense ? Use::propagated : Use::probed);
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
      if (options.two_edges && e != kept[0] && e != kept[1]) continue;
      const std::size_t entry = static_cast<std::size_t>(e) * candidates + selected[e];
      m.weight[entry] = options.value_one ? 1.0 : static_cast<double>(alpha.value[entry]);
      m.use[entry] = Use::propagated;
    }
  }
}

template <class S>
void update_alpha(AlphaMatrix<S>& alpha, const AlphaUpdate& o, const std::vector<double>& cost,
                  std::uint64_t step) {
  const double correction1 = 1 - std::pow(o.beta1, static_cast<double>(step)),
               correction2 = 1 - std::pow(o.beta2, static_cast<double>(step));
  for (std::size_t i = 0; i < alpha.value.size(); i++) {
    const std::size_t k = i % alpha.mixture.candidates;
    double g = alpha.gradient[i];
    if (!cost.empty())
      g += 2 * o.eta * cost[k] *
           (o.cost_on_alpha ? static_cast<double>(alpha.value[i]) : alpha.mixture.weight[i]);
    g += o.weight_decay * alpha.value[i];
    double step_size = o.lr * g;
    if (o.optimizer == AlphaOptimizer::adam) {
      const double first = o.beta1 * alpha.first[i] + (1 - o.beta1) * g,
                   second = o.beta2 * alpha.second[i] + (1 - o.beta2) * g * g;
      alpha.first[i] = static_cast<S>(first);
      alpha.second[i] = static_cast<S>(second);
      step_size = o.lr * (first / correction1) / (std::sqrt(second / correction2) + o.eps);
    }
    const double value = alpha.value[i] - step_size;
    alpha.value[i] =
        static_cast<S>(o.projection == AlphaProjection::box ? std::clamp(value, 0.0, 1.0) : value);
  }
}

template <class S>
void project_discrete(AlphaMatrix<S>& alpha) {
  for (std::size_t i = 0; i < alpha.value.size(); i++) {
    double& weight = alpha.mixture.weight[i];
    weight = std::clamp(weight, 0.0, 1.0);
    alpha.value[i] = static_cast<S>(weight);
  }
}

template void discretise(AlphaMatrix<float>&, const Discretise&, std::uint64_t, std::uint32_t, bool);
template void discretise(AlphaMatrix<double>&, const Discretise&, std::uint64_t, std::uint32_t, bool);
template void update_alpha(AlphaMatrix<float>&, const AlphaUpdate&, const std::vector<double>&,
                           std::uint64_t);
template void update_alpha(AlphaMatrix<double>&, const AlphaUpdate&, const std::vector<double>&,
                           std::uint64_t);

template void project_discrete(AlphaMatrix<float>&);
template void project_discrete(AlphaMatrix<double>&);

}  // namespace nasp
