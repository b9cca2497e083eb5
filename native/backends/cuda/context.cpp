#include "context.h"

#include <cstdio>
#include <cstring>

namespace nasp::cuda {

namespace {
constexpr std::size_t alignment = 256;
// Page-locked memory beside a batch's images: targets, flags, what a step finds, alpha.
constexpr std::size_t small_copies = 4 << 20;
constexpr std::size_t blas_workspace_bytes = 32 << 20;  // cuBLAS's own on an H100
// Activations that one unit has at work beside its own (unit_backward.cpp), and partial sums.
constexpr std::size_t activations_at_work = 6, partial_bytes = 48 << 20;
// What CUDA and the libraries take in the first steps: their code is loaded when it is first used.
constexpr std::size_t loaded_later = 256 << 20;

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
  scratch.size = activations_at_work * (plan.largest * sizeof(float) + alignment) + partial_bytes;
  staging_size_ = padded(plan.images * sizeof(float)) + small_copies;
  if (!open_libraries()) return;
  // What the libraries hold by now is no longer free.
  DeviceFailure failure;
  if (!has_room(partial_bytes + plan.parameters, scratch.size - partial_bytes + plan.activations, plan.batch,
                failure)) {
    queue.fail(failure);
    return;
  }
  (void)(queue.check(cudaMallocHost(reinterpret_cast<void**>(&staging_), staging_size_),
                     "page-locked memory") &&
         queue.check(cudaMalloc(reinterpret_cast<void**>(&scratch.base), scratch.size),
                     "device memory for kernels"));
}

bool Context::open_libraries() {
  return make_current() &&
         queue.check(cudaStreamCreateWithFlags(&queue.stream, cudaStreamNonBlocking), "making a stream") &&
         queue.check(cublasCreate(&blas), "starting cuBLAS") &&
         queue.check(cublasSetStream(blas, queue.stream), "giving cuBLAS its stream") &&
         queue.check(cublasSetMathMode(blas, CUBLAS_PEDANTIC_MATH), "asking cuBLAS for float32") &&
         queue.check(cudaMalloc(&blas_workspace_, blas_workspace_bytes), "device memory for cuBLAS") &&
         queue.check(cublasSetWorkspace(blas, blas_workspace_, blas_workspace_bytes),
                     "giving cuBLAS its workspace") &&
         convolutions.open(queue);
}

bool Context::make_current() { return queue.ok() && queue.check(cudaSetDevice(0), "choosing device 0"); }

bool Context::has_room(std::size_t fixed, std::size_t proportional, int batch, DeviceFailure& failure) {
  std::size_t free = 0, total = 0;
  fixed += loaded_later;
  if (!queue.check(cudaMemGetInfo(&free, &total), "asking for free memory")) {
    failure = queue.failure();
    return false;
  }
  if (fixed + proportional <= free) return true;
  const double share =
      free > fixed ? static_cast<double>(free - fixed) / static_cast<double>(proportional) : 0;
  const int fits = static_cast<int>(share * batch);
  char advice[64] = "no batch fits";
  if (fits > 0) std::snprintf(advice, sizeof(advice), "a batch of %d would fit, not one of %d", fits, batch);
  failure.code = "ERR_NASP_OUT_OF_MEMORY";
  std::snprintf(failure.message, sizeof(failure.message),
                "The session asks for %zu MiB of device memory and %zu MiB are free: %s",
                (fixed + proportional) >> 20, free >> 20, advice);
  return false;
}

Context::~Context() {
  queue.end_step();
  if (queue.stream) cudaStreamSynchronize(queue.stream);
  convolutions.close();
  if (blas) cublasDestroy(blas);
  for (void* p : {static_cast<void*>(scratch.base), blas_workspace_}) {
    if (p) cudaFree(p);
  }
  if (staging_) cudaFreeHost(staging_);
  if (queue.stream) cudaStreamDestroy(queue.stream);
  (void)cudaGetLastError();  // of what failed here: no launch of another session is to find it
}

void Context::begin_step() {
  make_current();
  if (staged_ > 0 && queue.wait()) staged_ = 0;
  queue.begin_step();
}

char* Context::stage(std::size_t bytes) {
  if (!queue.ok()) return nullptr;
  bytes = padded(bytes);
  if (bytes > staging_size_ - staged_ && bytes <= staging_size_ && !queue.wait()) return nullptr;
  if (bytes > staging_size_) {
    queue.fail("ERR_NASP_INTERNAL", "A copy of %zu bytes is more than the page-locked buffer holds", bytes);
    return nullptr;
  }
  if (bytes > staging_size_ - staged_) staged_ = 0;  // what lay there has been copied
  char* p = staging_ + staged_;
  staged_ += bytes;
  return p;
}

void Context::write(void* to, const void* from, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes;) {
    const std::size_t n = bytes - at < staging_size_ ? bytes - at : staging_size_;
    char* staged = stage(n);
    if (!staged) return;
    std::memcpy(staged, static_cast<const char*>(from) + at, n);
    queue.check(cudaMemcpyAsync(static_cast<char*>(to) + at, staged, n, cudaMemcpyHostToDevice, queue.stream),
                "copying to the device");
    at += n;
  }
}

bool Context::read(void* to, const void* from, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes && queue.ok();) {
    const std::size_t n = bytes - at < staging_size_ ? bytes - at : staging_size_;
    char* staged = stage(n);
    if (!staged ||
        !queue.check(cudaMemcpyAsync(staged, static_cast<const char*>(from) + at, n, cudaMemcpyDeviceToHost,
                                     queue.stream),
                     "copying from the device") ||
        !queue.wait())
      return false;
    std::memcpy(static_cast<char*>(to) + at, staged, n);
    staged_ = 0;
    at += n;
  }
  return queue.ok();
}

void* Context::reserve(std::size_t bytes) {
  void* memory = nullptr;
  if (queue.in_step()) queue.fail("ERR_NASP_INTERNAL", "Memory was asked for inside a step");
  if (!queue.ok() || !queue.wait()) return nullptr;
  if (cudaMalloc(&memory, bytes) == cudaSuccess) return memory;
  (void)cudaGetLastError();  // the caller says so: no launch is to find it
  return nullptr;
}

void Context::release(void* memory) {
  queue.end_step();  // only a session at its end gives memory back in one
  cudaStreamSynchronize(queue.stream);
  cudaFree(memory);
  (void)cudaGetLastError();
}

}  // namespace nasp::cuda
