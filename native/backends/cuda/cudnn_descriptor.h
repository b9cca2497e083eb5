// cuDNN's backend API in RAII: a descriptor, its attributes, and the first status that was not success.
#pragma once
#include <cudnn.h>

#include <utility>
#include <vector>

namespace nasp::cuda {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(cudnnBackendDescriptorType_t type) { keep(cudnnBackendCreateDescriptor(type, &raw_)); }
  Descriptor(Descriptor&& other) noexcept
      : raw_(std::exchange(other.raw_, nullptr)), status_(other.status_) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(raw_, other.raw_), std::swap(status_, other.status_);
    return *this;
  }
  ~Descriptor() {
    if (raw_) cudnnBackendDestroyDescriptor(raw_);
  }

  cudnnBackendDescriptor_t raw() const { return raw_; }
  cudnnStatus_t status() const { return status_; }
  bool ok() const { return status_ == CUDNN_STATUS_SUCCESS; }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                  const std::vector<T>& values) {
    if (ok())
      keep(cudnnBackendSetAttribute(raw_, name, type, static_cast<int64_t>(values.size()), values.data()));
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<int64_t>& values) {
    return set(name, CUDNN_TYPE_INT64, values);
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, std::vector<cudnnBackendDescriptor_t>{value.raw()});
  }
  Descriptor& finalize() {
    if (ok()) keep(cudnnBackendFinalize(raw_));
    return *this;
  }

  // Up to `most` values of an attribute; none where it can't be read.
  template <class T>
  std::vector<T> get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most) const {
    std::vector<T> values(static_cast<std::size_t>(most));
    int64_t count = 0;
    if (cudnnBackendGetAttribute(raw_, name, type, most, &count, values.data()) != CUDNN_STATUS_SUCCESS)
      count = 0;
    values.resize(static_cast<std::size_t>(count < most ? count : most));
    return values;
  }
  // An attribute that is a descriptor of `type`.
  Descriptor get(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type) const {
    Descriptor value(type);
    int64_t count = 0;
    value.keep(cudnnBackendGetAttribute(raw_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &value.raw_));
    return value;
  }

 private:
  void keep(cudnnStatus_t status) {
    if (ok()) status_ = status;
  }
  cudnnBackendDescriptor_t raw_ = nullptr;
  cudnnStatus_t status_ = CUDNN_STATUS_SUCCESS;
};

}  // namespace nasp::cuda
