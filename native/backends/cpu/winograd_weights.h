// Where Winograd's minimal filtering (winograd.h) applies, and its weights.
//
// Layout    w  packed by pack_winograd: (positions, ceil(O / group), C, group)
#pragma once
#include <algorithm>
#include <cstring>

#include "../../ops/unit.h"
#include "winograd_points.h"

namespace nasp::NASP_ISA {

constexpr int winograd_tiles = 4;  // of the products' register tile, and of 3x3 at once
// Outputs of that tile, and at once: 12 sums and the 4 tiles' values leave none of 16 registers idle.
constexpr int winograd_group = NASP_REGISTERS >= 32 ? 4 : 3;
constexpr int winograd_outputs = winograd_group * (NASP_REGISTERS >= 32 ? 4 : 6);

constexpr int winograd_square_taps = 3, winograd_line_taps = 7;

// 3x3, 1x7, 7x1; the lines at stride 2 along themselves. Those are taken apart into phases: pixels, and taps, whose distance
// is the stride make a convolution at stride 1, of 4 taps and of 3, and y is the sum of both.
enum class Winograd { none, square, across, down, across_strided, down_strided };
constexpr bool is_down(Winograd kind) { return kind == Winograd::down || kind == Winograd::down_strided; }
constexpr int winograd_phases(Winograd kind) {
  return kind == Winograd::across_strided || kind == Winograd::down_strided ? 2 : 1;
}
constexpr int winograd_taps(int whole, int phases) {
  return ceil_div(whole, phases);
}  // of a phase, in one direction
// Calls body<Taps>() for a line's.
template <class Body>
NASP_INLINE void with_line_taps(Winograd kind, const Body& body) {
  if (winograd_phases(kind) == 1) return body.template operator()<winograd_line_taps>();
  body.template operator()<winograd_taps(winograd_line_taps, 2)>();
}
constexpr int winograd_positions(Winograd kind) {
  constexpr int side = winograd_side(winograd_square_taps);
  return kind == Winograd::none     ? 0
         : kind == Winograd::square ? side * side
                                    : winograd_side(winograd_taps(winograd_line_taps, winograd_phases(kind)));
}
constexpr int winograd_kernel(Winograd kind) {  // taps of the whole kernel
  return kind == Winograd::square ? winograd_square_taps * winograd_square_taps : winograd_line_taps;
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
  return static_cast<std::size_t>(ceil_div(to, winograd_group)) * winograd_group * from + 16;
}
// What a pass multiplies with. Forward reads all phases of x as so many channels; dx has phases, of a convolution each.
struct WinogradProduct {
  int to, from, convolutions;
  std::size_t pitch, size;  // of one convolution's positions; all weights
  WinogradProduct(Winograd kind, int outputs, int channels, bool transpose)
      : to(transpose ? channels : outputs),
        from(transpose ? outputs : winograd_phases(kind) * channels),
        convolutions(transpose ? winograd_phases(kind) : 1),
        pitch(winograd_pitch(to, from)),
        size(convolutions * winograd_positions(kind) * pitch) {}
};

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

// (O, C, taps) -> U; `transpose` packs the kernel turned round with the roles of o and c exchanged, for dx, phase by phase. As
// many kernels at a time as there are lanes, in the order in which they lie in a group.
template <class L>
void pack_winograd(Winograd kind, typename L::scalar* packed, const typename L::scalar* w, int outputs,
                   int channels, bool transpose) {
  using S = typename L::scalar;
  constexpr int most_taps = winograd_kernel(Winograd::square), most = winograd_positions(Winograd::square);
  const WinogradProduct product(kind, outputs, channels, transpose);
  const int taps = winograd_kernel(kind), positions = winograd_positions(kind),
            phases = winograd_phases(kind), of_phase = ceil_div(taps, phases),
            group_size = product.from * winograd_group;
  for (int i = 0; i < product.convolutions; i++) {
    S* group = packed + i * positions * product.pitch;
    for (int first = 0; first < product.to; first += winograd_group, group += group_size) {
      for (int at = 0; at < group_size; at += L::count) {
        const int some = smaller(L::count, group_size - at);
        alignas(sizeof(L)) S lanes[most_taps][L::count] = {};
        for (int lane = 0; lane < some; lane++) {
          const int to = first + (at + lane) % winograd_group, from = (at + lane) / winograd_group,
                    phase = transpose ? i : from / channels;
          if (to >= product.to) continue;
          const int o = transpose ? from : to, c = transpose ? to : from - phase * channels;
          const S* kernel = w + (static_cast<std::size_t>(o) * channels + c) * taps;
          for (int k = 0; k < of_phase; k++) {
            const int t = transpose ? taps - phases + phase - phases * k : phase + phases * k;
            lanes[k][lane] = t >= 0 && t < taps ? kernel[t] : 0;  // the shorter phase ends earlier
          }
        }
        L kernels[most_taps], u[most];
        for (int k = 0; k < of_phase; k++) kernels[k] = L::load(lanes[k]);
        if (kind == Winograd::square)
          winograd_square_weights(u, kernels);
        else
          with_line_taps(kind, [&]<int Taps>() { winograd_line_weights<L, Taps>(u, kernels); });
        for (int p = 0; p < positions; p++)
          std::memcpy(group + p * product.pitch + at, &u[p], sizeof(S) * static_cast<std::size_t>(some));
      }
    }
  }
}

}  // namespace nasp::NASP_ISA
