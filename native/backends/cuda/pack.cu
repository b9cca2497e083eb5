#include "pack.cuh"

#include "launch.cuh"

namespace nasp::cuda {

void launch_move_taps(Queue& queue, const TapsArguments& a) {
  if (a.taps > most_taps)
    return queue.fail("ERR_NASP_INTERNAL", "Expected at most %d taps but received %d", most_taps, a.taps);
  const int chunks = (a.channels + taps_channels - 1) / taps_channels;
  launch(queue, "move_taps", move_taps, dim3(a.outputs * chunks), dim3(threads_a_block), a);
}

}  // namespace nasp::cuda
