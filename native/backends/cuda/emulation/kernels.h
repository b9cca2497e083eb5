// The kernels of the CUDA backend, compiled for the CPU, by the names that nvcc's launch code gives them.
#pragma once
#include <cstddef>
#include <string>

namespace nasp::emulation {

struct Kernel {
  const char* name;
  std::size_t argument_bytes;  // of its one argument
  void (*run)(const void* argument);
};

// Of the C++ name behind `mangled`, as "depthwise_forward<3, 4>"; null: kernels.cpp lacks it.
const Kernel* find_kernel(const std::string& mangled);

}  // namespace nasp::emulation
