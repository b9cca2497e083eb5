#include "machine_bounds.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "../core/parallel.h"
#include "registry.h"

namespace nasp {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Twelve independent chains of multiply-adds fill the latency of every machine in sight and fit its registers.
constexpr int chains = 12;

#define NASP_MULTIPLY_ADDS(name, lanes, ...)                                                     \
  __VA_ARGS__ [[gnu::noinline]] float name(long rounds) {                                        \
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

NASP_MULTIPLY_ADDS(multiply_adds_baseline, 4, )
#if defined(__x86_64__)
NASP_MULTIPLY_ADDS(multiply_adds_avx2, 8, __attribute__((target("avx2,fma"))))
NASP_MULTIPLY_ADDS(multiply_adds_avx512, 16, __attribute__((target("avx512f,fma"))))
#endif

// Seconds of the quickest of `tries` runs of body on every thread.
template <class Body>
double quickest(Parallel& parallel, int tries, const Body& body) {
  double best = 1e30;
  for (int i = 0; i < tries; i++) {
    const double start = now();
    parallel.run(parallel.threads(), [&](int piece, int) { body(piece); });
    best = std::min(best, now() - start);
  }
  return best;
}

}  // namespace

MachineBounds machine_bounds(const std::string& isa, int threads) {
  const std::string chosen = backend<float>(isa).name;
  float (*multiply_adds)(long) = multiply_adds_baseline;
  int lanes = 4;
#if defined(__x86_64__)
  if (chosen == "avx2") multiply_adds = multiply_adds_avx2, lanes = 8;
  if (chosen == "avx512") multiply_adds = multiply_adds_avx512, lanes = 16;
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
