// What becomes of finished pixels. A kernel hands over up to N neighbouring pixels of one output channel, and says at
// compile time whether they are all there (Whole); it does not know whether they are kept or only measured.
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
  int first_row;         // of the piece: its first pixel is the centre of the sums

  template <bool Whole, int N>
  void pixels(const L (&pixels)[N], int channel, int row, int column, int count) const {
    ChannelSums<L>& kept = sums[channel];
    if (row == first_row && column == 0)
      kept = {pixels[0], {L::zero(), L::zero()}, {L::zero(), L::zero()}, L::zero(), L::zero()};
    ChannelSums<L> total = kept;  // in registers: the compiler must assume that y and the sums overlap
    S* to = Store ? y.data + row * y.row_pitch + channel * y.channel_pitch +
                        static_cast<ptrdiff_t>(column) * L::count
                  : nullptr;
    const S* from = Gradient ? g.data + row * g.row_pitch + channel * g.channel_pitch +
                                   static_cast<ptrdiff_t>(column) * L::count
                             : nullptr;
    L sum = L::zero(), squares = L::zero();
    if constexpr (Whole) {
      NASP_UNROLL for (int p = 0; p < N; p++) take(total, sum, squares, pixels[p], to, from, p);
    } else {
      for (int p = 0; p < count; p++) take(total, sum, squares, pixels[p], to, from, p);
    }
    total.y.add(sum);
    total.y_squared.add(squares);
    kept.y = total.y;
    kept.y_squared = total.y_squared;
    if constexpr (Gradient) kept.gradient = total.gradient, kept.gradient_y = total.gradient_y;
  }

 private:
  static void take(ChannelSums<L>& total, L& sum, L& squares, L value, S* to, const S* from, int p) {
    if constexpr (Store) value.store(to + static_cast<ptrdiff_t>(p) * L::count);
    const L centred = value - total.centre;
    sum += centred;
    squares += centred * centred;
    if constexpr (Gradient) {
      const L gradient = L::load(from + static_cast<ptrdiff_t>(p) * L::count);
      total.gradient += gradient;
      total.gradient_y += gradient * centred;
    }
  }
};

template <class L>
struct DataGradient {
  using S = typename L::scalar;
  View<S> dx;      // of the block
  Source<S> gate;  // of the block; x.data null: no ReLU to pass
  bool accumulate;
  int column_step;  // pixels lie this many columns apart

  template <bool Whole, int N>
  void pixels(const L (&pixels)[N], int channel, int row, int column, int count) const {
    S* to =
        dx.data + row * dx.row_pitch + channel * dx.channel_pitch + static_cast<ptrdiff_t>(column) * L::count;
    const ptrdiff_t step = static_cast<ptrdiff_t>(column_step) * L::count;
    const int n = Whole ? N : count;
    if (!gate.x.data) {
      NASP_UNROLL for (int p = 0; p < (Whole ? N : n); p++) put(pixels[p], to + p * step);
      return;
    }
    const S* from = gate.x.data + row * gate.x.row_pitch + channel * gate.x.channel_pitch +
                    static_cast<ptrdiff_t>(column) * L::count;
    if (!gate.norm.scale) {
      NASP_UNROLL for (int p = 0; p < (Whole ? N : n); p++)
          put(where_positive(L::load(from + p * step), pixels[p]), to + p * step);
      return;
    }
    const L mean = L::splat(gate.norm.mean[channel]), scale = L::splat(gate.norm.scale[channel]),
            shift = L::splat(gate.norm.shift[channel]);
    NASP_UNROLL for (int p = 0; p < (Whole ? N : n); p++) {
      put(where_positive(scale * (L::load(from + p * step) - mean) + shift, pixels[p]), to + p * step);
    }
  }

 private:
  void put(L value, S* to) const { (accumulate ? L::load(to) + value : value).store(to); }
};

template <class L>
struct ToBand {
  Band<L> band;

  template <bool Whole, int N>
  void pixels(const L (&pixels)[N], int channel, int row, int column, int count) const {
    auto* to = band.at(row, channel, column);
    if constexpr (Whole) {
      NASP_UNROLL for (int p = 0; p < N; p++) pixels[p].store(to + p * L::count);
    } else {
      for (int p = 0; p < count; p++) pixels[p].store(to + static_cast<ptrdiff_t>(p) * L::count);
    }
  }
};

// Up to N pixels of one channel, `count` of them wanted or more.
template <class L, int N, class Epilogue>
inline void finish(const L (&pixels)[N], const Epilogue& epilogue, int channel, int row, int column,
                   int count) {
  if (count >= N)
    epilogue.template pixels<true>(pixels, channel, row, column, N);
  else
    epilogue.template pixels<false>(pixels, channel, row, column, count);
}

}  // namespace nasp::NASP_ISA
