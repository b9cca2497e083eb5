// BatchNorm's sums. A piece of work gathers vectors over images, centred on the first pixel of its first image, so that
// float32 does not cancel where the mean is large against the deviation, and compensated (Kahan, 1965), because a mean that is
// off by a rounding moves elements across the next ReLU's kink; then lanes are added up and pieces merged in double by (count,
// mean, sum of squared deviations): Chan, Golub and LeVeque, 1979.
#pragma once
#include "lanes.h"
#include "../backend.h"

namespace nasp::NASP_ISA {

template <class L>
struct CompensatedSum {
  L total, lost;  // lost: rounded off so far, to be taken from the total

  void add(L value) {
    const L corrected = value - lost, sum = total + corrected;
    lost = (sum - total) - corrected;
    total = sum;
  }
  double lane(int l) const { return static_cast<double>(total.v[l]) - lost.v[l]; }
};

// Of y - centre, over a piece; centre: one for all images. Sums of neighbouring pixels of a row are plain; they are added up
// compensated.
template <class L>
struct ChannelSums {
  L centre, gradient, gradient_y;
  CompensatedSum<L> y, y_squared;

  void begin() {
    centre = gradient = gradient_y = L::zero();
    y = y_squared = {L::zero(), L::zero()};
  }
};

struct PieceMoments {
  double count, mean, deviation, gradient, gradient_y;  // gradient_y: sum of g * (y - mean)
};

template <class L>
PieceMoments merge_lanes(const ChannelSums<L>& sums, int pixels, int live) {
  const double count = static_cast<double>(pixels) * live;
  if (count == 0) return {0, 0, 0, 0, 0};
  double y = 0, y_squared = 0, gradient = 0, gradient_y = 0;
  for (int l = 0; l < live; l++) {
    y += sums.y.lane(l), y_squared += sums.y_squared.lane(l);
    gradient += sums.gradient.v[l], gradient_y += sums.gradient_y.v[l];
  }
  const double mean = y / count, deviation = y_squared - y * mean;  // mean: of y - centre
  const double rounded = deviation < 0 ? 0 : deviation;  // NaN, of squares past float32's range, stays
  return {count, static_cast<double>(sums.centre.v[0]) + mean, rounded, gradient,
          gradient_y - mean * gradient};
}

// Pieces `stride` apart, in order.
inline Moments merge_pieces(const PieceMoments* pieces, int count, int stride) {
  double n = 0, mean = 0, deviation = 0, gradient = 0, gradient_y = 0;
  for (int p = 0; p < count; p++) {
    n += pieces[p * stride].count;
    mean += pieces[p * stride].count * pieces[p * stride].mean;
  }
  if (n > 0) mean /= n;
  for (int p = 0; p < count; p++) {
    const PieceMoments& m = pieces[p * stride];
    const double off = m.mean - mean;
    deviation += m.deviation + m.count * off * off;
    gradient += m.gradient;
    gradient_y += m.gradient_y + off * m.gradient;
  }
  return {mean, n > 0 ? deviation / n : 0, gradient, gradient_y};
}

// Of g and g * (y - centre), over a piece; and all pieces' `stride` apart, in order.
struct GradientSums {
  double gradient, gradient_y;
};
template <class L>
GradientSums sum_of_lanes(L gradient, L gradient_y, int live) {
  GradientSums sums = {0, 0};
  for (int l = 0; l < live; l++) sums.gradient += gradient.v[l], sums.gradient_y += gradient_y.v[l];
  return sums;
}
inline GradientSums add_pieces(const GradientSums* pieces, int count, int stride) {
  GradientSums sums = {0, 0};
  for (int p = 0; p < count; p++)
    sums.gradient += pieces[p * stride].gradient, sums.gradient_y += pieces[p * stride].gradient_y;
  return sums;
}

}  // namespace nasp::NASP_ISA
