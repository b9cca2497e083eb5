// Depthwise k x k convolution on batch lanes, with dilation.
//
//   Stride 1 and 2, the kernels of the search spaces: a register tile of 8 pixels of one row, or, where 32 registers hold a
//   row of the kernel as well, of two rows. The data gradient of stride 1 is the same tile on the gradient with the kernel
//   turned round.
//   Everything else (the data gradient of stride 2, a stride-1 convolution for each parity of row and column): one row of
//   pixels over a list of taps.
#pragma once
#include "dense.h"

namespace nasp::NASP_ISA {

// Output pixels of two neighbouring rows, stride 1. rows[q]: input row q, at its first column (already shifted left by the
// padding). The weights of a row of the kernel stay in registers, and each pixel is loaded once for both rows.
template <class L, int K, int D>
[[gnu::noinline]] void depthwise_two_rows(typename L::scalar* const (&to)[2],
                                          const typename L::scalar* const* rows, const typename L::scalar* w,
                                          int pixels) {
  constexpr int R = 2, P = depthwise_pixels;
  for (int first = 0; first < pixels; first += P) {
    const ptrdiff_t at = static_cast<ptrdiff_t>(first) * L::count;
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
          weight[r][t].pin();
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
      if (first + p < pixels) sum[r][p].store(to[r] + at + p * L::count);
    }
  }
}

// Output pixels of one row: nothing but the sums and a weight stay in registers.
template <class L, int K, int D, int Stride>
[[gnu::noinline]] void depthwise_row(typename L::scalar* to, const typename L::scalar* const* rows,
                                     const typename L::scalar* w, int pixels) {
  constexpr int P = depthwise_pixels;
  for (int first = 0; first < pixels; first += P, to += P * L::count) {
    L sum[P];
    NASP_UNROLL for (int p = 0; p < P; p++) sum[p] = L::zero();
    const auto* weights = w;
    for (int s = 0; s < K; s++, weights += K) {
      const auto* x = rows[s * D] + static_cast<ptrdiff_t>(first) * Stride * L::count;
      NASP_UNROLL for (int t = 0; t < K; t++) {
        L weight = L::splat(weights[t]);
        weight.pin();
        NASP_UNROLL for (int p = 0; p < P; p++) sum[p] += weight * L::load(x + (p * Stride + t * D) * L::count);
      }
    }
    NASP_UNROLL for (int p = 0; p < P; p++) if (first + p < pixels) sum[p].store(to + p * L::count);
  }
}

// A tap of any kernel: where a row's first pixel lies for channel 0, and which of a channel's weights is its.
template <class L>
struct DepthwiseTap {
  const typename L::scalar* x;
  int weight;
};

// One row of pixels of a channel over any taps. at: the channel's offset in x; w: its weights.
template <class L>
[[gnu::noinline]] void depthwise_taps(typename L::scalar* to, const DepthwiseTap<L>* taps, int count,
                                      ptrdiff_t at, const typename L::scalar* w, int stride, int pixels) {
  constexpr int P = depthwise_pixels;
  const ptrdiff_t step = static_cast<ptrdiff_t>(stride) * L::count;
  for (int first = 0; first < pixels; first += P, at += P * step, to += P * L::count) {
    L sum[P];
    NASP_UNROLL for (int p = 0; p < P; p++) sum[p] = L::zero();
    for (int t = 0; t < count; t++) {
      const L weight = L::splat(w[taps[t].weight]);
      const auto* x = taps[t].x + at;
      NASP_UNROLL for (int p = 0; p < P; p++) sum[p] += weight * L::load(x + p * step);
    }
    NASP_UNROLL for (int p = 0; p < P; p++) if (first + p < pixels) sum[p].store(to + p * L::count);
  }
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
