// Where an engine's numbers lie: in this process's memory, or in a device's, which only kernels and these functions reach.
#pragma once
#include <cstddef>
#include <cstring>

namespace nasp {

// All functions null: this process's memory. A device's are in order with what is queued on it; read waits for that, and
// write has taken what it was given when it returns.
struct Memory {
  void* context = nullptr;
  void* (*reserve)(void* context, std::size_t bytes) = nullptr;  // null: there is not enough
  void (*release)(void* context, void* memory) = nullptr;
  void (*fill)(void* context, void* to, unsigned char byte, std::size_t bytes) = nullptr;
  bool (*read)(void* context, void* to, const void* from, std::size_t bytes) = nullptr;  // false: it failed
  void (*write)(void* context, void* to, const void* from, std::size_t bytes) = nullptr;
  void (*copy)(void* context, void* to, const void* from, std::size_t bytes) = nullptr;  // within it
  std::size_t* held = nullptr;  // where stores (store.h) count their bytes; null: nobody asks

  bool host() const { return !reserve; }
  // Of no bytes, pointers may be null.
  void fill_at(void* to, unsigned char byte, std::size_t bytes) const {
    if (bytes == 0) return;
    if (host())
      std::memset(to, byte, bytes);
    else
      fill(context, to, byte, bytes);
  }
  bool read_at(void* to, const void* from, std::size_t bytes) const {
    if (bytes == 0) return true;
    if (!host()) return read(context, to, from, bytes);
    std::memcpy(to, from, bytes);
    return true;
  }
  void write_at(void* to, const void* from, std::size_t bytes) const {
    if (bytes == 0) return;
    if (host())
      std::memcpy(to, from, bytes);
    else
      write(context, to, from, bytes);
  }
  void copy_at(void* to, const void* from, std::size_t bytes) const {
    if (bytes == 0) return;
    if (host())
      std::memcpy(to, from, bytes);
    else
      copy(context, to, from, bytes);
  }
};

}  // namespace nasp
