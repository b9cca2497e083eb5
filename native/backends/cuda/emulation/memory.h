// Device and page-locked memory of the emulation: host memory that is tracked, so that a copy in the wrong direction or past
// an end is an error, and that starts as NaN.
#pragma once
#include <cstddef>

namespace nasp::memory {

constexpr std::size_t device_bytes = std::size_t{64} << 30;  // of address space

void* allocate_device(std::size_t bytes);  // null: there is none
void* allocate_pinned(std::size_t bytes);
bool free_device(void* p);  // false: not an allocation
bool free_pinned(void* p);
bool on_device(const void* p, std::size_t bytes);  // within one allocation
bool pinned(const void* p, std::size_t bytes);

}  // namespace nasp::memory
