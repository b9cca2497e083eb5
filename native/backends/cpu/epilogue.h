// What becomes of finished pixels. A kernel leaves neighbouring pixels of a row in lines, channel by channel; an
// epilogue takes them from there while they lie in the first-level cache, so kernels do not know whether pixels are kept
// or only measured, and sums stay in registers over many pixels.
//
//   Forward<Store>   y is stored (propagate), or multiplied with dL/dnode (probe: nothing is stored);
//                    either way its sums are gathered for the BatchNorm that follows
//   DataGradient     dx (+)= pixels, where the forward input was positive
//   ToBand           into another band (an intermediate result of the same piece): the lines are its rows
//
// An epilogue says too of which multiply-adds what it takes is made (crossed.h).
//
// segment(channel, row, column, count, pixels): `count` pixels of a row from `column` on.
#pragma once
#include "dense.h"
#include "statistics.h"

namespace nasp::NASP_ISA {

// Calls take(way, p) for each pixel; neighbours have ways of their own, so that their sums do not wait for each other.
template <int Ways, class Take>
NASP_INLINE void by_ways(int count, const Take& take) {
  int p = 0;
  for (; p + Ways <= count; p += Ways) NASP_UNROLL for (int i = 0; i < Ways; i++) take(i, p + i);
  for (; p < count; p++) take(0, p);
}
template <class L, int Ways>
NASP_INLINE L sum_of(const L (&ways)[Ways]) {
  L sum = ways[0];
  NASP_UNROLL for (int i = 1; i < Ways; i++) sum += ways[i];
  return sum;
}
template <class L, int Ways>
NASP_INLINE void clear(L (&ways)[Ways]) {
  NASP_UNROLL for (int i = 0; i < Ways; i++) ways[i] = L::zero();
}

template <class L, bool Store, class Made = ForwardProducts<L>>
struct Forward {
  using S = typename L::scalar;
  using Products = Made;
  static constexpr bool in_place = false;
  View<S> y;             // of the block; used where Store
  View<const S> g;       // of the block; used where not Store
  ChannelSums<L>* sums;  // one an output channel of the unit
  int first_row;         // of the piece, whose first pixel is the centre of the sums
  bool past_caches;      // how y is stored

  void segment(int channel, int row, int column, int count, const S* pixels) const {
    if constexpr (Store) {
      if (past_caches) return take<true>(channel, row, column, count, pixels);
    }
    take<false>(channel, row, column, count, pixels);
  }

 private:
  template <bool PastCaches>
  NASP_INLINE void take(int channel, int row, int column, int count, const S* pixels) const {
    constexpr int ways = Store ? 4 : 2;
    ChannelSums<L>& kept = sums[channel];
    if (row == first_row && column == 0) kept.centre = L::splat(*pixels);
    const L centre = kept.centre;
    const ptrdiff_t at = static_cast<ptrdiff_t>(column) * L::count;
    S* to = Store ? y.data + row * y.row_pitch + channel * y.channel_pitch + at : nullptr;
    const S* from = !Store ? g.data + row * g.row_pitch + channel * g.channel_pitch + at : nullptr;
    L sum[ways], squares[ways], gradient[ways], product[ways];
    clear(sum), clear(squares), clear(gradient), clear(product);
    by_ways<ways>(count, [&](int i, int p) NASP_LAMBDA_INLINE {
      const ptrdiff_t pixel = static_cast<ptrdiff_t>(p) * L::count;
      const L value = L::load(pixels + pixel), centred = value - centre;
      if constexpr (PastCaches)
        value.stream(to + pixel);
      else if constexpr (Store)
        value.store(to + pixel);
      sum[i] += centred;
      squares[i] += centred * centred;
      if constexpr (!Store) {
        const L g_pixel = L::load(from + pixel);
        gradient[i] += g_pixel;
        product[i] += centred * g_pixel;
      }
    });
    kept.y.add(sum_of(sum));
    kept.y_squared.add(sum_of(squares));
    if constexpr (!Store) kept.gradient += sum_of(gradient), kept.gradient_y += sum_of(product);
  }
};

// Where the activation comes from that decides what passes: the band of it that the piece has loaded anyway, or its
// source. Of neither, everything passes.
template <class L>
struct DataGradient {
  using S = typename L::scalar;
  using Products = Exact<L>;
  static constexpr bool in_place = false;
  View<S> dx;      // of the block
  Source<S> gate;  // of the block
  Band<L> activation;
  bool accumulate = false, past_caches = false;  // past_caches: how what is not accumulated is stored
  int column_step = 1;                           // pixels lie this many columns apart
  L* sums = nullptr;                             // (C, 2): of dx, and of dx * activation; null: not wanted

  void segment(int channel, int row, int column, int count, const S* pixels) const {
    S* to =
        dx.data + row * dx.row_pitch + channel * dx.channel_pitch + static_cast<ptrdiff_t>(column) * L::count;
    const ptrdiff_t step = static_cast<ptrdiff_t>(column_step) * L::count;
    if (activation.data) {
      const S* from = activation.at(row, channel, column);
      return gated(channel, count, pixels, to, step,
                   [&](int p) NASP_LAMBDA_INLINE { return L::load(from + p * step); });
    }
    if (!gate.x.data) {
      for (int p = 0; p < count; p++) put(L::load(pixels + p * L::count), to + p * step);
      return;
    }
    const S* from = gate.x.data + row * gate.x.row_pitch + channel * gate.x.channel_pitch +
                    static_cast<ptrdiff_t>(column) * L::count;
    if (!gate.norm.scale)
      return gated(channel, count, pixels, to, step,
                   [&](int p) NASP_LAMBDA_INLINE { return L::load(from + p * step); });
    const L mean = L::splat(gate.norm.mean[channel]), scale = L::splat(gate.norm.scale[channel]),
            shift = L::splat(gate.norm.shift[channel]);
    gated(channel, count, pixels, to, step,
          [&](int p) NASP_LAMBDA_INLINE { return scale * (L::load(from + p * step) - mean) + shift; });
  }

 private:
  template <class Load>
  NASP_INLINE void gated(int channel, int count, const S* pixels, S* to, ptrdiff_t step,
                         const Load& load) const {
    if (!sums) {
      for (int p = 0; p < count; p++)
        put(where_positive(load(p), L::load(pixels + p * L::count)), to + p * step);
      return;
    }
    L sum[2], product[2];
    clear(sum), clear(product);
    by_ways<2>(count, [&](int i, int p) NASP_LAMBDA_INLINE {
      const L active = load(p), kept = where_positive(active, L::load(pixels + p * L::count));
      sum[i] += kept;
      product[i] += kept * active;
      put(kept, to + p * step);
    });
    sums[2 * channel] += sum_of(sum), sums[2 * channel + 1] += sum_of(product);
  }
  void put(L value, S* to) const {
    if (accumulate)
      (L::load(to) + value).store(to);
    else if (past_caches)
      value.stream(to);
    else
      value.store(to);
  }
};

template <class L, class Made>
struct ToBand {
  using Products = Made;
  static constexpr bool in_place = true;
  Band<L> band;
};

// The lines that a kernel writes pixels of `row` to, from a channel and a column on: the epilogue's own, or `buffer`.
template <class L, class Epilogue>
Lines<typename L::scalar> lines_of(const Epilogue& epilogue, int channel, int row, int column,
                                   const Lines<typename L::scalar>& buffer) {
  if constexpr (Epilogue::in_place)
    return {epilogue.band.at(row, channel, column), epilogue.band.channel_pitch};
  else
    return buffer;
}
// All channels of the lines are there.
template <class S, class Epilogue>
void finish(const Epilogue& epilogue, int channel, int channels, int row, int column, int count,
            const Lines<S>& lines) {
  if constexpr (!Epilogue::in_place) {
    for (int c = 0; c < channels; c++)
      epilogue.segment(channel + c, row, column, count, lines.at + c * lines.pitch);
  }
}

}  // namespace nasp::NASP_ISA
