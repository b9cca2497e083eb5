// What kernels that take BatchNorm's sums on the way have in common: see statistics.cuh.
#pragma once
#include "kernel.h"

namespace nasp::NASP_KERNELS {

template <int V>
__device__ inline Vec<V> centre_of(const MomentsArguments& a, int c) {
  return a.centre ? load<V>(a.centre + c) : load_activation<V>(a.x, true, 0, c, 0);
}

// Block (lanes of channel groups, rows of pixels), grid (lanes' groups, pieces). value(pixel, c): of y, which is summed.
template <int V, class Value>
__device__ inline void sum_piece(const MomentsArguments& a, const Value& value, bool computed) {
  NASP_SHARED(double, memory, 256);
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * V, channels = a.map.channels;
  const bool live = c < channels;
  Vec<V> sum[4];
  NASP_UNROLL for (int k = 0; k < 4; k++) sum[k] = splat<V>(0);
  if (live) {
    const Vec<V> centre = computed ? value(0, c) : centre_of<V>(a, c);
    if (computed && blockIdx.y == 0 && threadIdx.y == 0) store(a.first + c, centre);
    const int begin = blockIdx.y * a.pixels_a_piece, end = min(begin + a.pixels_a_piece, a.map.pixels());
    for (int pixel = begin + threadIdx.y; pixel < end; pixel += blockDim.y) {
      const Vec<V> x = value(pixel, c);
      const Vec<V> g = load_if<V>(a.g != nullptr,
                                  a.g ? a.g + static_cast<std::size_t>(pixel) * a.g_pitch + c : nullptr, 0);
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
    store_row_sums(a.partial + (static_cast<std::size_t>(blockIdx.y) * 4 + k) * channels + c, live, sum[k],
                   memory);
  }
}

}  // namespace nasp::NASP_KERNELS
