// Kernel bodies of weights' change of layout between the nets' (outputs, channels, taps) and the kernels' (outputs, taps,
// channels), through shared memory, so that both sides coalesce.
#pragma once
#include "kernel.h"

namespace nasp::NASP_KERNELS {

constexpr int most_taps = 49;

// An output and up to 32 channels a block; pack: to the kernels' layout, else back. A warp takes one tap of the kernels'
// layout, so that it meets no bank twice.
__global__ void move_taps(TapsArguments a) {
  NASP_SHARED(float, tile, taps_channels* most_taps);
  const int chunks = (a.channels + taps_channels - 1) / taps_channels;
  const int output = blockIdx.x / chunks, first = static_cast<int>(blockIdx.x % chunks) * taps_channels,
            lanes = min(taps_channels, a.channels - first), lane = threadIdx.x % taps_channels;
  const std::size_t base = static_cast<std::size_t>(output) * a.channels * a.taps,
                    of_net = base + static_cast<std::size_t>(first) * a.taps, of_kernel = base + first + lane;
  const int row = threadIdx.x / taps_channels, rows = blockDim.x / taps_channels;
  if (a.pack) {
    for (int i = threadIdx.x; i < lanes * a.taps; i += blockDim.x) put(tile, i, read(a.from, of_net + i));
  } else {
    for (int tap = row; lane < lanes && tap < a.taps; tap += rows)
      put(tile, lane * a.taps + tap, read(a.from, of_kernel + static_cast<std::size_t>(tap) * a.channels));
  }
  __syncthreads();
  if (a.pack) {
    for (int tap = row; lane < lanes && tap < a.taps; tap += rows)
      write(a.to, of_kernel + static_cast<std::size_t>(tap) * a.channels, get(tile, lane * a.taps + tap));
  } else {
    for (int i = threadIdx.x; i < lanes * a.taps; i += blockDim.x) write(a.to, of_net + i, get(tile, i));
  }
}

}  // namespace nasp::NASP_KERNELS
