// What nasp.node and nasp_cuda.so know of each other: one C function, which hands out a table. nasp.node has no CUDA in it
// and opens the library only when a CUDA device is asked for (../cuda_library.h).
//
// Handshake  version counts changes of meaning; sizes of the tables and layout, of all that their functions take and return,
//            catch a library of another build of these headers
#pragma once
#include <cstddef>
#include <cstdint>

#include "../device.h"
#include "../step_functions.h"

namespace nasp {

template <class... T>
constexpr std::uint32_t layout_of() {  // of their sizes, in order
  std::uint32_t layout = 0;
  ((layout = layout * 31 + static_cast<std::uint32_t>(sizeof(T))), ...);
  return layout;
}

struct CudaTable {
  static constexpr std::uint32_t current = 4;
  static constexpr std::uint32_t current_layout =
      layout_of<Run, Unit, DensePart, View<float>, Normalise<float>, Source<float>, GradientSource<float>,
                UnitWeights<float>, Moments, ForwardUnit<float>, BackwardUnit<float>, Term<float>,
                Measured<float>, DevicePlan, DeviceFailure, DeviceCounts, BatchNorm<float>, StepNumbers,
                Classifier<float>, WeightSlot, WeightPiece, WeightTable<float>, SgdStep, VectorTerm<float>,
                AlphaTable<float>, AlphaStep, Dropout, ImageBytes, Augment>();
  std::uint32_t version, size, backend_size, device_size, step_size, layout;

  const Backend<float>* backend;
  // 0 and the name of device 0, or CUDA's error number and what to do about it. Nothing is set up.
  int (*find_device)(char* text, std::size_t size);
  // Versions of runtime, driver, cuDNN and cuBLAS.
  void (*libraries)(char* text, std::size_t size);
};

using CudaTableFunction = const CudaTable* (*)();
constexpr const char* cuda_table_symbol = "nasp_cuda_table";

}  // namespace nasp
