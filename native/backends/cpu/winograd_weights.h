// Where Winograd's minimal filtering (winograd.h) applies, and its weights.
//
// Layout    w  packed by pack_winograd: (positions, ceil(O / group), C, group)
#pragma once
#include "../../ops/unit.h"
#include "lanes.h"

namespace nasp::NASP_ISA {

constexpr int winograd_side = 6;
constexpr int winograd_tiles = 4;  // of the products' register tile, and of 3x3 at once
// Outputs of that tile, and at once: 12 sums and the 4 tiles' values leave none of 16 registers idle.
constexpr int winograd_group = NASP_REGISTERS >= 32 ? 4 : 3;
constexpr int winograd_outputs = winograd_group * (NASP_REGISTERS >= 32 ? 4 : 6);

enum class Winograd { none, square, across, down };

// Fewer channels do not pay for the transforms.
constexpr int winograd_square_channels = 16, winograd_line_channels = 32;
inline Winograd winograd_of(const DensePart& part, int in) {
  const int channels = smaller(in, part.out),
            needed = part.taps() == 9 ? winograd_square_channels : winograd_line_channels;
  if (part.stride_h != 1 || part.stride_w != 1 || channels < needed) return Winograd::none;
  const bool across = part.kernel_w == 3 && part.pad_w == 1, down = part.kernel_h == 3 && part.pad_h == 1;
  if (across && down) return Winograd::square;
  if (across && part.kernel_h == 1) return Winograd::across;
  if (down && part.kernel_w == 1) return Winograd::down;
  return Winograd::none;
}
// Tiles must not hang over: what lies beyond the image would round into the pixels inside.
inline bool winograd_size(int height, int width) { return height % 4 == 0 && width % 4 == 0; }

constexpr int winograd_positions(Winograd kind) {
  return kind == Winograd::none     ? 0
         : kind == Winograd::square ? winograd_side * winograd_side
                                    : winograd_side;
}
inline std::size_t winograd_pitch(int to, int from) {
  return static_cast<std::size_t>(ceil_div(to, winograd_group)) * winograd_group * from + 16;
}
inline std::size_t packed_winograd_size(Winograd kind, int to, int from) {
  return winograd_positions(kind) * winograd_pitch(to, from);
}

// G g of one row or column.
template <class S>
inline void winograd_weights(S (&u)[winograd_side], S g0, S g1, S g2) {
  const S even = (g0 + g2) / S(-6), odd = g1 / S(6), low = g0 / S(24) + g2 / S(6), high = g1 / S(12);
  u[0] = g0 / S(4), u[1] = even - odd, u[2] = even + odd, u[3] = low + high, u[4] = low - high, u[5] = g2;
}

// (O, C, taps) -> U; `transpose` packs the kernel turned round with the roles of o and c exchanged, for dx.
template <class S>
void pack_winograd(Winograd kind, S* packed, const S* w, int outputs, int channels, bool transpose) {
  constexpr int N = winograd_side;
  const int to = transpose ? channels : outputs, from = transpose ? outputs : channels;
  const int taps = kind == Winograd::square ? 9 : 3;
  const std::size_t pitch = winograd_pitch(to, from);
  for (int o = 0; o < ceil_div(to, winograd_group) * winograd_group; o++) {
    for (int c = 0; c < from; c++) {
      S g[9] = {}, half[3][N], u[N];
      const S* kernel =
          w + (static_cast<std::size_t>(transpose ? c : o) * channels + (transpose ? o : c)) * taps;
      for (int t = 0; o < to && t < taps; t++) g[t] = kernel[transpose ? taps - 1 - t : t];
      S* at = packed + (static_cast<std::size_t>(o / winograd_group) * from + c) * winograd_group +
              o % winograd_group;
      for (int r = 0; r < taps / 3; r++) winograd_weights(half[r], g[3 * r], g[3 * r + 1], g[3 * r + 2]);
      for (int j = 0; j < N; j++) {
        if (taps == 3) {
          at[j * pitch] = half[0][j];
          continue;
        }
        winograd_weights(u, half[0][j], half[1][j], half[2][j]);
        for (int i = 0; i < N; i++) at[(i * N + j) * pitch] = u[i];
      }
    }
  }
}

}  // namespace nasp::NASP_ISA
