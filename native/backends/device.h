// What a backend with memory of its own gives beside its kernels, and a session's hold on it.
//
// Failure   device functions and kernels throw nothing: the first failure stays with the device, everything asked of
//           it from then on does nothing, and check() throws. Closing works in any state.
#pragma once
#include <cstddef>

#include "../core/arena.h"

namespace nasp {

struct DevicePlan {
  std::size_t largest;      // scalars of the largest activation that a unit reads or writes
  std::size_t activations;  // bytes that will be reserved for activations
  int batch;
};

struct DeviceFailure {
  const char* code = nullptr;  // of nasp::Error; null: none
  char message[512] = "";
};

struct DeviceCounts {
  unsigned long launches, waits;  // kernels and library calls put into the stream; waits of the host for it
};

struct DeviceFunctions {
  void* (*open)(const DevicePlan& plan, DeviceFailure& failure);  // null: failure says why
  void (*close)(void* device);
  void (*failure)(void* device, DeviceFailure& failure);
  DeviceCounts (*counts)(void* device);
  // Fails where so many bytes are not free, with the batch that would fit in place of `batch`.
  void (*expect_room)(void* device, std::size_t bytes, int batch, DeviceFailure& failure);
  void* (*reserve)(void* device, std::size_t bytes);  // null: there is not enough
  void (*release)(void* device, void* memory);
  void (*fill)(void* device, void* to, unsigned char byte, std::size_t bytes);
  void (*read)(void* device, void* to, const void* from, std::size_t bytes);
};

// Null functions: the backend computes in host memory, and nothing here does anything.
class Device {
 public:
  Device(const DeviceFunctions* functions, const DevicePlan& plan);  // throws Error
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  void* handle() const { return handle_; }
  void check() const;  // throws Error, the first failure since it was opened
  void expect_room(std::size_t bytes, int batch) const;  // throws Error ERR_NASP_OUT_OF_MEMORY
  ArenaMemory memory() const;

 private:
  const DeviceFunctions* functions_;
  void* handle_ = nullptr;
};

}  // namespace nasp
