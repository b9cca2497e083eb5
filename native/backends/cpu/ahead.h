// What the next rows of a piece are made of, asked for from memory beside the arithmetic of the rows before, a few lines of
// the cache at a time. A step's rows, not a piece's: these would drive out what the piece works on.
#pragma once
#include "../backend.h"
#include "lanes.h"

namespace nasp::NASP_ISA {

template <class S>
class Ahead {
 public:
  // A row of all channels of block `block`. Rows beyond the image, or of a view that is not there, are none.
  void add(const View<const S>& v, int block, int row) {
    if (!v.data || row < 0 || row >= v.height || count_ == most) return;
    rows_[count_++] = v.data + block * v.block_pitch + row * v.row_pitch;
    line_count_ = static_cast<int>(v.channels * v.channel_pitch * static_cast<ptrdiff_t>(sizeof(S)) / line);
  }
  // From now on ask() takes one of `parts` equal parts.
  void divide(int parts) { share_ = ceil_div(count_ * line_count_, larger(1, parts)); }
  void ask() {
    if (row_ == count_) return;
    const int end = smaller(at_ + share_, line_count_);
    for (const char* row = reinterpret_cast<const char*>(rows_[row_]); at_ < end; at_++)
      __builtin_prefetch(row + at_ * line, 0, 2);
    if (at_ == line_count_) at_ = 0, row_++;
  }

 private:
  static constexpr int most = 24, line = 64;
  const S* rows_[most];
  int count_ = 0, line_count_ = 0, share_ = 0, row_ = 0, at_ = 0;
};

}  // namespace nasp::NASP_ISA
