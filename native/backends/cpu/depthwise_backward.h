// A depthwise unit backward, over a piece of input rows, a few output rows at a time:
//
//   dy      loaded, BatchNorm's backward applied
//   d mid   1x1 transposed of dy, into a ring of rows
//   x       loaded into a ring of rows
//   mid     the depthwise result, computed again; dw of the 1x1 = dy x mid
//   dw      of the depthwise convolution = d mid x activation
//   dx      turned depthwise of d mid, for the input rows that no further output row reaches
//
// What one stage has written is in the cache when the next one reads it; the depthwise stages go channel by channel.
#pragma once
#include "dense_backward.h"

namespace nasp::NASP_ISA {

constexpr int depthwise_most_rows = 8;  // of a channel at a time

// Output rows [row, row + count) of one channel of a depthwise convolution, of an image of `height` rows. x: its input rows, from
// the one that the first row's window begins with; at: the channel's offset in them; to(r): where row r goes.
template <class L, int K, int D, int Stride, class To>
NASP_INLINE void depthwise_channel(const Unit& unit, const typename L::scalar* const* x, int height,
                                   ptrdiff_t at, const typename L::scalar* w, int row, int count, int width,
                                   const To& to) {
  by_depthwise_rows(unit, row, row + count, [&](int r, bool two) NASP_LAMBDA_INLINE {
    const int top = r * Stride - unit.pad();
    const auto* const* rows = x + (r - row) * Stride;
    if constexpr (Stride == 1 && depthwise_rows == 2) {
      if (two)
        return depthwise_row<L, K, D, 1, 2>(to(r), to(r + D) - to(r), rows,
                                            window_inside<K, D, 2>(top, height), at, w, width);
    }
    depthwise_row<L, K, D, Stride, 1>(to(r), 0, rows, window_inside<K, D, 1>(top, height), at, w, width);
  });
}

// dw (K, K) of one channel += over `count` output rows.
template <class L, int K, int D, int Stride>
void depthwise_weight_gradient(typename L::scalar* dw, const typename L::scalar* const* dmid,
                               ptrdiff_t dmid_at, const typename L::scalar* const* x, ptrdiff_t x_at,
                               int count, int width) {
  // rows of the kernel whose sums fit into the registers beside a pixel of dy
  constexpr int at_once = smaller(K, (NASP_REGISTERS - 1) / K), left = K % at_once;
  int s = 0;
  for (; s + at_once <= K; s += at_once)
    depthwise_weight_gradient_tile<L, K, at_once, Stride, D>(dw + s * K, dmid, dmid_at, x + s * D, x_at,
                                                             count, width);
  if constexpr (left != 0)
    depthwise_weight_gradient_tile<L, K, left, Stride, D>(dw + s * K, dmid, dmid_at, x + s * D, x_at, count,
                                                          width);
}

// The depthwise result of output rows [row, row + count) into mid, and dw (C, K, K) += over them, channel by channel.
template <class L, int K, int D, int Stride>
void depthwise_weight_gradients(const Unit& unit, typename L::scalar* dw, const typename L::scalar* w,
                                const Band<L>& x, const Band<L>& dmid, const Band<L>& mid, int height,
                                int row, int count) {
  const int pad = unit.pad();
  const DepthwiseRows<L, K, D, Stride, depthwise_most_rows> xs(x, row * Stride - pad, -pad, count);
  const DepthwiseRows<L, 1, 1, 1, depthwise_most_rows> dmids(dmid, row, 0, count);
  for (int c = 0; c < unit.in; c++, dw += K * K, w += K * K) {
    const ptrdiff_t at = c * x.channel_pitch;
    depthwise_channel<L, K, D, Stride>(unit, xs.at, height, at, w, row, count, mid.width,
                                       [&](int r) NASP_LAMBDA_INLINE { return mid.at(r, c, 0); });
    depthwise_weight_gradient<L, K, D, Stride>(dw, dmids.at, c * dmid.channel_pitch, xs.at, at, count,
                                               mid.width);
  }
}

// dx rows [row0, row1) of a depthwise convolution of stride 1. turned: its weights turned round; buffer: depthwise_most_rows rows.
template <class L, int K, int D, class Epilogue>
void depthwise_data_gradient(const Unit& unit, const typename L::scalar* turned, const Band<L>& dmid,
                             int height, int row0, int row1, typename L::scalar* buffer,
                             const Epilogue& epilogue) {
  const ptrdiff_t line = static_cast<ptrdiff_t>(dmid.width) * L::count;
  for (int first = row0, count; first < row1; first += count) {
    count = smaller(depthwise_most_rows, row1 - first);
    const DepthwiseRows<L, K, D, 1, depthwise_most_rows> rows(dmid, first - unit.pad(), -unit.pad(), count);
    for (int c = 0; c < unit.in; c++) {
      depthwise_channel<L, K, D, 1>(unit, rows.at, height, c * dmid.channel_pitch, turned + c * K * K, first,
                                    count, dmid.width,
                                    [&](int r) NASP_LAMBDA_INLINE { return buffer + (r - first) * line; });
      for (int r = 0; r < count; r++) epilogue.segment(c, first + r, 0, dmid.width, buffer + r * line);
    }
  }
}

// dx rows [row0, row1) of a depthwise convolution of stride 2 from its output's gradient.
template <class L, class Epilogue>
void depthwise_strided_data_gradient(const Unit& unit, const typename L::scalar* w, const Band<L>& dmid,
                                     int width, int row0, int row1, typename L::scalar* buffer,
                                     const Epilogue& epilogue) {
  using S = typename L::scalar;
  const int k = unit.kernel, d = unit.dilation, pad = unit.pad(), stride = unit.stride;
  DepthwiseTap<L> taps[64];
  for (int row = row0; row < row1; row++) {
    for (int parity = 0; parity < stride; parity++) {
      int count = 0;
      for (int s = 0; s < k; s++) {
        const int down = row + pad - s * d;
        if (floor_div(down, stride) * stride != down) continue;
        for (int t = 0; t < k; t++) {
          const int right = parity + pad - t * d;
          if (floor_div(right, stride) * stride != right) continue;
          taps[count++] = {dmid.at(down / stride, 0, right / stride), s * k + t};
        }
      }
      const int pixels = ceil_div(larger(0, width - parity), stride);
      for (int c = 0; c < unit.in; c++) {
        depthwise_taps<L>(buffer, taps, count, c * dmid.channel_pitch, w + static_cast<ptrdiff_t>(c) * k * k,
                          pixels);
        finish(epilogue, c, 1, row, parity, pixels, Lines<S>{buffer, 0});
      }
    }
  }
}

// Output rows at a time: enough that adding up the lanes of the weight gradients weighs little, and that a tile of two rows
// finds both.
inline int depthwise_backward_rows(const Unit& u, int out_width) {
  static_assert(depthwise_most_rows >= larger(4, 2 * depthwise_rows));  // dilations are 1 and 2
  return larger(larger(2, depthwise_rows * u.dilation), smaller(4, 64 / out_width));
}

// Bytes of a piece: rings keep few of its rows at a time, so it may be tall, and fewer rows are loaded twice.
constexpr std::size_t depthwise_piece = 512 << 10;

// The bands of a piece.
template <class L>
struct DepthwiseBands {
  int rows, x_rows, dmid_rows;
  std::size_t x_size, dmid_size, dy_size, mid_size, lines;
  DepthwiseBands(const Unit& u, int width, bool need_x)
      : rows(depthwise_backward_rows(u, u.out_width(width))) {
    const int out_width = u.out_width(width);
    x_rows = rows * u.stride + 2 * u.pad();
    dmid_rows = rows + ceil_div(2 * u.pad(), u.stride);
    x_size = need_x ? Band<L>::size(u.in, width, x_rows, u.pad()) : 0;
    dmid_size = Band<L>::size(u.in, out_width, dmid_rows, u.pad());
    dy_size = Band<L>::size(u.out, out_width, rows, 0);
    mid_size = need_x ? Band<L>::size(u.in, out_width, rows, 0) : 0;
    lines = lines_size<L>(larger(tile_outputs, depthwise_most_rows), width);
  }
  std::size_t size() const { return x_size + dmid_size + dy_size + mid_size + lines; }
};

template <class L>
void depthwise_backward(const BackwardPiece<L>& p, typename L::scalar* memory) {
  using S = typename L::scalar;
  const Unit& unit = p.unit;
  const PackedLayout layout(unit);
  const S *w = p.packed + layout.forward.first.direct, *turned = p.packed + layout.back.first.direct;
  const int out_height = unit.out_height(p.height), stride = unit.stride, pad = unit.pad();
  const DepthwiseBands<L> bands(unit, p.width, p.dw != nullptr);
  const OutputRows reach(p.row0, p.row1, 2 * pad, stride, pad);
  const int first = p.want_dx ? smaller(reach.first, p.out0) : p.out0,
            end = p.want_dx ? larger(reach.last + 1, p.out1) : p.out1;
  Band<L> x = Band<L>::ring(memory, unit.in, p.width, p.out0 * stride - pad, bands.x_rows, pad);
  Band<L> dmid = Band<L>::ring(memory + bands.x_size, unit.in, p.out_width, first, bands.dmid_rows, pad);
  S *dy_memory = memory + bands.x_size + bands.dmid_size, *mid_memory = dy_memory + bands.dy_size,
    *buffer = mid_memory + bands.mid_size;
  DataGradient<L> to_dx = p.to_dx;
  to_dx.column_step = stride;
  int x_loaded = x.first_row;
  for (int row = first, row_end, emitted = p.row0; row < end; row = row_end) {
    row_end = smaller(row + bands.rows, row < p.out0 ? p.out0 : row < p.out1 ? p.out1 : end);
    dmid = dmid.part(larger(dmid.first_row, row_end - bands.dmid_rows), row_end);
    const Band<L> dy(dy_memory, unit.out, p.out_width, row, row_end - row, 0);
    fill_gradient(dy, p.step.dy, p.block, p.live);
    clear_padding(dmid.part(row, row_end), out_height);
    dense_data_gradient(unit.dense[0], unit.in, 0, p.packed + layout.back.dense[0].direct, dy, p.out_width,
                        larger(0, row), smaller(out_height, row_end), buffer, ToBand<L, Exact<L>>{dmid});
    const bool own = p.dw && row >= p.out0 && row < p.out1;
    if (own) {
      const int needed = (row_end - 1) * stride + pad + 1;
      x = x.part(larger(x.first_row, needed - bands.x_rows), needed);
      fill_activation(x.part(x_loaded, needed), p.step.x, p.block, unit.relu, S(0));
      x_loaded = needed;
      if (unit.relu) to_dx.activation = x;
    }
    // input rows that the rows so far are all that reaches
    const int reached = row_end == end ? p.row1 : smaller(p.row1, row_end * stride - pad);
    const Band<L> mid(mid_memory, unit.in, p.out_width, row, row_end - row, 0);
    with_depthwise_kernel(unit.kernel, unit.dilation, [&]<int K, int D>() {
      const auto gradients = [&]<int Stride>() {
        depthwise_weight_gradients<L, K, D, Stride>(unit, p.dw, w, x, dmid, mid, p.height, row,
                                                    row_end - row);
      };
      if (own && stride == 1) gradients.template operator()<1>();
      if (own && stride == 2) gradients.template operator()<2>();
      if (p.want_dx && stride == 1)
        depthwise_data_gradient<L, K, D>(unit, turned, dmid, p.height, emitted, reached, buffer, to_dx);
    });
    if (p.want_dx && stride == 2)
      depthwise_strided_data_gradient(unit, w, dmid, p.width, emitted, reached, buffer, to_dx);
    emitted = larger(emitted, reached);
    if (own)
      dense_weight_gradient(unit.dense[0], unit.in, p.dw + unit.first_weights(), dy.at(row, 0, 0),
                            dy.channel_pitch, dy.row_pitch, mid, row, row_end - row, p.out_width);
  }
}

}  // namespace nasp::NASP_ISA
