// Winograd's minimal filtering F(4, taps) in one direction: its points and its transforms.
//
//   y = A' [ (G w) * (B' x) ]    taps + 3 products for 4 outputs, instead of 4 taps
//
// A polynomial product evaluated at the points 0 (of an odd number of taps), p and -p for every p of a list, and infinity.
// Values at p and at -p have their even and odd halves in common, so each transform computes those and adds them once and
// subtracts them once.
//
// Error     of the largest value in float32: 4e-7 with 3 taps, 6e-7 with 4, 1.1e-6 with 7 (direct sums: 1e-7)
// Source    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015 (arXiv 1509.09308); the points of 4
//           and 7 taps are among those of least error, of 13 fractions up to 4
#pragma once
#include "lanes.h"

namespace nasp::NASP_ISA {

constexpr int winograd_side(int taps) { return taps + 3; }  // positions of a tile of 4

template <int Taps>
struct WinogradPoints {
  static constexpr int pairs = (Taps + 2) / 2;
  static constexpr int zero = Taps % 2;  // 1 where 0 is among the points: the pairs begin behind it
  static constexpr double point(int pair) {
    constexpr double of_three[] = {1, 2}, of_four[] = {1. / 4, 1, 3. / 2},
                     of_seven[] = {1. / 2, 3. / 4, 4. / 3, 2};
    return Taps == 3 ? of_three[pair] : Taps == 4 ? of_four[pair] : of_seven[pair];
  }
  static constexpr double power(int pair, int exponent) {
    double value = 1;
    for (int k = 0; k < exponent; k++) value *= point(pair);
    return value;
  }
  struct Tables {
    double powers[pairs][Taps + 1];    // of the points
    double without[pairs][pairs + 1];  // of x^2k in the product of all (x^2 - p^2) but one pair's
    double product[pairs + 1];         // and in that of all
    // 1 / the product of a point's distances from all others; of -p the same with 0 among them, else its negative
    double scale[pairs], zero_scale;
  };
  static constexpr Tables tables = [] {
    Tables t = {};
    for (int i = 0; i < pairs; i++)
      for (int k = 0; k <= Taps; k++) t.powers[i][k] = power(i, k);
    for (int left_out = 0; left_out <= pairs; left_out++) {
      double c[pairs + 1] = {1};
      for (int i = 0; i < pairs; i++) {
        if (i == left_out) continue;
        for (int k = pairs; k >= 0; k--) c[k] = (k ? c[k - 1] : 0) - power(i, 2) * c[k];
      }
      for (int k = 0; k <= pairs; k++) (left_out < pairs ? t.without[left_out] : t.product)[k] = c[k];
    }
    t.zero_scale = 1;
    for (int i = 0; i < pairs; i++) {
      double distances = 2 * power(i, 1 + zero);
      for (int j = 0; j < pairs; j++)
        if (j != i) distances *= power(i, 2) - power(j, 2);
      t.scale[i] = 1 / distances;
      t.zero_scale /= -power(i, 2);
    }
    return t;
  }();
};

// sum + a v and a v, of a number known at compile time.
template <class L>
NASP_INLINE L winograd_add(L sum, double a, L v) {
  return a == 1 ? sum + v : a == -1 ? sum - v : sum + L::splat(static_cast<typename L::scalar>(a)) * v;
}

template <class L>
NASP_INLINE L winograd_times(double a, L v) {
  return a == 1 ? v : L::splat(static_cast<typename L::scalar>(a)) * v;
}

// B' d: its rows at the pairs of points, from d[zero .. zero + 2 pairs - 1].
template <class L, int Taps>
NASP_INLINE void winograd_inner(L (&v)[2 * WinogradPoints<Taps>::pairs], const L (&d)[winograd_side(Taps)]) {
  using Points = WinogradPoints<Taps>;
  constexpr auto& table = Points::tables;
  constexpr int pairs = Points::pairs, zero = Points::zero;
  L sum[pairs], times_point[pairs];
  NASP_UNROLL for (int i = 0; i < pairs; i++) {
    sum[i] = d[zero + 2 * pairs - 1], times_point[i] = d[zero + 2 * pairs - 2];
    NASP_UNROLL for (int k = 0; k < pairs - 1; k++) {
      sum[i] = winograd_add(sum[i], table.without[i][k], d[zero + 2 * k + 1]);
      times_point[i] = winograd_add(times_point[i], table.without[i][k], d[zero + 2 * k]);
    }
  }
  NASP_UNROLL for (int i = 0; i < pairs; i++) {
    v[2 * i] = winograd_add(sum[i], table.powers[i][1], times_point[i]);
    v[2 * i + 1] = winograd_add(sum[i], -table.powers[i][1], times_point[i]);
  }
}
// At 0 (Last false) or at infinity.
template <class L, int Taps, bool Last>
NASP_INLINE L winograd_outer(const L (&d)[winograd_side(Taps)]) {
  using Points = WinogradPoints<Taps>;
  constexpr int pairs = Points::pairs, from = Last ? Points::zero : 0;
  L value = d[from + 2 * pairs];
  NASP_UNROLL for (int k = 0; k < pairs; k++) value =
      winograd_add(value, Points::tables.product[k], d[from + 2 * k]);
  return value;
}

// A' m.
template <class L, int Taps>
NASP_INLINE void winograd_back(L (&y)[4], const L (&m)[winograd_side(Taps)]) {
  constexpr int pairs = WinogradPoints<Taps>::pairs, zero = WinogradPoints<Taps>::zero;
  const auto& powers = WinogradPoints<Taps>::tables.powers;
  L half[2][pairs];
  NASP_UNROLL for (int i = 0; i < pairs; i++) {
    half[0][i] = m[zero + 2 * i] + m[zero + 2 * i + 1];
    half[1][i] = m[zero + 2 * i] - m[zero + 2 * i + 1];
  }
  NASP_UNROLL for (int k = 0; k < 4; k++) {
    y[k] = winograd_times(powers[0][k], half[k % 2][0]);
    NASP_UNROLL for (int i = 1; i < pairs; i++) y[k] = winograd_add(y[k], powers[i][k], half[k % 2][i]);
  }
  if (zero) y[0] += m[0];
  y[3] += m[zero + 2 * pairs];
}

// A y.
template <class L, int Taps>
NASP_INLINE void winograd_spread(L (&d)[winograd_side(Taps)], const L (&y)[4]) {
  constexpr int pairs = WinogradPoints<Taps>::pairs, zero = WinogradPoints<Taps>::zero;
  const auto& powers = WinogradPoints<Taps>::tables.powers;
  if (zero) d[0] = y[0];
  d[zero + 2 * pairs] = y[3];
  NASP_UNROLL for (int i = 0; i < pairs; i++) {
    const L even = winograd_add(y[0], powers[i][2], y[2]),
            odd = winograd_add(winograd_times(powers[i][1], y[1]), powers[i][3], y[3]);
    d[zero + 2 * i] = even + odd, d[zero + 2 * i + 1] = even - odd;
  }
}

// G w of one row or column.
template <class L, int Taps>
void winograd_weights(L (&u)[winograd_side(Taps)], const L* w) {
  constexpr int pairs = WinogradPoints<Taps>::pairs, zero = WinogradPoints<Taps>::zero;
  const auto& tables = WinogradPoints<Taps>::tables;
  for (int i = 0; i < pairs; i++) {
    L half[2] = {L::zero(), L::zero()};
    for (int k = 0; k < Taps; k++)
      half[k % 2] = winograd_add(half[k % 2], tables.scale[i] * tables.powers[i][k], w[k]);
    u[zero + 2 * i] = half[0] + half[1];
    u[zero + 2 * i + 1] = zero ? half[0] - half[1] : half[1] - half[0];
  }
  if (zero) u[0] = winograd_times(tables.zero_scale, w[0]);
  u[zero + 2 * pairs] = w[Taps - 1];
}

// G' u.
template <class L, int Taps>
NASP_INLINE void winograd_gather(L (&w)[Taps], const L (&u)[winograd_side(Taps)]) {
  constexpr int pairs = WinogradPoints<Taps>::pairs, zero = WinogradPoints<Taps>::zero;
  const auto& tables = WinogradPoints<Taps>::tables;
  if (zero) w[0] = winograd_times(tables.zero_scale, u[0]);
  w[Taps - 1] = u[zero + 2 * pairs];
  NASP_UNROLL for (int k = 0; k < Taps; k++) {
    NASP_UNROLL for (int i = 0; i < pairs; i++) {
      const L plus = u[zero + 2 * i], minus = u[zero + 2 * i + 1],
              half = k % 2 == zero ? plus - minus : plus + minus;
      const double scale = tables.scale[i] * tables.powers[i][k];
      const bool begins = i == 0 && k < Taps - 1 && (k > 0 || !zero);
      w[k] = begins ? winograd_times(scale, half) : winograd_add(w[k], scale, half);
    }
  }
}

}  // namespace nasp::NASP_ISA
