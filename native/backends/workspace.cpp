#include "workspace.h"

#include <sys/mman.h>

#include <cstdlib>

#include "../core/error.h"

namespace nasp {

Workspace::Workspace(int threads) : threads_(static_cast<std::size_t>(threads)) {}

Workspace::~Workspace() {
  for (Buffer& b : threads_) std::free(b.data);
  for (Buffer& b : shared_) std::free(b.data);
}

std::size_t Workspace::bytes() const {
  std::size_t n = 0;
  for (const Buffer& b : threads_) n += b.size;
  for (const Buffer& b : shared_) n += b.size;
  return n;
}

void* Workspace::grown(Buffer& b, std::size_t bytes) {
  if (b.size >= bytes) return b.data;
  std::free(b.data);
  constexpr std::size_t huge_page = std::size_t{1} << 21;
  b.size = (bytes + huge_page - 1) / huge_page * huge_page;
  b.data = std::aligned_alloc(huge_page, b.size);
  if (!b.data) {
    b.size = 0;
    throw Error("ERR_NASP_OUT_OF_MEMORY",
                "Out of memory: a kernel asked for " + std::to_string(bytes >> 20) + " MiB of workspace");
  }
#ifdef MADV_HUGEPAGE
  madvise(b.data, b.size, MADV_HUGEPAGE);
#endif
  return b.data;
}

}  // namespace nasp
