#include "workspace.h"

#include <sys/mman.h>

#include "../core/error.h"

namespace nasp {

Workspace::Workspace(int threads) : threads_(static_cast<std::size_t>(threads)) {}

Workspace::~Workspace() {
  for (Buffer& b : threads_) release(b);
  for (Buffer& b : shared_) release(b);
}

void Workspace::release(Buffer& b) {
  if (b.data) munmap(b.data, b.size);
  b = {};
}

std::size_t Workspace::bytes() const {
  std::size_t n = 0;
  for (const Buffer& b : threads_) n += b.size;
  for (const Buffer& b : shared_) n += b.size;
  return n;
}

void* Workspace::grown(Buffer& b, std::size_t bytes) {
  if (b.size >= bytes) return b.data;
  release(b);
  constexpr std::size_t huge_page = std::size_t{1} << 21;
  const std::size_t size = (bytes + huge_page - 1) / huge_page * huge_page;
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    throw Error("ERR_NASP_OUT_OF_MEMORY",
                "Out of memory: a kernel asked for " + std::to_string(bytes >> 20) + " MiB of workspace");
  }
  b = {data, size};
#ifdef MADV_HUGEPAGE
  madvise(b.data, b.size, MADV_HUGEPAGE);
#endif
  return b.data;
}

}  // namespace nasp
