// Depthwise k x k convolution on batch lanes, with dilation.
//
//   Stride 1, the kernels of the search spaces: a register tile of 2 rows x 8 pixels (4 with 16 registers); each input
//   row is loaded once and feeds every output row that it reaches. Its data gradient is the same tile on the gradient
//   with the kernel turned round.
//   Everything else (stride 2, and its data gradient, a stride-1 convolution for each parity of row and column):
//   one row of pixels over a list of taps.
#pragma once
#include "band.h"

namespace nasp::NASP_ISA {

// Where a tile's pixels go: rows and groups of tile_pixels pixels this far apart.
template <class S>
struct TilePixels {
  S* data;
  ptrdiff_t row_pitch, group_pitch;
};

// One tile. rows[q]: input row q of the tile, at its first column (already shifted left by the padding). Not inlined:
// the tile has the registers for itself.
template <class L, int K, int D>
[[gnu::noinline]] void depthwise_tile(const typename L::scalar* const* rows, ptrdiff_t at,
                                      const typename L::scalar* w, const TilePixels<typename L::scalar>& to) {
  constexpr int R = depthwise_rows, P = depthwise_pixels;
  L sum[R][P];
  NASP_UNROLL for (int r = 0; r < R; r++) NASP_UNROLL for (int p = 0; p < P; p++) sum[r][p] = L::zero();
  NASP_UNROLL for (int q = 0; q < R + (K - 1) * D; q++) {
    L weight[R][K];
    bool used = false;
    NASP_UNROLL for (int r = 0; r < R; r++) {
      if (q < r || (q - r) % D != 0 || (q - r) / D >= K) continue;
      used = true;
      NASP_UNROLL for (int t = 0; t < K; t++) {
        weight[r][t] = L::splat(w[(q - r) / D * K + t]);
        if (NASP_REGISTERS >= 32) weight[r][t].pin();
      }
    }
    if (!used) continue;
    NASP_UNROLL for (int u = 0; u < P + (K - 1) * D; u++) {
      L x = L::load(rows[q] + at + u * L::count);
      x.pin();
      NASP_UNROLL for (int r = 0; r < R; r++) {
        if (q < r || (q - r) % D != 0 || (q - r) / D >= K) continue;
        NASP_UNROLL for (int t = 0; t < K; t++) {
          const int p = u - t * D;
          if (p >= 0 && p < P) sum[r][p] += weight[r][t] * x;
        }
      }
    }
  }
  NASP_UNROLL for (int r = 0; r < R; r++) NASP_UNROLL for (int p = 0; p < P; p++) {
    sum[r][p].store(to.data + r * to.row_pitch + p / tile_pixels * to.group_pitch +
                    p % tile_pixels * L::count);
  }
}

template <class L>
struct DepthwiseTap {
  const typename L::scalar* x;
  typename L::scalar w;
};

// One row of pixels over any taps; `step` columns of x from one pixel to the next.
template <class L>
[[gnu::noinline]] void depthwise_row(const TilePixels<typename L::scalar>& to, const DepthwiseTap<L>* taps,
                                     int count, ptrdiff_t at, int step) {
  L sum[depthwise_pixels];
  NASP_UNROLL for (int p = 0; p < depthwise_pixels; p++) sum[p] = L::zero();
  for (int t = 0; t < count; t++) {
    const L weight = L::splat(taps[t].w);
    const auto* x = taps[t].x + at;
    NASP_UNROLL for (int p = 0; p < depthwise_pixels; p++, x += step * L::count) sum[p] +=
        weight * L::load(x);
  }
  NASP_UNROLL for (int p = 0; p < depthwise_pixels; p++) sum[p].store(
      to.data + p / tile_pixels * to.group_pitch + p % tile_pixels * L::count);
}

// Calls body.template operator()<K, D>() where a tile exists for the kernel and its dilation; false otherwise.
template <class Body>
inline bool with_depthwise_kernel(int kernel, int dilation, Body&& body) {
  if (dilation == 1 && kernel == 3) return body.template operator()<3, 1>(), true;
  if (dilation == 1 && kernel == 5) return body.template operator()<5, 1>(), true;
  if (dilation == 1 && kernel == 7) return body.template operator()<7, 1>(), true;
  if (dilation == 2 && kernel == 3) return body.template operator()<3, 2>(), true;
  if (dilation == 2 && kernel == 5) return body.template operator()<5, 2>(), true;
  if (dilation == 2 && kernel == 7) return body.template operator()<7, 2>(), true;
  return false;
}

// Backward, weights: dw[s][t] = sum over pixels of dy * x shifted by (s, t), one channel, KernelRows rows of the
// kernel at a time (kernel_rows[s]: x's row for the first output row).
template <class L, int K, int KernelRows, int Stride, int Dilation>
[[gnu::noinline]] void depthwise_weight_gradient_tile(L* dw, const typename L::scalar* dy,
                                                      const typename L::scalar* const (&x)[KernelRows],
                                                      int rows, int width, ptrdiff_t dy_row_pitch,
                                                      ptrdiff_t x_row_pitch) {
  L sum[KernelRows][K];
  const typename L::scalar* from[KernelRows];
  NASP_UNROLL for (int s = 0; s < KernelRows; s++) {
    from[s] = x[s];
    NASP_UNROLL for (int t = 0; t < K; t++) sum[s][t] = L::zero();
  }
  for (int r = 0; r < rows; r++) {
    for (int p = 0; p < width; p++) {
      L gradient = L::load(dy + p * L::count);
      gradient.pin();
      NASP_UNROLL for (int s = 0; s < KernelRows; s++) NASP_UNROLL for (int t = 0; t < K; t++) {
        sum[s][t] += gradient * L::load(from[s] + (p * Stride + t * Dilation) * L::count);
      }
    }
    dy += dy_row_pitch;
    NASP_UNROLL for (int s = 0; s < KernelRows; s++) from[s] += Stride * x_row_pitch;
  }
  NASP_UNROLL for (int s = 0; s < KernelRows; s++) NASP_UNROLL for (int t = 0; t < K; t++) dw[s * K + t] =
      sum[s][t];
}

// (C, K, K); turned round for the data gradient.
template <class S>
void pack_depthwise(S* packed, const S* w, int channels, int taps, bool turned) {
  for (int c = 0; c < channels; c++, w += taps, packed += taps) {
    for (int t = 0; t < taps; t++) packed[t] = w[turned ? taps - 1 - t : t];
  }
}

}  // namespace nasp::NASP_ISA
