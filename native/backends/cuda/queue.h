// A session's one stream: everything is put into it in order, counted, and checked. The first failure stays; from then on
// ok() is false and callers put nothing more in.
#pragma once
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cudnn.h>

#include "../device.h"

namespace nasp::cuda {

class Queue {
 public:
  cudaStream_t stream = nullptr;

  bool ok() const { return !failure_.code; }
  const DeviceFailure& failure() const { return failure_; }
  const DeviceCounts& counts() const { return counts_; }

  // False where it failed. `what` was asked for.
  bool check(cudaError_t error, const char* what);
  bool check(cudnnStatus_t status, const char* what);
  bool check(cublasStatus_t status, const char* what);
  void fail(const char* code, const char* format, ...) __attribute__((format(printf, 3, 4)));
  void fail(const DeviceFailure& failure);

  void launched(const char* kernel);     // after <<<>>>
  void called() { counts_.launches++; }  // after a library's call
  bool wait();

  // Between the two a wait fails.
  void begin_step();
  void end_step();
  bool in_step() const { return in_step_; }

 private:
  DeviceFailure failure_;
  DeviceCounts counts_ = {0, 0};
  bool in_step_ = false;
};

// Whether this thread is in a step: what the emulation's runtime refuses allocations and waits by.
bool step_is_running();

// What an error of the first CUDA calls means for who runs this, in one line.
void explain(cudaError_t error, char* text, std::size_t size);

}  // namespace nasp::cuda
