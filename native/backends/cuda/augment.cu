#include "augment.cuh"

#include "launch.cuh"

namespace nasp::cuda {

void launch_augment(Queue& queue, const AugmentArguments& a) {
  if (a.data.width * a.data.channels > most_row_values)
    return queue.fail("ERR_NASP_UNSUPPORTED",
                      "Expected at most %d values in a row of an image on a device but received %d",
                      most_row_values, a.data.width * a.data.channels);
  launch(queue, "augment", augment, dim3(a.batch * a.data.height), dim3(128), a);
}

}  // namespace nasp::cuda
