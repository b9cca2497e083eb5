// Which backends there are: the CPU's instruction sets, best first, and cuda (cuda_library.h), which is asked for by
// name. Nets ask here and know no other way to a kernel.
#pragma once
#include <string>
#include <vector>

#include "backend.h"

namespace nasp {

std::vector<std::string> built_isas();      // in this binary
std::vector<std::string> available_isas();  // of those, what this machine runs
std::string
chosen_isa();  // NASP_ISA where set, else the best for it; throws Error where NASP_ISA can't be had

bool has_bf16_probes(
    const std::string& isa);  // whether its probes can multiply in bfloat16 (Backend::pack_pairs)

// isa "": the chosen one; cuda and cuda-emulated stand beside the instruction sets. Throws Error ERR_NASP_UNSUPPORTED
// where it is not built or this machine lacks it.
template <class S>
const Backend<S>& backend(const std::string& isa);

// What the files cpu/isa_*.cpp define.
const Backend<float>& backend_baseline_f32();
const Backend<double>& backend_baseline_f64();
#if defined(__x86_64__)
const Backend<float>& backend_avx2_f32();
const Backend<double>& backend_avx2_f64();
const Backend<float>& backend_zen4_f32();
const Backend<float>& backend_avx512_f32();
const Backend<double>& backend_avx512_f64();
#endif

}  // namespace nasp
