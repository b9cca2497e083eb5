// Memory that is nobody's at the moment, for AddressSanitizer, which does not know of memory that the engine hands out
// itself: what touches it ends the program with a report. In other builds nothing is done.
#pragma once
#include <cstddef>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace nasp {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool poisons = true;
inline void poison(void* memory, std::size_t bytes) { __asan_poison_memory_region(memory, bytes); }
inline void unpoison(void* memory, std::size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
inline bool is_poisoned(const void* memory) { return __asan_address_is_poisoned(memory); }
#else
constexpr bool poisons = false;
inline void poison(void*, std::size_t) {}
inline void unpoison(void*, std::size_t) {}
inline bool is_poisoned(const void*) { return false; }
#endif

// The first `bytes` of `size` become somebody's, the others nobody's; what stands in the first is lost (NaN).
inline void hand_out(void* memory, std::size_t bytes, std::size_t size) {
  if (!poisons) return;
  unpoison(memory, bytes);
  std::memset(memory, 0xFF, bytes);
  poison(static_cast<char*>(memory) + bytes, size - bytes);
}

}  // namespace nasp
