#include "huge_pages.h"

#include <sys/mman.h>

namespace nasp {

void* map_huge_pages(std::size_t bytes, bool reserve) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (reserve ? MAP_NORESERVE : 0);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
  madvise(memory, bytes, MADV_HUGEPAGE);  // a hint, so its answer is not needed
#endif
  return memory;
}

void unmap_huge_pages(void* memory, std::size_t bytes) { munmap(memory, bytes); }

}  // namespace nasp
