// The words that kernels are written in. A kernel's body is compiled twice: by nvcc for a GPU, and by g++ for a CPU, where
// threads are fibers (emulation/) and every access through load and store is counted.
//
// Layout    channels last: pixel p = (n * H + h) * W + w of a view lies at data + p * pitch; a thread holds V neighbouring
//           channels of one pixel, V 4 where pointers and pitches allow it and else 1
#pragma once
#include "kernel_arguments.h"

#if defined(__CUDACC__)
#define NASP_KERNELS cuda
#define NASP_UNROLL _Pragma("unroll")
#define NASP_ROLLED _Pragma("unroll 1")
#define NASP_SITE
#define NASP_SITE_OF_CALLER
#define NASP_TOUCH(address, bytes)
#define NASP_TOUCH_SHARED(address, bytes)
#define NASP_SHARED(type, name, count) __shared__ type name[count]
#else
#include "emulation/kernel_words.h"
#define NASP_KERNELS emulated
#define NASP_UNROLL
#define NASP_ROLLED
#define NASP_SITE , const std::source_location site = std::source_location::current()
#define NASP_SITE_OF_CALLER , site
#define NASP_TOUCH(address, bytes) ::nasp::fibers::touch(address, bytes, site, ::nasp::fibers::Space::global)
#define NASP_TOUCH_SHARED(address, bytes) \
  ::nasp::fibers::touch(address, bytes, site, ::nasp::fibers::Space::shared)
#endif

namespace nasp::NASP_KERNELS {

using namespace nasp::cuda;

template <int V>
struct alignas(sizeof(float) * V) Vec {
  float v[V];
};

template <int V>
__device__ inline Vec<V> splat(float a) {
  Vec<V> r;
  NASP_UNROLL for (int i = 0; i < V; i++) r.v[i] = a;
  return r;
}

// Where not `wanted`, otherwise: a predicated load, which all threads of a warp reach together.
template <int V>
__device__ inline Vec<V> load_if(bool wanted, const float* p, float otherwise NASP_SITE) {
  NASP_TOUCH(wanted ? p : nullptr, sizeof(Vec<V>));
  return wanted ? *reinterpret_cast<const Vec<V>*>(p) : splat<V>(otherwise);
}
template <int V>
__device__ inline Vec<V> load(const float* p NASP_SITE) {
  return load_if<V>(true, p, 0 NASP_SITE_OF_CALLER);
}
template <int V>
__device__ inline void store(float* p, const Vec<V>& value NASP_SITE) {
  NASP_TOUCH(p, sizeof(Vec<V>));
  *reinterpret_cast<Vec<V>*>(p) = value;
}

// Element i of an array in global memory.
template <class T>
__device__ inline T read_if(bool wanted, const T* p, std::size_t i, const T& otherwise NASP_SITE) {
  NASP_TOUCH(wanted ? p + i : nullptr, sizeof(T));
  return wanted ? p[i] : otherwise;
}
template <class T>
__device__ inline T read(const T* p, std::size_t i NASP_SITE) {
  return read_if(true, p, i, T() NASP_SITE_OF_CALLER);
}
template <class T>
__device__ inline void write(T* p, std::size_t i, T value NASP_SITE) {
  NASP_TOUCH(p + i, sizeof(T));
  p[i] = value;
}

// Element i of an array in shared memory.
template <class T>
__device__ inline T get(const T* shared, int i NASP_SITE) {
  NASP_TOUCH_SHARED(shared + i, sizeof(T));
  return shared[i];
}
template <class T>
__device__ inline void put(T* shared, int i, T value NASP_SITE) {
  NASP_TOUCH_SHARED(shared + i, sizeof(T));
  shared[i] = value;
}

// A pixel's channels [c, c + V) as consumers see them; where not `wanted`, otherwise. ReLU keeps NaN.
template <int V>
__device__ inline Vec<V> load_activation(const Activation& a, bool wanted, std::size_t pixel, int c,
                                         float otherwise NASP_SITE) {
  Vec<V> x = load_if<V>(wanted, a.x + pixel * a.pitch + c, otherwise NASP_SITE_OF_CALLER);
  if (!wanted) return x;
  if (a.norm.scale) {
    const Vec<V> mean = load<V>(a.norm.mean + c NASP_SITE_OF_CALLER),
                 scale = load<V>(a.norm.scale + c NASP_SITE_OF_CALLER),
                 shift = load<V>(a.norm.shift + c NASP_SITE_OF_CALLER);
    NASP_UNROLL for (int i = 0; i < V; i++) x.v[i] = scale.v[i] * (x.v[i] - mean.v[i]) + shift.v[i];
  }
  if (a.relu) {
    NASP_UNROLL for (int i = 0; i < V; i++) x.v[i] = x.v[i] < 0 ? 0 : x.v[i];
  }
  return x;
}

// dx (+)= d, where the forward input was positive if there is a gate.
template <int V>
__device__ inline void write_gradient(const GradientTarget& to, std::size_t pixel, int c,
                                      Vec<V> d NASP_SITE) {
  if (to.gate.x) {
    Activation before = to.gate;
    before.relu = false;
    const Vec<V> x = load_activation<V>(before, true, pixel, c, 0 NASP_SITE_OF_CALLER);
    NASP_UNROLL for (int i = 0; i < V; i++) d.v[i] = x.v[i] > 0 ? d.v[i] : 0;
  }
  float* p = to.dx + pixel * to.pitch + c;
  if (to.accumulate) {
    const Vec<V> old = load<V>(p NASP_SITE_OF_CALLER);
    NASP_UNROLL for (int i = 0; i < V; i++) d.v[i] += old.v[i];
  }
  store(p, d NASP_SITE_OF_CALLER);
}

// The thread's place in a grid that covers pixels x channel groups, one (pixel, group) a thread.
struct Place {
  bool inside;
  int n, h, w, c;
  std::size_t pixel;
};
template <int V>
__device__ inline Place place_in(const Map& map) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x, groups = map.channels / V, pixel = i / groups;
  Place p;
  p.inside = pixel < static_cast<unsigned>(map.pixels());
  p.c = static_cast<int>(i % groups) * V;
  p.pixel = pixel;
  p.w = static_cast<int>(pixel % map.width);
  p.h = static_cast<int>(pixel / map.width % map.height);
  p.n = static_cast<int>(pixel / map.width / map.height);
  return p;
}

// Of a pixel whose thread is chosen otherwise.
__device__ inline Place place_at(const Map& map, int pixel, int c) {
  return {true, pixel / map.width / map.height, pixel / map.width % map.height, pixel % map.width,
          c,    static_cast<std::size_t>(pixel)};
}

// Block (lanes, rows): sums `value` over the rows of the block, in an order that depends on their number alone. The result
// is row 0's, and stands in memory's first row. `memory` holds a value a thread and is free again for whoever does not read
// that row.
__device__ inline double sum_rows(double value, double* memory NASP_SITE) {
  const int lanes = blockDim.x, lane = threadIdx.x, row = threadIdx.y;
  const int i = row * lanes + lane;
  put(memory, i, value NASP_SITE_OF_CALLER);
  for (int rows = blockDim.y; rows > 1;) {
    const int half = (rows + 1) / 2;
    __syncthreads();
    if (row + half < rows) {
      const double other = get(memory, i + half * lanes NASP_SITE_OF_CALLER);
      put(memory, i, get(memory, i NASP_SITE_OF_CALLER) + other NASP_SITE_OF_CALLER);
    }
    rows = half;
  }
  const double sum = get(memory, i NASP_SITE_OF_CALLER);
  __syncthreads();
  return sum;
}

template <int V>
struct alignas(V > 1 ? 16 : 8) Sums {
  double v[V];
};

// The same of V channels, whose sums are stored where the lane is `live`.
template <int V>
__device__ inline void store_row_sums(double* to, bool live, const Vec<V>& value, double* memory NASP_SITE) {
  Sums<V> total;
  NASP_UNROLL for (int i = 0; i < V; i++) total.v[i] = sum_rows(value.v[i], memory NASP_SITE_OF_CALLER);
  if (threadIdx.y == 0 && live) write(reinterpret_cast<Sums<V>*>(to), 0, total NASP_SITE_OF_CALLER);
}

}  // namespace nasp::NASP_KERNELS
