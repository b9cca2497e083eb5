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

// dw (C, K, K) of one channel += over output rows [row0, row1).
template <class L, int K, int Stride, int Dilation>
void depthwise_weight_gradient(typename L::scalar* dw, const Band<L>& dmid, const Band<L>& x, int channel,
                               int row0, int row1, int out_width) {
  using S = typename L::scalar;
  constexpr int pad = (K - 1) / 2 * Dilation, most_rows = 16;
  // rows of the kernel whose sums fit into the registers beside a pixel of dy
  constexpr int at_once = smaller(K, (NASP_REGISTERS - 1) / K);
  const S *dys[most_rows], *xs[most_rows * Stride + (K - 1) * Dilation];
  for (int row = row0; row < row1; row += most_rows) {
    const int rows = smaller(most_rows, row1 - row), reached = (rows - 1) * Stride + (K - 1) * Dilation + 1;
    for (int r = 0; r < rows; r++) dys[r] = dmid.at(row + r, channel, 0);
    for (int q = 0; q < reached; q++) xs[q] = x.at(row * Stride - pad + q, channel, -pad);
    int s = 0;
    for (; s + at_once <= K; s += at_once)
      depthwise_weight_gradient_tile<L, K, at_once, Stride, Dilation>(dw + s * K, dys, xs + s * Dilation,
                                                                      rows, out_width);
    if constexpr (K % at_once != 0)
      depthwise_weight_gradient_tile<L, K, K % at_once, Stride, Dilation>(dw + s * K, dys, xs + s * Dilation,
                                                                          rows, out_width);
  }
}

// dx rows [row0, row1) of channels [channel, channel_end) of a depthwise convolution from its output's gradient, of an image of
// `height` rows.
template <class L, class Epilogue>
void depthwise_data_gradient(const Unit& unit, const typename L::scalar* w, const typename L::scalar* turned,
                             const Band<L>& dmid, int channel, int channel_end, int height, int width,
                             int row0, int row1, typename L::scalar* buffer, const Epilogue& epilogue) {
  using S = typename L::scalar;
  const int k = unit.kernel, d = unit.dilation, pad = unit.pad(), stride = unit.stride;
  if (stride == 1) {
    for (int c = channel; c < channel_end; c++)
      depthwise_rows_into(unit, turned, dmid, height, c, width, row0, row1, buffer, epilogue);
    return;
  }
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
      for (int c = channel; c < channel_end; c++) {
        depthwise_taps<L>(buffer, taps, count, c * dmid.channel_pitch, w + static_cast<ptrdiff_t>(c) * k * k,
                          1, pixels);
        finish(epilogue, c, 1, row, parity, pixels, Lines<S>{buffer, 0});
      }
    }
  }
}

// Output rows at a time: enough that adding up the lanes of the weight gradients weighs little, and that a tile of two rows
// finds both.
inline int depthwise_backward_rows(const Unit& u, int out_width) {
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
    lines = lines_size<L>(tile_outputs, width);
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
                        larger(0, row), smaller(out_height, row_end), buffer, ToBand<L>{dmid});
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
    for (int c = 0; c < unit.in; c++) {
      if (own) {
        depthwise_rows_into(unit, w, x, p.height, c, p.out_width, row, row_end, buffer, ToBand<L>{mid});
        with_depthwise_kernel(unit.kernel, unit.dilation, [&]<int K, int D>() {
          S* dw = p.dw + c * K * K;
          if (stride == 1)
            depthwise_weight_gradient<L, K, 1, D>(dw, dmid, x, c, row, row_end, p.out_width);
          else
            depthwise_weight_gradient<L, K, 2, D>(dw, dmid, x, c, row, row_end, p.out_width);
        });
      }
      if (stride == 1 && p.want_dx && reached > emitted)
        depthwise_data_gradient(unit, w, turned, dmid, c, c + 1, p.height, p.width, emitted, reached, buffer,
                                to_dx);
    }
    // a stride's taps are found once for all channels
    if (stride > 1 && p.want_dx && reached > emitted)
      depthwise_data_gradient(unit, w, turned, dmid, 0, unit.in, p.height, p.width, emitted, reached, buffer,
                              to_dx);
    emitted = larger(emitted, reached);
    if (own)
      dense_weight_gradient(unit.dense[0], unit.in, p.dw + unit.first_weights(), dy.at(row, 0, 0),
                            dy.channel_pitch, dy.row_pitch, mid, row, row_end - row, p.out_width);
  }
}

}  // namespace nasp::NASP_ISA
