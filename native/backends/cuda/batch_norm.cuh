// Kernel bodies of BatchNorm's arithmetic between units, a channel a thread, and of products with the gradient, a block
// each: the host's are host/batch_norm.h.
#pragma once
#include "../step_entries.h"
#include "kernel.h"

namespace nasp::NASP_KERNELS {

__global__ void normalise(NormaliseArguments a) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  const BatchNorm<float>& n = a.norm;
  if (c >= n.channels) return;
  Moments m = read(n.moments, c);
  double mean = m.mean, variance = m.variance;
  if (a.training) {
    write(n.running_mean, c, running_statistic(read(n.running_mean, c), mean));
    write(n.running_variance, c, running_statistic(read(n.running_variance, c), unbiased(variance, a.count)));
  } else {
    mean = read(n.running_mean, c), variance = read(n.running_variance, c);
  }
  const ChannelNorm<float> z =
      channel_norm(mean, variance, n.weight ? read(n.weight, c) : 1.0f, n.bias ? read(n.bias, c) : 0.0f);
  write(n.mean, c, z.mean);
  write(n.mean_rest, c, z.mean_rest);
  write(n.inverse_deviation, c, z.inverse_deviation);
  write(n.scale, c, z.scale);
  write(n.shift, c, z.shift);
  // products were taken about the batch's own mean; from here on everything is about z's
  m.gradient_y = gradient_about(z.mean, m);
  write(n.moments, c, m);
}

__global__ void fold(FoldNormArguments a) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x;
  const BatchNorm<float>& n = a.norm;
  if (c >= n.channels) return;
  ChannelGradient<float> d = {.a = static_cast<float>(a.factor)};
  if (n.norm)
    d = channel_gradient(read(n.moments, c), read(n.mean_rest, c), read(n.inverse_deviation, c),
                         read(n.scale, c), a.training, a.factor, a.count);
  if (n.norm && n.weight_gradient) {
    write(n.weight_gradient, c, d.weight);
    write(n.bias_gradient, c, d.bias);
  }
  write(n.a, c, d.a);
  write(n.b, c, d.b);
  write(n.c, c, d.c);
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
