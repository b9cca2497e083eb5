#include "chain.h"

#include <cmath>

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
    const std::size_t out = static_cast<std::size_t>(u.out);
    if (u.norm) {
      const std::string norm = prefix + named.norm;
      if (affine) {
        stage.norm.weight = parameters.add(norm + ".weight", {u.out}, Initial::one);
        stage.norm.bias = parameters.add(norm + ".bias", {u.out}, Initial::zero);
      }
      stage.norm.running_mean = parameters.add_buffer(norm + ".running_mean", u.out, Initial::zero);
      stage.norm.running_variance = parameters.add_buffer(norm + ".running_var", u.out, Initial::one);
      for (auto* v : {&stage.scale, &stage.shift, &stage.inverse_deviation}) v->resize(out);
    }
    stage.moments.resize(out);
    for (auto* v : {&stage.mean, &stage.a, &stage.b, &stage.c}) v->resize(out);
    stage.mean_rest.resize(out);
    stages_.push_back(std::move(stage));
  }
}

template <class S>
std::size_t Chain<S>::packed_bytes() const {
  std::size_t n = 0;
  for (const Stage& s : stages_) n += s.packed.size() * sizeof(S);
  return n;
}

template <class S>
std::size_t Chain<S>::stored(const Backend<S>& backend, int batch, int height, int width) const {
  std::size_t n = 0;
  for (const Stage& s : stages_) {
    height = s.unit().out_height(height), width = s.unit().out_width(width);
    n += backend.size(batch, s.unit().out, height, width) + 4096 / sizeof(S);
  }
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

// The backend's copy of the weights, made again when they have changed.
template <class S>
const S* Chain<S>::pack(Stage& stage, Parameters<S>& parameters, const Backend<S>& backend, bool backward) {
  if (stage.unit().kind != UnitKind::convolve) return nullptr;
  std::uint64_t version = 0;
  for (int p : {stage.first, stage.dense[0], stage.dense[1]}) {
    if (p >= 0) version += parameters.slot(p).version;
  }
  if (version == stage.packed_version && (stage.packed_backward || !backward)) return stage.packed.data();
  backward = backward || stage.packed_backward;  // a chain that has been selected may be again
  stage.packed.resize(backend.packed_size(stage.unit(), backward));
  UnitWeights<S> weights;
  if (stage.first >= 0) weights.first = parameters.value(stage.first);
  for (int i = 0; i < stage.unit().parts; i++) weights.dense[i] = parameters.value(stage.dense[i]);
  backend.pack(stage.unit(), stage.packed.data(), weights, backward);
  stage.packed_version = version;
  stage.packed_backward = backward;
  return stage.packed.data();
}

// From the moments of a stage's output to the affine map of its BatchNorm; running statistics follow in training
// (momentum 0.1, unbiased variance).
template <class S>
void Chain<S>::normalise(Stage& stage, const Pass<S>& pass, double count) {
  if (!stage.unit().norm) return;
  Parameters<S>& p = pass.parameters;
  S *running_mean = p.buffer(stage.norm.running_mean),
    *running_variance = p.buffer(stage.norm.running_variance);
  const S* weight = stage.norm.weight >= 0 ? p.value(stage.norm.weight) : nullptr;
  const S* bias = stage.norm.bias >= 0 ? p.value(stage.norm.bias) : nullptr;
  for (int c = 0; c < stage.unit().out; c++) {
    const auto i = static_cast<std::size_t>(c);
    double mean = stage.moments[i].mean, variance = stage.moments[i].variance;
    if (pass.training) {
      const double unbiased = count > 1 ? variance * count / (count - 1) : variance;
      running_mean[i] =
          static_cast<S>((1 - batch_norm_momentum) * running_mean[i] + batch_norm_momentum * mean);
      running_variance[i] =
          static_cast<S>((1 - batch_norm_momentum) * running_variance[i] + batch_norm_momentum * unbiased);
    } else {
      mean = running_mean[i], variance = running_variance[i];
    }
    const double inverse = 1 / std::sqrt(variance + batch_norm_eps);
    stage.mean[i] = static_cast<S>(mean);
    stage.mean_rest[i] = mean - stage.mean[i];
    // products were taken about the batch's own mean; from here on everything is about stage.mean
    stage.moments[i].gradient_y += (stage.moments[i].mean - stage.mean[i]) * stage.moments[i].gradient;
    stage.inverse_deviation[i] = static_cast<S>(inverse);
    stage.scale[i] = static_cast<S>(weight ? inverse * weight[i] : inverse);
    stage.shift[i] = static_cast<S>((bias ? bias[i] : 0) - stage.scale[i] * stage.mean_rest[i]);
  }
}

template <class S>
Source<S> Chain<S>::output_of(const Stage& stage) const {
  Source<S> out = {stage.y, {}};
  if (stage.unit().norm) out.norm = {stage.mean.data(), stage.scale.data(), stage.shift.data()};
  return out;
}

// <g, z> of a stage whose moments were taken with g, about its mean.
template <class S>
double Chain<S>::product(const Stage& stage) const {
  double sum = 0;
  for (std::size_t c = 0; c < stage.moments.size(); c++) {
    const Moments& m = stage.moments[c];
    if (stage.unit().norm)
      sum += stage.scale[c] * m.gradient_y + stage.shift[c] * m.gradient;
    else
      sum += m.gradient_y + m.mean * m.gradient;
  }
  return sum;
}

namespace {
template <class S>
double pixel_count(const Pass<S>& pass, const Unit& unit, const View<const S>& x) {
  return static_cast<double>(pass.run.batch) * unit.out_height(x.height) * unit.out_width(x.width);
}
}  // namespace

// The units after the first. keep: outputs stay for backward; otherwise the last one is only measured against g.
template <class S>
void Chain<S>::forward_rest(const Pass<S>& pass, View<const S> g, bool keep) {
  for (std::size_t i = 1; i < stages_.size(); i++) {
    Stage& stage = stages_[i];
    const bool last = i + 1 == stages_.size();
    stage.x = output_of(stages_[i - 1]);
    const View<const S>& x = stage.x.x;
    stage.y = keep || !last ? pass.take(stage.unit().out, stage.unit().out_height(x.height),
                                        stage.unit().out_width(x.width))
                            : View<S>{};
    const ForwardUnit<S> unit = {&stage.unit(), pack(stage, pass.parameters, pass.backend, false), stage.y,
                                 !keep && last ? g : View<const S>{}, stage.moments.data()};
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
    stage.y =
        pass.take(stage.unit().out, stage.unit().out_height(x.x.height), stage.unit().out_width(x.x.width));
    units.push_back({&stage.unit(),
                     chains[i]->pack(stage, pass.parameters, pass.backend, false),
                     stage.y,
                     {},
                     stage.moments.data()});
  }
  if (!units.empty()) pass.backend.forward(pass.run, units.data(), static_cast<int>(units.size()), x);
  for (int i = 0; i < count; i++) {
    Chain& chain = *chains[i];
    if (chain.stages_.empty()) continue;
    chain.normalise(chain.stages_.front(), pass, pixel_count(pass, chain.stages_.front().unit(), x.x));
    chain.forward_rest(pass, {}, true);
    chain.output_ = chain.output_of(chain.stages_.back());
  }
}

template <class S>
void Chain<S>::probe(const Pass<S>& pass, const Source<S>& x, const Probe* probes, int count) {
  Unit identity;
  identity.kind = UnitKind::identity, identity.in = identity.out = x.x.channels;
  std::vector<Moments> identity_moments(static_cast<std::size_t>(x.x.channels) * count);
  std::vector<ForwardUnit<S>> units;
  const auto first_unit = [&](Chain& chain, View<S> y, View<const S> g) {
    Stage& stage = chain.stages_.front();
    stage.x = x;
    stage.y = y;
    return ForwardUnit<S>{&stage.unit(), chain.pack(stage, pass.parameters, pass.backend, false), y, g,
                          stage.moments.data()};
  };
  // One unit: all of them in one sweep.
  for (int i = 0; i < count; i++) {
    Chain& chain = *probes[i].chain;
    *probes[i].product = 0;
    if (chain.operation_.identity())
      units.push_back({&identity,
                       nullptr,
                       {},
                       probes[i].g,
                       identity_moments.data() + static_cast<std::size_t>(i) * x.x.channels});
    if (chain.stages_.size() == 1) units.push_back(first_unit(chain, {}, probes[i].g));
  }
  if (!units.empty()) pass.backend.forward(pass.run, units.data(), static_cast<int>(units.size()), x);
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
        const Moments* m = identity_moments.data() + static_cast<std::size_t>(i) * x.x.channels;
        for (int c = 0; c < x.x.channels; c++)
          *probes[i].product += m[c].gradient_y + m[c].mean * m[c].gradient;
      }
      if (chain.stages_.empty()) continue;
      chain.normalise(chain.stages_.front(), pass, pixel_count(pass, chain.stages_.front().unit(), x.x));
      const std::size_t between = pass.arena.mark();
      chain.forward_rest(pass, probes[i].g, false);
      *probes[i].product = chain.product(chain.stages_.back());
      pass.arena.rewind(between);
    }
    pass.arena.rewind(mark);
  }
}

template <class S>
double Chain<S>::backward(const Pass<S>& pass, View<const S> g, S weight, View<S> dx, Write write) {
  if (operation_.zero) return 0;
  if (operation_.identity()) {
    double result = 0;
    const Probe self = {this, g, &result};
    probe(pass, output_, &self, 1);
    if (dx) pass.backend.add(pass.run, dx, write, g, weight);
    return result;
  }
  const std::size_t mark = pass.arena.mark();
  double result = 0;
  for (std::size_t i = stages_.size(); i-- > 0;) {
    Stage& stage = stages_[i];
    const bool last = i + 1 == stages_.size(), first = i == 0;
    const Unit& unit = stage.unit();
    const std::size_t out = static_cast<std::size_t>(unit.out);
    const double factor = last ? weight : 1, count = pixel_count(pass, unit, stage.x.x);
    GradientSource<S> dy = {g, stage.y};
    if (unit.norm) {
      pass.backend.gradient_sums(pass.run, stage.moments.data(), g, stage.y, stage.mean.data());
      S* weight_gradient = stage.norm.weight >= 0 && pass.weight_gradients
                               ? pass.parameters.gradient(stage.norm.weight)
                               : nullptr;
      S* bias_gradient =
          stage.norm.bias >= 0 && pass.weight_gradients ? pass.parameters.gradient(stage.norm.bias) : nullptr;
      for (std::size_t c = 0; c < out; c++) {
        const double inverse = stage.inverse_deviation[c], scale = stage.scale[c] * factor;
        const double sum = stage.moments[c].gradient;
        const double product =
            (stage.moments[c].gradient_y - stage.mean_rest[c] * sum) * inverse;  // of g and y^
        if (weight_gradient)
          weight_gradient[c] = static_cast<S>(factor * product),
          bias_gradient[c] = static_cast<S>(factor * sum);
        stage.a[c] = static_cast<S>(scale);
        stage.b[c] = pass.training ? static_cast<S>(-scale * inverse * product / count) : S(0);
        stage.c[c] =
            pass.training ? static_cast<S>(-scale * sum / count - stage.b[c] * stage.mean_rest[c]) : S(0);
      }
      if (last) result = product(stage);
    } else {
      if (last) {
        std::fill(stage.mean.begin(), stage.mean.end(), S(0));
        pass.backend.gradient_sums(pass.run, stage.moments.data(), g, stage.y, stage.mean.data());
        for (std::size_t c = 0; c < out; c++) result += stage.moments[c].gradient_y;
      }
      for (std::size_t c = 0; c < out; c++)
        stage.a[c] = static_cast<S>(factor), stage.b[c] = stage.c[c] = S(0);
    }
    if (unit.norm || factor != 1)
      dy.mean = stage.mean.data(), dy.a = stage.a.data(), dy.b = stage.b.data(), dy.c = stage.c.data();

    BackwardUnit<S> step = {&unit,   pack(stage, pass.parameters, pass.backend, true),
                            stage.x, dy,
                            dx,      write,
                            nullptr, {nullptr, nullptr}};
    if (!first)
      step.dx = pass.take(unit.in, stage.x.x.height, stage.x.x.width), step.write = Write::overwrite;
    if (pass.weight_gradients) {
      if (stage.first >= 0) step.first_gradient = pass.parameters.gradient(stage.first);
      for (int p = 0; p < unit.parts; p++) step.dense_gradient[p] = pass.parameters.gradient(stage.dense[p]);
    }
    if (step.dx || (pass.weight_gradients && unit.parts > 0)) pass.backend.backward(pass.run, step);
    g = step.dx;
  }
  pass.arena.rewind(mark);
  if (pass.weight_gradients && weight != 0)
    mark_gradients(pass.parameters);  // dense mode runs unselected operations too
  return result;
}

template class Chain<float>;
template class Chain<double>;

}  // namespace nasp
