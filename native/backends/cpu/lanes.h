// Batch lanes: the vector type that every CPU kernel is written in.
//
// One Lanes value holds the same pixel of `count` images. Which scalar, how many lanes and how many registers is all
// that differs between instruction sets and precisions: kernels take Lanes as a template argument and contain no
// intrinsics. Each instruction set compiles these pages in a namespace of its own, NASP_ISA (see isa_*.cpp).
#pragma once
#include <cstddef>

namespace nasp::NASP_ISA {

using std::ptrdiff_t;

template <class Scalar, int Count>
struct Lanes {
  using scalar = Scalar;
  static constexpr int count = Count;
  typedef Scalar vector __attribute__((vector_size(sizeof(Scalar) * Count)));

  vector v;

  static Lanes zero() { return {vector{}}; }
  static Lanes splat(Scalar a) { return {a - vector{}}; }
  static Lanes load(const Scalar* p) { return {*reinterpret_cast<const vector*>(p)}; }
  void store(Scalar* p) const { *reinterpret_cast<vector*>(p) = v; }
  // Past the caches, without reading the line first: for what is not read again before much else has been. streamed() below
  // before another thread may read it.
  void stream(Scalar* p) const {
#if defined(__x86_64__)
    if constexpr (sizeof(vector) > 16)
      asm("vmovntps %1, %0" : "=m"(*reinterpret_cast<vector*>(p)) : "v"(v));
    else
      asm("movntps %1, %0" : "=m"(*reinterpret_cast<vector*>(p)) : "x"(v));
#else
    store(p);
#endif
  }

  // Keeps a loaded value in a register. g++ otherwise repeats the load inside every multiply-add that uses it, and
  // the tile becomes bound by loads.
  void pin() {
#if defined(__x86_64__)
    asm("" : "+v"(v));
#elif defined(__aarch64__)
    asm("" : "+w"(v));
#endif
  }

  friend Lanes operator+(Lanes a, Lanes b) { return {a.v + b.v}; }
  friend Lanes operator-(Lanes a, Lanes b) { return {a.v - b.v}; }
  friend Lanes operator*(Lanes a, Lanes b) { return {a.v * b.v}; }
  Lanes& operator+=(Lanes b) {
    v += b.v;
    return *this;
  }
};

// All that this thread has streamed is there for others.
inline void streamed() {
#if defined(__x86_64__)
  __builtin_ia32_sfence();
#endif
}

template <class L>
L relu(L a) {  // NaN stays NaN, so that a diverged net shows in its loss
  return {a.v < 0 ? typename L::vector{} : a.v};
}
template <class L>
L maximum(L a, L b) {                          // NaN where either is
  const auto largest = a.v > b.v ? a.v : b.v;  // b, where either is NaN
  return {a.v == a.v ? largest : a.v};
}
// a where gate > 0, else 0: the backward of ReLU.
template <class L>
L where_positive(L gate, L a) {
  return {gate.v > 0 ? a.v : typename L::vector{}};
}

#ifndef NASP_CROSSED  // whether forward products are crossed (crossed.h)
#define NASP_CROSSED 0
#endif

// Register tiles: output channels x pixels of the dense kernels (of crossed products with fewer pixels, each of which costs three
// loads beside those of the weights), the weight gradients' output channels; rows x pixels of the depthwise ones.
constexpr int tile_outputs = NASP_CROSSED ? 8 : 4, gradient_outputs = 4;
constexpr int tile_pixels = NASP_CROSSED ? 2 : NASP_REGISTERS >= 32 ? 4 : 3;
constexpr int depthwise_rows = NASP_REGISTERS >= 32 ? 2 : 1, depthwise_pixels = 8;

// Bytes of inputs that dense kernels keep in the first-level cache: of 32 KB with 16 registers, of 48 with 32; and of
// depthwise results on their way to a 1x1 convolution: few calls are worth more there than a cache that holds all of them.
constexpr int dense_block = NASP_REGISTERS >= 32 ? 32 << 10 : 16 << 10,
              mid_block = NASP_REGISTERS >= 32 ? 64 << 10 : 24 << 10;

constexpr int smaller(int a, int b) { return a < b ? a : b; }
constexpr int larger(int a, int b) { return a > b ? a : b; }
constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }  // a >= 0
constexpr int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

// The same pointer, of which the compiler does not know that. Where a loop reads neighbours that its next round reads again,
// g++ (predictive commoning) otherwise carries them over in registers that the sums need.
template <class T>
inline __attribute__((always_inline)) T* unknown(T* p) {
#if defined(__GNUC__)
  asm("" : "+r"(p));
#endif
  return p;
}

// Where the loop's bounds are template arguments, the compiler must unroll it for values to live in registers.
#define NASP_UNROLL _Pragma("GCC unroll 64")
#define NASP_LOOP _Pragma("GCC unroll 1")
// What takes a register tile must be inlined, or the tile is kept in memory all along.
#define NASP_INLINE inline __attribute__((always_inline))
#define NASP_LAMBDA_INLINE __attribute__((always_inline))

}  // namespace nasp::NASP_ISA
