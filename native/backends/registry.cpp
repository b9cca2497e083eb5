#include "registry.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "../core/error.h"
#include "cuda_library.h"

namespace nasp {

namespace {

bool always() { return true; }

struct Entry {
  const char* name;
  bool (*available)();  // this machine runs it
  bool (*suits)();      // it is fast on machines like this one
  const Backend<float>& (*f32)();
  const Backend<double>& (*f64)();
};

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("fma");
}
#endif

const Entry entries[] = {
#if defined(__x86_64__)
    {"zen4", has_avx512, [] { return static_cast<bool>(__builtin_cpu_is("amdfam19h")); }, backend_zen4_f32,
     backend_avx512_f64},
    {"avx512", has_avx512, always, backend_avx512_f32, backend_avx512_f64},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, always,
     backend_avx2_f32, backend_avx2_f64},
#endif
    {"baseline", always, always, backend_baseline_f32, backend_baseline_f64},
};

std::string join(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& n : names) all += (all.empty() ? "" : ", ") + n;
  return all;
}

const Entry& entry(const std::string& isa, const std::string& what) {
  for (const Entry& e : entries) {
    if (isa == e.name && e.available()) return e;
  }
  refuse("one of " + join(available_isas()) + " for " + what, isa, "ERR_NASP_UNSUPPORTED");
}

}  // namespace

std::vector<std::string> built_isas() {
  std::vector<std::string> names;
  for (const Entry& e : entries) names.push_back(e.name);
  return names;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Entry& e : entries) {
    if (e.available()) names.push_back(e.name);
  }
  return names;
}

std::string chosen_isa() {
  const char* forced = std::getenv("NASP_ISA");
  if (forced && is_cuda(forced)) return forced;
  if (forced && *forced) return entry(forced, "NASP_ISA").name;
  return std::find_if(std::begin(entries), std::end(entries),
                      [](const Entry& e) { return e.available() && e.suits(); })
      ->name;
}

template <>
const Backend<float>& backend<float>(const std::string& isa) {
  const std::string name = isa.empty() ? chosen_isa() : isa;
  return is_cuda(name) ? cuda_backend(name) : entry(name, "isa").f32();
}
template <>
const Backend<double>& backend<double>(const std::string& isa) {
  const std::string name = isa.empty() ? chosen_isa() : isa;
  if (is_cuda(name)) refuse("f32 for precision with device " + name, "f64", "ERR_NASP_UNSUPPORTED");
  return entry(name, "isa").f64();
}

bool has_bf16_probes(const std::string& isa) {
  return !is_cuda(isa) && backend<float>(isa).pack_pairs;  // the CUDA library is not opened for that
}

}  // namespace nasp
