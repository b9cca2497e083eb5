// What becomes of finished pixels. A kernel hands over up to N neighbouring pixels of one output channel, and says at
// compile time whether they are all there (Whole); it does not know whether they are kept or only measured.
//
// A pixel's sum of products begins at start(channel).
//
//   Forward<Store, Gradient>   y is stored (propagate), or multiplied with dL/dnode (probe: nothing is stored);
//                              either way its sums are gathered for the BatchNorm that follows
//   DataGradient               dx (+)= pixels, where the forward input was positive
//   ToBand                     into another band (an intermediate result of the same piece)
#pragma once
#include "dense.h"
#include "depthwise.h"
#include "statistics.h"

namespace nasp::NASP_ISA {

template <class L, bool Store, bool Gradient>
struct Forward {
  using S = typename L::scalar;
  View<S> y;             // of the block; unused unless Store
  View<const S> g;       // of the block; unused unless Gradient
  ChannelSums<L>* sums;  // one an output channel of the unit
  int first_row, width;  // of the piece: its first pixel is the centre of the sums; of y

  // Where only y - centre is wanted, the products start from it.
  L start(int channel) const { return Store ? L::zero() : L::zero() - sums[channel].centre; }

  template <bool Whole, int N>
  NASP_INLINE void pixels(const L (&pixels)[N], int channel, int row, int column, int count) const {
    ChannelSums<L>& kept = sums[channel];
    const bool first = row == first_row && column == 0;
    if (first) kept.centre = pixels[0];
    L centred[N];
    NASP_UNROLL for (int p = 0; p < N; p++) centred[p] = pixels[p];
    if (Store || first) {
      const L centre = kept.centre;
      NASP_UNROLL for (int p = 0; p < N; p++) centred[p] = pixels[p] - centre;
    }
    L sum = kept.y_row, squares = kept.y_squared_row, product = kept.gradient_y;
    S* to = Store ? y.data + row * y.row_pitch + channel * y.channel_pitch +
                        static_cast<ptrdiff_t>(column) * L::count
                  : nullptr;
    const S* from = Gradient ? g.data + row * g.row_pitch + channel * g.channel_pitch +
                                   static_cast<ptrdiff_t>(column) * L::count
                             : nullptr;
    const auto take = [&](int p) NASP_LAMBDA_INLINE {
      if constexpr (Store) pixels[p].store(to + static_cast<ptrdiff_t>(p) * L::count);
      sum += centred[p];
      squares += centred[p] * centred[p];
      if constexpr (Gradient) product += centred[p] * L::load(from + static_cast<ptrdiff_t>(p) * L::count);
    };
    NASP_UNROLL for (int p = 0; p < N; p++) if (Whole || p < count) take(p);
    if constexpr (Gradient) kept.gradient_y = product;
    if (column + count < width) {
      kept.y_row = sum, kept.y_squared_row = squares;
    } else {
      kept.end_row(sum, squares);
    }
  }
};

// Where the activation comes from that decides what passes: the band of it that the piece has loaded anyway, or its
// source. Of neither, everything passes.
template <class L>
struct DataGradient {
  using S = typename L::scalar;
  View<S> dx;      // of the block
  Source<S> gate;  // of the block
  Band<L> activation;
  bool accumulate = false;
  int column_step = 1;  // pixels lie this many columns apart
  L* sums = nullptr;    // (C, 2): of dx, and of dx * activation; null: not wanted

  static L start(int) { return L::zero(); }
  template <bool Whole, int N>
  NASP_INLINE void pixels(const L (&pixels)[N], int channel, int row, int column, int count) const {
    S* to =
        dx.data + row * dx.row_pitch + channel * dx.channel_pitch + static_cast<ptrdiff_t>(column) * L::count;
    const ptrdiff_t step = static_cast<ptrdiff_t>(column_step) * L::count;
    if (activation.data) {
      const S* from = activation.at(row, channel, column);
      const auto load = [&](int p) NASP_LAMBDA_INLINE { return L::load(from + p * step); };
      gated<Whole>(pixels, channel, count, to, step, load);
      return;
    }
    if (!gate.x.data) {
      NASP_UNROLL for (int p = 0; p < N; p++) if (Whole || p < count) put(pixels[p], to + p * step);
      return;
    }
    const S* from = gate.x.data + row * gate.x.row_pitch + channel * gate.x.channel_pitch +
                    static_cast<ptrdiff_t>(column) * L::count;
    if (!gate.norm.scale) {
      const auto load = [&](int p) NASP_LAMBDA_INLINE { return L::load(from + p * step); };
      gated<Whole>(pixels, channel, count, to, step, load);
      return;
    }
    const L mean = L::splat(gate.norm.mean[channel]), scale = L::splat(gate.norm.scale[channel]),
            shift = L::splat(gate.norm.shift[channel]);
    const auto load = [&](int p)
                          NASP_LAMBDA_INLINE { return scale * (L::load(from + p * step) - mean) + shift; };
    gated<Whole>(pixels, channel, count, to, step, load);
  }

 private:
  template <bool Whole, int N, class Load>
  NASP_INLINE void gated(const L (&pixels)[N], int channel, int count, S* to, ptrdiff_t step,
                         const Load& load) const {
    if (!sums) {
      NASP_UNROLL for (int p = 0; p < N; p++) if (Whole || p < count)
          put(where_positive(load(p), pixels[p]), to + p * step);
      return;
    }
    L sum = sums[2 * channel], product = sums[2 * channel + 1];
    NASP_UNROLL for (int p = 0; p < N; p++) if (Whole || p < count) {
      const L active = load(p), kept = where_positive(active, pixels[p]);
      sum += kept;
      product += kept * active;
      put(kept, to + p * step);
    }
    sums[2 * channel] = sum, sums[2 * channel + 1] = product;
  }
  void put(L value, S* to) const { (accumulate ? L::load(to) + value : value).store(to); }
};

template <class L>
struct ToBand {
  Band<L> band;

  static L start(int) { return L::zero(); }
  template <bool Whole, int N>
  NASP_INLINE void pixels(const L (&pixels)[N], int channel, int row, int column, int count) const {
    auto* to = band.at(row, channel, column);
    NASP_UNROLL for (int p = 0; p < N; p++) if (Whole || p < count) pixels[p].store(to + p * L::count);
  }
};

// Up to N pixels of one channel, `count` of them wanted or more.
template <class L, int N, class Epilogue>
NASP_INLINE void finish(const L (&pixels)[N], const Epilogue& epilogue, int channel, int row, int column,
                        int count) {
  if (count >= N)
    epilogue.template pixels<true>(pixels, channel, row, column, N);
  else
    epilogue.template pixels<false>(pixels, channel, row, column, count);
}

}  // namespace nasp::NASP_ISA
