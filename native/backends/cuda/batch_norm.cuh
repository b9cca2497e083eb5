// Kernel bodies of BatchNorm's arithmetic between units, a channel a thread, and of products with the gradient, a block
// each: the host's are host/batch_norm.h.
#pragma once
#include "kernel.h"

namespace nasp::NASP_KERNELS {

__global__ void normalise(NormaliseArguments a) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  const BatchNorm<float>& n = a.norm;
  if (c >= n.channels) return;
  const Moments m = read(n.moments, c);
  double mean = m.mean, variance = m.variance;
  if (a.training) {
    const double unbiased = a.count > 1 ? variance * a.count / (a.count - 1) : variance;
    write(
        n.running_mean, c,
        static_cast<float>((1 - batch_norm_momentum) * read(n.running_mean, c) + batch_norm_momentum * mean));
    write(n.running_variance, c,
          static_cast<float>((1 - batch_norm_momentum) * read(n.running_variance, c) +
                             batch_norm_momentum * unbiased));
  } else {
    mean = read(n.running_mean, c), variance = read(n.running_variance, c);
  }
  const double inverse = 1 / sqrt(variance + batch_norm_eps);
  const float rounded = static_cast<float>(mean),
              scale = static_cast<float>(n.weight ? inverse * read(n.weight, c) : inverse);
  const double rest = mean - rounded;
  write(n.mean, c, rounded);
  write(n.mean_rest, c, rest);
  // products were taken about the batch's own mean; from here on everything is about the rounded one
  write(n.moments, c,
        Moments{m.mean, m.variance, m.gradient, m.gradient_y + (m.mean - rounded) * m.gradient});
  write(n.inverse_deviation, c, static_cast<float>(inverse));
  write(n.scale, c, scale);
  write(n.shift, c, static_cast<float>((n.bias ? read(n.bias, c) : 0) - scale * rest));
}

__global__ void fold(FoldNormArguments a) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  const BatchNorm<float>& n = a.norm;
  if (c >= n.channels) return;
  double scale = a.factor, slope = 0, offset = 0;
  if (n.norm) {
    const Moments m = read(n.moments, c);
    const double inverse = read(n.inverse_deviation, c), rest = read(n.mean_rest, c);
    const double product = (m.gradient_y - rest * m.gradient) * inverse;  // of g and y^
    scale *= read(n.scale, c);
    if (n.weight_gradient) {
      write(n.weight_gradient, c, static_cast<float>(a.factor * product));
      write(n.bias_gradient, c, static_cast<float>(a.factor * m.gradient));
    }
    if (a.training) {
      const float rounded = static_cast<float>(-scale * inverse * product / a.count);
      slope = rounded;
      offset = -scale * m.gradient / a.count - rounded * rest;
    }
  }
  write(n.a, c, static_cast<float>(scale));
  write(n.b, c, static_cast<float>(slope));
  write(n.c, c, static_cast<float>(offset));
}

// One block: threads over channels, then their sum.
__global__ void add_product(ProductArguments a) {
  NASP_SHARED(double, memory, 256);
  const bool normalised = a.of == ProductOf::normalised;
  double sum = 0;
  for (int c = threadIdx.y; c < a.channels; c += blockDim.y) {
    const double scale = normalised ? read(a.scale, c) : 0, shift = normalised ? read(a.shift, c) : 0;
    sum += product_of(a.of, read(a.moments, c), scale, shift);
  }
  const double total = sum_rows(sum, memory);
  if (threadIdx.y == 0) write(a.to, 0, read(a.to, 0) + total);
}

__global__ void convert(ConvertArguments a) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < a.count) write(a.to, i, static_cast<float>(read(a.from, i)));
}

}  // namespace nasp::NASP_KERNELS
