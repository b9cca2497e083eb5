// Units forward: propagate (y stored) and probe (only sums), one driver. All units of a call read the same source, so
// a piece of work copies its padded rows once and every unit reads them from the cache.
#pragma once
#include "../../core/parallel.h"
#include "../workspace.h"
#include "pool.h"

namespace nasp::NASP_ISA {

// How a unit wants its rows loaded; units of the same kind share a band.
enum class Load { as_is, with_relu, lowest_padding };
inline Load load_of(const Unit& u) {
  return u.kind == UnitKind::max_pool ? Load::lowest_padding : u.relu ? Load::with_relu : Load::as_is;
}

// Output rows that belong to the input rows [first, end).
inline int output_row(int input_row, int stride) { return ceil_div(input_row, stride); }

template <class L, int Stride, class Epilogue>
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
        dense_tile<L, Stride>(x_row, static_cast<ptrdiff_t>(p) * Stride * L::count, group * group_pitch,
                              {first_output + o, part.out - o, row, p, out_width - p}, epilogue);
      }
    }
  }
}

// The 1x1 convolution of depthwise results: `mid` holds (C, rows, pixels) of a depthwise tile.
template <class L, class Epilogue>
void pointwise(int channels, int outputs, const typename L::scalar* packed, const typename L::scalar* mid,
               int row, int row1, int column, int out_width, const Epilogue& epilogue) {
  using S = typename L::scalar;
  constexpr ptrdiff_t pitch = static_cast<ptrdiff_t>(depthwise_rows) * depthwise_pixels * L::count;
  for (int o = 0; o < outputs; o += tile_outputs) {
    for (int i = 0; i < depthwise_rows && row + i < row1; i++) {
      for (int q = 0; q < depthwise_pixels && column + q < out_width; q += tile_pixels) {
        const Tap<S> tap = {mid + (i * depthwise_pixels + q) * L::count, packed};
        dense_tile<L, 1>({&tap, 1, channels, pitch}, 0, static_cast<ptrdiff_t>(o) * channels,
                         {o, outputs - o, row + i, column + q, out_width - column - q}, epilogue);
      }
    }
  }
}

// Depthwise rows [row0, row1): tiles of all channels handed to `take(tile memory (C, rows, pixels), row, column)`.
// Take the tiles one channel at a time through mid, so that what follows finds them in the first-level cache.
template <class L, class Take>
void depthwise_rows_of(const Unit& unit, const typename L::scalar* w, const Band<L>& x, int out_width,
                       int row0, int row1, typename L::scalar* mid, const Take& take) {
  using S = typename L::scalar;
  constexpr int R = depthwise_rows, P = depthwise_pixels;
  const int k = unit.kernel, d = unit.dilation, pad = unit.pad();
  const auto store = [&](int c, const L(&sum)[P], int r) {
    NASP_UNROLL for (int p = 0; p < P; p++) sum[p].store(mid + ((static_cast<ptrdiff_t>(c) * R + r) * P + p) *
                                                                   L::count);
  };
  const bool tiled =
      unit.stride == 1 && with_depthwise_kernel(k, d, [&]<int K, int D>() {
        const S* rows[R + (K - 1) * D];
        for (int row = row0; row < row1; row += R) {
          for (int q = 0; q < R + (K - 1) * D; q++) rows[q] = x.at(x.clamp_row(row - pad + q), 0, -pad);
          for (int column = 0; column < out_width; column += P) {
            for (int c = 0; c < unit.in; c++) {
              const auto tile = depthwise_tile<L, K, D>(
                  rows, c * x.channel_pitch + static_cast<ptrdiff_t>(column) * L::count, w + c * K * K);
              NASP_UNROLL for (int r = 0; r < R; r++) store(c, tile.sum[r], r);
            }
            take(row, column);
          }
        }
      });
  if (tiled) return;
  DepthwiseTap<L> taps[64];
  for (int row = row0; row < row1; row += R) {
    for (int column = 0; column < out_width; column += P) {
      for (int c = 0; c < unit.in; c++) {
        for (int r = 0; r < R; r++) {
          for (int i = 0; i < k * k; i++) {
            taps[i] = {x.at(x.clamp_row((row + r) * unit.stride - pad + i / k * d), c, i % k * d - pad),
                       w[c * k * k + i]};
          }
          L sum[P];
          if (unit.stride == 1)
            depthwise_row<L, 1>(sum, taps, k * k, static_cast<ptrdiff_t>(column) * L::count);
          else
            depthwise_row<L, 2>(sum, taps, k * k, static_cast<ptrdiff_t>(column) * 2 * L::count);
          store(c, sum, r);
        }
      }
      take(row, column);
    }
  }
}

// A packed unit: [depthwise (C, k, k)] [dense part 0, part 1] and, for backward, the same turned and transposed.
template <class S>
struct PackedUnit {
  const S *depthwise, *dense[2], *depthwise_turned, *dense_transposed[2];
  PackedUnit(const Unit& u, const S* p) : depthwise(p) {
    p += u.depthwise_weights();
    for (int i = 0; i < u.parts; i++)
      dense[i] = p, p += packed_dense_size(u.dense[i].out, u.in, u.dense[i].taps());
    depthwise_turned = p;
    p += u.depthwise_weights();
    for (int i = 0; i < u.parts; i++)
      dense_transposed[i] = p, p += packed_dense_size(u.in, u.dense[i].out, u.dense[i].taps());
  }
};

template <class S>
std::size_t packed_size(const Unit& u, bool backward) {
  std::size_t n = static_cast<std::size_t>(u.depthwise_weights()) * (backward ? 2 : 1);
  for (int i = 0; i < u.parts; i++) {
    n += packed_dense_size(u.dense[i].out, u.in, u.dense[i].taps());
    if (backward) n += packed_dense_size(u.in, u.dense[i].out, u.dense[i].taps());
  }
  return n;
}

template <class S>
void pack_unit(const Unit& u, S* memory, const UnitWeights<S>& w, bool backward) {
  const PackedUnit<S> p(u, memory);
  const int taps = u.kernel * u.kernel;
  for (int i = 0; i < u.depthwise_weights(); i++) memory[i] = w.depthwise[i];
  for (int i = 0; i < u.parts; i++) {
    const DensePart& d = u.dense[i];
    pack_dense(const_cast<S*>(p.dense[i]), w.dense[i], d.out, u.in, d.taps(), false);
    if (backward) pack_dense(const_cast<S*>(p.dense_transposed[i]), w.dense[i], d.out, u.in, d.taps(), true);
  }
  if (backward && u.depthwise()) turn_depthwise(const_cast<S*>(p.depthwise_turned), w.depthwise, u.in, taps);
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
          NASP_UNROLL for (int j = 0; j < tile_pixels; j++) pixels[j] = L::load(x.at(row, c, w + j));
          finish(pixels, epilogue, c, row, w, out_width - w);
        }
      }
    }
    return;
  }
  if (unit.kind != UnitKind::convolve) return pool_forward(unit, x, height, row0, row1, scratch, epilogue);
  const PackedUnit<typename L::scalar> weights(unit, packed);
  if (unit.depthwise()) {
    depthwise_rows_of(unit, weights.depthwise, x, out_width, row0, row1, scratch, [&](int row, int column) {
      pointwise<L>(unit.in, unit.out, weights.dense[0], scratch, row, row1, column, out_width, epilogue);
    });
    return;
  }
  for (int i = 0, first = 0; i < unit.parts; first += unit.dense[i].out, i++) {
    if (unit.dense[i].stride_w == 1)
      dense_rows<L, 1>(unit.dense[i], first, weights.dense[i], x, out_width, row0, row1, epilogue);
    else
      dense_rows<L, 2>(unit.dense[i], first, weights.dense[i], x, out_width, row0, row1, epilogue);
  }
}

// Scalars of scratch that a unit's piece needs beside its band.
template <class L>
std::size_t forward_scratch(const Unit& u, int width) {
  if (u.depthwise()) return static_cast<std::size_t>(u.in) * depthwise_rows * depthwise_pixels * L::count;
  return (static_cast<std::size_t>(width) + 2 * u.pad() + 2) * L::count;
}

template <class S>
View<S> block_of(View<S> v, int block) {
  if (v.data) v.data += block * v.block_pitch;
  return v;
}

template <class L>
void forward_units(const Run& run, const ForwardUnit<typename L::scalar>* units, int count,
                   const Source<typename L::scalar>& x) {
  using S = typename L::scalar;
  const int height = x.x.height, width = x.x.width, channels = x.x.channels;
  const Pieces<L> pieces(x.x, ceil_div(run.batch, L::count));
  int outputs = 0, most_outputs = 0, reach_h = 0, reach_w = 0;
  std::size_t scratch_size = 0;
  for (int u = 0; u < count; u++) {
    const Unit& unit = *units[u].unit;
    outputs += unit.out;
    most_outputs = larger(most_outputs, unit.out);
    reach_h = larger(reach_h, unit.reach_h());
    reach_w = larger(reach_w, unit.reach_w());
    const std::size_t need = forward_scratch<L>(unit, width);
    scratch_size = scratch_size > need ? scratch_size : need;
  }
  auto* partial = static_cast<PieceMoments*>(run.workspace.shared(
      Workspace::partial_moments, sizeof(PieceMoments) * static_cast<std::size_t>(pieces.count) * outputs));

  run.parallel.run(pieces.count, [&](int piece, int thread) {
    const int block = pieces.block(piece), row0 = pieces.first(piece), row1 = pieces.end(piece);
    const int rows = row1 - row0 + 2 * reach_h;
    const std::size_t band_size = Band<L>::size(channels, width, rows, reach_w);
    const std::size_t sums_size = sizeof(ChannelSums<L>) / sizeof(S) * most_outputs;
    S* memory =
        static_cast<S*>(run.workspace.thread(thread, sizeof(S) * (band_size + scratch_size + sums_size)));
    const Band<L> band(memory, channels, width, row0 - reach_h, rows, reach_w);
    S* scratch = memory + band_size;
    auto* sums = reinterpret_cast<ChannelSums<L>*>(scratch + scratch_size);
    PieceMoments* moments = partial + static_cast<ptrdiff_t>(piece) * outputs;
    const int live = live_count(L::count, run.batch, block);
    bool filled = false;
    Load loaded = Load::as_is;
    for (int u = 0; u < count; u++) {
      const Unit& unit = *units[u].unit;
      if (!filled || load_of(unit) != loaded) {
        loaded = load_of(unit), filled = true;
        fill_activation(band, x, block, loaded == Load::with_relu,
                        loaded == Load::lowest_padding ? -S(__builtin_inf()) : S(0));
      }
      const int from = output_row(row0, unit.stride_h()), to = output_row(row1, unit.stride_h());
      const int pixels = (to - from) * unit.out_width(width);
      if (pixels > 0) {
        const auto y = block_of(units[u].y, block);
        const auto g = block_of(units[u].g, block);
        if (y && g)
          unit_piece(unit, units[u].packed, band, height, from, to, scratch,
                     Forward<L, true, true>{y, g, sums, from});
        else if (g)
          unit_piece(unit, units[u].packed, band, height, from, to, scratch,
                     Forward<L, false, true>{y, g, sums, from});
        else
          unit_piece(unit, units[u].packed, band, height, from, to, scratch,
                     Forward<L, true, false>{y, g, sums, from});
      }
      for (int c = 0; c < unit.out; c++) moments[c] = merge_lanes<L>(sums[c], pixels, pixels > 0 ? live : 0);
      moments += unit.out;
    }
  });

  for (int u = 0, first = 0; u < count; first += units[u].unit->out, u++) {
    for (int c = 0; c < units[u].unit->out; c++) {
      units[u].moments[c] = merge_pieces(partial + first + c, pieces.count, outputs);
    }
  }
}

}  // namespace nasp::NASP_ISA
