// Kernels on a CPU, for tests: a block's threads are fibers of one thread, switched at __syncthreads() alone, so that a run is
// the same every time; blocks run one after the other. Shared memory starts as NaN, the order of threads changes from launch
// to launch, and every access through load, store, get and put is checked and, where asked, counted (traffic.h). The words
// of CUDA that kernels use are in kernel_words.h.
//
// What this does not show: races between blocks, memory ordering, registers, time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <string>

namespace nasp::fibers {

struct Size {
  unsigned x = 1, y = 1, z = 1;
};

struct Block {  // the running one, and its running thread
  Size index, size, thread;
};
Block& block();

enum class Space { global, shared };

// Runs `body` for every thread of every block. Empty, or what went wrong: the launch, a barrier that not all threads reach,
// an access outside of device memory.
std::string launch(const char* kernel, Size grid, Size size, const std::function<void()>& body);

void wait_for_block();  // __syncthreads()

// An access of the running thread; null: the thread takes part without one.
void touch(const void* address, std::size_t bytes, const std::source_location& site, Space space);

// Shared memory of the running block, of the array that `key` names.
void* shared(const void* key, std::size_t bytes);

}  // namespace nasp::fibers
