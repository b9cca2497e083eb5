// What a pass takes from its arena, counted before there is one. Beside each function that takes from a pass's arena stands a
// count_... of the same takes and rewinds, in the same order, that it is to be changed with; a net's plan is their peak.
#pragma once
#include <algorithm>
#include <cstddef>

#include "../backends/backend.h"
#include "../core/arena.h"

namespace nasp {

template <class S>
class ArenaCount {
 public:
  // guarded: of an arena that is.
  ArenaCount(const Backend<S>& backend, int batch, bool guarded = false)
      : backend_(backend), batch_(batch), guarded_(guarded) {}

  void take(int channels, int height, int width) { take_as<S>(size(channels, height, width)); }  // Pass::take
  template <class T>
  void take_as(std::size_t count) {
    used_ += Arena::padded(count * sizeof(T), guarded_);
    peak_ = std::max(peak_, used_);
  }
  std::size_t mark() const { return used_; }
  void rewind(std::size_t mark) { used_ = mark; }
  std::size_t peak() const { return peak_; }  // bytes

  const Backend<S>& backend() const { return backend_; }
  std::size_t size(int channels, int height, int width) const {
    return backend_.size(batch_, channels, height, width);
  }

 private:
  const Backend<S>& backend_;
  int batch_;
  bool guarded_;
  std::size_t used_ = 0, peak_ = 0;
};

}  // namespace nasp
