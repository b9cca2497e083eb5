#include "device.h"

#include "../core/error.h"

namespace nasp {

Device::Device(const DeviceFunctions* functions, const DevicePlan& plan) : functions_(functions) {
  if (!functions_) return;
  DeviceFailure failure;
  handle_ = functions_->open(plan, failure);
  if (!handle_) throw Error(failure.code ? failure.code : "ERR_NASP_INTERNAL", failure.message);
}

Device::~Device() {
  if (handle_) functions_->close(handle_);
}

void Device::check() const {
  if (!handle_) return;
  DeviceFailure failure;
  functions_->failure(handle_, failure);
  if (failure.code) throw Error(failure.code, failure.message);
}

void Device::expect_room(std::size_t bytes, int batch) const {
  if (!handle_) return;
  DeviceFailure failure;
  functions_->expect_room(handle_, bytes, batch, failure);
  if (failure.code) throw Error(failure.code, failure.message);
}

DeviceCounts Device::counts() const { return handle_ ? functions_->counts(handle_) : DeviceCounts{0, 0}; }

Memory Device::memory() const {
  if (!handle_) return {};
  return {handle_,          functions_->reserve, functions_->release, functions_->fill,
          functions_->read, functions_->write,   functions_->copy};
}

}  // namespace nasp
