// BatchNorm's arithmetic between units, a channel at a time, and products with the gradient: see StepFunctions.
#pragma once
#include "../step_entries.h"

namespace nasp {

template <class S>
void normalise(const Run&, const BatchNorm<S>& n, bool training, double count) {
  for (int c = 0; c < n.channels; c++) {
    Moments& m = n.moments[c];
    double mean = m.mean, variance = m.variance;
    if (training) {
      n.running_mean[c] = running_statistic(n.running_mean[c], mean);
      n.running_variance[c] = running_statistic(n.running_variance[c], unbiased(variance, count));
    } else {
      mean = n.running_mean[c], variance = n.running_variance[c];
    }
    const ChannelNorm<S> z =
        channel_norm(mean, variance, n.weight ? n.weight[c] : S(1), n.bias ? n.bias[c] : S(0));
    n.mean[c] = z.mean, n.mean_rest[c] = z.mean_rest;
    n.inverse_deviation[c] = z.inverse_deviation;
    n.scale[c] = z.scale, n.shift[c] = z.shift;
    // products were taken about the batch's own mean; from here on everything is about z's
    m.gradient_y = gradient_about(z.mean, m);
  }
}

template <class S>
void fold(const Run&, const BatchNorm<S>& n, bool training, double factor, double count) {
  for (int c = 0; c < n.channels; c++) {
    ChannelGradient<S> d = {.a = static_cast<S>(factor)};
    if (n.norm)
      d = channel_gradient(n.moments[c], n.mean_rest[c], n.inverse_deviation[c], n.scale[c], training, factor,
                           count);
    if (n.norm && n.weight_gradient) n.weight_gradient[c] = d.weight, n.bias_gradient[c] = d.bias;
    n.a[c] = d.a, n.b[c] = d.b, n.c[c] = d.c;
  }
}

template <class S>
void add_product(const Run&, double* to, const Moments* moments, int channels, const S* scale, const S* shift,
                 ProductOf of) {
  const bool normalised = of == ProductOf::normalised;
  double sum = 0;
  for (int c = 0; c < channels; c++)
    sum += product_of(of, moments[c], normalised ? scale[c] : 0, normalised ? shift[c] : 0);
  *to += sum;
}

}  // namespace nasp
