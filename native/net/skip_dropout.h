// Dropout behind identity skips (P-DARTS): each element is kept with probability 1 - rate and then divided by it. The
// mask is a function of (seed, counter, place, element), so backward draws it again.
#pragma once
#include <algorithm>
#include <cstdint>

#include "../backends/backend.h"
#include "../core/parallel.h"
#include "../core/rng.h"

namespace nasp {

struct SkipDropout {
  double rate = 0;  // 0: off
  std::uint64_t seed = 0;
  std::uint32_t counter = 0;  // of the pass
};

// x (size), one stretch of memory. place: which skip of the net.
template <class S>
void drop(const Run& run, const SkipDropout& dropout, std::uint32_t place, S* x, std::size_t size) {
  constexpr std::size_t piece = 1 << 14;
  const S factor = static_cast<S>(1 / (1 - dropout.rate));
  const std::uint64_t base = static_cast<std::uint64_t>(dropout.counter) << 32;
  run.parallel.run(static_cast<int>((size + piece - 1) / piece), [&](int p, int) {
    const std::size_t first = piece * static_cast<std::size_t>(p), end = std::min(size, first + piece);
    for (std::size_t i = first; i < end; i += 4) {
      const Random4 r =
          philox(dropout.seed, static_cast<std::uint32_t>(Stream::dropout), place, base + i / 4);
      for (std::size_t j = 0; j < 4 && i + j < end; j++)
        x[i + j] = uniform(r.word[j]) < dropout.rate ? S(0) : x[i + j] * factor;
    }
  });
}

}  // namespace nasp
