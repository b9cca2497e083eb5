#include "draws.h"

#include <numeric>
#include <utility>

#include "rng.h"

namespace nasp {

std::vector<std::uint32_t> permutation(std::uint64_t seed, std::uint32_t substream, std::uint32_t n) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  Random4 draw{};
  for (std::uint32_t k = 0; k + 1 < n; k++) {
    if (k % 4 == 0) draw = philox(seed, static_cast<std::uint32_t>(Stream::shuffle), substream, k / 4);
    const std::uint32_t last = n - 1 - k;
    std::swap(order[last], order[below(draw.word[k % 4], last + 1)]);
  }
  return order;
}

std::vector<double> uniforms(std::uint64_t seed, std::uint32_t substream, std::uint64_t counter,
                             std::uint32_t n) {
  std::vector<double> values(n);
  Random4 draw{};
  for (std::uint32_t k = 0; k < n; k++) {
    if (k % 4 == 0)
      draw = philox(seed, static_cast<std::uint32_t>(Stream::method), substream, counter * 1024 + k / 4);
    values[k] = (draw.word[k % 4] + 0.5) / 4294967296.0;
  }
  return values;
}

std::vector<double> normals(std::uint64_t seed, std::uint32_t substream, std::uint32_t n) {
  std::vector<double> values(n);
  Random4 draw{};
  for (std::uint32_t k = 0; k < n; k++) {
    if (k % 2 == 0) draw = philox(seed, static_cast<std::uint32_t>(Stream::alpha), substream, k / 2);
    values[k] = normal(draw.word[2 * (k % 2)], draw.word[2 * (k % 2) + 1]);
  }
  return values;
}

}  // namespace nasp
