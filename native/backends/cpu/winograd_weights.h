// Where Winograd's minimal filtering (winograd.h) applies, and its weights.
//
// Layout    w  packed by pack_winograd: (positions, groups of outputs, C, outputs of the group)
#pragma once
#include <algorithm>
#include <cstring>

#include "../../ops/unit.h"
#include "crossed.h"
#include "winograd_points.h"

namespace nasp::NASP_ISA {

constexpr int winograd_tiles = 4;  // of 3x3 at once
// The products' register tile: 12 sums and the 4 tiles' values leave none of 16 registers idle. And outputs at once.
constexpr int winograd_group = crosses                ? 8
                               : NASP_REGISTERS >= 32 ? 4
                                                      : 3,
              winograd_group_tiles = crosses ? 2 : winograd_tiles;
constexpr int winograd_outputs = NASP_REGISTERS >= 32 ? 16 : 18;
// Outputs of the group that begins with output o: the last ones of those at once share what is left, none alone with a full one
// before it.
inline int winograd_group_at(int o, int outputs) {
  constexpr int small = smaller(winograd_group, 4);
  const int left = smaller(outputs - o, winograd_outputs - o % winograd_outputs);
  return left >= winograd_group && crosses ? winograd_group : left == small + 1 ? 2 : smaller(left, small);
}

constexpr int winograd_square_taps = 3, winograd_line_taps = 7;

// 3x3, 1x7, 7x1, and the lines at stride 2 along themselves. Those are taken apart into phases: pixels, and taps, whose distance
// is the stride make a convolution at stride 1 of half of the taps, and y is the sum of both.
enum class Winograd { none, square, across, down, across_strided, down_strided };
constexpr bool is_down(Winograd kind) { return kind == Winograd::down || kind == Winograd::down_strided; }
constexpr int winograd_phases(Winograd kind) {
  return kind == Winograd::across_strided || kind == Winograd::down_strided ? 2 : 1;
}
// Taps in one direction: of the whole kernel, and of a phase (one of two phases has one less).
constexpr int winograd_side_taps(Winograd kind) {
  return kind == Winograd::square ? winograd_square_taps : winograd_line_taps;
}
constexpr int winograd_phase_taps(Winograd kind) {
  return ceil_div(winograd_side_taps(kind), winograd_phases(kind));
}
// Calls body<Taps>() for a line's phase.
template <class Body>
NASP_INLINE void with_line_taps(Winograd kind, const Body& body) {
  if (winograd_phases(kind) == 1) return body.template operator()<winograd_phase_taps(Winograd::across)>();
  body.template operator()<winograd_phase_taps(Winograd::across_strided)>();
}
constexpr int winograd_positions(Winograd kind) {
  const int side = winograd_side(winograd_phase_taps(kind));
  return kind == Winograd::none ? 0 : kind == Winograd::square ? side * side : side;
}
constexpr int winograd_kernel(Winograd kind) {  // taps of the whole kernel
  return winograd_side_taps(kind) * (kind == Winograd::square ? winograd_square_taps : 1);
}

// A kernel of height x width taps padded by half of it.
inline bool is_padded(const DensePart& part, int height, int width, int stride_h, int stride_w) {
  return part.stride_h == stride_h && part.stride_w == stride_w && part.kernel_h == height &&
         part.pad_h == height / 2 && part.kernel_w == width && part.pad_w == width / 2;
}

constexpr int winograd_channels = 16;  // fewer do not pay for the transforms
inline Winograd winograd_of(const DensePart& part, int in) {
  constexpr int square = winograd_square_taps, line = winograd_line_taps;
  return smaller(in, part.out) < winograd_channels ? Winograd::none
         : is_padded(part, square, square, 1, 1)   ? Winograd::square
         : is_padded(part, 1, line, 1, 1)          ? Winograd::across
         : is_padded(part, line, 1, 1, 1)          ? Winograd::down
         : is_padded(part, 1, line, 1, 2)          ? Winograd::across_strided
         : is_padded(part, line, 1, 2, 1)          ? Winograd::down_strided
                                                   : Winograd::none;
}
// And on an image of that size: tiles must not hang over, what lies beyond the image would round into the pixels inside.
inline Winograd winograd_on(const DensePart& part, int in, int height, int width) {
  const bool fits = height % (4 * part.stride_h) == 0 && width % (4 * part.stride_w) == 0;
  return fits ? winograd_of(part, in) : Winograd::none;
}

inline std::size_t winograd_pitch(int to, int from) {  // from one position of the weights to the next
  return static_cast<std::size_t>(to) * weight_rows(from) + 16;
}
inline std::size_t packed_winograd_size(Winograd kind, int to, int from) {
  return winograd_phases(kind) * winograd_positions(kind) * winograd_pitch(to, from);
}

// U of a vector of kernels, one tap a vector.
template <class L, int Taps>
void winograd_line_weights(L* u, const L* kernels) {
  L line[winograd_side(Taps)];
  winograd_weights<L, Taps>(line, kernels);
  std::copy_n(line, winograd_side(Taps), u);
}
template <class L>
void winograd_square_weights(L* u, const L* kernels) {
  constexpr int taps = winograd_square_taps, side = winograd_side(taps);
  L half[taps][side], column_u[side];
  for (int r = 0; r < taps; r++) winograd_weights<L, taps>(half[r], kernels + taps * r);
  for (int j = 0; j < side; j++) {
    const L column[taps] = {half[0][j], half[1][j], half[2][j]};
    winograd_weights<L, taps>(column_u, column);
    for (int i = 0; i < side; i++) u[i * side + j] = column_u[i];
  }
}

// A phase of a convolution: in the direction of its stride, every so many-th pixel and tap. Of x, or transposed (the kernel turned
// round) of dx. At stride 1 there is one, of everything.
struct WinogradPhase {
  Winograd kind;
  int index;
  bool transpose;

  // Where the pixels lie that a tile's row or column reads, and those that it gives; all of dy is read, and all of y given.
  int read_row(int r) const { return !transpose && is_down(kind) ? spread(r) : r; }
  int read_column(int c) const { return !transpose && !is_down(kind) ? spread(c) : c; }
  int given_row(int r) const { return transpose && is_down(kind) ? spread(r) : r; }
  int given_column(int c) const { return transpose && !is_down(kind) ? spread(c) : c; }
  int read_step() const { return transpose ? 1 : winograd_phases(kind); }
  int reach() const {  // how far before its own first pixel a tile reads
    const int pad = winograd_side_taps(kind) / 2;
    return transpose && winograd_phases(kind) == 2 ? (pad - 1) / 2 : pad;
  }
  // Tap k among the whole kernel's; -1: that has ended.
  int tap(int k) const {
    const int whole = winograd_kernel(kind), step = winograd_phases(kind),
              t = transpose ? whole - step + index - step * k : index + step * k;
    return t < whole ? larger(t, -1) : -1;
  }
  // Whether it has products there: at infinity stands the last tap alone.
  bool has(int position) const {
    return position + 1 < winograd_positions(kind) || tap(winograd_phase_taps(kind) - 1) >= 0;
  }

 private:
  int spread(int i) const { return index + i * winograd_phases(kind); }
};

// What the root mean square of inputs grows to at the positions of a line's transform.
template <class L, int Taps>
struct WinogradGrowth {
  double of[winograd_side(Taps)];

  static const WinogradGrowth& get() {
    static const WinogradGrowth growth;
    return growth;
  }

 private:
  WinogradGrowth() : of{} {
    constexpr int N = winograd_side(Taps), zero = WinogradPoints<Taps>::zero, inside = N - 1 - zero;
    for (int i = 0; i < N; i++) {
      L d[N], inner[inside];
      for (int j = 0; j < N; j++) d[j] = L::splat(i == j);
      winograd_inner<L, Taps>(inner, d);
      const auto add = [&](int position, L value) {
        of[position] += static_cast<double>(value.v[0]) * value.v[0];
      };
      if constexpr (zero) add(0, winograd_outer<L, Taps, false>(d));
      for (int j = 0; j < inside; j++) add(j + zero, inner[j]);
      add(N - 1, winograd_outer<L, Taps, true>(d));
    }
    for (double& value : of) value = std::sqrt(value);
  }
};
template <class L>
double winograd_growth(Winograd kind, int position) {
  constexpr int taps = winograd_square_taps, side = winograd_side(taps);
  if (kind == Winograd::square) {
    const auto& growth = WinogradGrowth<L, taps>::get().of;
    return growth[position / side] * growth[position % side];
  }
  double growth = 1;
  with_line_taps(kind, [&]<int Taps>() { growth = WinogradGrowth<L, Taps>::get().of[position]; });
  return growth;
}

// (O, C, taps) -> U, phase by phase; `transpose` packs the kernel turned round with the roles of o and c exchanged, for dx. As
// many kernels at a time as there are lanes, in the order in which they lie in a group. expected: as pack_dense's.
template <class L>
void pack_winograd(const Run& run, Winograd kind, typename L::scalar* packed, const typename L::scalar* w,
                   int outputs, int channels, bool transpose, double expected) {
  using S = typename L::scalar;
  constexpr int most_taps = winograd_kernel(Winograd::square), most = winograd_positions(Winograd::square);
  const int to = transpose ? channels : outputs, from = transpose ? outputs : channels;
  const int taps = winograd_kernel(kind), positions = winograd_positions(kind),
            phases = winograd_phases(kind);
  const std::size_t pitch = winograd_pitch(to, from),
                    o_pitch = static_cast<std::size_t>(transpose ? 1 : channels) * taps,
                    c_pitch = static_cast<std::size_t>(transpose ? channels : 1) * taps;
  const int pieces = ceil_div(to, winograd_outputs);  // of a phase
  run.parallel.run(phases * pieces, [&](int index, int) {
    const WinogradPhase phase = {kind, index / pieces, transpose};
    const int begin = index % pieces * winograd_outputs, end = smaller(to, begin + winograd_outputs);
    S* group = packed + phase.index * positions * pitch + static_cast<std::size_t>(begin) * weight_rows(from);
    for (int first = begin, grouped; first < end; first += grouped, group += weight_rows(from) * grouped) {
      grouped = winograd_group_at(first, to);
      for (int at = 0; at < from * grouped; at += L::count) {
        const int some = smaller(L::count, from * grouped - at);
        alignas(sizeof(L)) S lanes[most_taps][L::count] = {};
        for (int lane = 0, o = first + at % grouped, c = at / grouped; lane < some; lane++) {
          const S* kernel = w + o * o_pitch + c * c_pitch;
          for (int k = 0; k < ceil_div(taps, phases); k++) {
            const int t = phase.tap(k);
            if (t >= 0) lanes[k][lane] = kernel[t];
          }
          if (++o == first + grouped) o = first, c++;
        }
        L kernels[most_taps], u[most];
        for (int k = 0; k < most_taps; k++) kernels[k] = L::load(lanes[k]);
        if (kind == Winograd::square)
          winograd_square_weights(u, kernels);
        else
          with_line_taps(kind, [&]<int Taps>() { winograd_line_weights<L, Taps>(u, kernels); });
        for (int p = 0; p < positions; p++) {
          S* to_group = group + p * pitch + at;
          if (some == L::count)  // without a call
            std::memcpy(to_group, &u[p], sizeof(L));
          else
            std::memcpy(to_group, &u[p], sizeof(S) * static_cast<std::size_t>(some));
        }
      }
      for (int p = 0; p < positions && crosses && expected != not_crossed; p++)
        if constexpr (crosses)
          cross_weights(group + p * pitch, 1, from, grouped, expected * winograd_growth<L>(kind, p));
    }
  });
}

// U of a forward pass in pairs of input channels, in place.
inline void pair_winograd(Winograd kind, float* packed, int outputs, int channels) {
  const std::size_t pitch = winograd_pitch(outputs, channels);
  for (int p = 0; p < winograd_phases(kind) * winograd_positions(kind); p++, packed += pitch) {
    for (int first = 0, grouped; first < outputs; first += grouped) {
      grouped = winograd_group_at(first, outputs);
      pair_weights(packed + static_cast<ptrdiff_t>(first) * pair_count(channels),
                   packed + static_cast<ptrdiff_t>(first) * weight_rows(channels), channels, grouped);
    }
  }
}

}  // namespace nasp::NASP_ISA
