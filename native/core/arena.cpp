#include "arena.h"

#include <algorithm>
#include <string>

#include "error.h"
#include "free_memory.h"
#include "poison.h"

namespace nasp {

namespace {
constexpr unsigned char pattern = 0xA5;
constexpr std::size_t asked_at_once = 16 << 20;  // the system is asked so seldom that it costs nothing
}  // namespace

Arena::Arena(std::size_t bytes, bool guarded, const Memory& memory) : guarded_(guarded), memory_(memory) {
  reserve(bytes);
}

Arena::~Arena() { release(); }

void Arena::reserve(std::size_t bytes) {
  const std::size_t size = round_up(bytes + huge_page, huge_page);
  if (memory_.reserve) {
    base_ = static_cast<char*>(memory_.reserve(memory_.context, size));
    if (!base_) {
      throw Error("ERR_NASP_OUT_OF_MEMORY",
                  "Expected " + std::to_string(size >> 20) +
                      " MiB of device memory for activations, which the device does "
                      "not have free; a smaller batch, fewer channels or fewer "
                      "layers need less");
    }
    reserved_ = round_up(bytes, page), mapped_ = size;
    return;
  }
  base_ = static_cast<char*>(map_huge_pages(size, true));
  if (!base_) {
    throw Error("ERR_NASP_OUT_OF_MEMORY",
                "Expected " + std::to_string(bytes >> 20) +
                    " MiB of address space for activations, which the system refused; a "
                    "smaller batch, fewer channels or fewer layers need less");
  }
  poison(base_, size);
  reserved_ = round_up(bytes, page), mapped_ = size;
}

void Arena::release() {
  if (!base_) return;
  if (memory_.release) {
    memory_.release(memory_.context, base_);
  } else {
    unpoison(base_, mapped_);
    unmap_huge_pages(base_, mapped_);
  }
  base_ = nullptr;
  reserved_ = mapped_ = used_ = found_free_ = 0;
}

void Arena::reserve_anew(std::size_t bytes) {
  release();
  if (bytes > 0) reserve(bytes);
}

void* Arena::take(std::size_t bytes) {
  const std::size_t size = padded(bytes, guarded_);
  if (size > reserved_ - used_) {
    throw Error("ERR_NASP_INTERNAL", "The step needs more than the " + std::to_string(reserved_ >> 20) +
                                         " MiB that its plan reserved for activations");
  }
  if (memory_.host() && used_ + size > found_free_) {
    const std::size_t wanted = std::min(used_ + std::max(size, asked_at_once), reserved_);
    expect_free_memory(wanted - found_free_,
                       "activations beside " + std::to_string(found_free_ >> 20) + " MiB of them");
    // Taken at once: what is only promised is still free to whoever asks next.
    for (std::size_t at = found_free_; !poisons && at < wanted; at += page)
      static_cast<volatile char*>(base_)[at] = 0;
    found_free_ = wanted;
  }
  void* p = base_ + used_;
  if (memory_.host()) hand_out(p, bytes, size);
  if (guarded_ && !(poisons && memory_.host())) {
    guards_.push_back({used_ + bytes, used_ + size});
    memory_.fill_at(base_ + used_ + bytes, pattern, size - bytes);
  }
  used_ += size;
  if (used_ > peak_) peak_ = used_;
  return p;
}

void Arena::rewind(std::size_t mark) {
  check();
  if (memory_.host()) poison(base_ + mark, used_ - mark);
  used_ = mark;
  while (!guards_.empty() && guards_.back().from >= mark) guards_.pop_back();
}

void Arena::check() const {
  std::vector<char> copy;
  for (const Guard& g : guards_) {
    const char* bytes = base_ + g.from;
    if (!memory_.host()) {
      copy.resize(g.to - g.from);
      if (!memory_.read_at(copy.data(), bytes, copy.size())) return;  // the device says itself what failed
      bytes = copy.data();
    }
    for (std::size_t i = g.from; i < g.to; i++) {
      if (static_cast<unsigned char>(bytes[i - g.from]) == pattern) continue;
      throw Error("ERR_NASP_INTERNAL",
                  "A kernel wrote " + std::to_string(i - g.from) + " bytes past the end of its memory");
    }
  }
}

}  // namespace nasp
