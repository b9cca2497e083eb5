#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

namespace nasp::memory {

namespace {

constexpr std::size_t most_device = std::size_t{64} << 30;  // more than this is refused, as a device would
constexpr std::size_t poisoned = 4 << 20;  // NaN at the start of every allocation; the rest is zero pages until used

struct Heap {
  std::map<const char*, std::size_t> blocks;
  std::mutex mutex;

  void* allocate(std::size_t bytes) {
    if (bytes > most_device) return nullptr;
    bytes = std::max<std::size_t>(bytes, 1);
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
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
    return true;
  }
  bool holds(const void* p, std::size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex);
    auto after = blocks.upper_bound(static_cast<const char*>(p));
    if (after == blocks.begin()) return false;
    --after;
    return static_cast<const char*>(p) + bytes <= after->first + after->second;
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
