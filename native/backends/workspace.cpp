#include "workspace.h"

#include "../core/error.h"
#include "../core/free_memory.h"
#include "../core/huge_pages.h"
#include "../core/poison.h"

namespace nasp {

Workspace::Workspace(int threads) : threads_(static_cast<std::size_t>(threads)) {}

Workspace::~Workspace() {
  for (Buffer& b : threads_) release(b);
  for (Buffer& b : shared_) release(b);
}

void Workspace::release(Buffer& b) {
  if (b.data) {
    unpoison(b.data, b.size);
    unmap_huge_pages(b.data, b.size);
  }
  b = {};
}

std::size_t Workspace::bytes() const {
  std::size_t n = 0;
  for (const Buffer& b : threads_) n += b.size;
  for (const Buffer& b : shared_) n += b.size;
  return n;
}

void* Workspace::grown(Buffer& b, std::size_t bytes) {
  if (b.size >= bytes) {
    if (b.data) hand_out(b.data, bytes, b.size);
    return b.data;
  }
  release(b);
  const std::size_t size = round_up(bytes, huge_page);
  expect_free_memory(size, "kernels");
  void* data = map_huge_pages(size, false);
  if (!data) {
    throw Error("ERR_NASP_OUT_OF_MEMORY",
                "Out of memory: a kernel asked for " + std::to_string(bytes >> 20) + " MiB of workspace");
  }
  b = {data, size};
  hand_out(data, bytes, size);
  return b.data;
}

}  // namespace nasp
