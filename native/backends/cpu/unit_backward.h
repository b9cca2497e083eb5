// A unit backward: from dL/dy of its pre-norm output (BatchNorm's backward folded into the load) to dx, through the
// ReLU of its load, and to the gradients of its weights. A piece of work owns a band of input rows: it writes their
// dx, and sums the weight gradients over the output rows that belong to them.
//
//   dense      dx = the transposed convolution of dy; dw = dy x activation
//   depthwise  d mid = 1x1 transposed of dy; dx = turned depthwise of d mid; the depthwise result mid is recomputed for
//              the 1x1's gradient
//   pair       the same with a 1 x k convolution in the place of the depthwise one
#pragma once
#include <algorithm>

#include "unit_forward.h"

namespace nasp::NASP_ISA {

// Rows [first, last] of the output that reach the input rows [row0, row1); some lie outside the output, as zeros.
struct OutputRows {
  int first, last;
  OutputRows(int row0, int row1, int kernel_span, int stride, int pad)
      : first(floor_div(row0 + pad - kernel_span + stride - 1, stride)),
        last(floor_div(row1 - 1 + pad, stride)) {}
};

// dx rows [row0, row1) of one dense part; dy's channels of this part start at `first`. Input pixels are taken parity
// by parity of the stride: each is a stride-1 convolution of dy over the taps that reach it.
template <class L, class Epilogue>
void dense_data_gradient(const DensePart& part, int channels, int first, const typename L::scalar* packed,
                         const Band<L>& dy, int width, int row0, int row1, const Epilogue& epilogue) {
  using S = typename L::scalar;
  Tap<S> taps[64];
  const ptrdiff_t group_pitch = static_cast<ptrdiff_t>(part.taps()) * part.out * tile_outputs;
  for (int row = row0; row < row1; row++) {
    for (int parity = 0; parity < part.stride_w; parity++) {
      const int pixels = ceil_div(larger(0, width - parity), part.stride_w);
      int count = 0;
      for (int s = 0; s < part.kernel_h; s++) {
        const int down = row + part.pad_h - s;
        if (floor_div(down, part.stride_h) * part.stride_h != down) continue;
        for (int t = 0; t < part.kernel_w; t++) {
          const int right = parity + part.pad_w - t;
          if (floor_div(right, part.stride_w) * part.stride_w != right) continue;
          taps[count++] = {dy.at(down / part.stride_h, first, right / part.stride_w),
                           packed + static_cast<ptrdiff_t>(s * part.kernel_w + t) * part.out * tile_outputs};
        }
      }
      for (int p = 0; p < pixels; p += tile_pixels) {
        for (int c = 0, group = 0; c < channels; c += tile_outputs, group++) {
          dense_tile<L, 1>({taps, count, part.out, dy.channel_pitch}, static_cast<ptrdiff_t>(p) * L::count,
                           group * group_pitch,
                           {c, channels - c, row, p * part.stride_w + parity, pixels - p}, epilogue);
        }
      }
    }
  }
}

// dw (O, C, kernel) of one dense part += over `rows` output rows. x, dy: where channel 0's first pixel of the first tap lies.
template <class L, int Stride, int Inputs, int Taps>
void dense_weight_gradient_columns(const DensePart& part, int channels, typename L::scalar* dw,
                                   const typename L::scalar* dy, ptrdiff_t dy_channel_pitch,
                                   ptrdiff_t dy_row_pitch, const Band<L>& x, int x_row, int column, int tap,
                                   int rows, int out_width) {
  using S = typename L::scalar;
  constexpr int O = tile_outputs, N = O * Inputs * Taps;
  for (int o = 0; o < part.out; o += O) {
    const S* dys[O];
    for (int i = 0; i < O; i++) dys[i] = dy + smaller(o + i, part.out - 1) * dy_channel_pitch;
    for (int c = 0; c < channels; c += Inputs) {
      const S* xs[Inputs];
      for (int i = 0; i < Inputs; i++) xs[i] = x.at(x_row, smaller(c + i, channels - 1), column);
      L sums[N];
      dense_weight_gradient_tile<L, O, Inputs, Taps, Stride>(sums, dys, xs, rows, out_width, dy_row_pitch,
                                                             x.row_pitch * part.stride_h);
      alignas(sizeof(L)) S total[(N + L::count - 1) / L::count * L::count];
      sum_lanes<L, N>(total, sums);
      for (int i = 0; i < O && o + i < part.out; i++) {
        for (int j = 0; j < Inputs && c + j < channels; j++) {
          for (int t = 0; t < Taps; t++) {
            dw[(static_cast<ptrdiff_t>(o + i) * channels + c + j) * part.taps() + tap + t] +=
                total[(i * Inputs + j) * Taps + t];
          }
        }
      }
    }
  }
}

template <class L>
void dense_weight_gradient(const DensePart& part, int channels, typename L::scalar* dw,
                           const typename L::scalar* dy, ptrdiff_t dy_channel_pitch, ptrdiff_t dy_row_pitch,
                           const Band<L>& x, int row0, int rows, int out_width) {
  constexpr int wide = NASP_REGISTERS >= 32 ? 2 : 1, pointwise = NASP_REGISTERS >= 32 ? 4 : 2;
  const auto columns = [&]<int Inputs, int Taps>(int s, int t) {
    const int x_row = row0 * part.stride_h - part.pad_h + s, column = t - part.pad_w,
              tap = s * part.kernel_w + t;
    if (part.stride_w == 1)
      dense_weight_gradient_columns<L, 1, Inputs, Taps>(part, channels, dw, dy, dy_channel_pitch,
                                                        dy_row_pitch, x, x_row, column, tap, rows, out_width);
    else
      dense_weight_gradient_columns<L, 2, Inputs, Taps>(part, channels, dw, dy, dy_channel_pitch,
                                                        dy_row_pitch, x, x_row, column, tap, rows, out_width);
  };
  for (int s = 0; s < part.kernel_h; s++) {
    int t = 0;
    for (; t + 3 <= part.kernel_w; t += 3) columns.template operator()<wide, 3>(s, t);
    for (; t < part.kernel_w; t++) columns.template operator()<pointwise, 1>(s, t);
  }
}

// dw (C, K, K) += over `rows` output rows from row0 on.
template <class L, int K, int Stride, int Dilation>
void depthwise_weight_gradient(const Unit& unit, typename L::scalar* dw, const Band<L>& dmid,
                               const Band<L>& x, int row0, int rows, int out_width) {
  using S = typename L::scalar;
  constexpr int at_once = NASP_REGISTERS >= 32 ? (K == 5 ? 5 : 3)
                                               : (K == 3   ? 3
                                                  : K == 5 ? 2
                                                           : 1),
                N = at_once * K;
  const int pad = unit.pad();
  for (int c = 0; c < unit.in; c++) {
    for (int s = 0; s < K; s += at_once) {
      const S* rows_of[at_once];
      for (int i = 0; i < at_once; i++)
        rows_of[i] = x.at(row0 * unit.stride - pad + smaller(s + i, K - 1) * unit.dilation, c, -pad);
      L sums[N];
      depthwise_weight_gradient_tile<L, K, at_once, Stride, Dilation>(
          sums, dmid.at(row0, c, 0), rows_of, rows, out_width, dmid.row_pitch, x.row_pitch);
      alignas(sizeof(L)) S total[(N + L::count - 1) / L::count * L::count];
      sum_lanes<L, N>(total, sums);
      for (int i = 0; i < at_once && s + i < K; i++) {
        for (int t = 0; t < K; t++) dw[(static_cast<ptrdiff_t>(c) * K + s + i) * K + t] += total[i * K + t];
      }
    }
  }
}

// dx rows [row0, row1) of a depthwise convolution from its output's gradient.
template <class L, class Epilogue>
void depthwise_data_gradient(const Unit& unit, const typename L::scalar* w, const typename L::scalar* turned,
                             const Band<L>& dmid, int width, int row0, int row1, const Epilogue& epilogue) {
  constexpr int P = depthwise_pixels;
  const int k = unit.kernel, d = unit.dilation, pad = unit.pad();
  if (unit.stride == 1) return depthwise_rows_into(unit, turned, dmid, width, row0, row1, epilogue);
  DepthwiseTap<L> taps[64];
  for (int row = row0; row < row1; row++) {
    for (int c = 0; c < unit.in; c++) {
      for (int parity = 0; parity < unit.stride; parity++) {
        int count = 0;
        for (int i = 0; i < k * k; i++) {
          const int down = row + pad - i / k * d, right = parity + pad - i % k * d;
          if (floor_div(down, unit.stride) * unit.stride != down ||
              floor_div(right, unit.stride) * unit.stride != right)
            continue;
          taps[count++] = {dmid.at(down / unit.stride, c, right / unit.stride), w[c * k * k + i]};
        }
        const int pixels = ceil_div(larger(0, width - parity), unit.stride);
        for (int p = 0; p < pixels; p += P) {
          L sum[P];
          depthwise_row<L>({reinterpret_cast<typename L::scalar*>(sum), 0, tile_pixels * L::count}, taps,
                           count, static_cast<ptrdiff_t>(p) * L::count, 1);
          finish(sum, epilogue, c, row, p * unit.stride + parity, pixels - p);
        }
      }
    }
  }
}

// Adds the pieces' weight gradients in piece order: partial (pieces, count) -> total (count).
template <class S>
void add_pieces(const Run& run, S* total, const S* partial, int pieces, std::size_t pitch, int count) {
  constexpr int chunk = 1024;
  run.parallel.run(ceil_div(count, chunk), [&](int part, int) {
    const int end = smaller(count, (part + 1) * chunk);
    for (int i = part * chunk; i < end; i++) total[i] = partial[i];
    for (int p = 1; p < pieces; p++) {
      const S* from = partial + static_cast<std::size_t>(p) * pitch;
      for (int i = part * chunk; i < end; i++) total[i] += from[i];
    }
  });
}

// What a piece of a unit's backward works on. dx or dw null: not wanted.
template <class L>
struct BackwardPiece {
  using S = typename L::scalar;
  const BackwardUnit<S>& step;
  const Unit& unit;
  const S* packed;
  int block, height, width, out_width;
  L live;
  int row0, row1, out0, out1;  // its input rows, and the output rows that belong to them
  Band<L> x, dy;
  bool need_x;
  S* scratch;
  DataGradient<L> to_dx;
  bool want_dx;
  S* dw;  // first convolution's, then the dense parts'; zeros at first
  int x_loaded, dy_loaded;

  // Rows of the bands up to `end`.
  void load_x(int end) {
    if (!need_x || end <= x_loaded) return;
    const bool lowest = unit.kind == UnitKind::max_pool;
    fill_activation(x.part(x_loaded, end), step.x, block, unit.relu, lowest ? -S(__builtin_inf()) : S(0));
    x_loaded = end;
  }
  void load_dy(int end) {
    if (end <= dy_loaded) return;
    fill_gradient(dy.part(dy_loaded, end), step.dy, block, live);
    dy_loaded = end;
  }
  void load_all() {
    load_x(x.first_row + x.rows);
    load_dy(dy.first_row + dy.rows);
  }
};

// Scalars of scratch.
template <class L>
std::size_t backward_scratch(const Unit& u, int width, int rows, int dy_rows, int dy_pad) {
  if (u.kind != UnitKind::convolve) return pool_backward_scratch<L>(u, rows, width);
  if (u.first_weights() > 0) {
    const int out_width = u.out_width(width);
    return Band<L>::size(u.between(), out_width, dy_rows + rows, dy_pad) +
           Band<L>::size(u.between(), out_width, rows + 2 * u.reach_h(), 0) +
           (u.paired() ? paired_scratch<L>(u) : 0);
  }
  return forward_scratch<L>(u, width, rows);
}

// dx rows [row0, row1), of height x width pixels, of one dense convolution: Winograd where it applies, else direct.
template <class L, class Epilogue>
void data_gradient(const DensePart& part, int in, const PackedPart& at, const typename L::scalar* packed,
                   int first, const Band<L>& dy, int height, int width, int row0, int row1,
                   typename L::scalar* scratch, const Epilogue& epilogue) {
  const Winograd kind = winograd_of(part, in);
  if (kind != Winograd::none && winograd_size(height, width))
    winograd_rows(kind, packed + at.winograd, part.out, in, dy, first, width, row0, row1, scratch, epilogue);
  else
    dense_data_gradient(part, in, first, packed + at.direct, dy, width, row0, row1, epilogue);
}

template <class L>
void dense_backward(BackwardPiece<L>& p) {
  const Unit& unit = p.unit;
  p.load_all();
  const auto layout = PackedLayout(unit).back;
  for (int i = 0, first = 0; i < unit.parts; first += unit.dense[i].out, i++) {
    const DensePart& part = unit.dense[i];
    p.to_dx.column_step = part.stride_w;
    if (p.want_dx)
      data_gradient(part, unit.in, layout.dense[i], p.packed, first, p.dy, p.height, p.width, p.row0, p.row1,
                    p.scratch, p.to_dx);
    p.to_dx.accumulate = true;
    if (!p.dw) continue;
    dense_weight_gradient(part, unit.in, p.dw, p.dy.at(p.out0, first, 0), p.dy.channel_pitch, p.dy.row_pitch,
                          p.x, p.out0, p.out1 - p.out0, p.out_width);
    p.dw += unit.dense_weights(i);
  }
}

// A few rows at a time through everything: what one stage has written is in the cache when the next one reads it.
template <class L>
void depthwise_backward(BackwardPiece<L>& p) {
  using S = typename L::scalar;
  constexpr int at_once = 4;
  const Unit& unit = p.unit;
  const PackedLayout layout(unit);
  const Band<L>& dy = p.dy;
  const int out_height = unit.out_height(p.height), stride = unit.stride;
  const Band<L> dmid(p.scratch, unit.in, p.out_width, dy.first_row, dy.rows, dy.pad);
  S* mid_memory = p.scratch + Band<L>::size(unit.in, p.out_width, dmid.rows, dmid.pad);
  p.to_dx.column_step = stride;
  for (int row = p.row0, done = dmid.first_row; row < p.row1; row += at_once) {
    const int end = smaller(row + at_once, p.row1), out0 = output_row(row, stride),
              out1 = output_row(end, stride);
    const int reached = OutputRows(row, end, 2 * unit.pad(), stride, unit.pad()).last + 1;
    const int needed = smaller(larger(reached, out1), dmid.first_row + dmid.rows);
    p.load_dy(needed);
    if (needed > done) {
      clear_padding(dmid.part(done, needed), out_height);
      dense_data_gradient(unit.dense[0], unit.in, 0, p.packed + layout.back.dense[0].direct, dy, p.out_width,
                          larger(0, done), smaller(out_height, needed), ToBand<L>{dmid});
      done = needed;
    }
    if (p.want_dx)
      depthwise_data_gradient(unit, p.packed + layout.forward.first.direct,
                              p.packed + layout.back.first.direct, dmid, p.width, row, end, p.to_dx);
    const int rows = out1 - out0;
    if (!p.dw || rows == 0) continue;
    p.load_x(end + unit.pad());
    const Band<L> mid(mid_memory, unit.in, p.out_width, out0, rows, 0);
    depthwise_rows_into(unit, p.packed + layout.forward.first.direct, p.x, p.out_width, out0, out1,
                        ToBand<L>{mid});
    with_depthwise_kernel(unit.kernel, unit.dilation, [&]<int K, int D>() {
      if (stride == 1)
        depthwise_weight_gradient<L, K, 1, D>(unit, p.dw, dmid, p.x, out0, rows, p.out_width);
      else
        depthwise_weight_gradient<L, K, 2, D>(unit, p.dw, dmid, p.x, out0, rows, p.out_width);
    });
    dense_weight_gradient(unit.dense[0], unit.in, p.dw + unit.first_weights(), dy.at(out0, 0, 0),
                          dy.channel_pitch, dy.row_pitch, mid, out0, rows, p.out_width);
  }
}

template <class L>
void paired_backward(BackwardPiece<L>& p) {
  const Unit& unit = p.unit;
  p.load_all();
  const auto layout = PackedLayout(unit).back;
  auto* memory = p.scratch + paired_scratch<L>(unit);
  const Band<L> dmid(memory, unit.row.out, p.out_width, p.row0, p.row1 - p.row0, p.dy.pad);
  clear_padding(dmid, p.height);
  data_gradient(unit.dense[0], unit.row.out, layout.dense[0], p.packed, 0, p.dy, p.height, p.out_width,
                p.row0, p.row1, p.scratch, ToBand<L>{dmid});
  p.to_dx.column_step = unit.row.stride_w;
  if (p.want_dx)
    data_gradient(unit.row, unit.in, layout.first, p.packed, 0, dmid, p.height, p.width, p.row0, p.row1,
                  p.scratch, p.to_dx);
  if (!p.dw) return;
  dense_weight_gradient(unit.row, unit.in, p.dw, dmid.at(p.row0, 0, 0), dmid.channel_pitch, dmid.row_pitch,
                        p.x, p.row0, p.row1 - p.row0, p.out_width);
  if (p.out1 == p.out0) return;
  memory += Band<L>::size(unit.row.out, p.out_width, dmid.rows, dmid.pad);
  const Band<L> mid =
      paired_mid(unit, p.packed, p.x, p.height, p.out_width, p.out0, p.out1, memory, p.scratch);
  dense_weight_gradient(unit.dense[0], unit.row.out, p.dw + unit.first_weights(), p.dy.at(p.out0, 0, 0),
                        p.dy.channel_pitch, p.dy.row_pitch, mid, p.out0, p.out1 - p.out0, p.out_width);
}

template <class L>
void backward_unit(const Run& run, const BackwardUnit<typename L::scalar>& b) {
  using S = typename L::scalar;
  const Unit& unit = *b.unit;
  const int height = b.x.x.height, width = b.x.x.width, out_width = unit.out_width(width);
  const int s_h = unit.stride_h(), reach_h = unit.reach_h(), reach_w = unit.reach_w();
  const bool want_dx = static_cast<bool>(b.dx),
             want_dw = b.first_gradient || b.dense_gradient[0] || b.dense_gradient[1];
  const bool max_pool = unit.kind == UnitKind::max_pool;
  const Pieces<L> pieces(b.x.x, ceil_div(run.batch, L::count));
  std::size_t weights = 0;
  if (want_dw) {
    weights = static_cast<std::size_t>(unit.first_weights());
    for (int i = 0; i < unit.parts; i++) weights += static_cast<std::size_t>(unit.dense_weights(i));
  }
  S* partial = weights ? static_cast<S*>(run.workspace.shared(Workspace::partial_weights,
                                                              sizeof(S) * weights * pieces.count))
                       : nullptr;

  run.parallel.run(pieces.count, [&](int piece, int thread) {
    const int block = pieces.block(piece), row0 = pieces.first(piece), row1 = pieces.end(piece);
    const int out0 = output_row(row0, s_h), out1 = output_row(row1, s_h);
    // dy: the rows that dx needs, and those of the piece's own weight gradients
    const OutputRows reach(row0, row1, 2 * reach_h, s_h, reach_h);
    const int dy_first = smaller(reach.first, out0), dy_rows = larger(reach.last, out1 - 1) + 1 - dy_first,
              dy_pad = 2 * reach_w + 1;
    const bool need_x = want_dw || max_pool;
    const int x_halo = max_pool ? 2 * reach_h : reach_h, x_rows = row1 - row0 + 2 * x_halo;
    const std::size_t x_size = need_x ? Band<L>::size(unit.in, width, x_rows, reach_w) : 0;
    const std::size_t dy_size = Band<L>::size(unit.out, out_width, dy_rows, dy_pad);
    const std::size_t scratch_size = backward_scratch<L>(unit, width, row1 - row0, dy_rows, dy_pad);
    S* memory = static_cast<S*>(run.workspace.thread(thread, sizeof(S) * (x_size + dy_size + scratch_size)));
    const Band<L> x(memory, unit.in, width, row0 - x_halo, x_rows, reach_w),
        dy(memory + x_size, unit.out, out_width, dy_first, dy_rows, dy_pad);
    DataGradient<L> to_dx = {block_of(b.dx, block), {}, b.write == Write::accumulate, 1};
    if (unit.relu) to_dx.gate = {block_of(b.x.x, block), b.x.norm};
    S* dw = partial ? partial + static_cast<std::size_t>(piece) * weights : nullptr;
    if (dw) std::fill_n(dw, weights, S(0));
    BackwardPiece<L> p = {
        b,     unit,    b.packed, block,       height,      width, out_width, live_lanes<L>(run.batch, block),
        row0,  row1,    out0,     out1,        x,           dy,    need_x,    memory + x_size + dy_size,
        to_dx, want_dx, dw,       x.first_row, dy.first_row};
    if (unit.kind != UnitKind::convolve) {
      p.load_all();
      if (want_dx) pool_backward(unit, x, dy, height, row0, row1, p.scratch, to_dx);
    } else if (unit.depthwise()) {
      depthwise_backward(p);
    } else if (unit.paired()) {
      paired_backward(p);
    } else {
      dense_backward(p);
    }
  });
  if (!weights) return;
  std::size_t at = 0;
  const auto add_up = [&](S* gradient, int count) {
    if (gradient) add_pieces(run, gradient, partial + at, pieces.count, weights, count);
    at += static_cast<std::size_t>(count);
  };
  add_up(b.first_gradient, unit.first_weights());
  for (int i = 0; i < unit.parts; i++) add_up(b.dense_gradient[i], unit.dense_weights(i));
}

}  // namespace nasp::NASP_ISA
