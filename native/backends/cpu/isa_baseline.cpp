// The kernels for baseline: 4 images a vector in float, 2 in double.
#include "isa_headers.h"

#define NASP_ISA baseline
#define NASP_REGISTERS 16
#include "backend_table.h"

namespace nasp {
const Backend<float>& backend_baseline_f32() {
  return baseline::Table<baseline::Lanes<float, 4>>::get("baseline");
}
const Backend<double>& backend_baseline_f64() {
  return baseline::Table<baseline::Lanes<double, 2>>::get("baseline");
}
}  // namespace nasp
