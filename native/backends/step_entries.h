// What step functions (step_functions.h) do to one entry, a channel, an element, a logit: the same arithmetic on the host and in
// devices' kernels, which differ in how they go through the entries.
#pragma once
#include <cmath>
#include <limits>

#include "../core/rng.h"
#include "step_functions.h"

namespace nasp {

// A channel's part of <g, z>; scale and shift: of ProductOf::normalised alone.
constexpr double product_of(ProductOf of, const Moments& m, double scale, double shift) {
  switch (of) {
    case ProductOf::normalised:
      return scale * m.gradient_y + shift * m.gradient;
    case ProductOf::about_mean:
      return m.gradient_y + m.mean * m.gradient;
    case ProductOf::as_is:
      return m.gradient_y;
    default:
      return m.gradient;
  }
}

// A running statistic after a batch whose own is `batch`.
template <class S>
constexpr S running_statistic(S running, double batch) {
  return static_cast<S>((1 - batch_norm_momentum) * running + batch_norm_momentum * batch);
}
// Of the `count` values that have this biased variance.
constexpr double unbiased(double variance, double count) {
  return count > 1 ? variance * count / (count - 1) : variance;
}

template <class S>
struct ChannelNorm {  // as in BatchNorm
  S mean = 0, scale = 0, shift = 0, inverse_deviation = 0;
  double mean_rest = 0;
};
// weight, bias: 1, 0 where the BatchNorm is not affine.
template <class S>
constexpr ChannelNorm<S> channel_norm(double mean, double variance, S weight, S bias) {
  const double inverse = 1 / std::sqrt(variance + batch_norm_eps);
  ChannelNorm<S> n;
  n.mean = static_cast<S>(mean), n.mean_rest = mean - n.mean;
  n.inverse_deviation = static_cast<S>(inverse);
  n.scale = static_cast<S>(inverse * weight);
  n.shift = static_cast<S>(bias - n.scale * n.mean_rest);
  return n;
}
// The sum of g * (y - mean) about another mean than the batch's own.
constexpr double gradient_about(double mean, const Moments& m) {
  return m.gradient_y + (m.mean - mean) * m.gradient;
}

template <class S>
struct ChannelGradient {  // a, b, c of GradientSource; of BatchNorm's parameters
  S a = 0, b = 0, c = 0, weight = 0, bias = 0;
};
// m with g = dL/dz / factor; mean_rest, inverse_deviation, scale: BatchNorm's.
template <class S>
constexpr ChannelGradient<S> channel_gradient(const Moments& m, double mean_rest, S inverse_deviation,
                                              S scale, bool training, double factor, double count) {
  const double inverse = inverse_deviation, whole = scale * factor;
  const double product = (m.gradient_y - mean_rest * m.gradient) * inverse;  // of g and y^
  ChannelGradient<S> d;
  d.weight = static_cast<S>(factor * product), d.bias = static_cast<S>(factor * m.gradient);
  d.a = static_cast<S>(whole);
  if (!training) return d;
  d.b = static_cast<S>(-whole * inverse * product / count);
  d.c = static_cast<S>(-whole * m.gradient / count - d.b * mean_rest);
  return d;
}

// The words of Dropout's masks of one element of the images 4 quad to 4 quad + 3.
constexpr Random4 draw_masks(const Dropout& d, int quad, int channel, int row, int column, int channels,
                             int height, int width) {
  const std::uint64_t number =
      ((static_cast<std::uint64_t>(quad) * channels + channel) * height + row) * width + column;
  return philox(d.seed, static_cast<std::uint32_t>(Stream::dropout), d.place,
                (static_cast<std::uint64_t>(d.counter) << 32) + number);
}
// kept: Dropout::kept
template <class S>
constexpr S dropped(S x, std::uint32_t word, double rate, S kept) {
  return uniform(word) < rate ? S(0) : x * kept;
}

// A logit's exponential about the image's largest, top; `sum` is that over classes.
template <class S>
constexpr double exponential(S logit, S top) {
  return std::exp(static_cast<double>(logit) - top);
}
// The softmax cross-entropy of an image; its gradient in the batch's mean.
template <class S>
constexpr double image_loss(double sum, S target_logit, S top) {
  return std::log(sum) - (static_cast<double>(target_logit) - top);
}
template <class S>
constexpr S logit_gradient(double exponential, double sum, bool target, int batch) {
  return static_cast<S>((exponential / sum - target) / batch);
}

constexpr double in_box(double alpha) { return alpha < 0 ? 0 : alpha > 1 ? 1 : alpha; }
constexpr bool is_finite(double x) { return x - x == 0; }

template <class S>
struct AlphaEntry {  // with Adam's moments
  S value, first, second;
};
// Gradient + regulariser -> Adam or the plain gradient -> the box, where the step wants it. weight: of D; cost: 0 where it is not
// regularised.
template <class S>
constexpr AlphaEntry<S> stepped(AlphaEntry<S> a, S gradient, double weight, double cost, const AlphaStep& o) {
  const double value = a.value;
  double g = gradient;
  if (cost != 0) g += 2 * o.eta * cost * (o.cost_on_alpha ? value : weight);
  g += o.weight_decay * value;
  double step = o.lr * g;
  if (o.adam) {
    const double first = o.beta1 * a.first + (1 - o.beta1) * g,
                 second = o.beta2 * a.second + (1 - o.beta2) * g * g;
    a.first = static_cast<S>(first), a.second = static_cast<S>(second);
    step = o.lr * (first / o.correction1) / (std::sqrt(second / o.correction2) + o.eps);
  }
  a.value = static_cast<S>(o.box ? in_box(value - step) : value - step);
  return a;
}
// What an entry counts as beside others of its row, and a row's largest beside those of a node's other rows.
template <class S>
constexpr S strength_of(S largest) {
  return largest == largest ? largest : -std::numeric_limits<S>::infinity();
}
// An entry of D that is chosen.
template <class S>
constexpr double chosen_weight(S alpha, const AlphaStep& o) {
  return o.value_one ? 1.0 : in_box(alpha);
}

template <class S>
struct SgdEntry {
  S weight, momentum;
};
template <class S>
struct SgdFactors {
  S gradient, lr, momentum, decay;
  bool nesterov;
  SgdFactors() = default;
  // norm: of all gradients of the step
  constexpr SgdFactors(const SgdStep& o, double norm)
      : gradient(static_cast<S>(o.clip > 0 && o.clip < norm + 1e-6 ? o.clip / (norm + 1e-6) : 1)),
        lr(static_cast<S>(o.lr)),
        momentum(static_cast<S>(o.momentum)),
        decay(static_cast<S>(o.weight_decay)),
        nesterov(o.nesterov) {}
};
// gradient: 0 where the slot has none.
template <class S>
constexpr SgdEntry<S> stepped(const SgdEntry<S>& w, S gradient, const SgdFactors<S>& f) {
  const S step = f.gradient * gradient + f.decay * w.weight, momentum = f.momentum * w.momentum + step;
  return {w.weight - f.lr * (f.nesterov ? step + f.momentum * momentum : momentum), momentum};
}

}  // namespace nasp
