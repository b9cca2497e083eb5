// A chain backward; forward, and all that is not a pass: chain.cpp.
#include "chain.h"

namespace nasp {

// The moments of an edge's g about the last units' outputs, and the products that they make. A unit without BatchNorm has mean
// 0. Weightless chains are measured for their products: what goes backward through them is the sum of their edges' g.
template <class S>
void Chain<S>::measure(const Pass<S>& pass, const std::vector<Backward>& chains) {
  struct Wanted {
    double* product;
    Source<S> z;
    ProductOf of;
  };
  std::vector<Measured<S>> of;
  std::vector<Wanted> wanted;
  for (const auto& [chain, g, weight, product] : chains) {
    if (chain->operation_.zero || (chain->weightless() && !product)) continue;
    const Source<S>& z = chain->output_;
    const int channels = z.x.channels;
    if (chain->operation_.identity()) {
      auto* moments = pass.arena.template take_as<Moments>(static_cast<std::size_t>(channels));
      of.push_back({moments, z.x, z.norm.scale ? z.norm.mean : pass.parameters.zeros()});
    } else {
      const BatchNorm<S> n = chain->numbers(chain->stages_.back(), pass.parameters);
      if (!n.norm && !product) continue;
      of.push_back({n.moments, z.x, n.mean});
    }
    wanted.push_back({product, z, z.norm.scale ? ProductOf::normalised : ProductOf::as_is});
  }
  if (of.empty()) return;
  pass.backend.gradient_sums(pass.run, chains.front().g, of.data(), static_cast<int>(of.size()));
  for (std::size_t i = 0; i < wanted.size(); i++) {
    const auto& [product, z, as] = wanted[i];
    if (product)
      pass.between().add_product(pass.run, product, of[i].moments, z.x.channels, z.norm.scale, z.norm.shift,
                                 as);
  }
}

// All units but the first, once g has been measured; what is left to do is the first one's step, without a dx.
template <class S>
BackwardUnit<S> Chain<S>::backward_to_first(const Pass<S>& pass, View<const S> g, S weight) {
  bool summed = true;  // g's moments about the stage came with g
  for (std::size_t i = stages_.size();;) {
    Stage& stage = stages_[--i];
    const bool last = i + 1 == stages_.size(), first = i == 0;
    const Unit& unit = stage.unit();
    const double factor = last ? weight : 1, count = pixel_count(pass, unit, stage.x.x);
    BatchNorm<S> n = numbers(stage, pass.parameters);
    if (n.weight && pass.weight_gradients)
      n.weight_gradient = pass.parameters.gradient(stage.norm.weight),
      n.bias_gradient = pass.parameters.gradient(stage.norm.bias);
    if (unit.norm && !summed) {
      const Measured<S> of = {n.moments, stage.y, n.mean};
      pass.backend.gradient_sums(pass.run, g, &of, 1);
    }
    GradientSource<S> dy = {g, stage.y};
    if (unit.norm || factor != 1) {
      pass.between().fold(pass.run, n, pass.training, factor, count);
      dy.mean = n.mean, dy.a = n.a, dy.b = n.b, dy.c = n.c;
    }
    BackwardUnit<S> step = {&unit, pack(stage, pass, true), stage.x, dy,
                            {},    Write::overwrite,        nullptr, {nullptr, nullptr}};
    if (pass.weight_gradients) {
      if (stage.first >= 0) step.first_gradient = pass.parameters.gradient(stage.first);
      for (int p = 0; p < unit.parts; p++) step.dense_gradient[p] = pass.parameters.gradient(stage.dense[p]);
    }
    if (first) return step;
    step.dx = pass.take(unit.in, stage.x.x.height, stage.x.x.width);
    summed = unit.depthwise() && unit.relu && stages_[i - 1].norm.weight < 0;
    if (summed) step.dx_moments = numbers(stages_[i - 1], pass.parameters).moments;
    pass.backend.backward(pass.run, &step, 1);
    g = step.dx;
  }
}

// What goes through twins goes once: the sum of their g, each times its weight.
template <class S>
void Chain<S>::backward_weightless(const Pass<S>& pass, const std::vector<Backward>& chains,
                                   Gradient<S>& dx) {
  std::vector<Chain*> all;
  for (const Backward& b : chains) all.push_back(b.chain);
  std::vector<BackwardUnit<S>> units;
  std::vector<Term<S>> terms;
  for (std::size_t i = 0; i < chains.size(); i++) {
    if (twin_before(all.data(), static_cast<int>(i))) continue;
    Chain& chain = *all[i];
    terms.clear();
    for (std::size_t t = i; t < chains.size(); t++) {
      if (t == i || all[t]->twin_of(chain)) terms.push_back({{chains[t].g, {}}, chains[t].weight});
    }
    if (chain.operation_.identity()) {
      if (dx.written) terms.insert(terms.begin(), {{dx.view, {}}, S(1)});
      dx.written = true;
      pass.backend.node_sum(pass.run, dx.view, terms.data(), static_cast<int>(terms.size()));
      continue;
    }
    const bool one = terms.size() == 1;
    View<const S> g = chains[i].g;
    if (!one) {
      const View<S> sum = pass.take(g.channels, g.height, g.width);
      pass.backend.node_sum(pass.run, sum, terms.data(), static_cast<int>(terms.size()));
      g = sum;
    }
    const BatchNorm<S> n = chain.numbers(chain.stages_.front(), pass.parameters);
    if (n.norm && !(one && chains[i].product)) {
      const Measured<S> of = {n.moments, chain.stages_.front().y, n.mean};
      pass.backend.gradient_sums(pass.run, g, &of, 1);
    }
    units.push_back(chain.backward_to_first(pass, g, one ? chains[i].weight : S(1)));
  }
  backward_first(pass, units, dx);
}

// First units to dx, together.
template <class S>
void Chain<S>::backward_first(const Pass<S>& pass, std::vector<BackwardUnit<S>>& units, Gradient<S>& dx) {
  for (BackwardUnit<S>& step : units) {
    step.dx = dx.view;
    if (dx.view) step.write = dx.write();
  }
  if (!units.empty()) pass.backend.backward(pass.run, units.data(), static_cast<int>(units.size()));
}

template <class S>
void Chain<S>::backward(const Pass<S>& pass, const std::vector<std::vector<Backward>>& edges,
                        Gradient<S>& dx) {
  const std::size_t mark = pass.arena.mark();
  bool zeros = false;  // none multiplies by 0: what it passes on is a gradient all the same, of zeros
  std::vector<Backward> weightless;
  for (const std::vector<Backward>& edge : edges) {
    const std::size_t before = pass.arena.mark();
    for (std::size_t begin = 0, end; begin < edge.size(); begin = end) {  // those of one g at once
      end = begin + 1;
      while (end < edge.size() && edge[end].g.data == edge[begin].g.data) end++;
      measure(pass, {edge.begin() + static_cast<std::ptrdiff_t>(begin),
                     edge.begin() + static_cast<std::ptrdiff_t>(end)});
    }
    std::vector<BackwardUnit<S>> first_units;
    for (const Backward& b : edge) {
      if (b.chain->operation_.zero)
        zeros = true;
      else if (b.chain->weightless())
        weightless.push_back(b);
      else if (dx.view || pass.weight_gradients) {
        const BackwardUnit<S> step = b.chain->backward_to_first(pass, b.g, b.weight);
        if (dx.view || step.unit->parts > 0) first_units.push_back(step);
        if (pass.weight_gradients && b.weight != 0)
          b.chain->mark_gradients(pass.parameters);  // dense mode runs unselected operations too
      }
    }
    backward_first(pass, first_units, dx);
    pass.arena.rewind(before);
  }
  if (dx.view) {
    backward_weightless(pass, weightless, dx);
    if (zeros && !dx.written) pass.backend.add(pass.run, dx.view, dx.write(), {}, S(0));
  }
  pass.arena.rewind(mark);
}
template <class S>
void Chain<S>::count_backward(ArenaCount<S>& arena, const std::vector<std::vector<const Chain*>>& edges,
                              int channels, int height, int width) {
  const std::size_t mark = arena.mark();
  std::vector<const Chain*> weightless;
  for (const auto& edge : edges) {
    const std::size_t before = arena.mark();
    for (const Chain* chain : edge) {
      if (chain->weightless()) weightless.push_back(chain);
      if (chain->operation_.identity()) arena.template take_as<Moments>(static_cast<std::size_t>(channels));
    }
    for (const Chain* chain : edge)  // whose gradients they are
      chain->count_outputs(arena, 0, chain->units() - 1, height, width);
    arena.rewind(before);
  }
  for (std::size_t i = 0; i < weightless.size(); i++) {  // sums of twins' g
    if (!twin_before(weightless.data(), static_cast<int>(i)))
      weightless[i]->count_outputs(arena, 0, weightless[i]->units(), height, width);
  }
  arena.rewind(mark);
}

template class Chain<float>;
template class Chain<double>;

}  // namespace nasp
