#include "skip_dropout.cuh"

#include "launch.cuh"

namespace nasp::cuda {

void launch_drop(Queue& queue, const DropArguments& a) {
  launch_over(queue, "drop", drop, {(a.map.batch + 3) / 4, a.map.height, a.map.width, a.map.channels}, 1, a);
}

}  // namespace nasp::cuda
