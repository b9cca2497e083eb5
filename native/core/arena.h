// One stretch of address space, handed out from the bottom and given back by rewinding. Pages are touched only
// when used, so the resident size follows what a step needs, not what the plan reserved: what is new of them is asked for
// when it is first taken.
#pragma once
#include <cstddef>
#include <vector>

#include "huge_pages.h"
#include "memory.h"

namespace nasp {

class Arena {
 public:
  static constexpr std::size_t page = 4096;
  // What a stretch of so many bytes takes.
  static std::size_t padded(std::size_t bytes, bool guarded) {
    return round_up(bytes, page) + (guarded ? page : 0);
  }

  // Bytes of address space, or of `memory`; throws Error ERR_NASP_OUT_OF_MEMORY. guarded: a pattern behind every stretch,
  // down to its last byte, that check() finds changed where a kernel wrote past its end (operations run alone: tests and
  // verify); in host memory AddressSanitizer does without, and sees reads too (poison.h).
  explicit Arena(std::size_t reserve, bool guarded = false, const Memory& memory = {});
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Page-aligned and padded to whole pages; throws Error ERR_NASP_OUT_OF_MEMORY past the reserve, and where host memory
  // never taken before is not free.
  void* take(std::size_t bytes);
  template <class S>
  S* take_as(std::size_t count) {
    return static_cast<S*>(take(count * sizeof(S)));
  }

  std::size_t reserved() const { return reserved_; }
  // Nothing is taken: gives the reserve back and, where bytes are asked for, reserves those. Throws as the constructor;
  // what is left then holds nothing.
  void reserve_anew(std::size_t bytes);
  std::size_t mark() const { return used_; }
  void rewind(std::size_t mark);
  std::size_t peak() const { return peak_; }
  void reset_peak() { peak_ = used_; }
  void check() const;  // throws Error ERR_NASP_INTERNAL

 private:
  void reserve(std::size_t bytes);
  void release();
  struct Guard {
    std::size_t from, to;  // offsets
  };
  bool guarded_;
  Memory memory_;
  std::vector<Guard> guards_;
  char* base_ = nullptr;
  std::size_t reserved_ = 0, mapped_ = 0, used_ = 0, peak_ = 0;
  std::size_t found_free_ = 0;  // so much from the bottom on was free when it was first asked for
};

}  // namespace nasp
