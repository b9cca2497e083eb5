// The kernels for avx2: 8 images a vector in float, 4 in double.
#include "isa_headers.h"

#if defined(__x86_64__)
// After the standard headers, so that no inline function of theirs is compiled for this instruction set.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define NASP_ISA avx2
#define NASP_REGISTERS 16
#include "backend_table.h"

namespace nasp {
const Backend<float>& backend_avx2_f32() { return avx2::Table<avx2::Lanes<float, 8>>::get("avx2"); }
const Backend<double>& backend_avx2_f64() { return avx2::Table<avx2::Lanes<double, 4>>::get("avx2"); }
}  // namespace nasp
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
