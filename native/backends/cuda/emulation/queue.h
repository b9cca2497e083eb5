// The emulated device's queue: what is put into a stream waits there until somebody waits for the stream, so that a missing
// wait shows; then it is done in order.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>

namespace nasp::emulation {

// The work returns its error; after the first the device answers with it alone, as CUDA's does.
void enqueue(cudaStream_t stream, std::function<cudaError_t()> work);
cudaError_t drain(cudaStream_t stream);
bool anything_queued();  // by this thread
// Whether this thread has called cudaSetDevice: the doubles of cuDNN and cuBLAS refuse to plan and compute without, where
// on a card no context may be there.
bool device_is_chosen();

}  // namespace nasp::emulation
