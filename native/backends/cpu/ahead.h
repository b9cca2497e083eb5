// What the next rows of a piece are made of, asked for from memory beside the arithmetic of the rows before, a few lines of
// the cache at a time. A step's rows, not a piece's: these would drive out what the piece works on.
#pragma once
#include "../backend.h"
#include "lanes.h"

namespace nasp::NASP_ISA {

template <class S>
class Ahead {
 public:
  // A row of all channels of block `block`. Rows beyond the image, or of a view that is not there, are none; nor are those that
  // are one too many.
  void add(const View<const S>& v, int block, int row) {
    if (!v.data || row < 0 || row >= v.height || count_ == most) return;
    const ptrdiff_t bytes = v.channels * v.channel_pitch * static_cast<ptrdiff_t>(sizeof(S));
    rows_[count_] = {reinterpret_cast<const char*>(v.data + block * v.block_pitch + row * v.row_pitch),
                     static_cast<int>(bytes / line)};
    lines_ += rows_[count_++].lines;
  }
  // Of all that has been added, ask() asks for one of `parts` equal parts.
  void divide(int parts) { share_ = ceil_div(lines_, larger(1, parts)); }
  void ask() {
    if (row_ == count_) return;
    const auto& [from, lines] = rows_[row_];
    for (const int end = smaller(at_ + share_, lines); at_ < end; at_++)
      __builtin_prefetch(from + at_ * line, 0, 2);
    if (at_ == lines) at_ = 0, row_++;
  }

 private:
  static constexpr int most = 24, line = 64;
  struct Row {
    const char* from;
    int lines;
  };
  Row rows_[most];
  int count_ = 0, lines_ = 0, share_ = 0, row_ = 0, at_ = 0;
};

}  // namespace nasp::NASP_ISA
