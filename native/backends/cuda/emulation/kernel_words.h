// CUDA's words for kernels that g++ compiles to run as fibers.
#pragma once
#include <algorithm>
#include <cmath>

#include "fibers.h"

#define __global__
#define __device__
#define __host__
#define threadIdx (::nasp::fibers::block().thread)
#define blockIdx (::nasp::fibers::block().index)
#define blockDim (::nasp::fibers::block().size)

inline void __syncthreads() { ::nasp::fibers::wait_for_block(); }
using std::max;
using std::min;

#define NASP_SHARED(type, name, count) \
  static const char name##_key = 0;    \
  type* const name = static_cast<type*>(::nasp::fibers::shared(&name##_key, sizeof(type) * (count)))
