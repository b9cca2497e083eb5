// What a backend with memory of its own gives beside its kernels, and a session's hold on it.
//
// Failure   device functions and a device's kernels throw nothing: the first failure stays with the device, everything
//           asked of it from then on does nothing, and check() throws. Closing works in any state.
#pragma once
#include <cstddef>

#include "../core/memory.h"
#include "../ops/unit.h"

namespace nasp {

struct DevicePlan {
  std::size_t largest;      // scalars of the largest activation that a unit reads or writes
  std::size_t activations;  // bytes that will be reserved for activations
  int batch;
  std::size_t images;      // scalars of a batch's images
  std::size_t parameters;  // bytes that will be reserved for parameters
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
  // Makes ready what the unit's passes on inputs of that size need; before the step that runs it.
  void (*plan)(void* device, const Unit& unit, int batch, int height, int width);
  // Between the two nothing is allocated and nothing waited for: what tries to fails, and the session with it.
  void (*begin_step)(void* device);
  void (*end_step)(void* device);

  // Memory (core/memory.h).
  void* (*reserve)(void* device, std::size_t bytes);
  void (*release)(void* device, void* memory);
  void (*fill)(void* device, void* to, unsigned char byte, std::size_t bytes);
  bool (*read)(void* device, void* to, const void* from, std::size_t bytes);
  void (*write)(void* device, void* to, const void* from, std::size_t bytes);
  void (*copy)(void* device, void* to, const void* from, std::size_t bytes);
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
  Memory memory() const;
  DeviceCounts counts() const;
  void plan(const Unit& unit, int batch, int height, int width) const {
    if (handle_) functions_->plan(handle_, unit, batch, height, width);
  }

 private:
  friend class DeviceStep;
  const DeviceFunctions* functions_;
  void* handle_ = nullptr;
};

// A step at work, until end() or whatever else ends it.
class DeviceStep {
 public:
  explicit DeviceStep(const Device& device) : device_(device) {
    if (device_.handle_) device_.functions_->begin_step(device_.handle_);
  }
  ~DeviceStep() { end(); }
  DeviceStep(const DeviceStep&) = delete;
  DeviceStep& operator=(const DeviceStep&) = delete;
  void end() const {
    if (device_.handle_) device_.functions_->end_step(device_.handle_);
  }

 private:
  const Device& device_;
};

}  // namespace nasp
