// Kernel bodies of BatchNorm's sums. A thread sums a few pixels in float32 about a centre (the channel's first value, or a
// mean that is given), so that nothing cancels where the mean is large against the deviation; threads and pieces are
// added in double, in an order that depends on sizes alone.
#pragma once
#include "sum_piece.cuh"

namespace nasp::NASP_KERNELS {

template <int V>
__global__ void piece_moments(MomentsArguments a) {
  sum_piece<V>(
      a, [&](int pixel, int c) { return load_activation<V>(a.x, true, pixel, c, 0); }, false);
}

// One channel a thread. With a given centre the products stay about it; without one they are about the mean.
__global__ void merge_moments(MomentsArguments a) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x, channels = a.map.channels;
  if (c >= channels) return;
  double sum[4] = {0, 0, 0, 0};
  for (int p = 0; p < a.pieces; p++) {
    NASP_UNROLL for (int k = 0; k < 4; k++) {
      if (k < 2 ? !a.only_products : a.g || a.only_products)
        sum[k] += read(a.partial, (static_cast<std::size_t>(p) * 4 + k) * channels + c);
    }
  }
  const double count = a.map.pixels(), centre = a.first ? read(a.first, c) : centre_of<1>(a, c).v[0],
               mean = sum[0] / count, variance = sum[1] / count - mean * mean;
  Moments m;
  m.mean = centre + mean;
  m.variance = variance < 0 ? 0 : variance;  // NaN stays
  m.gradient = sum[2];
  m.gradient_y = sum[3] - (a.centre ? 0 : mean * sum[2]);
  write(a.moments, c, m);
}

}  // namespace nasp::NASP_KERNELS
