// Kernel bodies of BatchNorm's sums. A thread sums a few pixels in float32 about a centre (the channel's first value, or a
// mean that is given), so that nothing cancels where the mean is large against the deviation; threads and pieces are
// added in double, in an order that depends on sizes alone.
#pragma once
#include "kernel.h"

namespace nasp::NASP_KERNELS {

template <int V>
__device__ inline Vec<V> centre_of(const MomentsArguments& a, int c) {
  return a.centre ? load<V>(a.centre + c) : load_activation<V>(a.x, true, 0, c, 0);
}

// Block (lanes of channel groups, rows of pixels), grid (lanes' groups, pieces).
template <int V>
__global__ void piece_moments(MomentsArguments a) {
  NASP_SHARED(double, memory, 256);
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * V, channels = a.map.channels;
  const bool live = c < channels;
  Vec<V> sum[4];
  NASP_UNROLL for (int k = 0; k < 4; k++) sum[k] = splat<V>(0);
  if (live) {
    const Vec<V> centre = centre_of<V>(a, c);
    const int begin = blockIdx.y * a.pixels_a_piece, end = min(begin + a.pixels_a_piece, a.map.pixels());
    for (int pixel = begin + threadIdx.y; pixel < end; pixel += blockDim.y) {
      const Vec<V> x = load_activation<V>(a.x, true, pixel, c, 0);
      const Vec<V> g =
          load_if<V>(a.g != nullptr,
                     a.g ? a.g + static_cast<std::size_t>(pixel) * a.g_pitch + c * a.g_step : nullptr, 0);
      NASP_UNROLL for (int i = 0; i < V; i++) {
        const float off = x.v[i] - centre.v[i];
        sum[0].v[i] += off;
        sum[1].v[i] += off * off;
        sum[2].v[i] += g.v[i];
        sum[3].v[i] += g.v[i] * off;
      }
    }
  }
  NASP_UNROLL for (int k = 0; k < 4; k++) {
    if (k >= 2 && !a.g) continue;
    NASP_UNROLL for (int i = 0; i < V; i++) {
      const double total = sum_rows(sum[k].v[i], memory);
      if (threadIdx.y == 0 && live)
        a.partial[(static_cast<std::size_t>(blockIdx.y) * 4 + k) * channels + c + i] = total;
    }
  }
}

// One channel a thread. With a given centre the products stay about it; without one they are about the mean.
__global__ void merge_moments(MomentsArguments a) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x, channels = a.map.channels;
  if (c >= channels) return;
  double sum[4] = {0, 0, 0, 0};
  for (int p = 0; p < a.pieces; p++) {
    NASP_UNROLL for (int k = 0; k < 4; k++) {
      if (k < 2 || a.g) sum[k] += a.partial[(static_cast<std::size_t>(p) * 4 + k) * channels + c];
    }
  }
  const double count = a.map.pixels(), centre = centre_of<1>(a, c).v[0], mean = sum[0] / count,
               variance = sum[1] / count - mean * mean;
  Moments m;
  m.mean = centre + mean;
  m.variance = variance > 0 ? variance : 0;
  m.gradient = sum[2];
  m.gradient_y = sum[3] - (a.centre ? 0 : mean * sum[2]);
  a.moments[c] = m;
}

}  // namespace nasp::NASP_KERNELS
