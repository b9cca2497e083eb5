// What a session holds on the device: its queue, library handles, convolution plans, scratch memory, and the way of small
// arrays between host and device.
//
// Memory    everything is taken when the session opens; a call takes scratch from a block and gives it back at its end
// Host      today's nets keep parameters and per-channel numbers in host memory. A call puts what it needs into a
//           page-locked buffer and sends it in one copy (upload), and waits once for what it owes (deliver)
#pragma once
#include <nvtx3/nvToolsExt.h>

#include <vector>

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

  // The device's copy of n host values, there for kernels that are launched after send(). Null stays null.
  const float* upload(const float* values, std::size_t n);
  void send();
  // Asks for values on the device; deliver() waits and writes them to `to`. taps > 1: (O, taps, C) -> (O, C, taps).
  void download(float* to, const float* from, int outputs, int taps, int channels);
  void download(Moments* to, const Moments* from, int count);
  void download(void* to, const void* from, std::size_t bytes) { owe({to, 0, bytes, 0, 0, 0}, from); }
  void deliver();
  // Whether the device has so many bytes free: `fixed` ones, and others in proportion to the batch. What it says of a batch
  // that would fit goes to `failure`.
  bool has_room(std::size_t fixed, std::size_t proportional, int batch, DeviceFailure& failure);

  // Page-locked memory for a copy to or from the device. A call, or the part of one since begin(), takes most_pinned bytes
  // at most, and leaves them alone until the queue has been waited for.
  void begin();
  char* pinned(std::size_t bytes);
  static constexpr std::size_t most_pinned = 16 << 20;

 private:
  struct Owed {
    void* to;
    std::size_t at, bytes;  // in the page-locked buffer
    int outputs, taps, channels;
  };
  explicit Context(const DevicePlan& plan);
  void owe(Owed what, const void* from);

  char *host_ = nullptr, *mirror_ = nullptr;  // the page-locked buffer, and as much device memory
  std::size_t used_ = 0, sent_ = 0;
  std::vector<Owed> owed_;
};

// A call of the backend: a range of that name in NVIDIA's profilers; its scratch is given back at its end.
class Call {
 public:
  Call(const Run& run, const char* name)
      : context(*static_cast<Context*>(run.device)), mark_(context.scratch.mark()) {
    nvtxRangePushA(name);
    context.begin();
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
