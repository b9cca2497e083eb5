// Counter-based random numbers (Philox 4x32-10; Salmon et al., SC 2011): a number is a function of
// (seed, stream, counter) alone, so nothing has to be saved or replayed, and every backend draws the same.
#pragma once
#include <cmath>
#include <cstdint>

namespace nasp {

// Who draws. One stream a purpose, so that a new consumer never shifts another's numbers.
enum class Stream : std::uint32_t {
  weights = 1,
  alpha = 2,
  shuffle = 3,
  augment = 4,
  selection = 5,
  dropout = 7,
  method = 8,
  user = 16
};

struct Random4 {
  std::uint32_t word[4];
};

// The four words at `counter` of the stream `stream`/`substream` under `seed`.
constexpr Random4 philox(std::uint64_t seed, std::uint32_t stream, std::uint32_t substream,
                         std::uint64_t counter) {
  std::uint32_t x[4] = {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                        substream, stream};
  std::uint32_t key[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; round++) {
    const std::uint64_t a = 0xD2511F53ull * x[0], b = 0xCD9E8D57ull * x[2];
    const std::uint32_t y[4] = {
        static_cast<std::uint32_t>(b >> 32) ^ x[1] ^ key[0], static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ x[3] ^ key[1], static_cast<std::uint32_t>(a)};
    for (int i = 0; i < 4; i++) x[i] = y[i];
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return {{x[0], x[1], x[2], x[3]}};
}

// Uniform in [0, 1), 24 bits: exact in float.
constexpr double uniform(std::uint32_t word) { return (word >> 8) * (1.0 / 16777216.0); }

// Uniform integer in [0, n), n < 2^32, by multiplication (bias below n / 2^32).
constexpr std::uint32_t below(std::uint32_t word, std::uint32_t n) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(word) * n) >> 32);
}

// Standard normal from two words (Box-Muller).
inline double normal(std::uint32_t a, std::uint32_t b) {
  const double u = (a + 1.0) / 4294967296.0, v = b / 4294967296.0;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
}

}  // namespace nasp
