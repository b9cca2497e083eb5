// Products of pairs in bfloat16, for probes that ask for them: half the multiplications of dense kernels, where the processor has
// the instruction (AVX512-BF16). Nothing here is compiled for a vector of which has_pairs does not say so.
//
// Layout    a vector of pairs holds in each lane two neighbouring input channels of a pixel, the first in the lower half; a weight's
//           pair is one scalar. Of an odd number of channels the last one is paired with zero
// Error     inputs and weights keep 8 bits of their 24; sums are of float32
#pragma once
#include <cstdint>
#include <cstring>

#include "lanes.h"

namespace nasp::NASP_ISA {

template <class L>
constexpr bool has_pairs = false;

inline int pair_count(int channels) { return ceil_div(channels, 2); }

template <class L>
L add_pairs(L sum, L weight, L x) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.v) : "v"(x.v), "v"(weight.v));
  return sum;
}

// Rounded to the nearest, ties to even, as weights are below.
template <class L>
L paired(L low, L high) {
  typedef short Halves __attribute__((vector_size(sizeof(low.v))));
  Halves all;  // of low, then of high
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(all) : "v"(low.v), "v"(high.v));
  const auto turns = [&]<int... I>(std::integer_sequence<int, I...>) NASP_LAMBDA_INLINE {
    return __builtin_shufflevector(all, all, (I / 2 + I % 2 * L::count)...);
  }
  (std::make_integer_sequence<int, 2 * L::count>());
  return {reinterpret_cast<typename L::vector>(turns)};
}

// Rows of `pixels` vectors of channels `pitch` scalars apart, in pairs, rows of which lie `to_pitch` apart. `to` may be
// `from`: pairs are written behind what is read. Every `step`-th pixel.
template <class L>
void pair_channels(typename L::scalar* to, ptrdiff_t to_pitch, const typename L::scalar* from,
                   ptrdiff_t pitch, int channels, int pixels, int step = 1) {
  for (int c = 0; c < channels; c += 2, from += 2 * pitch, to += to_pitch) {
    const bool single = c + 1 == channels;
    for (int p = 0; p < pixels; p++) {
      const auto* at = from + static_cast<ptrdiff_t>(p) * step * L::count;
      paired(L::load(at), single ? L::zero() : L::load(at + pitch))
          .store(to + static_cast<ptrdiff_t>(p) * L::count);
    }
  }
}

inline std::uint32_t bfloat16(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (value != value) return bits >> 16 | 0x40;  // stays NaN
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
// (channels, group) -> (pairs, group), in place or further to the front.
inline void pair_weights(float* to, const float* from, int channels, int group) {
  for (int c = 0; c < channels; c += 2, from += 2 * group, to += group) {
    for (int i = 0; i < group; i++) {
      const std::uint32_t both = bfloat16(from[i]) | (c + 1 < channels ? bfloat16(from[group + i]) : 0) << 16;
      std::memcpy(to + i, &both, sizeof both);
    }
  }
}

}  // namespace nasp::NASP_ISA
