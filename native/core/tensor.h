// A view of an activation or of its gradient. The backend owns the layout; the rest of the engine only cuts
// channels and hands views on. On the CPU: batch lanes, x[block][H][C][W][lanes], `lanes` images side by side.
#pragma once
#include <cstddef>

namespace nasp {

template <class S>
struct View {
  S* data = nullptr;  // block 0, row 0, channel 0
  int channels = 0, height = 0, width = 0;
  std::ptrdiff_t block_pitch = 0, row_pitch = 0, channel_pitch = 0;  // scalars from one to the next

  View slice(int first, int count) const {  // channels [first, first + count)
    View part = *this;
    part.data = data + first * channel_pitch;
    part.channels = count;
    return part;
  }
  operator View<const S>() const {
    return {data, channels, height, width, block_pitch, row_pitch, channel_pitch};
  }
  explicit operator bool() const { return data != nullptr; }
};

}  // namespace nasp
