#include "queue.h"

#include <cstdarg>
#include <cstdio>

namespace nasp::cuda {

void Queue::fail(const char* code, const char* format, ...) {
  if (!ok()) return;
  failure_.code = code;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(failure_.message, sizeof(failure_.message), format, arguments);
  va_end(arguments);
}

void Queue::fail(const DeviceFailure& failure) {
  if (ok()) failure_ = failure;
}

bool Queue::check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return true;
  (void)cudaGetLastError();  // no launch of another session is to find it
  fail(error == cudaErrorMemoryAllocation ? "ERR_NASP_OUT_OF_MEMORY" : "ERR_NASP_INTERNAL",
       "CUDA failed: %s: %s (error %d, %s); this session is at its end", what, cudaGetErrorString(error),
       static_cast<int>(error), cudaGetErrorName(error));
  return false;
}

bool Queue::check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return true;
  char reason[256] = "";
  cudnnGetLastErrorString(reason, sizeof(reason));
  const bool no_memory = status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ||
                         status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
  fail(no_memory ? "ERR_NASP_OUT_OF_MEMORY" : "ERR_NASP_INTERNAL",
       "cuDNN failed: %s: %s (status %d) %s; this session is at its end", what, cudnnGetErrorString(status),
       static_cast<int>(status), reason);
  return false;
}

bool Queue::check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return true;
  fail(status == CUBLAS_STATUS_ALLOC_FAILED ? "ERR_NASP_OUT_OF_MEMORY" : "ERR_NASP_INTERNAL",
       "cuBLAS failed: %s: status %d; this session is at its end", what, static_cast<int>(status));
  return false;
}

void Queue::launched(const char* kernel) {
  counts_.launches++;
  check(cudaGetLastError(), kernel);
}

namespace {
thread_local int steps = 0;
}
bool step_is_running() { return steps > 0; }

void Queue::begin_step() {
  if (!in_step_) steps++;
  in_step_ = true;
}

void Queue::end_step() {
  if (in_step_) steps--;
  in_step_ = false;
}

bool Queue::wait() {
  if (in_step_) fail("ERR_NASP_INTERNAL", "The device was waited for inside a step");
  if (!ok()) return false;
  counts_.waits++;
  return check(cudaStreamSynchronize(stream), "waiting for the stream");
}

void explain(cudaError_t error, char* text, std::size_t size) {
  const char* advice = "";
  switch (static_cast<int>(error)) {
    case cudaErrorInsufficientDriver:
      advice = ": the NVIDIA driver is missing or older than this CUDA runtime; install or update it";
      break;
    case cudaErrorNoDevice:
      advice = ": the driver sees no GPU; is there one, and does CUDA_VISIBLE_DEVICES hide it?";
      break;
    default:
      break;
  }
  std::snprintf(text, size, "No CUDA device can be used%s (error %d, %s: %s)", advice,
                static_cast<int>(error), cudaGetErrorName(error), cudaGetErrorString(error));
}

}  // namespace nasp::cuda
