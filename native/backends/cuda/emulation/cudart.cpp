// A double of the CUDA runtime for machines without a GPU: what the CUDA backend calls of it, and what nvcc's launch code
// does (12.x and 13.x). Streams are queues that are drained late; allocating or freeing while work is queued is refused, so
// that a step which does so fails; copies are checked against what is device and what is page-locked memory.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../queue.h"
#include "fibers.h"
#include "kernels.h"
#include "memory.h"
#include "queue.h"

namespace nasp::emulation {

namespace {

struct Stream {
  std::vector<std::function<cudaError_t()>> work;
  std::thread::id owner;  // who put the last piece in
};
struct Runtime {
  std::map<const void*, std::string> names;  // of launch functions
  std::map<cudaStream_t, Stream> queues;
  std::recursive_mutex mutex;  // of everything here
  long launches = 0;
  // For tests of what follows a failure: NASP_EMULATION_FAILING_LAUNCH=<n> lets the n-th kernel fail.
  long failing_launch = std::atol(
      std::getenv("NASP_EMULATION_FAILING_LAUNCH") ? std::getenv("NASP_EMULATION_FAILING_LAUNCH") : "0");
  // For the test that steps are watched: a launch in a step then does what it must not, "wait" or "allocate".
  std::string misbehaviour =
      std::getenv("NASP_EMULATION_MISBEHAVIOUR") ? std::getenv("NASP_EMULATION_MISBEHAVIOUR") : "";
  cudaError_t last = cudaSuccess, sticky = cudaSuccess;
};
Runtime& runtime() {
  static Runtime r;
  return r;
}

cudaError_t answer(cudaError_t error) {
  const std::lock_guard<std::recursive_mutex> lock(runtime().mutex);
  if (runtime().sticky != cudaSuccess) error = runtime().sticky;
  if (error != cudaSuccess) runtime().last = error;
  return error;
}

cudaError_t complain(cudaError_t error, const std::string& what) {
  std::fprintf(stderr, "cuda-emulated: %s\n", what.c_str());
  return answer(error);
}

struct Launch {
  dim3 grid, block;
  size_t shared;
  void* stream;
};
thread_local Launch configured;
thread_local bool chosen = false;

bool valid(const void* p, std::size_t n, bool on_device) {
  return on_device ? memory::on_device(p, n) : memory::pinned(p, n);
}

cudaError_t copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                 std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  if (width == 0 || height == 0) return answer(cudaSuccess);
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (!valid(to, to_pitch * (height - 1) + width, to_device) ||
      !valid(from, from_pitch * (height - 1) + width, from_device))
    return complain(cudaErrorInvalidValue,
                    "a copy outside of device and page-locked memory, or in the wrong direction");
  enqueue(stream, [=] {
    for (std::size_t i = 0; i < height; i++)
      std::memcpy(static_cast<char*>(to) + i * to_pitch, static_cast<const char*>(from) + i * from_pitch,
                  width);
    return cudaSuccess;
  });
  return answer(cudaSuccess);
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, cudaStream_t stream) {
  if (runtime().misbehaviour == "wait" && cuda::step_is_running()) return cudaStreamSynchronize(stream);
  if (runtime().misbehaviour == "allocate" && cuda::step_is_running()) {
    void* memory = nullptr;
    return cudaMalloc(&memory, 1);
  }
  const std::lock_guard<std::recursive_mutex> lock(runtime().mutex);
  const std::string name = runtime().names[function];
  const Kernel* kernel = find_kernel(name);
  if (!kernel) return complain(cudaErrorInvalidDeviceFunction, "emulation/kernels.cpp lacks " + name);
  const auto* bytes = static_cast<const char*>(arguments[0]);
  std::vector<char> argument(bytes, bytes + kernel->argument_bytes);
  enqueue(stream, [=, argument = std::move(argument)] {
    if (++runtime().launches == runtime().failing_launch) return cudaErrorLaunchFailure;
    const std::string failure =
        fibers::launch(kernel->name, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z},
                       [&] { kernel->run(argument.data()); });
    if (failure.empty()) return cudaSuccess;
    complain(cudaErrorLaunchFailure, failure);
    return cudaErrorLaunchFailure;
  });
  return answer(cudaSuccess);
}

}  // namespace

void enqueue(cudaStream_t stream, std::function<cudaError_t()> work) {
  const std::lock_guard<std::recursive_mutex> lock(runtime().mutex);
  Stream& s = runtime().queues[stream];
  s.work.push_back(std::move(work));
  s.owner = std::this_thread::get_id();
}

cudaError_t drain(cudaStream_t stream) {
  const std::lock_guard<std::recursive_mutex> lock(runtime().mutex);
  Stream& s = runtime().queues[stream];
  for (auto& work : s.work) {
    if (runtime().sticky == cudaSuccess) runtime().sticky = work();
  }
  s.work.clear();
  return answer(cudaSuccess);
}

bool device_is_chosen() { return chosen; }

bool anything_queued() {
  const std::lock_guard<std::recursive_mutex> lock(runtime().mutex);
  for (const auto& [_, s] : runtime().queues) {
    if (!s.work.empty() && s.owner == std::this_thread::get_id()) return true;
  }
  return false;
}

}  // namespace nasp::emulation

using namespace nasp;
using namespace nasp::emulation;

extern "C" {

// ---- what nvcc's launch code calls
void** __cudaRegisterFatBinary(void*) {
  static void* handle;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, uint3*, uint3*, dim3*,
                            dim3*, int*) {
  runtime().names[function] = name;
}
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void* stream) {
  configured = {grid, block, shared, stream};
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void** stream) {
  *grid = configured.grid, *block = configured.block, *shared = configured.shared,
  *stream = configured.stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = static_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t,
                               cudaStream_t stream) {
  return launch(kernel, grid, block, arguments, stream);
}
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t,
                             cudaStream_t stream) {
  return launch(function, grid, block, arguments, stream);
}

// ---- device and errors
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  chosen = chosen || device == 0;
  return answer(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  std::snprintf(p->name, sizeof(p->name), "emulated on the CPU");
  // For the test of cards that are too old.
  const char* capability = std::getenv("NASP_EMULATION_CAPABILITY");
  p->major = capability ? std::atoi(capability) : 9;
  p->totalGlobalMem = memory::device_bytes;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() {
  const cudaError_t last = runtime().last;
  runtime().last = cudaSuccess;
  return last;
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : "emulated failure";
}
const char* cudaGetErrorName(cudaError_t error) { return error == cudaSuccess ? "cudaSuccess" : "emulated"; }
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 0;
  return cudaSuccess;
}

// ---- memory
cudaError_t cudaMalloc(void** p, size_t bytes) {
  if (cuda::step_is_running() || anything_queued())
    return complain(cudaErrorNotPermitted, "an allocation inside a step");
  *p = memory::allocate_device(bytes);
  return answer(*p ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* p) {
  if (cuda::step_is_running() || anything_queued())
    return complain(cudaErrorNotPermitted, "memory freed inside a step");
  return answer(!p || memory::free_device(p) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = *total = memory::device_bytes;
  return answer(cudaSuccess);
}
cudaError_t cudaMallocHost(void** p, size_t bytes) {
  if (cuda::step_is_running()) return complain(cudaErrorNotPermitted, "an allocation inside a step");
  *p = memory::allocate_pinned(bytes);
  return answer(*p ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void* p) {
  return answer(!p || memory::free_pinned(p) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copy(to, bytes, from, bytes, bytes, 1, kind, stream);
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy(to, to_pitch, from, from_pitch, width, height, kind, stream);
}
cudaError_t cudaMemsetAsync(void* to, int byte, size_t bytes, cudaStream_t stream) {
  if (!memory::on_device(to, bytes))
    return complain(cudaErrorInvalidValue, "a fill outside of device memory");
  enqueue(stream, [=] {
    std::memset(to, byte, bytes);
    return cudaSuccess;
  });
  return answer(cudaSuccess);
}

// ---- streams
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(new char);
  return answer(cudaSuccess);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  drain(stream);
  const std::lock_guard<std::recursive_mutex> lock(runtime().mutex);
  runtime().queues.erase(stream);
  delete reinterpret_cast<char*>(stream);
  return answer(cudaSuccess);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (cuda::step_is_running()) return complain(cudaErrorNotPermitted, "a wait inside a step");
  return drain(stream);
}

}  // extern "C"
