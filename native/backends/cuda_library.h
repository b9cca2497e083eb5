// The way from nasp.node to its CUDA library: opened when it is first asked for, never closed.
//
//   cuda           nasp_cuda.so beside nasp.node
//   cuda-emulated  nasp_cuda_emu.so in build/emulation: the same objects over doubles of CUDA's libraries, for tests on
//                  machines without a GPU; it is no part of the package (docs/cuda.md). NASP_CUDA_EMULATION names another
//
// NASP_CUDNN_PATH names a folder with cuDNN and cuBLAS where the system's search does not find them.
#pragma once
#include <string>

#include "backend.h"

namespace nasp {

bool is_cuda(const std::string& name);  // cuda or cuda-emulated

// Throws Error ERR_NASP_UNSUPPORTED, in one line that says what to install.
const Backend<float>& cuda_backend(const std::string& name);

struct CudaStatus {
  std::string device;  // its name; empty: there is none, and absence says why
  std::string absence;
  std::string libraries;  // versions; empty where the library does not load
};
CudaStatus cuda_status();

}  // namespace nasp
