// Where Winograd's minimal filtering (winograd.h) applies, and its weights.
//
// Layout    w  packed by pack_winograd: (positions, ceil(O / group), C, group)
#pragma once
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

// U of one kernel: its value at position i lies i * pitch on.
template <class S>
void pack_winograd_line(S* packed, const S* kernel, std::size_t pitch) {
  constexpr int taps = winograd_line_taps, side = winograd_side(taps);
  S u[side];
  winograd_weights<S, taps>(u, kernel);
  for (int i = 0; i < side; i++) packed[i * pitch] = u[i];
}
template <class S>
void pack_winograd_square(S* packed, const S* kernel, std::size_t pitch) {
  constexpr int taps = winograd_square_taps, side = winograd_side(taps);
  S half[taps][side], u[side];
  for (int r = 0; r < taps; r++) winograd_weights<S, taps>(half[r], kernel + taps * r);
  for (int j = 0; j < side; j++) {
    const S column[taps] = {half[0][j], half[1][j], half[2][j]};
    winograd_weights<S, taps>(u, column);
    for (int i = 0; i < side; i++) packed[(i * side + j) * pitch] = u[i];
  }
}

// (O, C, taps) -> U; `transpose` packs the kernel turned round with the roles of o and c exchanged, for dx.
template <class S>
void pack_winograd(Winograd kind, S* packed, const S* w, int outputs, int channels, bool transpose) {
  const int to = transpose ? channels : outputs, from = transpose ? outputs : channels;
  const int taps = winograd_kernel(kind);
  const std::size_t pitch = winograd_pitch(to, from);
  for (int o = 0; o < ceil_div(to, winograd_group) * winograd_group; o++) {
    for (int c = 0; c < from; c++) {
      S kernel[winograd_kernel(Winograd::square)] = {};
      const S* own =
          w + (static_cast<std::size_t>(transpose ? c : o) * channels + (transpose ? o : c)) * taps;
      for (int t = 0; o < to && t < taps; t++) kernel[t] = own[transpose ? taps - 1 - t : t];
      S* at = packed + (static_cast<std::size_t>(o / winograd_group) * from + c) * winograd_group +
              o % winograd_group;
      if (kind == Winograd::square)
        pack_winograd_square(at, kernel, pitch);
      else
        pack_winograd_line(at, kernel, pitch);
    }
  }
}

}  // namespace nasp::NASP_ISA
