// Products with a third of their multiplications less, for processors that add beside multiply-adds, in units of their own
// (AMD's Zen 4): NASP_CROSSED, see isa_zen4.cpp. Of two channels
//
//   w1 x1 + w2 x2 = (x1 + w2) (x2 + w1) - x1 x2 - w1 w2
//
// is one multiply-add and two additions: the sum of all x1 x2 is the same for every output, which a tile adds up once for all of
// its own, and that of w1 w2 for every pixel. Of three neighbouring channels two are crossed so, and one is not: as many additions
// as multiply-adds.
//
// Layout    w  of a tap and a group of outputs: channels times a scale of each output's; minus the sum of their crossed products;
//              1 / scale
// Error     up to 3 times that of direct sums where the scale (a power of two) makes weights as large as what they meet; where
//           inputs are smaller or larger than expected, as many times more. So what reads images is not crossed (packed_unit.h)
// Source    Winograd, A New Algorithm for Inner Product, IEEE Transactions on Computers C-17, 1968
#pragma once
#include <cmath>

#include "pairs.h"

namespace nasp::NASP_ISA {

constexpr bool crosses = NASP_CROSSED;
// Of w, whether products are crossed or not.
constexpr int weight_rows(int channels) { return channels + (crosses ? 2 : 0); }
// What the root mean square of inputs is taken for: half of a normal variable's, as BatchNorm and ReLU leave it.
constexpr double expected_input = 0.7;
constexpr double not_crossed = -1;  // in its place: weights as they are, for exact products

// The multiply-adds of a dense kernel: of scalars, of crossed ones, or of pairs in bfloat16. inputs: how many a tap has of so many
// channels; rows: of weights.
template <class L>
struct Exact {
  static constexpr bool crossed = false;
  static constexpr int inputs(int channels) { return channels; }
  static constexpr int rows(int channels) { return weight_rows(channels); }
  static L first(L weight, L x) { return weight * x; }
  static L add(L sum, L weight, L x) { return sum + weight * x; }
};
template <class L>
struct Paired {
  static constexpr bool crossed = false;
  static constexpr int inputs(int channels) { return pair_count(channels); }
  static constexpr int rows(int channels) { return pair_count(channels); }
  static L first(L weight, L x) { return add(L::zero(), weight, x); }
  static L add(L sum, L weight, L x) { return add_pairs(sum, weight, x); }
};
template <class L>
struct Crossed {
  static constexpr bool crossed = true;
  static constexpr int rows(int channels) { return weight_rows(channels); }
  static constexpr int inputs(int channels) { return channels; }
};
// Of what runs forward.
template <class L>
using ForwardProducts = std::conditional_t<crosses, Crossed<L>, Exact<L>>;

// With a scalar from memory, which the load spreads: an instruction of its own would take an addition's place. Compiled where
// products are crossed alone, on vectors of 16.
template <class L>
NASP_INLINE L plus(L a, const typename L::scalar* scalar) {
  L sum;
  asm("vaddps %2%{1to16%}, %1, %0" : "=v"(sum.v) : "v"(a.v), "m"(*scalar));
  return sum;
}
template <class L>
NASP_INLINE L times(L a, const typename L::scalar* scalar) {
  L product;
  asm("vmulps %2%{1to16%}, %1, %0" : "=v"(product.v) : "v"(a.v), "m"(*scalar));
  return product;
}
template <class L>
NASP_INLINE L plus_product(L sum, L a, const typename L::scalar* scalar) {
  asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum.v) : "v"(a.v), "m"(*scalar));
  return sum;
}

// The sums of a tile, and beside them those of inputs' crossed products, which are the same for all outputs.
template <class L, int Outputs, int Pixels>
struct CrossedSums {
  using S = typename L::scalar;
  L all[Outputs][Pixels], crossed[Pixels];

  NASP_INLINE CrossedSums() {
    each([](L& sum, int, int) NASP_LAMBDA_INLINE { sum = L::zero(); });
    NASP_UNROLL for (int p = 0; p < Pixels; p++) crossed[p] = L::zero();
  }
  // Adds the products of a tap: x, so many channels `pitch` apart, of pixels `step` apart; w, rows of `Outputs`.
  NASP_INLINE void add(const S* x, ptrdiff_t pitch, ptrdiff_t step, const S* w, int channels) {
    const auto load = [&](L(&pixels)[Pixels], const S* from) NASP_LAMBDA_INLINE {
      NASP_UNROLL for (int p = 0; p < Pixels; p++) {
        pixels[p] = L::load(from + p * step);
        pixels[p].pin();
      }
    };
    const auto cross = [&](const L(&a)[Pixels], const L(&b)[Pixels]) NASP_LAMBDA_INLINE {
      NASP_UNROLL for (int p = 0; p < Pixels; p++) {
        crossed[p] += a[p] * b[p];
        crossed[p].pin();
      }
    };
    L a[Pixels], b[Pixels], c[Pixels];
    for (; channels >= 3; channels -= 3, x += 3 * pitch, w += 3 * Outputs) {
      load(a, x), load(b, x + pitch), load(c, x + 2 * pitch);
      cross(a, b);
      each([&](L& sum, int o, int p) NASP_LAMBDA_INLINE {
        const L left = plus(a[p], w + Outputs + o), right = plus(b[p], w + o);
        sum = plus_product(sum, c[p], w + 2 * Outputs + o);
        sum += left * right;
        sum.pin();
      });
    }
    if (channels == 2) {
      load(a, x), load(b, x + pitch);
      cross(a, b);
      each([&](L& sum, int o, int p)
               NASP_LAMBDA_INLINE { sum += plus(a[p], w + Outputs + o) * plus(b[p], w + o); });
    } else if (channels == 1) {
      load(a, x);
      each([&](L& sum, int o, int p) NASP_LAMBDA_INLINE { sum = plus_product(sum, a[p], w + o); });
    }
    w += channels * Outputs;
    each([&](L& sum, int o, int) NASP_LAMBDA_INLINE { sum = plus(sum, w + o); });
  }
  // Calls put(o, p, value) for all; w: of any tap of so many channels.
  template <class Put>
  NASP_INLINE void finish(const S* w, int channels, const Put& put) {
    const S* inverse = w + (channels + 1) * Outputs;
    each([&](L& sum, int o, int p) NASP_LAMBDA_INLINE { put(o, p, times(sum - crossed[p], inverse + o)); });
  }

 private:
  template <class Body>
  NASP_INLINE void each(const Body& body) {
    NASP_UNROLL for (int o = 0; o < Outputs; o++) NASP_UNROLL for (int p = 0; p < Pixels; p++)
        body(all[o][p], o, p);
  }
};

// Powers of two near the root of their arguments; of infinity and NaN one that is large.
inline Lanes<float, tile_outputs> near_root(Lanes<float, tile_outputs> squares) {
  typedef std::int32_t Bits __attribute__((vector_size(sizeof(squares.v))));
  constexpr int mantissa = 23, bias = 127, most = 40;
  Bits exponent = (reinterpret_cast<Bits>(squares.v) >> mantissa) - bias;
  exponent = (exponent + 1) >> 1;
  exponent = exponent > most ? Bits{} + most : exponent < -most ? Bits{} - most : exponent;
  return {reinterpret_cast<Lanes<float, tile_outputs>::vector>((exponent + bias) << mantissa)};
}

// A group's weights, (taps, weight_rows(channels), group), whose last two rows a tap are written, for inputs of that root mean
// square. The sums are made as a tile makes them, so that zeros, of inputs or of weights, make zeros.
inline void cross_weights(float* w, int taps, int channels, int group, double expected) {
  using Row = Lanes<float, tile_outputs>;
  const auto cross = [&](const auto& bytes) NASP_LAMBDA_INLINE {
    const auto load = [&](const float* row) NASP_LAMBDA_INLINE {
      Row value = Row::zero();
      std::memcpy(&value, row, bytes);
      return value;
    };
    const auto store = [&](float* row, Row value) NASP_LAMBDA_INLINE { std::memcpy(row, &value, bytes); };
    Row squares = Row::zero();
    for (int t = 0; t < taps; t++) {
      const float* row = w + static_cast<ptrdiff_t>(t) * weight_rows(channels) * group;
      for (int c = 0; c < channels; c++, row += group) {
        const Row weights = load(row);
        squares += weights * weights;
      }
    }
    const Row scale = near_root({static_cast<float>(expected * expected * taps * channels) / squares.v});
    for (int t = 0; t < taps; t++) {
      Row sum = Row::zero(), before = sum;
      for (int c = 0; c < channels; c++, w += group) {
        const Row weights = load(w) * scale;
        store(w, weights);
        if (c % 3 == 1) sum += weights * before;
        before = weights;
      }
      store(w, Row::zero() - sum), store(w + group, {1 / scale.v});
      w += 2 * group;
    }
  };
  if (group == tile_outputs) return cross(std::integral_constant<std::size_t, sizeof(Row)>());
  cross(sizeof(float) * static_cast<std::size_t>(group));
}

}  // namespace nasp::NASP_ISA
