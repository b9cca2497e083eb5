// Memory from the system, in whole huge pages (fewer page faults and TLB misses where it has them). Pages are touched only when
// used.
#pragma once
#include <cstddef>

namespace nasp {

constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }
constexpr std::size_t huge_page = std::size_t{1} << 21;

// A multiple of huge_page; null where the system refuses. reserve: address space, which promises no memory.
void* map_huge_pages(std::size_t bytes, bool reserve);
void unmap_huge_pages(void* memory, std::size_t bytes);

}  // namespace nasp
