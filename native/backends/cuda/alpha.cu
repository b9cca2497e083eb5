#include "alpha.cuh"

#include "launch.cuh"

namespace nasp::cuda {

void launch_update_alpha(Queue& queue, const AlphaArguments& a) {
  for (const AlphaTable<float>& table : a.tables) {
    if (table.candidates > alpha_candidates)
      return queue.fail("ERR_NASP_UNSUPPORTED", "Expected at most %d candidates on a device but received %d",
                        alpha_candidates, table.candidates);
  }
  launch(queue, "update_alpha", update_alpha, dim3(2), dim3(threads_a_block), a);
}

}  // namespace nasp::cuda
