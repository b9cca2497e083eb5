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

enum class Winograd { none, square, across, down };  // 3x3, 1x7, 7x1
constexpr int winograd_positions(Winograd kind) {
  constexpr int side = winograd_side(winograd_square_taps);
  return kind == Winograd::none     ? 0
         : kind == Winograd::square ? side * side
                                    : winograd_side(winograd_line_taps);
}

constexpr int winograd_kernel(Winograd kind) {  // taps of the whole kernel
  return kind == Winograd::square ? winograd_square_taps * winograd_square_taps : winograd_line_taps;
}

// A kernel of height x width taps at stride 1, padded by half of it.
inline bool keeps_size(const DensePart& part, int height, int width) {
  return part.stride_h == 1 && part.stride_w == 1 && part.kernel_h == height && part.pad_h == height / 2 &&
         part.kernel_w == width && part.pad_w == width / 2;
}

constexpr int winograd_channels = 16;  // fewer do not pay for the transforms
inline Winograd winograd_of(const DensePart& part, int in) {
  constexpr int square = winograd_square_taps, line = winograd_line_taps;
  return smaller(in, part.out) < winograd_channels ? Winograd::none
         : keeps_size(part, square, square)        ? Winograd::square
         : keeps_size(part, 1, line)               ? Winograd::across
         : keeps_size(part, line, 1)               ? Winograd::down
                                                   : Winograd::none;
}
// Tiles must not hang over: what lies beyond the image would round into the pixels inside.
inline bool winograd_size(int height, int width) { return height % 4 == 0 && width % 4 == 0; }

inline std::size_t winograd_pitch(int to, int from) {
  return static_cast<std::size_t>(ceil_div(to, winograd_group)) * winograd_group * from + 16;
}
inline std::size_t packed_winograd_size(Winograd kind, int to, int from) {
  return winograd_positions(kind) * winograd_pitch(to, from);
}

// U of a vector of kernels, one tap a vector.
template <class L>
void winograd_line_weights(L* u, const L* kernels) {
  constexpr int taps = winograd_line_taps, side = winograd_side(taps);
  L line[side];
  winograd_weights<L, taps>(line, kernels);
  std::copy_n(line, side, u);
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

// (O, C, taps) -> U; `transpose` packs the kernel turned round with the roles of o and c exchanged, for dx. As many kernels at
// a time as there are lanes, in the order in which they lie in a group.
template <class L>
void pack_winograd(Winograd kind, typename L::scalar* packed, const typename L::scalar* w, int outputs,
                   int channels, bool transpose) {
  using S = typename L::scalar;
  constexpr int most_taps = winograd_kernel(Winograd::square), most = winograd_positions(Winograd::square);
  const int to = transpose ? channels : outputs, from = transpose ? outputs : channels;
  const int taps = winograd_kernel(kind), positions = winograd_positions(kind);
  const std::size_t pitch = winograd_pitch(to, from),
                    o_pitch = static_cast<std::size_t>(transpose ? 1 : channels) * taps,
                    c_pitch = static_cast<std::size_t>(transpose ? channels : 1) * taps;
  const int group_size = from * winograd_group;
  for (int first = 0; first < to; first += winograd_group, packed += group_size) {
    for (int at = 0; at < group_size; at += L::count) {
      const int some = smaller(L::count, group_size - at);
      alignas(sizeof(L)) S lanes[most_taps][L::count] = {};
      for (int lane = 0; lane < some; lane++) {
        const int o = first + (at + lane) % winograd_group, c = (at + lane) / winograd_group;
        if (o >= to) continue;
        const S* kernel = w + o * o_pitch + c * c_pitch;
        for (int t = 0; t < taps; t++) lanes[t][lane] = kernel[transpose ? taps - 1 - t : t];
      }
      L kernels[most_taps], u[most];
      for (int t = 0; t < taps; t++) kernels[t] = L::load(lanes[t]);
      if (kind == Winograd::square)
        winograd_square_weights(u, kernels);
      else
        winograd_line_weights(u, kernels);
      for (int i = 0; i < positions; i++)
        std::memcpy(packed + i * pitch + at, &u[i], sizeof(S) * static_cast<std::size_t>(some));
    }
  }
}

}  // namespace nasp::NASP_ISA
