// The kernels for avx512: 16 images a vector in float, 8 in double.
#include "isa_headers.h"

#if defined(__x86_64__)
// After the standard headers, so that no inline function of theirs is compiled for this instruction set.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define NASP_ISA avx512
#define NASP_REGISTERS 32
#include "pairs.h"

namespace nasp::avx512 {
template <>
constexpr bool has_pairs<Lanes<float, 16>> = true;
}
#include "backend_table.h"

namespace nasp {
const Backend<float>& backend_avx512_f32() {
  return avx512::Table<avx512::Lanes<float, 16>>::get("avx512", __builtin_cpu_supports("avx512bf16"));
}
const Backend<double>& backend_avx512_f64() { return avx512::Table<avx512::Lanes<double, 8>>::get("avx512"); }
}  // namespace nasp
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
