// Dense convolution on batch lanes: any kernel, stride 1 or 2, zero padding.
//
//   y[o] = sum over taps t and input channels c of  w[o][c][t] * x[c] shifted by t          (every image)
//
// Layout    x  bands of padded rows (band.h)
//           w  packed by pack_dense: (groups of outputs, taps, C, outputs of the group), so that a tile reads its weights in
//              order; outputs that fill no tile are zeros; of crossed products with more rows (crossed.h)
//           y  lines: a row of pixels a channel, which an epilogue takes from there (epilogue.h)
// Also      1x1 convolutions and, with c and o exchanged in the packing, data gradients
// Source    the register tile of matrix products (Goto and van de Geijn, 2008), with images as the vector
#pragma once
#include "band.h"
#include "crossed.h"

namespace nasp::NASP_ISA {

// A row of pixels of some channels: where the first channel's first pixel lies, and how far the next channel.
template <class S>
struct Lines {
  S* at;
  ptrdiff_t pitch;
  Lines operator+(ptrdiff_t scalars) const { return {at + scalars, pitch}; }
};
// Scalars of lines of `width` pixels, for as many channels as fill whole tiles.
template <class L>
std::size_t lines_size(int channels, int width) {
  return static_cast<std::size_t>(ceil_div(channels, tile_outputs)) * tile_outputs * width * L::count;
}

// One tap: where a row's first pixel lies for input channel 0, and the tap's weights of output group 0.
template <class S>
struct Tap {
  const S *x, *w;
};

// What a row of pixels is made of: its taps, `lines` rows of `across` neighbouring columns, and how far the next input channel.
// No taps, which make zeros: neither a line nor a column.
template <class S>
struct TapRow {
  const Tap<S>* taps;
  int lines, across, channels;
  ptrdiff_t channel_pitch;
  int count() const { return lines * across; }
};

// One tile over all taps and input channels, added to what lies there where `add`. `at` is the offset of its first pixel in
// x, `group` that of its output group in w; the first `outputs` channels of the group are stored.
template <class L, int Pixels, int Stride, class Product>
NASP_INLINE void dense_tile(const Lines<typename L::scalar>& y, int outputs, bool add,
                            const TapRow<typename L::scalar>& x_row, ptrdiff_t at, ptrdiff_t group) {
  L sum[tile_outputs][Pixels];
  const typename L::scalar *x, *w;
  const ptrdiff_t pitch = x_row.channel_pitch;
  const auto channel = [&]<bool First>() NASP_LAMBDA_INLINE {
    L pixel[Pixels];
    NASP_UNROLL for (int p = 0; p < Pixels; p++) {
      pixel[p] = L::load(x + p * Stride * L::count);
      pixel[p].pin();
    }
    NASP_UNROLL for (int o = 0; o < tile_outputs; o++) {
      const L weight = L::splat(w[o]);
      NASP_UNROLL for (int p = 0; p < Pixels; p++) sum[o][p] =
          First ? Product::first(weight, pixel[p]) : Product::add(sum[o][p], weight, pixel[p]);
    }
    x += pitch, w += tile_outputs;
  };
  int t = 0, c = 0;  // taps begun, channels left of the last one
  const auto next_tap = [&]() NASP_LAMBDA_INLINE {
    x = x_row.taps[t].x + at, w = x_row.taps[t].w + group;
    t++, c = x_row.channels;
  };
  if (add || x_row.count() == 0) {
    NASP_UNROLL for (int o = 0; o < tile_outputs; o++) {
      const bool there = add && o < outputs;
      NASP_UNROLL for (int p = 0; p < Pixels; p++) sum[o][p] =
          there ? L::load(y.at + o * y.pitch + p * L::count) : L::zero();
    }
  } else {  // begins with products, which is faster than zeros at few channels (docs/kernels.md)
    next_tap();
    channel.template operator()<true>();
    c--;
  }
  for (;;) {
    for (; c > 0; c--) channel.template operator()<false>();
    if (t == x_row.count()) break;
    next_tap();
  }
  auto* to = y.at;
  NASP_UNROLL for (int o = 0; o < tile_outputs; o++, to += y.pitch) {
    if (o < outputs) NASP_UNROLL for (int p = 0; p < Pixels; p++) sum[o][p].store(to + p * L::count);
  }
}
// The same with crossed products, of one tap or more.
template <class L, int Pixels, int Stride>
NASP_INLINE void crossed_tile(const Lines<typename L::scalar>& y, int outputs, bool add,
                              const TapRow<typename L::scalar>& x_row, ptrdiff_t at, ptrdiff_t group) {
  CrossedSums<L, tile_outputs, Pixels> sums;
  for (int t = 0; t < x_row.count(); t++)
    sums.add(x_row.taps[t].x + at, x_row.channel_pitch, Stride * L::count, x_row.taps[t].w + group,
             x_row.channels);
  sums.finish(x_row.taps->w + group, x_row.channels, [&](int o, int p, L value) NASP_LAMBDA_INLINE {
    if (o >= outputs) return;
    auto* to = y.at + o * y.pitch + p * L::count;
    (add ? L::load(to) + value : value).store(to);
  });
}

// `pixels` neighbouring pixels of an output group, a tile at a time. Not inlined: the tile has the registers for itself.
template <class L, int Stride, class Product>
[[gnu::noinline]] void dense_pixels(Lines<typename L::scalar> y, int outputs, bool add,
                                    const TapRow<typename L::scalar>& x_row, ptrdiff_t at, ptrdiff_t group,
                                    int pixels) {
  constexpr int P = tile_pixels;
  const auto tile = [&]<int N>() NASP_LAMBDA_INLINE {
    if constexpr (Product::crossed)
      crossed_tile<L, N, Stride>(y, outputs, add, x_row, at, group);
    else
      dense_tile<L, N, Stride, Product>(y, outputs, add, x_row, at, group);
    y.at += N * L::count, at += N * Stride * L::count, pixels -= N;
  };
  while (pixels >= P + 2 || pixels == P) tile.template operator()<P>();
  if (pixels == P + 1) tile.template operator()<P - 1>();  // P + 1 = (P - 1) + 2
  if (P > 3 && pixels == 3) tile.template operator()<3>();
  if (pixels == 2) tile.template operator()<2>();
  if (pixels == 1) tile.template operator()<1>();
}

// Backward, weights: dw[o][c][t] = sum over pixels of dy[o] * x[c] shifted by t, for Outputs x Inputs channels and
// Taps neighbouring columns, or rows (Down: tap_pitch apart). Each accumulator is a vector over images; sum_lanes adds
// the lanes at the end.
template <class L, int Outputs, int Inputs, int Taps, int Stride, bool Down>
[[gnu::noinline]] void dense_weight_gradient_tile(L* dw, const typename L::scalar* const (&dy)[Outputs],
                                                  const typename L::scalar* const (&x)[Inputs], int rows,
                                                  int width, ptrdiff_t dy_row_pitch, ptrdiff_t x_row_pitch,
                                                  ptrdiff_t tap_pitch) {
  constexpr int N = Inputs * Taps;
  constexpr bool hold_x = N < Outputs;  // in registers, while the others go by: all there is beside the sums
  L sum[Outputs][N];
  NASP_UNROLL for (int o = 0; o < Outputs; o++) NASP_UNROLL for (int i = 0; i < N; i++) sum[o][i] = L::zero();
  const typename L::scalar *dys[Outputs], *xs[Inputs];
  NASP_UNROLL for (int o = 0; o < Outputs; o++) dys[o] = dy[o];
  NASP_UNROLL for (int c = 0; c < Inputs; c++) xs[c] = x[c];
  for (int r = 0; r < rows; r++) {
    for (int p = 0; p < width; p++) {
      const auto x_at = [&](int i) NASP_LAMBDA_INLINE {
        const auto* at = unknown(xs[i / Taps] + p * Stride * L::count);
        L value = L::load(at + i % Taps * (Down ? tap_pitch : L::count));
        value.pin();
        return value;
      };
      const auto dy_at = [&](int o) NASP_LAMBDA_INLINE {
        L value = L::load(dys[o] + p * L::count);
        value.pin();
        return value;
      };
      L held[hold_x ? N : Outputs];
      NASP_UNROLL for (int i = 0; i < (hold_x ? N : Outputs); i++) held[i] = hold_x ? x_at(i) : dy_at(i);
      if constexpr (hold_x) {
        NASP_UNROLL for (int o = 0; o < Outputs; o++) {
          const L gradient = dy_at(o);
          NASP_UNROLL for (int i = 0; i < N; i++) sum[o][i] += gradient * held[i];
        }
      } else {
        NASP_UNROLL for (int i = 0; i < N; i++) {
          const L value = x_at(i);
          NASP_UNROLL for (int o = 0; o < Outputs; o++) sum[o][i] += held[o] * value;
        }
      }
    }
    NASP_UNROLL for (int o = 0; o < Outputs; o++) dys[o] += dy_row_pitch;
    NASP_UNROLL for (int c = 0; c < Inputs; c++) xs[c] += x_row_pitch;
  }
  NASP_UNROLL for (int o = 0; o < Outputs; o++) NASP_UNROLL for (int i = 0; i < N; i++) dw[o * N + i] =
      sum[o][i];
}

// Lane sums of `count` vectors -> count scalars. Pairs of vectors are interleaved and added, so that N vectors take
// N - 1 additions instead of N log N; the order is the same whatever stands beside a vector.
template <class L, int Distance, int... Lane>
inline L add_pair(L a, L b, std::integer_sequence<int, Lane...>) {
  // lanes 0, 1, … of a and of b, taken `Distance` at a time, beside those that lie `Distance` further on
  return {__builtin_shufflevector(
              a.v, b.v,
              (Lane & ~(2 * Distance - 1)) + (Lane & (Distance - 1)) + (Lane & Distance ? L::count : 0)...) +
          __builtin_shufflevector(a.v, b.v,
                                  (Lane & ~(2 * Distance - 1)) + (Lane & (Distance - 1)) + Distance +
                                      (Lane & Distance ? L::count : 0)...)};
}

// Sums of count vectors, count lanes: lane i of the result is the sum of v[i]'s lanes.
template <class L, int Distance = 1>
inline L transpose_sum(const L* v) {
  if constexpr (Distance == L::count) {
    return v[0];
  } else {
    L half[L::count / Distance / 2];
    NASP_UNROLL for (int i = 0; i < L::count / Distance / 2; i++) half[i] =
        add_pair<L, Distance>(v[2 * i], v[2 * i + 1], std::make_integer_sequence<int, L::count>());
    return transpose_sum<L, Distance * 2>(half);
  }
}

template <class L, int Count>
inline void sum_lanes(typename L::scalar (&sums)[(Count + L::count - 1) / L::count * L::count], const L* v) {
  constexpr int groups = (Count + L::count - 1) / L::count;
  NASP_UNROLL for (int g = 0; g < groups; g++) {
    L part[L::count];
    NASP_UNROLL for (int i = 0; i < L::count; i++) part[i] =
        g * L::count + i < Count ? v[g * L::count + i] : L::zero();
    transpose_sum<L>(part).store(sums + g * L::count);
  }
}

// (O, C, taps) -> (groups, taps, C, outputs of the group); `transpose` packs with the roles of o and c exchanged, for dx.
// expected: the root mean square of the inputs that crossed products are to meet, or not_crossed.
template <class S>
void pack_dense(S* packed, const S* w, int outputs, int channels, int taps, bool transpose, double expected) {
  const int to = transpose ? channels : outputs, from = transpose ? outputs : channels;
  for (int group = 0; group < ceil_div(to, tile_outputs); group++) {
    for (int t = 0; t < taps; t++, packed += weight_rows(from) * tile_outputs) {
      for (int c = 0, at = 0; c < from; c++) {
        for (int i = 0; i < tile_outputs; i++, at++) {
          const int o = group * tile_outputs + i;
          packed[at] = o >= to     ? S(0)
                       : transpose ? w[(static_cast<std::size_t>(c) * channels + o) * taps + t]
                                   : w[(static_cast<std::size_t>(o) * channels + c) * taps + t];
        }
      }
    }
    if constexpr (crosses) {
      const ptrdiff_t size = static_cast<ptrdiff_t>(taps) * weight_rows(from) * tile_outputs;
      if (expected != not_crossed) cross_weights(packed - size, taps, from, tile_outputs, expected);
    }
  }
}
inline std::size_t packed_dense_size(int to, int from, int taps) {
  return static_cast<std::size_t>(ceil_div(to, tile_outputs)) * tile_outputs * weight_rows(from) * taps;
}

}  // namespace nasp::NASP_ISA
