// Kernel body of the training transform, from a data set held on the device as bytes: crop, flip, normalise, cutout. Draws
// and arithmetic are the host's (data/augment.h), to the bit.
#pragma once
#include "../../core/rng.h"
#include "kernel.h"

namespace nasp::NASP_KERNELS {

// A row of an image a block, through shared memory: bytes lie by channel, pixels of x by pixel.
__global__ void augment(AugmentArguments a) {
  NASP_SHARED(float, row, most_row_values);
  const ImageBytes& d = a.data;
  const AugmentStep& o = a.step;
  const int n = blockIdx.x / d.height, y = blockIdx.x % d.height;
  const std::uint32_t index = read(a.indices, n);
  const std::uint64_t counter = o.counter + n;
  int down = 0, right = 0;
  bool flip = false;
  if (o.pad > 0 || o.flip) {
    const Random4 draw = philox(o.seed, static_cast<std::uint32_t>(Stream::augment), 0, counter);
    const std::uint32_t places = 2 * static_cast<std::uint32_t>(o.pad) + 1;
    down = static_cast<int>(below(draw.word[0], places)) - o.pad;
    right = static_cast<int>(below(draw.word[1], places)) - o.pad;
    flip = o.flip && (draw.word[2] >> 31) != 0;
  }
  const int half = o.cutout / 2;
  int top = 0, left = 0, bottom = 0, end = 0;  // of the square of zeros
  if (half > 0) {
    const Random4 centre = philox(o.seed, static_cast<std::uint32_t>(Stream::augment), 1, counter);
    const int cy = static_cast<int>(below(centre.word[0], d.height)),
              cx = static_cast<int>(below(centre.word[1], d.width));
    top = cy - half, bottom = cy + half, left = cx - half, end = cx + half;
  }
  const std::size_t pixels = static_cast<std::size_t>(d.height) * d.width;
  const unsigned char* image = d.images + index * pixels * d.channels;
  const int values = d.width * d.channels, from_row = y + down;
  for (int i = threadIdx.x; i < values; i += blockDim.x) {
    const int c = i / d.width, x = i % d.width, from = (flip ? d.width - 1 - x : x) + right;
    const bool inside = from_row >= 0 && from_row < d.height && from >= 0 && from < d.width;
    const int byte =
        inside ? read(image, c * pixels + static_cast<std::size_t>(from_row) * d.width + from) : 0;
    const bool cut = y >= top && y < bottom && x >= left && x < end;
    put(row, x * d.channels + c,
        cut ? 0 : static_cast<float>((byte / 255.0 - read(d.mean, c)) / read(d.deviation, c)));
  }
  __syncthreads();
  float* to = a.x + static_cast<std::size_t>(blockIdx.x) * values;
  for (int i = threadIdx.x; i < values; i += blockDim.x) write(to, i, get(row, i));
  if (y == 0 && threadIdx.x == 0) write(a.targets, n, static_cast<int>(read(d.labels, index)));
}

}  // namespace nasp::NASP_KERNELS
