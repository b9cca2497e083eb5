// What the training transform (data/augment.h) draws for an image, and makes of a byte: the same on the host and on devices.
#pragma once
#include "rng.h"

namespace nasp {

struct CropDraw {
  int down, right;  // the window's corner, counted from the image's own
  bool flip;
};
constexpr CropDraw draw_crop(std::uint64_t seed, std::uint64_t counter, int pad, bool flip) {
  if (pad == 0 && !flip) return {0, 0, false};
  const Random4 draw = philox(seed, static_cast<std::uint32_t>(Stream::augment), 0, counter);
  const std::uint32_t places = 2 * static_cast<std::uint32_t>(pad) + 1;
  return {static_cast<int>(below(draw.word[0], places)) - pad,
          static_cast<int>(below(draw.word[1], places)) - pad, flip && (draw.word[2] >> 31) != 0};
}

constexpr double normalised_byte(int byte, double mean, double deviation) {
  return (byte / 255.0 - mean) / deviation;
}

struct Cutout {  // rows [top, bottom), columns [left, end), not yet cut off at the border; empty: none
  int top, bottom, left, end;
};
constexpr Cutout draw_cutout(std::uint64_t seed, std::uint64_t counter, int side, int height, int width) {
  const int half = side / 2;
  if (half == 0) return {0, 0, 0, 0};
  const Random4 centre = philox(seed, static_cast<std::uint32_t>(Stream::augment), 1, counter);
  const int y = static_cast<int>(below(centre.word[0], static_cast<std::uint32_t>(height))),
            x = static_cast<int>(below(centre.word[1], static_cast<std::uint32_t>(width)));
  return {y - half, y + half, x - half, x + half};
}

}  // namespace nasp
