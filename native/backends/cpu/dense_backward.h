// Dense units and pairs backward, over a piece of input rows.
//
//   dense   dx = the transposed convolution of dy; dw = dy x activation
//   pair    the same through both convolutions; the row's result mid is computed again for the column's gradient
#pragma once
#include <algorithm>

#include "backward_piece.h"
#include "winograd_weight_gradient.h"

namespace nasp::NASP_ISA {

// dx rows [row0, row1) of one dense part; dy's channels of this part start at `first`. Input pixels are taken parity
// by parity of the stride: each is a stride-1 convolution of dy over the taps that reach it.
template <class L, class Epilogue>
void dense_data_gradient(const DensePart& part, int channels, int first, const typename L::scalar* packed,
                         const Band<L>& dy, int width, int row0, int row1, typename L::scalar* buffer,
                         const Epilogue& epilogue) {
  using S = typename L::scalar;
  Tap<S> taps[64];
  const ptrdiff_t tap_size = static_cast<ptrdiff_t>(Exact<L>::rows(part.out)) * tile_outputs,
                  group_pitch = part.taps() * tap_size;
  for (int row = row0; row < row1; row++) {
    for (int parity = 0; parity < part.stride_w; parity++) {
      const int pixels = ceil_div(larger(0, width - parity), part.stride_w);
      int count = 0, lines = 0;
      for (int s = 0; s < part.kernel_h; s++) {
        const int down = row + part.pad_h - s;
        if (floor_div(down, part.stride_h) * part.stride_h != down) continue;
        lines++;
        for (int t = 0; t < part.kernel_w; t++) {
          const int right = parity + part.pad_w - t;
          if (floor_div(right, part.stride_w) * part.stride_w != right) continue;
          taps[count++] = {dy.at(down / part.stride_h, first, right / part.stride_w),
                           packed + (s * part.kernel_w + t) * tap_size};
        }
      }
      if (count == 0) lines = 0;  // no tap reaches these columns: zeros
      dense_row<L, 1, Exact<L>>({taps, lines, lines ? count / lines : 0, part.out, dy.channel_pitch},
                                channels, group_pitch, 0, row, parity, pixels, buffer, epilogue);
    }
  }
}

// dw (O, C, kernel) of one dense part += over `rows` output rows. x, dy: where channel 0's first pixel of the first tap lies.
// Taps: so many neighbouring ones from `tap` on, to the right or (Down) downwards.
template <class L, int Stride, int Inputs, int Taps, bool Down>
void dense_weight_gradient_taps(const DensePart& part, int channels, typename L::scalar* dw,
                                const typename L::scalar* dy, ptrdiff_t dy_channel_pitch,
                                ptrdiff_t dy_row_pitch, const Band<L>& x, int x_row, int column, int tap,
                                int rows, int out_width) {
  using S = typename L::scalar;
  constexpr int O = gradient_outputs, N = O * Inputs * Taps;
  for (int o = 0; o < part.out; o += O) {
    const S* dys[O];
    for (int i = 0; i < O; i++) dys[i] = dy + smaller(o + i, part.out - 1) * dy_channel_pitch;
    // The last inputs may be the last channel again: those are dropped.
    for (int c = 0; c < channels; c += Inputs) {
      const S* xs[Inputs];
      for (int i = 0; i < Inputs; i++) xs[i] = x.at(x_row, smaller(c + i, channels - 1), column);
      L sums[N];
      dense_weight_gradient_tile<L, O, Inputs, Taps, Stride, Down>(
          sums, dys, xs, rows, out_width, dy_row_pitch, x.row_pitch * part.stride_h, x.row_pitch);
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
  constexpr int wide = NASP_REGISTERS >= 32 ? 2 : 1, pointwise = NASP_REGISTERS >= 32 ? 4 : 3;
  const auto taps = [&]<int Inputs, int Taps, bool Down>(int s, int t) {
    const int x_row = row0 * part.stride_h - part.pad_h + s, column = t - part.pad_w,
              tap = s * part.kernel_w + t;
    if (part.stride_w == 1)
      dense_weight_gradient_taps<L, 1, Inputs, Taps, Down>(
          part, channels, dw, dy, dy_channel_pitch, dy_row_pitch, x, x_row, column, tap, rows, out_width);
    else
      dense_weight_gradient_taps<L, 2, Inputs, Taps, Down>(
          part, channels, dw, dy, dy_channel_pitch, dy_row_pitch, x, x_row, column, tap, rows, out_width);
  };
  int s = 0;
  for (; part.kernel_w == 1 && s + 3 <= part.kernel_h; s += 3) taps.template operator()<wide, 3, true>(s, 0);
  for (; s < part.kernel_h; s++) {
    int t = 0;
    for (; t + 3 <= part.kernel_w; t += 3) taps.template operator()<wide, 3, false>(s, t);
    for (; t < part.kernel_w; t++) taps.template operator()<pointwise, 1, false>(s, t);
  }
}

// dx rows [row0, row1), of height x width pixels, of one dense convolution: Winograd where it applies, else direct.
template <class L, class Epilogue>
void data_gradient(const DensePart& part, int in, const PackedPart& at, const typename L::scalar* packed,
                   int first, const Band<L>& dy, int height, int width, int row0, int row1,
                   typename L::scalar* scratch, const Epilogue& epilogue) {
  const Winograd kind = winograd_on(part, in, height, width);
  if (kind != Winograd::none) {
    const WinogradOutput<typename L::scalar, Epilogue> output = {packed + at.winograd, in, epilogue};
    winograd_rows(kind, true, &output, 1, part.out, dy, first, width / part.stride_w, row0 / part.stride_h,
                  row1 / part.stride_h, scratch);
  } else {
    dense_data_gradient(part, in, first, packed + at.direct, dy, width, row0, row1, scratch, epilogue);
  }
}

// dw of one dense convolution += over the output rows [row0, row1), on maps of height x width pixels: through Winograd's
// transforms where they apply, else direct.
template <class L>
void weight_gradient(const DensePart& part, int in, typename L::scalar* dw, const Band<L>& x,
                     const Band<L>& dy, int first, int height, int width, int row0, int row1,
                     typename L::scalar* scratch) {
  const Winograd kind = winograd_gradient_on(part, in, height, width);
  if (kind != Winograd::none)
    winograd_weight_gradient(kind, dw, in, part.out, x, dy, first, row0, row1, scratch);
  else
    dense_weight_gradient(part, in, dw, dy.at(row0, first, 0), dy.channel_pitch, dy.row_pitch, x, row0,
                          row1 - row0, dy.width);
}
template <class L>
std::size_t weight_gradient_scratch(const DensePart& part, int in) {
  const Winograd kind = winograd_of(part, in);
  return kind == Winograd::none ? 0 : WeightGradientSizes<L>(kind, in, part.out).size();
}
template <class L>
std::size_t paired_backward_scratch(const Unit& u, int width) {
  return std::max({paired_scratch<L>(u, width), weight_gradient_scratch<L>(u.row, u.in),
                   weight_gradient_scratch<L>(u.dense[0], u.between()),
                   composes(u) ? weight_gradient_scratch<L>(composed_part(u), u.in) : 0});
}

// One dense part, whose channels of dy start at `first`; p.dw moves on to the next part's.
template <class L>
void dense_part_backward(BackwardPiece<L>& p, const LoadedPiece<L>& loaded, const DensePart& part,
                         const PackedPart& at, int first) {
  const int in = p.unit.in;
  p.to_dx.column_step = part.stride_w;
  if (p.want_dx)
    data_gradient(part, in, at, p.packed, first, loaded.dy, p.height, p.width, p.row0, p.row1, loaded.scratch,
                  p.to_dx);
  p.to_dx.accumulate = true;
  if (!p.dw) return;
  weight_gradient(part, in, p.dw, loaded.x, loaded.dy, first, p.height, p.width, p.out0, p.out1,
                  loaded.scratch);
  p.dw += part.out * in * part.taps();
}

template <class L>
void dense_backward(BackwardPiece<L> p, const LoadedPiece<L>& loaded) {
  const Unit& unit = p.unit;
  if (p.dw && unit.relu) p.to_dx.activation = loaded.x;
  const DenseForm dense(unit, PackedLayout(unit).back, p.height, p.width);
  for (int i = 0; i < dense.count; i++) {
    const auto& [part, at, first] = dense.parts[i];
    dense_part_backward(p, loaded, part, at, first);
  }
}

template <class L>
void paired_backward(BackwardPiece<L> p, const LoadedPiece<L>& loaded) {
  const Unit& unit = p.unit;
  const DensePart& column = unit.dense[0];
  if (p.dw && unit.relu) p.to_dx.activation = loaded.x;
  const auto layout = PackedLayout(unit).back;
  auto *scratch = loaded.scratch, *memory = scratch + paired_backward_scratch<L>(unit, p.width);
  const Band<L> dmid(memory, unit.row.out, p.out_width, p.row0, p.row1 - p.row0, loaded.dy.pad);
  clear_padding(dmid, p.height);
  data_gradient(column, unit.row.out, layout.dense[0], p.packed, 0, loaded.dy, p.height, p.out_width, p.row0,
                p.row1, scratch, ToBand<L, Exact<L>>{dmid});
  p.to_dx.column_step = unit.row.stride_w;
  if (p.want_dx)
    data_gradient(unit.row, unit.in, layout.first, p.packed, 0, dmid, p.height, p.width, p.row0, p.row1,
                  scratch, p.to_dx);
  if (!p.dw) return;
  weight_gradient(unit.row, unit.in, p.dw, loaded.x, dmid, 0, p.height, p.width, p.row0, p.row1, scratch);
  if (p.out1 == p.out0) return;
  memory += Band<L>::size(unit.row.out, p.out_width, dmid.rows, dmid.pad);
  const Band<L> mid =
      paired_mid(unit, p.packed, loaded.x, p.height, p.out_width, p.out0, p.out1, memory, scratch);
  weight_gradient(column, unit.row.out, p.dw + unit.first_weights(), mid, loaded.dy, 0, p.height, p.out_width,
                  p.out0, p.out1, scratch);
}

}  // namespace nasp::NASP_ISA
