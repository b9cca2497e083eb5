// A unit backward: from dL/dy of its pre-norm output (BatchNorm's backward folded into the load) to dx, through the
// ReLU of its load, and to the gradients of its weights. A piece of work owns a band of input rows: it writes their
// dx, and sums the weight gradients over the output rows that belong to them.
//
//   dense      dx = the transposed convolution of dy; dw = dy x activation
//   depthwise  d mid = 1x1 transposed of dy; dx = turned depthwise of d mid; the depthwise result mid is recomputed for
//              the 1x1's gradient
#pragma once
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
                         const Band<L>& dy, int width, int row0, int row1, Epilogue epilogue) {
  using S = typename L::scalar;
  Tap<S> taps[64];
  const ptrdiff_t group_pitch = static_cast<ptrdiff_t>(part.taps()) * part.out * tile_outputs;
  epilogue.column_step = part.stride_w;
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

// dw (O, C, kernel) of one dense part over `rows` output rows. x, dy: where channel 0's first pixel of the first tap lies.
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
            dw[(static_cast<ptrdiff_t>(o + i) * channels + c + j) * part.taps() + tap + t] =
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

// dw (C, K, K) over `rows` output rows from row0 on.
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
        for (int t = 0; t < K; t++) dw[(static_cast<ptrdiff_t>(c) * K + s + i) * K + t] = total[i * K + t];
      }
    }
  }
}

// dx rows [row0, row1) of a depthwise convolution from its output's gradient.
template <class L, class Epilogue>
void depthwise_data_gradient(const Unit& unit, const PackedUnit<typename L::scalar>& weights,
                             const Band<L>& dmid, int width, int row0, int row1, typename L::scalar* mid,
                             Epilogue epilogue) {
  constexpr int R = depthwise_rows, P = depthwise_pixels;
  const int k = unit.kernel, d = unit.dilation, pad = unit.pad();
  epilogue.column_step = unit.stride;
  if (unit.stride == 1) {
    depthwise_rows_of(unit, weights.depthwise_turned, dmid, width, row0, row1, mid, [&](int row, int column) {
      for (int c = 0; c < unit.in; c++) {
        for (int r = 0; r < R && row + r < row1; r++) {
          L pixels[P];
          NASP_UNROLL for (int p = 0; p < P; p++) pixels[p] =
              L::load(mid + ((static_cast<ptrdiff_t>(c) * R + r) * P + p) * L::count);
          finish(pixels, epilogue, c, row + r, column, width - column);
        }
      }
    });
    return;
  }
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
          taps[count++] = {dmid.at(down / unit.stride, c, right / unit.stride),
                           weights.depthwise[c * k * k + i]};
        }
        const int pixels = ceil_div(larger(0, width - parity), unit.stride);
        for (int p = 0; p < pixels; p += P) {
          L sum[P];
          depthwise_row<L, 1>(sum, taps, count, static_cast<ptrdiff_t>(p) * L::count);
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

template <class L>
void backward_unit(const Run& run, const BackwardUnit<typename L::scalar>& b) {
  using S = typename L::scalar;
  const Unit& unit = *b.unit;
  const int height = b.x.x.height, width = b.x.x.width;
  const int out_height = unit.out_height(height), out_width = unit.out_width(width);
  const int s_h = unit.stride_h(), reach_h = unit.reach_h(), reach_w = unit.reach_w();
  const bool want_dx = static_cast<bool>(b.dx),
             want_dw = b.depthwise_gradient || b.dense_gradient[0] || b.dense_gradient[1];
  const bool pool = unit.kind != UnitKind::convolve, max_pool = unit.kind == UnitKind::max_pool;
  const Pieces<L> pieces(b.x.x, ceil_div(run.batch, L::count));
  const int dense_weights[2] = {unit.parts > 0 ? unit.dense_weights(0) : 0,
                                unit.parts > 1 ? unit.dense_weights(1) : 0};
  const std::size_t weights =
      want_dw ? static_cast<std::size_t>(unit.depthwise_weights()) + dense_weights[0] + dense_weights[1] : 0;
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
    const std::size_t dmid_size = unit.depthwise() ? Band<L>::size(unit.in, out_width, dy_rows, dy_pad) : 0;
    const std::size_t mid_size = unit.depthwise() ? Band<L>::size(unit.in, out_width, out1 - out0, 0) : 0;
    const std::size_t scratch_size =
        pool ? pool_backward_scratch<L>(unit, row1 - row0, width) : forward_scratch<L>(unit, width);
    S* memory = static_cast<S*>(
        run.workspace.thread(thread, sizeof(S) * (x_size + dy_size + dmid_size + mid_size + scratch_size)));
    const Band<L> x(memory, unit.in, width, row0 - x_halo, x_rows, reach_w),
        dy(memory + x_size, unit.out, out_width, dy_first, dy_rows, dy_pad);
    S* scratch = memory + x_size + dy_size + dmid_size + mid_size;
    if (need_x) fill_activation(x, b.x, block, unit.relu, max_pool ? -S(__builtin_inf()) : S(0));
    fill_gradient(dy, b.dy, block, live_lanes<L>(run.batch, block));

    DataGradient<L> to_dx = {block_of(b.dx, block), {}, b.write == Write::accumulate, 1};
    if (unit.relu) to_dx.gate = {block_of(b.x.x, block), b.x.norm};
    if (pool) {
      if (want_dx) pool_backward(unit, x, dy, height, row0, row1, scratch, to_dx);
      return;
    }
    const PackedUnit<S> packed(unit, b.packed);
    S* dw = partial ? partial + static_cast<std::size_t>(piece) * weights : nullptr;
    if (unit.depthwise()) {
      const Band<L> dmid(memory + x_size + dy_size, unit.in, out_width, dy_first, dy_rows, dy_pad);
      const DensePart& dense = unit.dense[0];
      const ToBand<L> to_dmid = {dmid};
      const int columns = Band<L>::columns(out_width, dy_pad);
      for (int row = dy_first; row < dy_first + dy_rows; row++) {
        const bool outside = row < 0 || row >= out_height;
        for (int c = 0; c < unit.in; c++) {
          auto* padding = dmid.at(row, c, -dy_pad);
          if (outside)
            fill_vectors<L>(padding, columns, L::zero());
          else
            fill_vectors<L>(padding, dy_pad, L::zero()),
                fill_vectors<L>(dmid.at(row, c, out_width), columns - dy_pad - out_width, L::zero());
        }
        if (outside) continue;
        const Tap<S> tap = {dy.at(row, 0, 0), packed.dense_transposed[0]};
        for (int p = 0; p < out_width; p += tile_pixels) {
          for (int c = 0; c < unit.in; c += tile_outputs) {
            dense_tile<L, 1>({&tap, 1, unit.out, dy.channel_pitch}, static_cast<ptrdiff_t>(p) * L::count,
                             static_cast<ptrdiff_t>(c) * unit.out, {c, unit.in - c, row, p, out_width - p},
                             to_dmid);
          }
        }
      }
      if (want_dx) depthwise_data_gradient(unit, packed, dmid, width, row0, row1, scratch, to_dx);
      if (!dw) return;
      const Band<L> mid(memory + x_size + dy_size + dmid_size, unit.in, out_width, out0, out1 - out0, 0);
      const ToBand<L> to_mid = {mid};
      depthwise_rows_of(unit, packed.depthwise, x, out_width, out0, out1, scratch, [&](int row, int column) {
        constexpr int R = depthwise_rows, P = depthwise_pixels;
        for (int c = 0; c < unit.in; c++) {
          for (int r = 0; r < R && row + r < out1; r++) {
            L pixels[P];
            NASP_UNROLL for (int p = 0; p < P; p++) pixels[p] =
                L::load(scratch + ((static_cast<ptrdiff_t>(c) * R + r) * P + p) * L::count);
            finish(pixels, to_mid, c, row + r, column, out_width - column);
          }
        }
      });
      const int rows = out1 - out0;
      with_depthwise_kernel(unit.kernel, unit.dilation, [&]<int K, int D>() {
        if (unit.stride == 1)
          depthwise_weight_gradient<L, K, 1, D>(unit, dw, dmid, x, out0, rows, out_width);
        else
          depthwise_weight_gradient<L, K, 2, D>(unit, dw, dmid, x, out0, rows, out_width);
      });
      dense_weight_gradient(dense, unit.in, dw + unit.depthwise_weights(), dy.at(out0, 0, 0),
                            dy.channel_pitch, dy.row_pitch, mid, out0, rows, out_width);
      return;
    }
    for (int i = 0, first = 0; i < unit.parts; first += unit.dense[i].out, i++) {
      const DensePart& part = unit.dense[i];
      if (want_dx)
        dense_data_gradient(part, unit.in, first, packed.dense_transposed[i], dy, width, row0, row1, to_dx);
      to_dx.accumulate = true;
      if (dw)
        dense_weight_gradient(part, unit.in, dw, dy.at(out0, first, 0), dy.channel_pitch, dy.row_pitch, x,
                              out0, out1 - out0, out_width);
      if (dw) dw += dense_weights[i];
    }
  });
  if (!weights) return;
  std::size_t at = 0;
  if (b.depthwise_gradient)
    add_pieces(run, b.depthwise_gradient, partial, pieces.count, weights, unit.depthwise_weights());
  at += unit.depthwise_weights();
  for (int i = 0; i < unit.parts; i++) {
    if (b.dense_gradient[i])
      add_pieces(run, b.dense_gradient[i], partial + at, pieces.count, weights, dense_weights[i]);
    at += dense_weights[i];
  }
}

}  // namespace nasp::NASP_ISA
