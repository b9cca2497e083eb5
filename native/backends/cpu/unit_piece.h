// A unit forward over a piece of work whose padded rows lie in a band: output rows [row0, row1) into an epilogue.
//
//   dense       direct, or by Winograd where it applies
//   depthwise   a tile of every channel on its way to the 1x1 convolution, in the first-level cache
//   pair        the row convolution into a band of its own, then the column convolution
//   pools, identity
#pragma once
#include <algorithm>

#include "packed_unit.h"
#include "pool.h"

namespace nasp::NASP_ISA {

template <class L, class Epilogue>
void dense_rows(const DensePart& part, int first_output, const typename L::scalar* packed, const Band<L>& x,
                int out_width, int row0, int row1, const Epilogue& epilogue) {
  using S = typename L::scalar;
  Tap<S> taps[64];
  const int count = part.taps();
  const ptrdiff_t group_pitch = static_cast<ptrdiff_t>(count) * x.channels * tile_outputs;
  for (int row = row0; row < row1; row++) {
    for (int s = 0, i = 0; s < part.kernel_h; s++) {
      for (int t = 0; t < part.kernel_w; t++, i++) {
        taps[i] = {x.at(row * part.stride_h - part.pad_h + s, 0, t - part.pad_w),
                   packed + static_cast<ptrdiff_t>(i) * x.channels * tile_outputs};
      }
    }
    const TapRow<S> x_row = {taps, count, x.channels, x.channel_pitch};
    for (int p = 0; p < out_width; p += tile_pixels) {
      for (int o = 0, group = 0; o < part.out; o += tile_outputs, group++) {
        const ptrdiff_t at = static_cast<ptrdiff_t>(p) * part.stride_w * L::count;
        const TilePlace place = {first_output + o, part.out - o, row, p, out_width - p};
        if (part.stride_w == 1)
          dense_tile<L, 1>(x_row, at, group * group_pitch, place, epilogue);
        else
          dense_tile<L, 2>(x_row, at, group * group_pitch, place, epilogue);
      }
    }
  }
}

// Depthwise results of all channels on their way to a 1x1 convolution: a tile's pixels lie together, channel by channel,
// so that what a dense tile reads stays in the first-level cache.
template <class L>
struct Mid {
  using S = typename L::scalar;
  S* data;
  int channels;

  static std::size_t size(int channels) {
    return static_cast<std::size_t>(channels) * depthwise_rows * depthwise_pixels * L::count;
  }
  // Pixels [p, p + tile_pixels) of row r of channel c.
  S* at(int c, int r, int p) const {
    return data + (static_cast<ptrdiff_t>(r * depthwise_pixels + p) * channels + c * tile_pixels) * L::count;
  }
  TilePixels<S> pixels(int c) const {
    return {at(c, 0, 0), at(c, 1, 0) - at(c, 0, 0), at(c, 0, tile_pixels) - at(c, 0, 0)};
  }
};

template <class L, class Epilogue>
void pointwise(const Mid<L>& mid, int outputs, const typename L::scalar* packed, int row, int row1,
               int column, int out_width, const Epilogue& epilogue) {
  for (int i = 0; i < depthwise_rows && row + i < row1; i++) {
    for (int q = 0; q < depthwise_pixels && column + q < out_width; q += tile_pixels) {
      const Tap<typename L::scalar> tap = {mid.at(0, i, q), packed};
      for (int o = 0; o < outputs; o += tile_outputs) {
        dense_tile<L, 1>({&tap, 1, mid.channels, static_cast<ptrdiff_t>(tile_pixels) * L::count}, 0,
                         static_cast<ptrdiff_t>(o) * mid.channels,
                         {o, outputs - o, row + i, column + q, out_width - column - q}, epilogue);
      }
    }
  }
}

// Depthwise rows [row0, row1) of channels [channel, channel_end), a tile at a time: its pixels of channel c are written
// to to(c), then each(c, row, column); after(row, column) when all channels of the tile have been.
template <class L, class To, class Each, class After>
void depthwise_rows_of(const Unit& unit, const typename L::scalar* w, const Band<L>& x, int channel,
                       int channel_end, int out_width, int row0, int row1, const To& to, const Each& each,
                       const After& after) {
  using S = typename L::scalar;
  constexpr int R = depthwise_rows, P = depthwise_pixels;
  const int k = unit.kernel, d = unit.dilation, pad = unit.pad();
  const bool tiled =
      unit.stride == 1 && with_depthwise_kernel(k, d, [&]<int K, int D>() {
        const S* rows[R + (K - 1) * D];
        for (int row = row0; row < row1; row += R) {
          for (int q = 0; q < R + (K - 1) * D; q++) rows[q] = x.at(x.clamp_row(row - pad + q), 0, -pad);
          for (int column = 0; column < out_width; column += P) {
            for (int c = channel; c < channel_end; c++) {
              depthwise_tile<L, K, D>(rows, c * x.channel_pitch + static_cast<ptrdiff_t>(column) * L::count,
                                      w + c * K * K, to(c));
              each(c, row, column);
            }
            after(row, column);
          }
        }
      });
  if (tiled) return;
  DepthwiseTap<L> taps[64];
  for (int row = row0; row < row1; row += R) {
    for (int column = 0; column < out_width; column += P) {
      for (int c = channel; c < channel_end; c++) {
        for (int r = 0; r < R; r++) {
          for (int i = 0; i < k * k; i++) {
            taps[i] = {x.at(x.clamp_row((row + r) * unit.stride - pad + i / k * d), c, i % k * d - pad),
                       w[c * k * k + i]};
          }
          TilePixels<S> pixels = to(c);
          pixels.data += r * pixels.row_pitch;
          depthwise_row<L>(pixels, taps, k * k, static_cast<ptrdiff_t>(column) * unit.stride * L::count,
                           unit.stride);
        }
        each(c, row, column);
      }
      after(row, column);
    }
  }
}

// The same of one channel through an epilogue.
template <class L, class Epilogue>
void depthwise_rows_into(const Unit& unit, const typename L::scalar* w, const Band<L>& x, int channel,
                         int out_width, int row0, int row1, const Epilogue& epilogue) {
  constexpr int R = depthwise_rows, P = depthwise_pixels;
  L tile[R][P];
  const TilePixels<typename L::scalar> pixels = {reinterpret_cast<typename L::scalar*>(tile), P * L::count,
                                                 tile_pixels * L::count};
  depthwise_rows_of(
      unit, w, x, channel, channel + 1, out_width, row0, row1, [&](int) { return pixels; },
      [&](int c, int row, int column) {
        for (int r = 0; r < R && row + r < row1; r++)
          finish(tile[r], epilogue, c, row + r, column, out_width - column);
      },
      [](int, int) {});
}

// One dense convolution: Winograd where it applies, else direct.
template <class L, class Epilogue>
void dense_part(const DensePart& part, int in, const PackedPart& at, const typename L::scalar* packed,
                int first_output, const Band<L>& x, int height, int out_width, int row0, int row1,
                typename L::scalar* scratch, const Epilogue& epilogue) {
  const Winograd kind = winograd_of(part, in);
  if (kind != Winograd::none && winograd_size(height, x.width))
    winograd_rows(kind, packed + at.winograd, in, part.out, x, 0, out_width, row0, row1, scratch, epilogue);
  else
    dense_rows<L>(part, first_output, packed + at.direct, x, out_width, row0, row1, epilogue);
}

// The row convolution of a pair, for the output rows [row0, row1): its results stay in a band of their own, with zeros in
// the rows outside the image. memory: the band, and behind it the scratch.
template <class L>
Band<L> paired_mid(const Unit& unit, const typename L::scalar* packed, const Band<L>& x, int height,
                   int out_width, int row0, int row1, typename L::scalar* memory,
                   typename L::scalar* scratch) {
  const DensePart& column = unit.dense[0];
  const int first = row0 * column.stride_h - column.pad_h,
            end = (row1 - 1) * column.stride_h - column.pad_h + column.kernel_h;
  const Band<L> mid(memory, unit.row.out, out_width, first, end - first, 0);
  clear_padding(mid, height);
  dense_part(unit.row, unit.in, PackedLayout(unit).forward.first, packed, 0, x, height, out_width,
             larger(0, first), smaller(height, end), scratch, ToBand<L>{mid});
  return mid;
}

// Scalars of scratch of a pair's convolutions, in either direction.
template <class L>
std::size_t paired_scratch(const Unit& u) {
  const auto of = [&](const DensePart& d, int in) {
    const Winograd kind = winograd_of(d, in);
    return std::max(winograd_scratch<L>(kind, in, d.out), winograd_scratch<L>(kind, d.out, in));
  };
  return std::max(of(u.row, u.in), of(u.dense[0], u.row.out));
}

template <class L, class Epilogue>
void unit_piece(const Unit& unit, const typename L::scalar* packed, const Band<L>& x, int height, int row0,
                int row1, typename L::scalar* scratch, const Epilogue& epilogue) {
  const int out_width = unit.out_width(x.width);
  if (unit.kind == UnitKind::identity) {
    for (int row = row0; row < row1; row++) {
      for (int c = 0; c < unit.in; c++) {
        for (int w = 0; w < out_width; w += tile_pixels) {
          L pixels[tile_pixels];
          NASP_UNROLL for (int j = 0; j < tile_pixels; j++) pixels[j] =
              L::load(x.at(row, c, w + j)) + epilogue.start(c);
          finish(pixels, epilogue, c, row, w, out_width - w);
        }
      }
    }
    return;
  }
  if (unit.kind != UnitKind::convolve) return pool_forward(unit, x, height, row0, row1, scratch, epilogue);
  const auto layout = PackedLayout(unit).forward;
  if (unit.depthwise()) {
    const Mid<L> mid = {scratch, unit.in};
    depthwise_rows_of(
        unit, packed + layout.first.direct, x, 0, unit.in, out_width, row0, row1,
        [&](int c) { return mid.pixels(c); }, [](int, int, int) {},
        [&](int row, int column) {
          pointwise(mid, unit.out, packed + layout.dense[0].direct, row, row1, column, out_width, epilogue);
        });
    return;
  }
  if (unit.paired()) {
    auto* memory = scratch + paired_scratch<L>(unit);
    const Band<L> mid = paired_mid(unit, packed, x, height, out_width, row0, row1, memory, scratch);
    dense_part(unit.dense[0], unit.row.out, layout.dense[0], packed, 0, mid, height, out_width, row0, row1,
               scratch, epilogue);
    return;
  }
  for (int i = 0, first = 0; i < unit.parts; first += unit.dense[i].out, i++)
    dense_part(unit.dense[i], unit.in, layout.dense[i], packed, first, x, height, out_width, row0, row1,
               scratch, epilogue);
}

// Scalars of scratch that a unit's piece of `rows` input rows needs beside its band.
template <class L>
std::size_t forward_scratch(const Unit& u, int width, int rows) {
  if (u.depthwise()) return Mid<L>::size(u.in);
  if (u.paired())
    return paired_scratch<L>(u) + Band<L>::size(u.row.out, u.out_width(width), rows + 2 * u.reach_h(), 0);
  if (u.parts == 1 && winograd_of(u.dense[0], u.in) != Winograd::none)
    return winograd_scratch<L>(winograd_of(u.dense[0], u.in), u.in, u.dense[0].out);
  return (static_cast<std::size_t>(width) + 2 * u.pad() + 2) * L::count;
}

}  // namespace nasp::NASP_ISA
