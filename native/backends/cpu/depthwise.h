// Depthwise k x k convolution on batch lanes, with dilation.
//
//   Stride 1, the kernels of the search spaces: a register tile of 2 rows x 8 pixels (4 with 16 registers); each input
//   row is loaded once and feeds every output row that it reaches. Its data gradient is the same tile on the gradient
//   with the kernel turned round.
//   Everything else (stride 2, and its data gradient, a stride-1 convolution for each parity of row and column):
//   one row of pixels over a list of taps.
#pragma once
#include "dense.h"

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
// kernel at a time. dy[r]: an output row; x[r * Stride + s * Dilation]: the input row that kernel row s meets there.
// Pixels of dy are held in registers, and each pixel of x is loaded once for all taps that reach it.
template <class L, int K, int KernelRows, int Stride, int Dilation, int Pixels>
NASP_INLINE void depthwise_weight_gradient_pixels(L (&sum)[KernelRows][K], const typename L::scalar* dy,
                                                  const typename L::scalar* const* x, ptrdiff_t at) {
  L gradient[Pixels];
  NASP_UNROLL for (int p = 0; p < Pixels; p++) {
    gradient[p] = L::load(dy + p * L::count);
    gradient[p].pin();
  }
  NASP_UNROLL for (int s = 0; s < KernelRows; s++) {
    NASP_UNROLL for (int u = 0; u < (Pixels - 1) * Stride + (K - 1) * Dilation + 1; u++) {
      bool used = false;
      NASP_UNROLL for (int t = 0; t < K; t++) {
        const int p = u - t * Dilation;
        used = used || (p >= 0 && p % Stride == 0 && p / Stride < Pixels);
      }
      if (!used) continue;
      L value = L::load(x[s * Dilation] + at + u * L::count);
      value.pin();
      NASP_UNROLL for (int t = 0; t < K; t++) {
        const int p = u - t * Dilation;
        if (p >= 0 && p % Stride == 0 && p / Stride < Pixels) sum[s][t] += gradient[p / Stride] * value;
      }
    }
  }
}

template <class L, int K, int KernelRows, int Stride, int Dilation>
[[gnu::noinline]] void depthwise_weight_gradient_tile(typename L::scalar* dw,
                                                      const typename L::scalar* const* dy,
                                                      const typename L::scalar* const* x, int rows,
                                                      int width) {
  constexpr int free = NASP_REGISTERS - 1 - K * KernelRows, P = free >= 8   ? 8
                                                                : free >= 4 ? 4
                                                                : free >= 2 ? 2
                                                                            : 1;
  L sum[KernelRows][K];
  NASP_UNROLL for (int s = 0; s < KernelRows; s++) NASP_UNROLL for (int t = 0; t < K; t++) sum[s][t] =
      L::zero();
  for (int r = 0; r < rows; r++, x += Stride) {
    int p = 0;
    for (; p + P <= width; p += P)
      depthwise_weight_gradient_pixels<L, K, KernelRows, Stride, Dilation, P>(
          sum, dy[r] + p * L::count, x, static_cast<ptrdiff_t>(p) * Stride * L::count);
    for (; p < width; p++)
      depthwise_weight_gradient_pixels<L, K, KernelRows, Stride, Dilation, 1>(
          sum, dy[r] + p * L::count, x, static_cast<ptrdiff_t>(p) * Stride * L::count);
  }
  L sums[KernelRows * K];
  NASP_UNROLL for (int s = 0; s < KernelRows; s++) NASP_UNROLL for (int t = 0; t < K; t++) sums[s * K + t] =
      sum[s][t];
  constexpr int N = KernelRows * K;
  alignas(sizeof(L)) typename L::scalar total[(N + L::count - 1) / L::count * L::count];
  sum_lanes<L, N>(total, sums);
  for (int i = 0; i < N; i++) dw[i] += total[i];
}

// (C, K, K); turned round for the data gradient.
template <class S>
void pack_depthwise(S* packed, const S* w, int channels, int taps, bool turned) {
  for (int c = 0; c < channels; c++, w += taps, packed += taps) {
    for (int t = 0; t < taps; t++) packed[t] = w[turned ? taps - 1 - t : t];
  }
}

}  // namespace nasp::NASP_ISA
