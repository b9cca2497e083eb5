// BatchNorm's arithmetic between units, a channel at a time, and products with the gradient: see StepFunctions.
#pragma once
#include <cmath>

#include "../step_functions.h"

namespace nasp {

template <class S>
void normalise(const Run&, const BatchNorm<S>& n, bool training, double count) {
  for (int c = 0; c < n.channels; c++) {
    Moments& m = n.moments[c];
    double mean = m.mean, variance = m.variance;
    if (training) {
      const double unbiased = count > 1 ? variance * count / (count - 1) : variance;
      n.running_mean[c] =
          static_cast<S>((1 - batch_norm_momentum) * n.running_mean[c] + batch_norm_momentum * mean);
      n.running_variance[c] =
          static_cast<S>((1 - batch_norm_momentum) * n.running_variance[c] + batch_norm_momentum * unbiased);
    } else {
      mean = n.running_mean[c], variance = n.running_variance[c];
    }
    const double inverse = 1 / std::sqrt(variance + batch_norm_eps);
    n.mean[c] = static_cast<S>(mean);
    n.mean_rest[c] = mean - n.mean[c];
    // products were taken about the batch's own mean; from here on everything is about n.mean
    m.gradient_y += (m.mean - n.mean[c]) * m.gradient;
    n.inverse_deviation[c] = static_cast<S>(inverse);
    n.scale[c] = static_cast<S>(n.weight ? inverse * n.weight[c] : inverse);
    n.shift[c] = static_cast<S>((n.bias ? n.bias[c] : 0) - n.scale[c] * n.mean_rest[c]);
  }
}

template <class S>
void fold(const Run&, const BatchNorm<S>& n, bool training, double factor, double count) {
  for (int c = 0; c < n.channels; c++) {
    if (!n.norm) {
      n.a[c] = static_cast<S>(factor), n.b[c] = n.c[c] = S(0);
      continue;
    }
    const double inverse = n.inverse_deviation[c], scale = n.scale[c] * factor, sum = n.moments[c].gradient;
    const double product = (n.moments[c].gradient_y - n.mean_rest[c] * sum) * inverse;  // of g and y^
    if (n.weight_gradient)
      n.weight_gradient[c] = static_cast<S>(factor * product),
      n.bias_gradient[c] = static_cast<S>(factor * sum);
    n.a[c] = static_cast<S>(scale);
    n.b[c] = training ? static_cast<S>(-scale * inverse * product / count) : S(0);
    n.c[c] = training ? static_cast<S>(-scale * sum / count - n.b[c] * n.mean_rest[c]) : S(0);
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
