#include "chain.h"

#include <algorithm>

#include "../core/free_memory.h"

namespace nasp {

template <class S>
Chain<S>::Chain(Operation operation, Parameters<S>& parameters, const std::string& prefix, bool affine)
    : operation_(std::move(operation)) {
  for (NamedUnit& named : operation_.units) {
    const Unit& u = named.unit;
    Stage stage;
    stage.named = named;
    if (u.depthwise()) {
      stage.first = parameters.add(prefix + named.first + ".weight", {u.in, 1, u.kernel, u.kernel},
                                   Initial::fan_in, u.kernel * u.kernel);
    }
    if (u.paired()) {
      stage.first =
          parameters.add(prefix + named.first + ".weight", {u.row.out, u.in, u.row.kernel_h, u.row.kernel_w},
                         Initial::fan_in, u.in * u.row.taps());
    }
    for (int i = 0; i < u.parts; i++) {
      const DensePart& d = u.dense[i];
      stage.dense[i] =
          parameters.add(prefix + named.dense[i] + ".weight", {d.out, u.between(), d.kernel_h, d.kernel_w},
                         Initial::fan_in, u.between() * d.taps());
    }
    if (u.norm) {
      const std::string norm = prefix + named.norm;
      if (affine) {
        stage.norm.weight = parameters.add(norm + ".weight", {u.out}, Initial::one);
        stage.norm.bias = parameters.add(norm + ".bias", {u.out}, Initial::zero);
      }
      stage.norm.running_mean = parameters.add_buffer(norm + ".running_mean", u.out, Initial::zero);
      stage.norm.running_variance = parameters.add_buffer(norm + ".running_var", u.out, Initial::one);
    }
    stages_.push_back(std::move(stage));
  }
}

template <class S>
std::size_t Chain<S>::packed_bytes() const {
  std::size_t n = 0;
  for (const Stage& s : stages_) n += (s.packed.size() + s.pairs.size()) * sizeof(S);
  return n;
}

template <class S>
void Chain<S>::mark_gradients(Parameters<S>& parameters) const {
  for (const Stage& s : stages_) {
    for (int p : {s.first, s.dense[0], s.dense[1], s.norm.weight, s.norm.bias}) {
      if (p >= 0) parameters.slot(p).has_gradient = true;
    }
  }
}

template <class S>
bool Chain<S>::weightless() const {
  if (operation_.identity()) return true;
  return stages_.size() == 1 && stages_.front().unit().weights() == 0 && stages_.front().norm.weight < 0;
}
template <class S>
bool Chain<S>::twin_of(const Chain& other) const {
  if (!weightless() || !other.weightless() || operation_.identity() != other.operation_.identity())
    return false;
  return operation_.identity() || stages_.front().unit() == other.stages_.front().unit();
}

namespace {

// A stage's numbers: moments, mean_rest, then seven vectors of scalars, each from a multiple of four on.
constexpr std::size_t scalar_vectors = 7;
std::size_t padded(int channels) { return (static_cast<std::size_t>(channels) + 3) / 4 * 4; }

}  // namespace

template <class S>
void Chain<S>::prepare(const Backend<S>& backend, Parameters<S>& parameters) {
  for (Stage& stage : stages_) {
    const Unit& unit = stage.unit();
    expect(unit.weights() <= most_weights, "at most 2^30 weights of one operation",
           std::to_string(unit.weights()), "ERR_NASP_SHAPE");
    const std::size_t out = padded(unit.out);
    stage.numbers = parameters.reserve(out * (sizeof(Moments) + sizeof(double) + scalar_vectors * sizeof(S)));
    if (backend.device) stage.device_packed = parameters.reserve(backend.packed_size(unit, true) * sizeof(S));
  }
}

template <class S>
void Chain<S>::plan(const Device& device, int batch, int height, int width) const {
  for (const Stage& s : stages_) {
    device.plan(s.unit(), batch, height, width);
    height = s.unit().out_height(height), width = s.unit().out_width(width);
  }
}

template <class S>
BatchNorm<S> Chain<S>::numbers(const Stage& stage, Parameters<S>& p) const {
  const std::size_t out = padded(stage.unit().out);
  auto* moments = static_cast<Moments*>(p.numbers(stage.numbers));
  auto* mean_rest = reinterpret_cast<double*>(moments + out);
  S* vectors = reinterpret_cast<S*>(mean_rest + out);
  const Norm& norm = stage.norm;
  BatchNorm<S> n = {};
  n.channels = stage.unit().out, n.norm = stage.unit().norm;
  if (norm.weight >= 0) n.weight = p.value(norm.weight), n.bias = p.value(norm.bias);
  if (norm.running_mean >= 0)
    n.running_mean = p.buffer(norm.running_mean), n.running_variance = p.buffer(norm.running_variance);
  n.moments = moments, n.mean_rest = mean_rest;
  for (S** v : {&n.mean, &n.scale, &n.shift, &n.inverse_deviation, &n.a, &n.b, &n.c})
    *v = vectors, vectors += out;
  return n;
}

template <class S>
std::uint64_t Chain<S>::version(const Stage& stage, const Parameters<S>& parameters) {
  std::uint64_t version = 0;
  for (int p : {stage.first, stage.dense[0], stage.dense[1]}) {
    if (p >= 0) version += parameters.slot(p).version;
  }
  return version;
}
template <class S>
UnitWeights<S> Chain<S>::weights(const Stage& stage, Parameters<S>& parameters) {
  UnitWeights<S> weights;
  if (stage.first >= 0) weights.first = parameters.value(stage.first);
  for (int i = 0; i < stage.unit().parts; i++) weights.dense[i] = parameters.value(stage.dense[i]);
  return weights;
}

namespace {
template <class S>
void resize_packed(std::vector<S>& packed, std::size_t size) {
  if (size > packed.size()) expect_free_memory((size - packed.size()) * sizeof(S), "packed weights");
  packed.resize(size);
}
}  // namespace

// The backend's copy of the weights, made again when they have changed.
template <class S>
const S* Chain<S>::pack(Stage& stage, const Pass<S>& pass, bool backward) {
  if (stage.unit().kind != UnitKind::convolve) return nullptr;
  Parameters<S>& parameters = pass.parameters;
  const std::uint64_t version = Chain::version(stage, parameters);
  S* on_device = pass.backend.device ? static_cast<S*>(parameters.numbers(stage.device_packed)) : nullptr;
  const bool current = version == stage.packed_version && (stage.packed_backward || !backward);
  if (current) return on_device ? on_device : stage.packed.data();
  backward = backward || stage.packed_backward;  // a chain that has been selected may be again
  if (!on_device) resize_packed(stage.packed, pass.backend.packed_size(stage.unit(), backward));
  S* packed = on_device ? on_device : stage.packed.data();
  pass.backend.pack(pass.run, stage.unit(), packed, weights(stage, parameters), backward);
  stage.packed_version = version;
  stage.packed_backward = backward;
  return packed;
}
// The same in pairs.
template <class S>
const S* Chain<S>::pack_pairs(Stage& stage, const Pass<S>& pass) {
  if (stage.unit().kind != UnitKind::convolve) return nullptr;
  const std::uint64_t version = Chain::version(stage, pass.parameters);
  if (version != stage.pairs_version) {
    resize_packed(stage.pairs, pass.backend.packed_size(stage.unit(), false));
    pass.backend.pack_pairs(pass.run, stage.unit(), stage.pairs.data(), weights(stage, pass.parameters));
    stage.pairs_version = version;
  }
  return stage.pairs.data();
}

// A stage's step forward: into its y, or where g is given against that.
template <class S>
ForwardUnit<S> Chain<S>::forward_unit(Stage& stage, const Pass<S>& pass, View<const S> g, bool probed) {
  const bool pairs = probed && pass.pairs;
  return {&stage.unit(),
          pairs ? pack_pairs(stage, pass) : pack(stage, pass, false),
          stage.y,
          g,
          numbers(stage, pass.parameters).moments,
          pairs};
}

// From the moments of a stage's output to the affine map of its BatchNorm; running statistics follow in training
// (momentum 0.1, unbiased variance).
template <class S>
void Chain<S>::normalise(Stage& stage, const Pass<S>& pass, double count) {
  if (stage.unit().norm)
    pass.between().normalise(pass.run, numbers(stage, pass.parameters), pass.training, count);
}

template <class S>
Source<S> Chain<S>::output_of(const Pass<S>& pass, const Stage& stage) const {
  Source<S> out = {stage.y, {}};
  const BatchNorm<S> n = numbers(stage, pass.parameters);
  if (n.norm) out.norm = {n.mean, n.scale, n.shift};
  return out;
}

// The outputs of units [from, to), of a chain's input of that size.
template <class S>
void Chain<S>::count_outputs(ArenaCount<S>& arena, int from, int to, int height, int width) const {
  for (int i = 0; i < to; i++) {
    const Unit& unit = stages_[static_cast<std::size_t>(i)].unit();
    height = unit.out_height(height), width = unit.out_width(width);
    if (i >= from) arena.take(unit.out, height, width);
  }
}

// The units after the first. keep: outputs stay for backward; otherwise the last one is only measured against g.
template <class S>
void Chain<S>::forward_rest(const Pass<S>& pass, View<const S> g, bool keep) {
  for (std::size_t i = 1; i < stages_.size(); i++) {
    Stage& stage = stages_[i];
    const bool last = i + 1 == stages_.size();
    stage.x = output_of(pass, stages_[i - 1]);
    const View<const S>& x = stage.x.x;
    stage.y = keep || !last ? pass.take(stage.unit().out, stage.unit().out_height(x.height),
                                        stage.unit().out_width(x.width))
                            : View<S>{};
    const ForwardUnit<S> unit = forward_unit(stage, pass, !keep && last ? g : View<const S>{}, !keep);
    pass.backend.forward(pass.run, &unit, 1, stage.x);
    normalise(stage, pass, pixel_count(pass, stage.unit(), x));
  }
}

template <class S>
void Chain<S>::propagate(const Pass<S>& pass, const Source<S>& x, Chain* const* chains, int count) {
  std::vector<ForwardUnit<S>> units;
  for (int i = 0; i < count; i++) {
    if (chains[i]->operation_.identity()) chains[i]->output_ = x;
    if (chains[i]->stages_.empty()) continue;
    Stage& stage = chains[i]->stages_.front();
    stage.x = x;
    if (const Chain* twin = twin_before(chains, i)) {
      stage.y = twin->stages_.front().y;
      continue;
    }
    stage.y =
        pass.take(stage.unit().out, stage.unit().out_height(x.x.height), stage.unit().out_width(x.x.width));
    units.push_back(chains[i]->forward_unit(stage, pass, {}, false));
  }
  if (!units.empty()) pass.backend.forward(pass.run, units.data(), static_cast<int>(units.size()), x);
  for (int i = 0; i < count; i++) {
    Chain& chain = *chains[i];
    if (chain.stages_.empty()) continue;
    const Stage& stage = chain.stages_.front();
    if (const Chain* twin = twin_before(chains, i))
      pass.parameters.memory().copy_at(chain.numbers(stage, pass.parameters).moments,
                                       twin->numbers(twin->stages_.front(), pass.parameters).moments,
                                       sizeof(Moments) * static_cast<std::size_t>(stage.unit().out));
    chain.normalise(chain.stages_.front(), pass, pixel_count(pass, stage.unit(), x.x));
    chain.forward_rest(pass, {}, true);
    chain.output_ = chain.output_of(pass, chain.stages_.back());
  }
}
template <class S>
void Chain<S>::count_propagate(ArenaCount<S>& arena, const std::vector<const Chain*>& chains, int height,
                               int width) {
  for (std::size_t i = 0; i < chains.size(); i++) {
    if (!twin_before(chains.data(), static_cast<int>(i)))
      chains[i]->count_outputs(arena, 0, chains[i]->units(), height, width);
  }
}

template <class S>
void Chain<S>::probe(const Pass<S>& pass, const Source<S>& x, const Probe* probes, int count) {
  const std::size_t start = pass.arena.mark(), channels = static_cast<std::size_t>(x.x.channels);
  Unit identity;
  identity.kind = UnitKind::identity, identity.in = identity.out = x.x.channels;
  const auto identities =
      std::count_if(probes, probes + count, [](const Probe& p) { return p.chain->operation_.identity(); });
  auto* const identity_moments =
      pass.arena.template take_as<Moments>(channels * static_cast<std::size_t>(identities));
  std::vector<ForwardUnit<S>> units;
  const auto first_unit = [&](Chain& chain, View<S> y, View<const S> g) {
    Stage& stage = chain.stages_.front();
    stage.x = x;
    stage.y = y;
    return chain.forward_unit(stage, pass, g, true);
  };
  // One unit: all of them in one sweep.
  Moments* moments = identity_moments;
  for (int i = 0; i < count; i++) {
    Chain& chain = *probes[i].chain;
    if (chain.operation_.identity()) {
      units.push_back({&identity, nullptr, {}, probes[i].g, moments});
      moments += channels;
    }
    if (chain.stages_.size() == 1) units.push_back(first_unit(chain, {}, probes[i].g));
  }
  if (!units.empty()) pass.backend.forward(pass.run, units.data(), static_cast<int>(units.size()), x);
  moments = identity_moments;
  // More: an edge at a time, first units in one sweep, so that what lies between the units is still in the cache.
  for (int begin = 0, end; begin < count; begin = end) {
    const std::size_t mark = pass.arena.mark();
    units.clear();
    for (end = begin; end < count && probes[end].g.data == probes[begin].g.data; end++) {
      Chain& chain = *probes[end].chain;
      if (chain.stages_.size() < 2) continue;
      const Unit& first = chain.stages_.front().unit();
      units.push_back(first_unit(
          chain, pass.take(first.out, first.out_height(x.x.height), first.out_width(x.x.width)), {}));
    }
    if (!units.empty()) pass.backend.forward(pass.run, units.data(), static_cast<int>(units.size()), x);
    for (int i = begin; i < end; i++) {
      Chain& chain = *probes[i].chain;
      if (chain.operation_.identity()) {
        pass.between().add_product(pass.run, probes[i].product, moments, x.x.channels, nullptr, nullptr,
                                   ProductOf::about_mean);
        moments += channels;
      }
      if (chain.stages_.empty()) continue;
      chain.normalise(chain.stages_.front(), pass, pixel_count(pass, chain.stages_.front().unit(), x.x));
      const std::size_t between = pass.arena.mark();
      chain.forward_rest(pass, probes[i].g, false);
      const BatchNorm<S> n = chain.numbers(chain.stages_.back(), pass.parameters);
      pass.between().add_product(pass.run, probes[i].product, n.moments, n.channels, n.scale, n.shift,
                                 n.norm ? ProductOf::normalised : ProductOf::about_mean);
      pass.arena.rewind(between);
    }
    pass.arena.rewind(mark);
  }
  pass.arena.rewind(start);
}
template <class S>
void Chain<S>::count_probe(ArenaCount<S>& arena, const std::vector<std::vector<const Chain*>>& edges,
                           int channels, int height, int width) {
  const std::size_t start = arena.mark();
  std::size_t identities = 0;
  for (const auto& edge : edges) {
    for (const Chain* chain : edge) identities += chain->operation_.identity();
  }
  arena.template take_as<Moments>(static_cast<std::size_t>(channels) * identities);
  for (const auto& edge : edges) {
    const std::size_t mark = arena.mark();
    for (const Chain* chain : edge) {
      if (chain->units() > 1) chain->count_outputs(arena, 0, 1, height, width);
    }
    for (const Chain* chain : edge) {
      const std::size_t between = arena.mark();
      chain->count_outputs(arena, 1, chain->units() - 1, height, width);
      arena.rewind(between);
    }
    arena.rewind(mark);
  }
  arena.rewind(start);
}

template class Chain<float>;
template class Chain<double>;

}  // namespace nasp
