#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>

namespace nasp::memory {

namespace {

constexpr std::size_t poisoned =
    1 << 20;  // NaN at the start of every allocation; the rest is zero pages until used

struct Heap {
  std::map<const char*, std::size_t> blocks;
  std::mutex mutex;
  std::atomic<unsigned> frees{0};

  void* allocate(std::size_t bytes) {
    if (bytes > device_bytes) return nullptr;
    bytes = std::max<std::size_t>(bytes, 1);
    void* p =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    std::memset(p, 0xFF, std::min(bytes, poisoned));
    const std::lock_guard<std::mutex> lock(mutex);
    blocks[static_cast<const char*>(p)] = bytes;
    return p;
  }
  bool release(void* p) {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = blocks.find(static_cast<const char*>(p));
    if (found == blocks.end()) return false;
    munmap(p, found->second);
    blocks.erase(found);
    frees++;
    return true;
  }
  // Kernels ask at every access: the last few blocks found are remembered until something is freed.
  bool holds(const void* p, std::size_t bytes) {
    struct Found {
      const char *from = nullptr, *to = nullptr;
      const Heap* heap = nullptr;
      unsigned frees = 0;
    };
    thread_local Found recent[8];
    thread_local unsigned next = 0;
    const char *from = static_cast<const char*>(p), *to = from + bytes;
    for (const Found& f : recent) {
      if (f.heap == this && f.frees == frees && from >= f.from && to <= f.to) return true;
    }
    const std::lock_guard<std::mutex> lock(mutex);
    auto after = blocks.upper_bound(static_cast<const char*>(p));
    if (after == blocks.begin()) return false;
    --after;
    if (to > after->first + after->second) return false;
    recent[next++ % 8] = {after->first, after->first + after->second, this, frees};
    return true;
  }
};
Heap device, page_locked;

}  // namespace

void* allocate_device(std::size_t bytes) { return device.allocate(bytes); }
void* allocate_pinned(std::size_t bytes) { return page_locked.allocate(bytes); }
bool free_device(void* p) { return device.release(p); }
bool free_pinned(void* p) { return page_locked.release(p); }
bool on_device(const void* p, std::size_t bytes) { return device.holds(p, bytes); }
bool pinned(const void* p, std::size_t bytes) { return page_locked.holds(p, bytes); }

}  // namespace nasp::memory
