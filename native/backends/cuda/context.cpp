#include "context.h"

#include <cstdio>
#include <cstring>

namespace nasp::cuda {

namespace {
constexpr std::size_t alignment = 256;
constexpr std::size_t buffer_bytes = 2 * Context::most_pinned;
// Activations that one unit has at work beside its own (unit_backward.cpp), and partial sums.
constexpr std::size_t activations_at_work = 6, partial_bytes = 48 << 20;

std::size_t padded(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }
}  // namespace

void* Scratch::take_bytes(Queue& queue, std::size_t bytes) {
  if (!queue.ok()) return nullptr;
  bytes = padded(bytes);
  if (bytes > size - used_) {
    queue.fail("ERR_NASP_INTERNAL", "A kernel asked for %zu bytes of scratch memory, more than was planned",
               bytes);
    return nullptr;
  }
  void* p = base + used_;
  used_ += bytes;
  return p;
}

Context* Context::open(const DevicePlan& plan, DeviceFailure& failure) {
  Context* context = new Context(plan);
  if (context->queue.ok()) return context;
  failure = context->queue.failure();
  delete context;
  return nullptr;
}

Context::Context(const DevicePlan& plan) {
  const std::size_t fixed = buffer_bytes + partial_bytes + Convolutions::workspace_bytes;
  DeviceFailure failure;
  scratch.size = activations_at_work * (plan.largest * sizeof(float) + alignment) + partial_bytes;
  if (!queue.check(cudaSetDevice(0), "choosing device 0") ||
      !has_room(fixed, scratch.size - partial_bytes + plan.activations, plan.batch, failure)) {
    queue.fail(failure);
    return;
  }
  (void)(queue.check(cudaStreamCreateWithFlags(&queue.stream, cudaStreamNonBlocking), "making a stream") &&
         queue.check(cublasCreate(&blas), "starting cuBLAS") &&
         queue.check(cublasSetStream(blas, queue.stream), "giving cuBLAS its stream") &&
         queue.check(cublasSetMathMode(blas, CUBLAS_PEDANTIC_MATH), "asking cuBLAS for float32") &&
         convolutions.open(queue) &&
         queue.check(cudaMallocHost(reinterpret_cast<void**>(&host_), buffer_bytes), "page-locked memory") &&
         queue.check(cudaMalloc(reinterpret_cast<void**>(&mirror_), buffer_bytes), "device memory") &&
         queue.check(cudaMalloc(reinterpret_cast<void**>(&scratch.base), scratch.size),
                     "device memory for kernels"));
}

bool Context::has_room(std::size_t fixed, std::size_t proportional, int batch, DeviceFailure& failure) {
  std::size_t free = 0, total = 0;
  if (!queue.check(cudaMemGetInfo(&free, &total), "asking for free memory")) {
    failure = queue.failure();
    return false;
  }
  if (fixed + proportional <= free) return true;
  const double share =
      free > fixed ? static_cast<double>(free - fixed) / static_cast<double>(proportional) : 0;
  failure.code = "ERR_NASP_OUT_OF_MEMORY";
  std::snprintf(
      failure.message, sizeof(failure.message),
      "The session asks for %zu MiB of device memory and %zu MiB are free: a batch of %d would fit, "
      "not one of %d",
      (fixed + proportional) >> 20, free >> 20, static_cast<int>(share * batch), batch);
  return false;
}

Context::~Context() {
  if (queue.stream) cudaStreamSynchronize(queue.stream);
  convolutions.close();
  if (blas) cublasDestroy(blas);
  if (scratch.base) cudaFree(scratch.base);
  if (mirror_) cudaFree(mirror_);
  if (host_) cudaFreeHost(host_);
  if (queue.stream) cudaStreamDestroy(queue.stream);
}

void Context::begin() {
  if (used_ <= most_pinned) return;
  queue.wait();
  used_ = sent_ = 0;
}

char* Context::pinned(std::size_t bytes) {
  if (!queue.ok()) return nullptr;
  bytes = padded(bytes);
  if (bytes > buffer_bytes - used_) {
    queue.fail("ERR_NASP_INTERNAL", "A copy of %zu bytes is more than the page-locked buffer holds", bytes);
    return nullptr;
  }
  char* p = host_ + used_;
  used_ += bytes;
  return p;
}

const float* Context::upload(const float* values, std::size_t n) {
  if (!values || n == 0) return nullptr;
  char* p = pinned(n * sizeof(float));
  if (!p) return nullptr;
  std::memcpy(p, values, n * sizeof(float));
  return reinterpret_cast<const float*>(mirror_ + (p - host_));
}

void Context::send() {
  if (!queue.ok() || used_ == sent_) return;
  queue.check(
      cudaMemcpyAsync(mirror_ + sent_, host_ + sent_, used_ - sent_, cudaMemcpyHostToDevice, queue.stream),
      "copying to the device");
  sent_ = used_;
}

void Context::owe(Owed what, const void* from) {
  char* p = pinned(what.bytes);
  if (!p || !from) return;
  what.at = static_cast<std::size_t>(p - host_);
  if (!queue.check(cudaMemcpyAsync(p, from, what.bytes, cudaMemcpyDeviceToHost, queue.stream),
                   "copying from the device"))
    return;
  owed_.push_back(what);
}

void Context::download(float* to, const float* from, int outputs, int taps, int channels) {
  owe({to, 0, sizeof(float) * outputs * taps * channels, outputs, taps, channels}, from);
}

void Context::download(Moments* to, const Moments* from, int count) {
  owe({to, 0, sizeof(Moments) * count, 0, 0, 0}, from);
}

void Context::deliver() {
  if (owed_.empty()) return;
  const bool done = queue.wait();
  for (const Owed& o : owed_) {
    if (!done) break;
    if (o.taps == 0) {
      std::memcpy(o.to, host_ + o.at, o.bytes);
      continue;
    }
    const auto* from = reinterpret_cast<const float*>(host_ + o.at);
    auto* to = static_cast<float*>(o.to);
    for (int n = 0; n < o.outputs; n++) {
      for (int t = 0; t < o.taps; t++) {
        for (int c = 0; c < o.channels; c++) *(to + (n * o.channels + c) * o.taps + t) = *from++;
      }
    }
  }
  owed_.clear();
  used_ = sent_ = 0;
}

}  // namespace nasp::cuda
