// Kernel body of the training transform, from a data set held on the device as bytes: crop, flip, normalise, cutout. Draws
// and arithmetic are the host's (data/augment.h), to the bit.
#pragma once
#include "../../core/image_draws.h"
#include "kernel.h"

namespace nasp::NASP_KERNELS {

// A row of an image a block, through shared memory: bytes lie by channel, pixels of x by pixel. A thread's byte is where the
// row in memory has it, whatever the crop, so that sectors are read once; a byte that the crop leaves out stands for a pixel
// of x that lies beyond the image.
__global__ void augment(AugmentArguments a) {
  NASP_SHARED(float, row, most_row_values);
  const ImageBytes& d = a.data;
  const Augment& o = a.step;
  const int n = blockIdx.x / d.height, y = blockIdx.x % d.height;
  const std::uint32_t index = read(a.indices, n);
  const std::uint64_t counter = o.counter + n;
  const CropDraw crop = draw_crop(o.seed, counter, o.pad, o.flip);
  const Cutout cut = draw_cutout(o.seed, counter, o.cutout, d.height, d.width);
  const std::size_t pixels = static_cast<std::size_t>(d.height) * d.width;
  const unsigned char* image = d.images + index * pixels * d.channels;
  const int values = d.width * d.channels, from_row = y + crop.down;
  for (int i = threadIdx.x; i < values; i += blockDim.x) {
    const int c = i / d.width, from = i % d.width, place = from - crop.right;
    const bool inside = from_row >= 0 && from_row < d.height && place >= 0 && place < d.width;
    const int wrapped = (place % d.width + d.width) % d.width,
              x = crop.flip ? d.width - 1 - wrapped : wrapped;
    const std::size_t at = c * pixels + static_cast<std::size_t>(inside ? from_row : 0) * d.width + from;
    const unsigned char byte = read_if<unsigned char>(inside, image, at, 0);
    const bool zero = y >= cut.top && y < cut.bottom && x >= cut.left && x < cut.end;
    put(row, x * d.channels + c,
        zero ? 0 : static_cast<float>(normalised_byte(byte, read(d.mean, c), read(d.deviation, c))));
  }
  __syncthreads();
  float* to = a.x + static_cast<std::size_t>(blockIdx.x) * values;
  for (int i = threadIdx.x; i < values; i += blockDim.x) write(to, i, get(row, i));
  if (y == 0 && threadIdx.x == 0) write(a.targets, n, static_cast<int>(read(d.labels, index)));
}

}  // namespace nasp::NASP_KERNELS
