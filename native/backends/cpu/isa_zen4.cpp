// The kernels for AMD's Zen 4: avx512's, with forward products crossed (crossed.h).
#include "isa_headers.h"

#if defined(__x86_64__)
// After the standard headers, so that no inline function of theirs is compiled for this instruction set.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define NASP_ISA zen4
#define NASP_REGISTERS 32
#define NASP_CROSSED 1
#include "pairs.h"

namespace nasp::zen4 {
template <>
constexpr bool has_pairs<Lanes<float, 16>> = true;
}
#include "backend_table.h"

namespace nasp {
const Backend<float>& backend_zen4_f32() {
  return zen4::Table<zen4::Lanes<float, 16>>::get("zen4", __builtin_cpu_supports("avx512bf16"));
}
}  // namespace nasp
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
