#include "cell.h"

namespace nasp {

template <class S>
Cell<S>::Cell(const Shape& shape, const std::vector<std::string>& candidates, Parameters<S>& parameters,
              const std::string& prefix)
    : shape_(shape),
      candidates_(candidates.size()),
      preprocess0_(shape.previous_reduction ? make_factorized_reduce(shape.in0, shape.channels)
                                            : make_relu_conv_bn(shape.in0, shape.channels),
                   parameters, prefix + "preprocess0.", false),
      preprocess1_(make_relu_conv_bn(shape.in1, shape.channels), parameters, prefix + "preprocess1.", false) {
  for (int j = 0; j < cell_nodes; j++) {
    for (int i = 0; i < j + cell_inputs; i++) {
      const int stride = shape.reduction && i < cell_inputs ? 2 : 1;
      for (std::size_t k = 0; k < candidates_; k++) {
        const std::string name =
            prefix + "_ops." + std::to_string(edge_of(j, i)) + "._ops." + std::to_string(k) + ".";
        chains_.push_back(std::make_unique<Chain<S>>(
            make_operation(candidates[k], shape.channels, stride, true), parameters, name, false));
      }
    }
  }
}

template <class S>
std::size_t Cell<S>::packed_bytes() const {
  std::size_t n = preprocess0_.packed_bytes() + preprocess1_.packed_bytes();
  for (const auto& c : chains_) n += c->packed_bytes();
  return n;
}

template <class S>
std::size_t Cell<S>::stored(const Backend<S>& backend, int batch, int height, int width) const {
  std::size_t n = 2 * (backend.size(batch, shape_.channels, height, width) + 4096 / sizeof(S));
  n += backend.size(batch, shape_.channels * cell_nodes, height, width) + 4096 / sizeof(S);
  for (const auto& c : chains_) n += c->stored(backend, batch, height, width);
  return n;
}

template <class S>
std::size_t Cell<S>::probe_stored(const Backend<S>& backend, int batch, int height, int width) const {
  std::size_t n = 0;
  for (const auto& c : chains_) n = std::max(n, c->stored(backend, batch, height, width));
  return n;
}

template <class S>
Source<S> Cell<S>::source(int i) const {
  if (i == 0) return preprocess0_.output();
  if (i == 1) return preprocess1_.output();
  return {node(output_, i - cell_inputs), {}};
}

template <class S>
Source<S> Cell<S>::forward(const Pass<S>& pass, const Source<S>& in0, const Source<S>& in1,
                           const Mixture& mixture) {
  Chain<S>*p0 = &preprocess0_, *p1 = &preprocess1_;
  Chain<S>::propagate(pass, in0, &p0, 1);
  Chain<S>::propagate(pass, in1, &p1, 1);
  int height = in1.x.height, width = in1.x.width;
  if (shape_.reduction) height = (height + 1) / 2, width = (width + 1) / 2;
  output_ = pass.take(shape_.channels * cell_nodes, height, width);

  std::vector<Chain<S>*> group;
  std::vector<Term<S>> terms;
  for (int i = 0; i < cell_inputs + cell_nodes; i++) {
    if (i >= cell_inputs) {  // all that feeds this node has been run
      const int j = i - cell_inputs;
      terms.clear();
      for (int from = 0; from < i; from++) {
        for (int k = 0; k < mixture.candidates; k++) {
          const int entry = edge_of(j, from) * mixture.candidates + k;
          if (!mixture.propagated(entry) || chain(edge_of(j, from), k).operation().zero) continue;
          terms.push_back({chain(edge_of(j, from), k).output(), static_cast<S>(mixture.weight[entry])});
        }
      }
      pass.backend.node_sum(pass.run, node(output_, j), terms.data(), static_cast<int>(terms.size()));
    }
    group.clear();
    for (int j = i < cell_inputs ? 0 : i - 1; j < cell_nodes; j++) {
      for (int k = 0; k < mixture.candidates; k++) {
        if (mixture.propagated(edge_of(j, i) * mixture.candidates + k))
          group.push_back(&chain(edge_of(j, i), k));
      }
    }
    if (!group.empty()) Chain<S>::propagate(pass, source(i), group.data(), static_cast<int>(group.size()));
  }
  return {output_, {}};
}

template <class S>
void Cell<S>::backward(const Pass<S>& pass, Gradient<S>& d_out, Gradient<S>* d_in0, Gradient<S>* d_in1,
                       const Mixture& mixture, MixtureGradient* d_mixture) {
  double* alpha = d_mixture ? d_mixture->weight.data() : nullptr;
  const std::size_t mark = pass.arena.mark();
  const bool inputs_wanted = d_in0 || d_in1 || pass.weight_gradients;
  Gradient<S> d_input[cell_inputs];
  std::vector<typename Chain<S>::Probe> probes;
  std::vector<double> products;
  for (int i = cell_inputs + cell_nodes - 1; i-- > 0;) {  // the last node feeds none
    Gradient<S> dx;
    if (i >= cell_inputs) {
      dx = {node(d_out.view, i - cell_inputs), true};
    } else if (inputs_wanted) {
      const Source<S> x = source(i);
      dx.view = pass.take(shape_.channels, x.x.height, x.x.width);
    }
    probes.clear();
    products.assign(static_cast<std::size_t>(cell_nodes) * mixture.candidates, 0);
    std::size_t next = 0;
    for (int j = i < cell_inputs ? 0 : i - 1; j < cell_nodes; j++) {
      const View<const S> g = node(d_out.view, j);
      for (int k = 0; k < mixture.candidates; k++) {
        const int entry = edge_of(j, i) * mixture.candidates + k;
        Chain<S>& c = chain(edge_of(j, i), k);
        if (!mixture.propagated(entry)) {
          if (alpha && mixture.probed(entry)) probes.push_back({&c, g, &products[next++]});
          continue;
        }
        if (c.operation().zero) continue;
        const double product = c.backward(pass, g, static_cast<S>(mixture.weight[entry]), dx.view,
                                          dx.view ? dx.write() : Write::overwrite);
        if (alpha) alpha[entry] += product;
      }
    }
    if (!probes.empty()) Chain<S>::probe(pass, source(i), probes.data(), static_cast<int>(probes.size()));
    next = 0;
    for (int j = i < cell_inputs ? 0 : i - 1; alpha && j < cell_nodes; j++) {
      for (int k = 0; k < mixture.candidates; k++) {
        const int entry = edge_of(j, i) * mixture.candidates + k;
        if (mixture.probed(entry)) alpha[entry] += products[next++];
      }
    }
    if (i < cell_inputs) d_input[i] = dx;
  }
  if (d_mixture && !d_mixture->node_sum.empty()) add_node_sums(pass, d_out.view, d_mixture->node_sum);
  Chain<S>* preprocess[] = {&preprocess0_, &preprocess1_};
  Gradient<S>* d_in[] = {d_in0, d_in1};
  for (int i = 0; i < cell_inputs; i++) {
    if (!d_input[i].written) continue;  // only `none` leaves this input: no gradient
    const bool wanted = d_in[i] != nullptr;
    if (wanted || pass.weight_gradients) {
      preprocess[i]->backward(pass, d_input[i].view, S(1), wanted ? d_in[i]->view : View<S>{},
                              wanted ? d_in[i]->write() : Write::overwrite);
    }
  }
  pass.arena.rewind(mark);
}

template <class S>
void Cell<S>::add_node_sums(const Pass<S>& pass, const View<S>& d_out, std::vector<double>& sums) const {
  std::vector<Moments> moments(static_cast<std::size_t>(shape_.channels));
  const std::vector<S> zeros(moments.size());
  for (int j = 0; j < cell_nodes; j++) {
    const View<const S> g = node(d_out, j);
    pass.backend.gradient_sums(pass.run, moments.data(), g, g, zeros.data());
    for (const Moments& m : moments) sums[static_cast<std::size_t>(j)] += m.gradient;
  }
}

template class Cell<float>;
template class Cell<double>;

}  // namespace nasp
