// How a kernel is put into the queue: block sizes, grids, and the width of a thread's channels.
#pragma once
#include <cstdint>
#include <initializer_list>

#include "kernels.h"

namespace nasp::cuda {

constexpr int threads_a_block = 256;

template <class Arguments>
void launch(Queue& queue, const char* name, void (*kernel)(Arguments), dim3 grid, dim3 block,
            const Arguments& arguments) {
  if (!queue.ok()) return;
  kernel<<<grid, block, 0, queue.stream>>>(arguments);
  queue.launched(name);
}

// One thread for every V channels of every pixel.
template <class Arguments>
void launch_over(Queue& queue, const char* name, void (*kernel)(Arguments), const Map& map, int width,
                 const Arguments& arguments) {
  const std::int64_t threads = static_cast<std::int64_t>(map.pixels()) * (map.channels / width);
  launch(queue, name, kernel, dim3(static_cast<unsigned>((threads + threads_a_block - 1) / threads_a_block)),
         dim3(threads_a_block), arguments);
}

// One thread for each of `count`.
template <class Arguments>
void launch_each(Queue& queue, const char* name, void (*kernel)(Arguments), int count,
                 const Arguments& arguments) {
  launch(queue, name, kernel, dim3((count + threads_a_block - 1) / threads_a_block), dim3(threads_a_block),
         arguments);
}

// Whether four neighbouring channels can be read and written at once: all counts multiples of 4, all pointers of 16 bytes.
inline bool by_four(std::initializer_list<int> counts, std::initializer_list<const void*> pointers) {
  for (int n : counts) {
    if (n % 4 != 0) return false;
  }
  for (const void* p : pointers) {
    if (reinterpret_cast<std::uintptr_t>(p) % 16 != 0) return false;
  }
  return true;
}
inline bool by_four(const Activation& a) {
  return by_four({a.pitch}, {a.x, a.norm.mean, a.norm.scale, a.norm.shift});
}
inline bool by_four(const GradientTarget& to) { return by_four({to.pitch}, {to.dx}) && by_four(to.gate); }

// Blocks (lanes of channel groups, rows of pixels) of a reduction over pixels.
struct Reduction {
  dim3 grid, block;
};
inline Reduction reduction(int groups, int pieces) {
  const int columns = (groups + 31) / 32, lanes = (groups + columns - 1) / columns;
  return {dim3(columns, pieces), dim3(lanes, threads_a_block / lanes)};
}
// Pieces of at least 128 pixels, at most 512 of them.
inline int pieces_of(int pixels) { return pixels < 128 * 512 ? (pixels + 127) / 128 : 512; }
inline int pixels_a_piece(int pixels) {
  const int pieces = pieces_of(pixels);
  return (pixels + pieces - 1) / pieces;
}

}  // namespace nasp::cuda

#define NASP_LAUNCH_OVER(queue, kernel, four, map, arguments)         \
  ((four) ? launch_over(queue, #kernel, kernel<4>, map, 4, arguments) \
          : launch_over(queue, #kernel, kernel<1>, map, 1, arguments))
