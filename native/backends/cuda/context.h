// What a session holds on the device: its queue, library handles, convolution plans, scratch memory, and the page-locked
// memory through which everything goes between host and device.
//
// Memory    everything is taken before a step begins; a call takes scratch from a block and gives it back at its end
// Step      nothing is waited for between begin_step() and end_step(): what the host writes lies in page-locked memory
//           until its copy is done, which is enough for a step's images, targets and flags
#pragma once
#include <nvtx3/nvToolsExt.h>

#include "convolution.h"
#include "kernel_arguments.h"
#include "queue.h"

namespace nasp::cuda {

// A block of device memory, handed out from the bottom.
class Scratch {
 public:
  void* take_bytes(Queue& queue, std::size_t bytes);  // 256-byte aligned; null after a failure
  template <class T>
  T* take(Queue& queue, std::size_t count) {
    return static_cast<T*>(take_bytes(queue, count * sizeof(T)));
  }
  std::size_t mark() const { return used_; }
  void rewind(std::size_t mark) { used_ = mark; }

  char* base = nullptr;
  std::size_t size = 0;

 private:
  std::size_t used_ = 0;
};

class Context {
 public:
  static Context* open(const DevicePlan& plan, DeviceFailure& failure);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Queue queue;
  Scratch scratch;
  Convolutions convolutions;
  cublasHandle_t blas = nullptr;

  // Makes the device the calling thread's: steps run on whichever thread is free, and one that has made no CUDA call yet has
  // no device for cuDNN and cuBLAS to find. False after a failure.
  bool make_current();

  void begin_step();  // makes the device current
  void end_step() { queue.end_step(); }

  // Copies, in order with kernels; `from` of write is free when it returns, read waits.
  void write(void* to, const void* from, std::size_t bytes);
  bool read(void* to, const void* from, std::size_t bytes);
  // Page-locked memory for a copy that is put into the queue next; null after a failure. staging_bytes at most.
  char* stage(std::size_t bytes);
  std::size_t staging_bytes() const { return staging_size_; }

  // Device memory beside the session's own; null in a step or where there is none.
  void* reserve(std::size_t bytes);
  void release(void* memory);
  // Whether the device has so many bytes free, and some for what is loaded later: `fixed` ones, and others in proportion to
  // the batch. What it says of a batch that would fit goes to `failure`.
  bool has_room(std::size_t fixed, std::size_t proportional, int batch, DeviceFailure& failure);

 private:
  explicit Context(const DevicePlan& plan);
  bool open_libraries();

  char* staging_ = nullptr;
  std::size_t staging_size_ = 0, staged_ = 0;
  void* blas_workspace_ = nullptr;
};

// A call of the backend: a range of that name in NVIDIA's profilers; its scratch is given back at its end.
class Call {
 public:
  Call(const Run& run, const char* name)
      : context(*static_cast<Context*>(run.device)), mark_(context.scratch.mark()) {
    nvtxRangePushA(name);
  }
  ~Call() {
    context.scratch.rewind(mark_);
    nvtxRangePop();
  }
  Context& context;

 private:
  std::size_t mark_;
};

}  // namespace nasp::cuda
