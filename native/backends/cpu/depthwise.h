// Depthwise k x k convolution on batch lanes, with dilation.
//
//   Stride 1 and 2, the kernels of the search spaces: a register tile of 8 pixels of a row, or of two. The data gradient of
//   stride 1 is the same tile on the gradient with the kernel turned round.
//   The data gradient of stride 2, a stride-1 convolution for each parity of row and column: one row of pixels over a list of
//   taps.
#pragma once
#include "dense.h"

namespace nasp::NASP_ISA {

// Which of a tile's outputs a column of the kernel gives to, where it meets the input pixel `from` that column's first; -1: none.
template <int Stride>
constexpr int met_output(int from) {
  return from >= 0 && from % Stride == 0 && from / Stride < depthwise_pixels ? from / Stride : -1;
}
template <int K, int D, int Stride>
constexpr bool meets_output(int pixel) {
  for (int t = 0; t < K; t++)
    if (met_output<Stride>(pixel - t * D) >= 0) return true;
  return false;
}

// Which rows of a window lie inside the image.
struct WindowRows {
  int begin, end;
};
// Of the windows of Rows rows of output, the first of which begins with input row `top` of `height`.
template <int K, int D, int Rows>
WindowRows window_inside(int top, int height) {
  return {ceil_div(larger(0, -top), D), smaller(K + Rows - 1, ceil_div(larger(0, height - top), D))};
}

// Output pixels of a row of a channel, and with 32 registers of the row D below it too, which reads K - 1 of the same input
// rows: to + next. rows[i]: the i-th input row from the window's first one on, at the first column of channel 0; at: the channel's
// offset; w: its weights. Each input pixel is loaded once for all outputs of a row of the kernel. Nothing but the sums and that row's
// weights stay in registers; the loop over rows must stay one, or g++ keeps weights of several rows, on the stack.
template <class L, int K, int D, int Stride, int Rows>
[[gnu::noinline]] void depthwise_row(typename L::scalar* to, ptrdiff_t next,
                                     const typename L::scalar* const* rows, WindowRows inside, ptrdiff_t at,
                                     const typename L::scalar* w, int pixels) {
  using S = typename L::scalar;
  constexpr int P = depthwise_pixels;
  // a loop of known length is worth more than the zeros of 3 x 3
  const int begin = K == 3 ? 0 : inside.begin, end = K == 3 ? K + Rows - 1 : inside.end;
  for (int first = 0; first < pixels; first += P, at += P * Stride * L::count, to += P * L::count) {
    L sum[Rows][P];
    NASP_UNROLL for (int r = 0; r < Rows; r++) NASP_UNROLL for (int p = 0; p < P; p++) sum[r][p] = L::zero();
    // Row s of the kernel for the upper output, s - 1 for the lower one.
    const auto meet = [&]<bool Upper, bool Lower>(int s) NASP_LAMBDA_INLINE {
      const S *x = unknown(rows[s * D] + at), *weights = unknown(w + s * K);
      L upper[K], lower[K];
      NASP_UNROLL for (int t = 0; t < K; t++) {
        if constexpr (Upper) upper[t] = L::splat(weights[t]), upper[t].pin();
        if constexpr (Lower) lower[t] = L::splat(weights[t - K]), lower[t].pin();
      }
      NASP_UNROLL for (int i = 0; i < (P - 1) * Stride + (K - 1) * D + 1; i++) {
        if (!meets_output<K, D, Stride>(i)) continue;
        L pixel = L::load(x + i * L::count);
        pixel.pin();
        NASP_UNROLL for (int t = 0; t < K; t++) {
          const int p = met_output<Stride>(i - t * D);
          if (p < 0) continue;
          if constexpr (Upper) sum[0][p] += upper[t] * pixel;
          if constexpr (Lower) sum[Rows - 1][p] += lower[t] * pixel;
        }
      }
    };
    if constexpr (Rows == 1) {
      NASP_LOOP for (int s = begin; s < end; s++) meet.template operator()<true, false>(s);
    } else {
      const int both = larger(begin, 1), both_end = smaller(end, K);
      if (begin == 0) meet.template operator()<true, false>(0);
      NASP_LOOP for (int s = both; s < both_end; s++) meet.template operator()<true, true>(s);
      if (end > K) meet.template operator()<false, true>(K);
    }
    // or g++ computes each sum behind the question whether it is stored, its products one after another
    NASP_UNROLL for (int r = 0; r < Rows; r++) NASP_UNROLL for (int p = 0; p < P; p++) sum[r][p].pin();
    NASP_UNROLL for (int r = 0; r < Rows; r++) NASP_UNROLL for (int p = 0; p < P; p++) {
      if (first + p < pixels) sum[r][p].store(to + r * next + p * L::count);
    }
  }
}

// Where the rows of a band lie that a tile's `Count` output rows read, from input row `top` on: of channel 0, from column `left`
// on. Found once for all channels.
template <class L, int K, int D, int Stride, int Count>
struct DepthwiseRows {
  const typename L::scalar* at[(Count - 1) * Stride + (K - 1) * D + 1];
  DepthwiseRows(const Band<L>& band, int top, int left, int count = Count) {
    for (int i = 0; i < (count - 1) * Stride + (K - 1) * D + 1; i++) at[i] = band.at(top + i, 0, left);
  }
};

// Calls rows_at(row, two) for the output rows [row0, row1): two of them, row and row + dilation, where a tile takes two.
template <class Body>
void by_depthwise_rows(const Unit& unit, int row0, int row1, const Body& rows_at) {
  const int d = unit.dilation;
  const bool tiled = depthwise_rows == 2 && unit.stride == 1;
  int row = row0;
  if (tiled) {
    for (; row + 2 * d <= row1; row += 2 * d)
      for (int i = 0; i < d; i++) rows_at(row + i, true);
  }
  for (; row < row1; row++) rows_at(row, false);
}

// A tap: where a row's first pixel lies for channel 0, and which of a channel's weights is its.
template <class L>
struct DepthwiseTap {
  const typename L::scalar* x;
  int weight;
};

// One row of pixels of a channel over any taps. at: the channel's offset in x; w: its weights.
template <class L>
[[gnu::noinline]] void depthwise_taps(typename L::scalar* to, const DepthwiseTap<L>* taps, int count,
                                      ptrdiff_t at, const typename L::scalar* w, int pixels) {
  constexpr int P = depthwise_pixels;
  for (int first = 0; first < pixels; first += P, at += P * L::count, to += P * L::count) {
    L sum[P];
    NASP_UNROLL for (int p = 0; p < P; p++) sum[p] = L::zero();
    for (int t = 0; t < count; t++) {
      const L weight = L::splat(w[taps[t].weight]);
      const auto* x = taps[t].x + at;
      NASP_UNROLL for (int p = 0; p < P; p++) sum[p] += weight * L::load(x + p * L::count);
    }
    NASP_UNROLL for (int p = 0; p < P; p++) if (first + p < pixels) sum[p].store(to + p * L::count);
  }
}

// Calls body.template operator()<K, D>() for a kernel and its dilation; there are no others (ops/operation.cpp).
template <class Body>
inline void with_depthwise_kernel(int kernel, int dilation, Body&& body) {
  if (dilation == 1 && kernel == 3) body.template operator()<3, 1>();
  if (dilation == 1 && kernel == 5) body.template operator()<5, 1>();
  if (dilation == 1 && kernel == 7) body.template operator()<7, 1>();
  if (dilation == 2 && kernel == 3) body.template operator()<3, 2>();
  if (dilation == 2 && kernel == 5) body.template operator()<5, 2>();
  if (dilation == 2 && kernel == 7) body.template operator()<7, 2>();
}

// Backward, weights: dw[s][t] = sum over pixels of dy * x shifted by (s, t), one channel, KernelRows rows of the kernel at a
// time. dy[r] + dy_at: an output row; x[r * Stride + s * Dilation] + x_at: the input row that kernel row s meets there.
template <class L, int K, int KernelRows, int Stride, int Dilation>
[[gnu::noinline]] void depthwise_weight_gradient_tile(typename L::scalar* dw,
                                                      const typename L::scalar* const* dy, ptrdiff_t dy_at,
                                                      const typename L::scalar* const* x, ptrdiff_t x_at,
                                                      int rows, int width) {
  L sum[KernelRows][K];
  NASP_UNROLL for (int s = 0; s < KernelRows; s++) NASP_UNROLL for (int t = 0; t < K; t++) sum[s][t] =
      L::zero();
  for (int r = 0; r < rows; r++, x += Stride) {
    const typename L::scalar *g = dy[r] + dy_at, *xs[KernelRows];
    NASP_UNROLL for (int s = 0; s < KernelRows; s++) xs[s] = x[s * Dilation] + x_at;
    NASP_LOOP for (ptrdiff_t p = 0; p < width; p++) {
      L gradient = L::load(g + p * L::count);
      gradient.pin();
      NASP_UNROLL for (int s = 0; s < KernelRows; s++) {
        const auto* at = unknown(xs[s] + p * Stride * L::count);
        NASP_UNROLL for (int t = 0; t < K; t++) sum[s][t] += gradient * L::load(at + t * Dilation * L::count);
      }
    }
  }
  constexpr int N = KernelRows * K;
  L sums[N];
  NASP_UNROLL for (int s = 0; s < KernelRows; s++) NASP_UNROLL for (int t = 0; t < K; t++) sums[s * K + t] =
      sum[s][t];
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
