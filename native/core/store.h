// One stretch of memory that stays for as long as its owner: parameters, alpha, the numbers of a step, a data set. Zero at
// the start.
#pragma once
#include <cstdlib>
#include <string>
#include <utility>

#include "error.h"
#include "free_memory.h"
#include "memory.h"

namespace nasp {

template <class T>
class Store {
 public:
  Store() = default;
  Store(std::size_t count, const Memory& memory) { allocate(count, memory); }
  ~Store() { release(); }
  Store(Store&& other) noexcept { *this = std::move(other); }
  Store& operator=(Store&& other) noexcept {
    std::swap(memory_, other.memory_), std::swap(data_, other.data_), std::swap(count_, other.count_);
    return *this;
  }

  void allocate(std::size_t count, const Memory& memory) {  // throws Error ERR_NASP_OUT_OF_MEMORY
    release();
    if (count == 0) return;
    const std::size_t bytes = (count * sizeof(T) + alignment - 1) / alignment * alignment;
    memory_ = memory;
    if (memory.host()) expect_free_memory(bytes, "weights and numbers");
    void* p = memory.host() ? std::aligned_alloc(alignment, bytes) : memory.reserve(memory.context, bytes);
    if (!p)
      throw Error("ERR_NASP_OUT_OF_MEMORY", "Expected " + std::to_string((bytes >> 20) + 1) + " MiB of " +
                                                (memory.host() ? "memory" : "device memory") +
                                                ", which are not free");
    data_ = static_cast<T*>(p);
    count_ = count;
    if (memory_.held) *memory_.held += this->bytes();
    memory.fill_at(data_, 0, bytes);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(T); }

 private:
  static constexpr std::size_t alignment = 256;
  void release() {
    if (!data_) return;
    if (memory_.host())
      std::free(data_);
    else
      memory_.release(memory_.context, data_);
    if (memory_.held) *memory_.held -= this->bytes();
    data_ = nullptr;
    count_ = 0;
  }
  Memory memory_;
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace nasp
