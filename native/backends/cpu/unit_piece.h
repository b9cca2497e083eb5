// A unit forward over a piece of work whose padded rows lie in a band: output rows [row0, row1) into an epilogue.
//
//   dense       direct, or by Winograd where it applies
//   depthwise   a tile of every channel or more on their way to the 1x1 convolution, in the nearest caches
//   pair        composed where that applies (composed_pair.h), else the row convolution into a band of its own, then the
//               column convolution
//   pools, identity
#pragma once
#include <algorithm>

#include "ahead.h"
#include "packed_unit.h"
#include "pool.h"

namespace nasp::NASP_ISA {

// `pixels` output pixels of one row from `column` on, all `outputs` channels. In blocks whose inputs stay in the first-level
// cache while all output groups read them: of pixels, and where even a tile's inputs are too many, of lines of taps, or taps.
template <class L, int Stride, class Product, class Epilogue>
void dense_row(const TapRow<typename L::scalar>& x_row, int outputs, ptrdiff_t group_pitch, int first_output,
               int row, int column, int pixels, typename L::scalar* buffer, const Epilogue& epilogue) {
  constexpr int most = dense_block / static_cast<int>(sizeof(L));  // vectors of x
  const auto read = [&](int lines, int across, int p) {
    return lines * x_row.channels * ((p - 1) * Stride + across);
  };
  const Lines<typename L::scalar> own = {buffer, static_cast<ptrdiff_t>(pixels) * L::count};
  if (read(x_row.lines, x_row.across, pixels) <= most) {  // the whole row: a group at a time
    for (int o = 0, group = 0; o < outputs; o += tile_outputs, group++) {
      const auto lines = lines_of<L>(epilogue, first_output + o, row, column, own);
      const int some = smaller(tile_outputs, outputs - o);
      dense_pixels<L, Stride, Product>(lines, some, false, x_row, 0, group * group_pitch, pixels);
      finish(epilogue, first_output + o, some, row, column, pixels, lines);
    }
    return;
  }
  TapRow<typename L::scalar> block = x_row;  // of taps
  if (read(block.lines, block.across, tile_pixels) > most) block.lines = 1;
  if (read(block.lines, block.across, tile_pixels) > most) block.across = 1;
  int at_once = tile_pixels;
  while (read(block.lines, block.across, at_once + tile_pixels) <= most) at_once += tile_pixels;
  const auto lines = lines_of<L>(epilogue, first_output, row, column, own);
  for (int p = 0; p < pixels; p += at_once) {
    const ptrdiff_t at = static_cast<ptrdiff_t>(p) * L::count;
    for (int t = 0; t == 0 || t < x_row.count(); t += block.count()) {
      block.taps = x_row.taps + t;
      for (int o = 0, group = 0; o < outputs; o += tile_outputs, group++)
        dense_pixels<L, Stride, Product>(lines + (o * lines.pitch + at), outputs - o, t > 0, block,
                                         at * Stride, group * group_pitch, smaller(at_once, pixels - p));
    }
  }
  finish(epilogue, first_output, outputs, row, column, pixels, lines);
}

// From one channel's pair row of a 1x1 convolution to the next: an odd number of vectors, as in a band.
template <class L>
constexpr ptrdiff_t pair_pitch(int width) {
  return static_cast<ptrdiff_t>(width | 1) * L::count;
}

// A 1x1 convolution in pairs: a row of them at a time, in the buffer before its lines.
template <class L, class Epilogue>
void pointwise_rows(const DensePart& part, int first_output, const typename L::scalar* packed,
                    const Band<L>& x, int out_width, int row0, int row1, typename L::scalar* buffer,
                    const Epilogue& epilogue) {
  const int pairs = pair_count(x.channels);
  const ptrdiff_t pitch = pair_pitch<L>(out_width);
  for (int row = row0; row < row1; row++) {
    pair_channels<L>(buffer, pitch, x.at(row * part.stride_h - part.pad_h, 0, -part.pad_w), x.channel_pitch,
                     x.channels, out_width, part.stride_w);
    const Tap<typename L::scalar> tap = {buffer, packed};
    dense_row<L, 1, Paired<L>>({&tap, 1, 1, pairs, pitch}, part.out,
                               static_cast<ptrdiff_t>(pairs) * tile_outputs, first_output, row, 0, out_width,
                               buffer + pairs * pitch, epilogue);
  }
}

template <class L, class Epilogue>
void dense_rows(const DensePart& part, int first_output, const typename L::scalar* packed, const Band<L>& x,
                int out_width, int row0, int row1, typename L::scalar* buffer, const Epilogue& epilogue) {
  using S = typename L::scalar;
  constexpr bool paired = std::is_same_v<typename Epilogue::Products, Paired<L>>;
  using Products = std::conditional_t<paired, Exact<L>, typename Epilogue::Products>;  // of several taps
  if constexpr (paired) {
    if (part.taps() == 1)
      return pointwise_rows(part, first_output, packed, x, out_width, row0, row1, buffer, epilogue);
  }
  Tap<S> taps[64];
  const int count = part.taps();
  const ptrdiff_t tap_size = static_cast<ptrdiff_t>(Products::rows(x.channels)) * tile_outputs;
  for (int row = row0; row < row1; row++) {
    for (int s = 0, i = 0; s < part.kernel_h; s++) {
      for (int t = 0; t < part.kernel_w; t++, i++)
        taps[i] = {x.at(row * part.stride_h - part.pad_h + s, 0, t - part.pad_w), packed + i * tap_size};
    }
    const TapRow<S> x_row = {taps, part.kernel_h, part.kernel_w, x.channels, x.channel_pitch};
    if (part.stride_w == 1)
      dense_row<L, 1, Products>(x_row, part.out, count * tap_size, first_output, row, 0, out_width, buffer,
                                epilogue);
    else
      dense_row<L, 2, Products>(x_row, part.out, count * tap_size, first_output, row, 0, out_width, buffer,
                                epilogue);
  }
}

// Pixels [column, column + pixels) of an output row, all channels, from an image of `height` rows: channel c to to(c); and where
// `two`, of the row `dilation` below it too, `next` behind the first one's. done(c): it is there.
template <class L, class To, class Done>
void depthwise_channels(const Unit& unit, const typename L::scalar* w, const Band<L>& x, int height,
                        const To& to, ptrdiff_t next, bool two, int row, int column, int pixels,
                        Ahead<typename L::scalar>& ahead, const Done& done) {
  const int stride = unit.stride, top = row * stride - unit.pad(), left = column * stride - unit.pad();
  const auto tiles = [&]<int K, int D, int Stride, int Rows>() {
    const DepthwiseRows<L, K, D, Stride, (Rows - 1) * D + 1> rows(x, top, left);
    const WindowRows inside = window_inside<K, D, Rows>(top, height);
    for (int c = 0; c < unit.in; c++) {
      ahead.ask();
      depthwise_row<L, K, D, Stride, Rows>(to(c), next, rows.at, inside, c * x.channel_pitch,
                                           w + static_cast<ptrdiff_t>(c) * K * K, pixels);
      done(c);
    }
  };
  with_depthwise_kernel(unit.kernel, unit.dilation, [&]<int K, int D>() {
    if (stride == 2) return tiles.template operator()<K, D, 2, 1>();
    if (two) return tiles.template operator()<K, D, 1, depthwise_rows>();
    tiles.template operator()<K, D, 1, 1>();
  });
}

// Depthwise results on their way to the 1x1 convolution: pixels of a row of every channel, a tile of them or more, so many
// that mid_block holds them.
template <class L>
int mid_pixels(int channels, int out_width) {
  constexpr int tile = depthwise_pixels, most = mid_block / static_cast<int>(sizeof(L));
  const int parts = ceil_div(out_width, larger(tile, most / channels / depthwise_rows));
  return smaller(out_width, ceil_div(ceil_div(out_width, parts), tile) * tile);
}
template <class L>
std::size_t separable_scratch(const Unit& u, int width) {
  const int pixels = mid_pixels<L>(u.in, u.out_width(width));
  return Band<L>::size(u.in, pixels, depthwise_rows, 0) + lines_size<L>(u.out, pixels);
}

template <class L, class Epilogue>
void separable_rows(const Unit& unit, const typename L::scalar* depthwise,
                    const typename L::scalar* pointwise, const Band<L>& x, int height, int out_width,
                    int row0, int row1, typename L::scalar* scratch, const Epilogue& epilogue,
                    Ahead<typename L::scalar>& ahead) {
  using S = typename L::scalar;
  using Products = typename Epilogue::Products;
  const int at_once = mid_pixels<L>(unit.in, out_width), inputs = Products::inputs(unit.in);
  auto* buffer = scratch + Band<L>::size(unit.in, at_once, depthwise_rows, 0);
  const Band<L> mid(scratch, unit.in, at_once, 0, depthwise_rows, 0);
  by_depthwise_rows(unit, row0, row1, [&](int row, bool two) {
    for (int column = 0; column < out_width; column += at_once) {
      const int pixels = smaller(at_once, out_width - column);
      const auto depthwise_to = [&](const auto& to, ptrdiff_t next, const auto& done) {
        depthwise_channels(unit, depthwise, x, height, to, next, two, row, column, pixels, ahead, done);
      };
      if constexpr (std::is_same_v<Products, Paired<L>>) {  // two channels' rows in the buffer, then in pairs
        const ptrdiff_t next = static_cast<ptrdiff_t>(pixels) * L::count, channel = next * depthwise_rows;
        depthwise_to([&](int c) { return buffer + c % 2 * channel; }, next,
                     [&](int c) {
                       if (c % 2 == 0 && c + 1 < unit.in) return;
                       for (int i = 0; i <= two; i++)
                         pair_channels<L>(mid.at(i, c / 2, 0), 0, buffer + i * next, channel, c % 2 + 1,
                                          pixels);
                     });
      } else {
        depthwise_to([&](int c) { return mid.at(0, c, 0); }, mid.row_pitch, [](int) {});
      }
      for (int i = 0; i <= two; i++) {
        const Tap<S> tap = {mid.at(i, 0, 0), pointwise};
        dense_row<L, 1, Products>({&tap, 1, 1, inputs, mid.channel_pitch}, unit.out,
                                  static_cast<ptrdiff_t>(Products::rows(unit.in)) * tile_outputs, 0,
                                  row + i * unit.dilation, column, pixels, buffer, epilogue);
      }
    }
  });
}

// Depthwise units of one stride whose padded rows lie in a ring, a few at a time.
template <class S, class Epilogue>
struct RingedUnit {
  const Unit* unit;
  const S* packed;
  Epilogue epilogue;
};
// Output rows at a time: as many as a tile of two takes.
inline int ring_step(const Unit& u) { return larger(2, depthwise_rows * u.dilation); }

// The output rows [row0, row1) of units that read the same. What the next rows are made of is asked for meanwhile: x, and each
// unit's g. memory: for a band of all rows of the piece, which a ring is a part of.
template <class L, class Epilogue>
void ringed_piece(const RingedUnit<typename L::scalar, Epilogue>* units, int count,
                  const Source<typename L::scalar>& x, int block, int row0, int row1,
                  typename L::scalar* memory, typename L::scalar* scratch) {
  using S = typename L::scalar;
  const Unit& any = *units->unit;
  int step = 0, pad = 0;
  for (int i = 0; i < count; i++)
    step = larger(step, ring_step(*units[i].unit)), pad = larger(pad, units[i].unit->pad());
  const int stride = any.stride, most = step * stride + 2 * pad, out_width = any.out_width(x.x.width);
  const auto reached = [&](int end) { return (end - 1) * stride + pad + 1; };  // input rows, by output rows
  int loaded = row0 * stride - pad;
  Band<L> ring = Band<L>::ring(memory, any.in, x.x.width, loaded, most, pad);
  for (int row = row0, end; row < row1; row = end) {
    end = smaller(row + step, row1);
    const int next = smaller(end + step, row1);
    ring = ring.part(larger(ring.first_row, reached(end) - most), reached(end));
    fill_activation(ring.part(loaded, reached(end)), x, block, any.relu, S(0));
    loaded = reached(end);
    Ahead<S> ahead;
    for (int r = loaded; r < reached(next); r++) ahead.add(x.x, block, r);
    for (int i = 0; i < count; i++)
      for (int r = end; r < next; r++) ahead.add(units[i].epilogue.g, 0, r);  // g: of the block already
    ahead.divide(count * (end - row) * ceil_div(out_width, mid_pixels<L>(any.in, out_width)) * any.in /
                 depthwise_rows);
    for (int i = 0; i < count; i++) {
      const auto layout = PackedLayout(*units[i].unit).forward;
      separable_rows(*units[i].unit, units[i].packed + layout.first.direct,
                     units[i].packed + layout.dense[0].direct, ring, x.x.height, out_width, row, end, scratch,
                     units[i].epilogue, ahead);
    }
  }
}

// One dense convolution: Winograd where it applies, else direct.
template <class L, class Epilogue>
void dense_part(const DensePart& part, int in, const PackedPart& at, const typename L::scalar* packed,
                int first_output, const Band<L>& x, int height, int out_width, int row0, int row1,
                typename L::scalar* scratch, const Epilogue& epilogue) {
  const Winograd kind = winograd_on(part, in, height, x.width);
  if (kind != Winograd::none) {
    const WinogradOutput<typename L::scalar, Epilogue> output = {packed + at.winograd, part.out, epilogue};
    winograd_rows(kind, false, &output, 1, in, x, 0, out_width, row0, row1, scratch);
  } else {
    dense_rows<L>(part, first_output, packed + at.direct, x, out_width, row0, row1, scratch, epilogue);
  }
}

// The row convolution of a pair, for the output rows [row0, row1): its results stay in a band of their own, with zeros in
// the rows outside the image. memory: the band, and behind it the scratch.
template <class L, class Products = ForwardProducts<L>>
Band<L> paired_mid(const Unit& unit, const typename L::scalar* packed, const Band<L>& x, int height,
                   int out_width, int row0, int row1, typename L::scalar* memory,
                   typename L::scalar* scratch) {
  const DensePart& column = unit.dense[0];
  const int first = row0 * column.stride_h - column.pad_h,
            end = (row1 - 1) * column.stride_h - column.pad_h + column.kernel_h;
  const Band<L> mid(memory, unit.row.out, out_width, first, end - first, 0);
  clear_padding(mid, height);
  dense_part(unit.row, unit.in, PackedLayout(unit).forward.first, packed, 0, x, height, out_width,
             larger(0, first), smaller(height, end), scratch, ToBand<L, Products>{mid});
  return mid;
}

// Scalars of scratch of one dense convolution in either direction, on maps of that width.
template <class L>
std::size_t dense_scratch(const DensePart& d, int in, int width) {
  const Winograd kind = winograd_of(d, in);
  return std::max({winograd_scratch<L>(kind, false, in, d.out), winograd_scratch<L>(kind, true, d.out, in),
                   lines_size<L>(larger(in, d.out), width) +
                       (has_pairs<L> ? static_cast<std::size_t>(pair_count(in) * pair_pitch<L>(width)) : 0)});
}
template <class L>
std::size_t paired_scratch(const Unit& u, int width) {
  return std::max({dense_scratch<L>(u.row, u.in, width), dense_scratch<L>(u.dense[0], u.row.out, width),
                   composes(u) ? dense_scratch<L>(composed_part(u), u.in, width) : 0});
}

template <class L, class Epilogue>
void unit_piece(const Unit& unit, const typename L::scalar* packed, const Band<L>& x, int height, int row0,
                int row1, typename L::scalar* scratch, const Epilogue& epilogue) {
  const int out_width = unit.out_width(x.width);
  if (unit.kind == UnitKind::identity) {
    for (int row = row0; row < row1; row++)
      finish(epilogue, 0, unit.in, row, 0, out_width,
             Lines<typename L::scalar>{x.at(row, 0, 0), x.channel_pitch});
    return;
  }
  if (unit.kind != UnitKind::convolve) return pool_forward(unit, x, height, row0, row1, scratch, epilogue);
  const auto layout = PackedLayout(unit).forward;
  if (unit.depthwise()) {
    Ahead<typename L::scalar> nothing;
    return separable_rows(unit, packed + layout.first.direct, packed + layout.dense[0].direct, x, height,
                          out_width, row0, row1, scratch, epilogue, nothing);
  }
  const DenseForm dense(unit, layout, height, x.width);
  if (unit.paired() && dense.count == 0) {
    auto* memory = scratch + paired_scratch<L>(unit, x.width);
    const auto mid = paired_mid<L, typename Epilogue::Products>(unit, packed, x, height, out_width, row0,
                                                                row1, memory, scratch);
    dense_part(unit.dense[0], unit.row.out, layout.dense[0], packed, 0, mid, height, out_width, row0, row1,
               scratch, epilogue);
  }
  for (int i = 0; i < dense.count; i++) {
    const auto& [part, at, first] = dense.parts[i];
    dense_part(part, unit.in, at, packed, first, x, height, out_width, row0, row1, scratch, epilogue);
  }
}

// Scalars of scratch that a unit's piece of `rows` input rows needs beside its band.
template <class L>
std::size_t forward_scratch(const Unit& u, int width, int rows) {
  if (u.kind != UnitKind::convolve) return pool_scratch<L>(u, width);
  if (u.depthwise()) return separable_scratch<L>(u, width);
  if (u.paired())
    return paired_scratch<L>(u, width) +
           Band<L>::size(u.row.out, u.out_width(width), rows + 2 * u.reach_h(), 0);
  std::size_t size = 0;
  for (int i = 0; i < u.parts; i++) size = std::max(size, dense_scratch<L>(u.dense[i], u.in, width));
  return size;
}

}  // namespace nasp::NASP_ISA
