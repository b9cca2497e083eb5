#include "machine_bounds.h"

#include <algorithm>
#include <vector>

#include "../core/clock.h"
#include "../core/error.h"
#include "../core/parallel.h"
#include "registry.h"

namespace nasp {
namespace {

// Twelve independent chains of multiply-adds fill the latency of every machine in sight and fit its registers.
constexpr int chains = 12;

#define NASP_MULTIPLY_ADDS(lanes, ...)                                                           \
  __VA_ARGS__ [[gnu::noinline]] float multiply_adds_##lanes(long rounds) {                       \
    typedef float V __attribute__((vector_size(lanes * sizeof(float))));                         \
    V sum[chains], factor, term;                                                                 \
    for (int l = 0; l < lanes; l++) factor[l] = 0.9999f, term[l] = 1e-6f;                        \
    for (int i = 0; i < chains; i++) sum[i] = factor * static_cast<float>(i);                    \
    for (long round = 0; round < rounds; round++) {                                              \
      _Pragma("GCC unroll 12") for (int i = 0; i < chains; i++) sum[i] = sum[i] * factor + term; \
    }                                                                                            \
    for (int i = 1; i < chains; i++) sum[0] += sum[i];                                           \
    return sum[0][0];                                                                            \
  }

NASP_MULTIPLY_ADDS(4, )
#if defined(__x86_64__)
NASP_MULTIPLY_ADDS(8, __attribute__((target("avx2,fma"))))
NASP_MULTIPLY_ADDS(16, __attribute__((target("avx512f,fma"))))
#endif

// Seconds of the quickest of `tries` runs of body on every thread.
template <class Body>
double quickest(Parallel& parallel, int tries, const Body& body) {
  double best = 1e30;
  for (int i = 0; i < tries; i++) {
    const Clock::time_point start = Clock::now();
    parallel.run(parallel.threads(), [&](int piece, int) { body(piece); });
    best = std::min(best, seconds_since(start));
  }
  return best;
}

}  // namespace

MachineBounds machine_bounds(const std::string& isa, int threads) {
  const Backend<float>& measured = backend<float>(isa);
  expect(!measured.device, "an instruction set for isa", measured.name, "ERR_NASP_UNSUPPORTED");
  const int lanes = measured.lanes;
  float (*multiply_adds)(long) = multiply_adds_4;
#if defined(__x86_64__)
  if (lanes == 8) multiply_adds = multiply_adds_8;
  if (lanes == 16) multiply_adds = multiply_adds_16;
#endif
  Parallel parallel(threads);
  std::vector<float> sink(static_cast<std::size_t>(parallel.threads()) * 16);
  constexpr long rounds = 4'000'000;
  const double seconds = quickest(parallel, 5, [&](int piece) { sink[16 * piece] = multiply_adds(rounds); });
  MachineBounds bounds;
  bounds.gflops = 2e-9 * rounds * chains * lanes * parallel.threads() / seconds;

  constexpr std::size_t size = 1 << 24;  // 64 MiB each: no cache holds it
  const std::size_t share = size / parallel.threads();
  std::vector<float> from(size, 1.f), to(size);
  const double stream = quickest(parallel, 5, [&](int piece) {
    const float* in = from.data() + piece * share;
    float* out = to.data() + piece * share;
    for (std::size_t i = 0; i < share; i++) out[i] = in[i] * 0.5f;
  });
  bounds.gbps = 2e-9 * sizeof(float) * share * parallel.threads() / stream;
  return bounds;
}

}  // namespace nasp
