#include "cell.h"

namespace nasp {

template <class S>
Cell<S>::Cell(const Shape& shape, const std::vector<std::string>& candidates, Parameters<S>& parameters,
              const std::string& prefix)
    : shape_(shape),
      candidates_(static_cast<int>(candidates.size())),
      preprocess0_(shape.previous_reduction ? make_factorized_reduce(shape.in[0], shape.channels)
                                            : make_relu_conv_bn(shape.in[0], shape.channels),
                   parameters, prefix + "preprocess0.", false),
      preprocess1_(make_relu_conv_bn(shape.in[1], shape.channels), parameters, prefix + "preprocess1.",
                   false) {
  expect(shape.channels % shape.parts == 0,
         "channels that " + std::to_string(shape.parts) + " partial channels divide",
         std::to_string(shape.channels));
  for (int i = 0; shape.parts > 1 && shape.reduction && i < cell_inputs; i++)
    halving_[i] = std::make_unique<Chain<S>>(make_halving_pool(shape.channels - part_channels()), parameters,
                                             "", false);
  for (int j = 0; j < cell_nodes; j++) {
    for (int i = 0; i < j + cell_inputs; i++) {
      const int stride = halves(i) ? 2 : 1;
      for (int k = 0; k < candidates_; k++) {
        const std::string name =
            prefix + "_ops." + std::to_string(edge_of(j, i)) + "._ops." + std::to_string(k) + ".";
        chains_.push_back(std::make_unique<Chain<S>>(
            make_operation(candidates[static_cast<std::size_t>(k)], part_channels(), stride, true),
            parameters, name, false));
      }
    }
  }
  outputs_.resize(chains_.size());
}

template <class S>
void Cell<S>::prepare(const Backend<S>& backend, Parameters<S>& parameters) {
  for (Chain<S>* c : {&preprocess0_, &preprocess1_}) c->prepare(backend, parameters);
  for (auto& c : chains_) c->prepare(backend, parameters);
  for (auto& h : halving_) {
    if (h) h->prepare(backend, parameters);
  }
  parameters.reserve_zeros(shape_.channels);
}

template <class S>
void Cell<S>::plan(const Device& device, int batch) const {
  preprocess0_.plan(device, batch, shape_.size[0], shape_.size[0]);
  preprocess1_.plan(device, batch, shape_.size[1], shape_.size[1]);
  for (int j = 0; j < cell_nodes; j++) {
    for (int i = 0; i < j + cell_inputs; i++) {
      for (int k = 0; k < candidates_; k++)
        chain(edge_of(j, i), k).plan(device, batch, source_size(i), source_size(i));
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
Source<S> Cell<S>::source(int i) const {
  if (i == 0) return preprocess0_.output();
  if (i == 1) return preprocess1_.output();
  return {node(output_, i - cell_inputs), {}};
}

template <class S>
Source<S> Cell<S>::bypass(int i, int part) const {
  if (halves(i)) return part_of(halving_[i]->output(), part - 1);
  return part_of(source(i), part);
}

// All that feeds node j has been run.
template <class S>
void Cell<S>::sum_node(const Pass<S>& pass, int j, const Mixture& mixture) {
  const std::size_t mark = pass.arena.mark();
  const NodeParts<S> parts(pass, node(output_, j), shape_.parts);
  std::vector<Term<S>> terms;
  for (int part = 0; part < shape_.parts; part++) {
    terms.clear();
    for (int i = 0; i < j + cell_inputs; i++) {
      const int edge = edge_of(j, i);
      if (part > 0) terms.push_back({bypass(i, part), static_cast<S>(mixture.bypass[edge])});
      for (int k = 0; part == 0 && k < mixture.candidates; k++) {
        const int entry = edge * mixture.candidates + k;
        if (mixture.propagated(entry) && !chain(edge, k).operation().zero)
          terms.push_back({outputs_[entry], static_cast<S>(mixture.weight[entry])});
      }
    }
    pass.backend.node_sum(pass.run, parts.of(pass.backend, part), terms.data(),
                          static_cast<int>(terms.size()));
  }
  parts.to_node(pass);
  pass.arena.rewind(mark);
}

// The operations on all edges that leave source i.
template <class S>
void Cell<S>::run_from(const Pass<S>& pass, int i, const Mixture& mixture, const SkipDropout* dropout) {
  std::vector<Chain<S>*> group;
  std::vector<int> entries;
  for (int j = first_reader(i); j < cell_nodes; j++) {
    for (int k = 0; k < mixture.candidates; k++) {
      const int entry = edge_of(j, i) * mixture.candidates + k;
      if (!mixture.propagated(entry)) continue;
      group.push_back(&chain(edge_of(j, i), k));
      entries.push_back(entry);
    }
  }
  if (!group.empty())
    Chain<S>::propagate(pass, part_of(source(i), 0), group.data(), static_cast<int>(group.size()));
  for (std::size_t g = 0; g < group.size(); g++) {
    Source<S>& output = outputs_[static_cast<std::size_t>(entries[g])];
    output = group[g]->output();
    if (!dropout || !group[g]->operation().identity()) continue;
    const Term<S> term = {output, S(1)};
    const View<S> y = pass.take(part_channels(), output.x.height, output.x.width);
    pass.backend.node_sum(pass.run, y, &term, 1);
    pass.between().drop(pass.run, pass.backend, y, mask_of(*dropout, entries[g]));
    output = {y, {}};
  }
  if (shape_.parts > 1 && halves(i)) {
    Chain<S>* halving = halving_[i].get();
    Chain<S>::propagate(pass, nasp::part_of(source(i), part_channels(), shape_.channels - part_channels()),
                        &halving, 1);
  }
}
template <class S>
void Cell<S>::count_run_from(ArenaCount<S>& arena, int i, const Mixture* mixture) const {
  const int size = source_size(i);
  std::vector<const Chain<S>*> group;
  for (int j = first_reader(i); j < cell_nodes; j++) {
    for (int k = 0; k < candidates_; k++) {
      if (!propagated(mixture, edge_of(j, i) * candidates_ + k)) continue;
      group.push_back(&chain(edge_of(j, i), k));
      if (group.back()->operation().identity()) arena.take(part_channels(), size, size);  // behind dropout
    }
  }
  Chain<S>::count_propagate(arena, group, size, size);
  if (shape_.parts > 1 && halves(i)) Chain<S>::count_propagate(arena, {halving_[i].get()}, size, size);
}

template <class S>
Source<S> Cell<S>::forward(const Pass<S>& pass, const Mixture& mixture, const SkipDropout* dropout) {
  output_ = pass.take(shape_.channels * cell_nodes, node_size(), node_size());
  for (int i = 0; i < cell_inputs + cell_nodes; i++) {
    if (i >= cell_inputs) sum_node(pass, i - cell_inputs, mixture);
    run_from(pass, i, mixture, dropout);
  }
  return {output_, {}};
}
template <class S>
void Cell<S>::count_forward(ArenaCount<S>& arena, const Mixture* mixture) const {
  arena.take(shape_.channels * cell_nodes, node_size(), node_size());
  for (int i = 0; i < cell_inputs + cell_nodes; i++) {
    const std::size_t mark = arena.mark();
    if (i >= cell_inputs) NodeParts<S>::count(arena, shape_.channels, node_size(), node_size(), shape_.parts);
    arena.rewind(mark);
    count_run_from(arena, i, mixture);
  }
}

// g as it reaches an identity skip from behind its dropout.
template <class S>
View<const S> Cell<S>::dropped(const Pass<S>& pass, int entry, View<const S> g, const SkipDropout* dropout) {
  const View<S> masked = pass.take(g.channels, g.height, g.width);
  pass.backend.add(pass.run, masked, Write::overwrite, g, S(1));
  pass.between().drop(pass.run, pass.backend, masked, mask_of(*dropout, entry));
  return masked;
}

// What went by from source i: its gradient, and that of the edges' own weights.
template <class S>
void Cell<S>::backward_bypass(const Pass<S>& pass, int i, const NodeParts<S>* d_nodes, Gradient<S>& dx,
                              const Mixture& mixture, MixtureGradient* d_mixture) {
  const int channels = part_channels(), rest = shape_.channels - channels;
  Gradient<S> d_rest;
  if (!halves(i)) {
    if (dx.view) d_rest = {dx.view.slice(channels, rest), dx.written};
  } else if (dx.view) {
    const View<const S> y = halving_[i]->output().x;
    d_rest.view = pass.take(rest, y.height, y.width);
  }
  auto* moments = pass.arena.template take_as<Moments>(static_cast<std::size_t>(channels));
  const S* zeros = pass.parameters.zeros();
  for (int j = first_reader(i); j < cell_nodes; j++) {
    const std::size_t edge = static_cast<std::size_t>(edge_of(j, i));
    const Write write = d_rest.view ? d_rest.write() : Write::overwrite;
    for (int part = 1; part < shape_.parts; part++) {
      const View<const S> g = d_nodes[j].of(pass.backend, part);
      if (d_rest.view)
        pass.backend.add(pass.run, d_rest.view.slice((part - 1) * channels, channels), write, g,
                         static_cast<S>(mixture.bypass[edge]));
      if (!d_mixture) continue;
      const Source<S> x = bypass(i, part);
      const Measured<S> of = {moments, x.x, x.norm.scale ? x.norm.mean : zeros};
      pass.backend.gradient_sums(pass.run, g, &of, 1);
      pass.between().add_product(pass.run, d_mixture->bypass + edge, moments, channels, x.norm.scale,
                                 x.norm.shift, x.norm.scale ? ProductOf::normalised : ProductOf::as_is);
    }
  }
  if (halves(i) && dx.view) {
    const typename Chain<S>::Backward halving = {halving_[i].get(), d_rest.view, S(1), nullptr};
    Gradient<S> to = {dx.view.slice(channels, rest)};
    Chain<S>::backward(pass, {{halving}}, to);
  }
}
template <class S>
void Cell<S>::count_backward_bypass(ArenaCount<S>& arena, int i) const {
  const int rest = shape_.channels - part_channels();
  if (halves(i)) arena.take(rest, node_size(), node_size());
  arena.template take_as<Moments>(static_cast<std::size_t>(part_channels()));
  if (halves(i)) Chain<S>::count_backward(arena, {{halving_[i].get()}}, rest, source_size(i), source_size(i));
}

template <class S>
void Cell<S>::backward(const Pass<S>& pass, const View<S>& d_out, Gradient<S>* d_in, const Mixture& mixture,
                       MixtureGradient* d_mixture, const SkipDropout* dropout) {
  double* alpha = d_mixture ? d_mixture->weight : nullptr;
  const std::size_t mark = pass.arena.mark();
  const bool partial = shape_.parts > 1;
  Probes probes;
  std::vector<std::vector<typename Chain<S>::Backward>> edges;
  NodeParts<S> d_nodes[cell_nodes];
  for (int i = cell_inputs + cell_nodes - 1; i-- > 0;) {  // the last node feeds none
    if (i > 0) {                                          // node i - 1's gradient is final
      d_nodes[i - 1] = NodeParts<S>(pass, node(d_out, i - 1), shape_.parts);
      d_nodes[i - 1].from_node(pass);
    }
    Gradient<S> dx = i >= cell_inputs ? Gradient<S>{node(d_out, i - cell_inputs), true} : d_in[i];
    Gradient<S> d_part = {partial && dx.view ? dx.view.slice(0, part_channels()) : dx.view, dx.written};
    probes.clear();
    edges.clear();
    const std::size_t before = pass.arena.mark();
    for (int j = first_reader(i); j < cell_nodes; j++) {
      const View<const S> g = d_nodes[j].of(pass.backend, 0);
      edges.emplace_back();
      for (int k = 0; k < mixture.candidates; k++) {
        const int entry = edge_of(j, i) * mixture.candidates + k;
        Chain<S>& c = chain(edge_of(j, i), k);
        if (!mixture.propagated(entry)) {
          if (alpha && mixture.probed(entry)) probes.push_back({&c, g, alpha + entry});
          continue;
        }
        const View<const S> mine = dropout && c.operation().identity() ? dropped(pass, entry, g, dropout) : g;
        edges.back().push_back(
            {&c, mine, static_cast<S>(mixture.weight[entry]), alpha ? alpha + entry : nullptr});
      }
    }
    Chain<S>::backward(pass, edges, d_part);
    pass.arena.rewind(before);
    if (!probes.empty())
      Chain<S>::probe(pass, part_of(source(i), 0), probes.data(), static_cast<int>(probes.size()));
    if (partial) {
      backward_bypass(pass, i, d_nodes, dx, mixture, d_mixture);
      if (d_part.view && !d_part.written) pass.backend.add(pass.run, d_part.view, d_part.write(), {}, S(0));
    }
    if (i < cell_inputs) d_in[i].written = d_part.written;
  }
  if (d_mixture && d_mixture->node_sum) add_node_sums(pass, d_out, d_mixture->node_sum);
  pass.arena.rewind(mark);
}

template <class S>
void Cell<S>::count_backward(ArenaCount<S>& arena, const Mixture* mixture) const {
  const std::size_t mark = arena.mark();
  std::vector<std::vector<const Chain<S>*>> edges, probes;
  for (int i = cell_inputs + cell_nodes - 1; i-- > 0;) {
    const int size = source_size(i);
    if (i > 0) NodeParts<S>::count(arena, shape_.channels, node_size(), node_size(), shape_.parts);
    probes.clear();
    edges.clear();
    const std::size_t before = arena.mark();
    for (int j = first_reader(i); j < cell_nodes; j++) {
      edges.emplace_back();
      probes.emplace_back();
      for (int k = 0; k < candidates_; k++) {
        const int entry = edge_of(j, i) * candidates_ + k;
        const Chain<S>* c = &chain(edge_of(j, i), k);
        if (probed(mixture, entry)) probes.back().push_back(c);
        if (!propagated(mixture, entry)) continue;
        if (c->operation().identity()) arena.take(part_channels(), size, size);  // dropped
        edges.back().push_back(c);
      }
    }
    Chain<S>::count_backward(arena, edges, part_channels(), size, size);
    arena.rewind(before);
    Chain<S>::count_probe(arena, probes, part_channels(), size, size);
    if (shape_.parts > 1) count_backward_bypass(arena, i);
  }
  arena.template take_as<Moments>(static_cast<std::size_t>(shape_.channels));  // add_node_sums
  arena.rewind(mark);
}

template <class S>
void Cell<S>::add_node_sums(const Pass<S>& pass, const View<S>& d_out, double* sums) const {
  auto* moments = pass.arena.template take_as<Moments>(static_cast<std::size_t>(shape_.channels));
  for (int j = 0; j < cell_nodes; j++) {
    const View<const S> g = node(d_out, j);
    const Measured<S> itself = {moments, g, pass.parameters.zeros()};
    pass.backend.gradient_sums(pass.run, g, &itself, 1);
    pass.between().add_product(pass.run, sums + j, moments, shape_.channels, nullptr, nullptr,
                               ProductOf::gradient_sum);
  }
}

template class Cell<float>;
template class Cell<double>;

}  // namespace nasp
