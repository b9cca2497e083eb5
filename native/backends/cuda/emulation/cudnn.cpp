// A double of the part of cuDNN that needs a GPU. Descriptors, heuristics and plans stay cuDNN's own, made for an H100 that
// is not there: calls that take a handle are turned into the ones for device properties. What is set on descriptors is
// noted on the way, so that executing a plan computes the convolution that the descriptors say, and not what the caller
// meant.
#include <cudnn.h>
#include <dlfcn.h>

#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "../device_properties.h"
#include "memory.h"
#include "queue.h"

using namespace nasp;

namespace {

using Raw = cudnnBackendDescriptor_t;
using Name = cudnnBackendAttributeName_t;

template <class Function>
Function real(const char* name, Function) {
  static void* library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_NOLOAD);
  return reinterpret_cast<Function>(library ? dlsym(library, name) : nullptr);
}
#define REAL(function) real(#function, &function)

struct Handle {
  cudaStream_t stream = nullptr;
};
Handle* handle_of(cudnnHandle_t h) { return reinterpret_cast<Handle*>(h); }

struct Note {
  cudnnBackendDescriptorType_t type;
  std::map<Name, std::vector<char>> values;
};
std::map<Raw, Note> notes;
std::recursive_mutex mutex;

template <class T>
std::vector<T> noted(Raw d, Name name) {
  const std::vector<char>& bytes = notes[d].values[name];
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}
Raw noted_descriptor(Raw d, Name name) {
  const auto values = noted<Raw>(d, name);
  return values.empty() ? nullptr : values.front();
}

std::size_t size_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    case CUDNN_TYPE_CHAR:
    case CUDNN_TYPE_BOOLEAN:
      return 1;
    default:
      return 4;
  }
}

Raw properties() {
  static Raw d = [] {
    Raw made = nullptr;
    const std::string json = cuda::cards[0].json;
    REAL(cudnnBackendCreateDescriptor)(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &made);
    REAL(cudnnBackendSetAttribute)
    (made, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<int64_t>(json.size()),
     json.data());
    REAL(cudnnBackendFinalize)(made);
    return made;
  }();
  return d;
}

struct Tensor {
  std::vector<int64_t> size, stride;  // N C H W; weights O I H W
  std::size_t bytes() const {
    int64_t last = 0;
    for (std::size_t i = 0; i < size.size(); i++) last += (size[i] - 1) * stride[i];
    return static_cast<std::size_t>(last + 1) * sizeof(float);
  }
};

Tensor tensor_of(Raw d) {
  return {noted<int64_t>(d, CUDNN_ATTR_TENSOR_DIMENSIONS), noted<int64_t>(d, CUDNN_ATTR_TENSOR_STRIDES)};
}

struct Windows {
  std::vector<int64_t> pad, stride, dilation;
};
Windows windows_of(Raw d) {
  return {noted<int64_t>(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS),
          noted<int64_t>(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES),
          noted<int64_t>(d, CUDNN_ATTR_CONVOLUTION_DILATIONS)};
}

// Calls term(x index, w index, y index) for every product of the convolution.
template <class Term>
void products(const Tensor& x, const Tensor& w, const Tensor& y, const Windows& windows, const Term& term) {
  const auto& [pad, stride, dilation] = windows;
  for (int64_t n = 0; n < y.size[0]; n++) {
    for (int64_t i = 0; i < y.size[2]; i++) {
      for (int64_t j = 0; j < y.size[3]; j++) {
        for (int64_t r = 0; r < w.size[2]; r++) {
          for (int64_t s = 0; s < w.size[3]; s++) {
            const int64_t h = i * stride[0] - pad[0] + r * dilation[0],
                          v = j * stride[1] - pad[1] + s * dilation[1];
            if (h < 0 || v < 0 || h >= x.size[2] || v >= x.size[3]) continue;
            for (int64_t o = 0; o < w.size[0]; o++) {
              for (int64_t c = 0; c < w.size[1]; c++) {
                term(n * x.stride[0] + c * x.stride[1] + h * x.stride[2] + v * x.stride[3],
                     o * w.stride[0] + c * w.stride[1] + r * w.stride[2] + s * w.stride[3],
                     n * y.stride[0] + o * y.stride[1] + i * y.stride[2] + j * y.stride[3]);
              }
            }
          }
        }
      }
    }
  }
}

struct Attributes {
  Name x, w, y, convolution;
};
constexpr Attributes forward = {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC},
                     data_gradient = {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                                      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC},
                     filter_gradient = {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC};

cudnnStatus_t execute(cudaStream_t stream, Raw operation, Raw pack) {
  const auto type = notes[operation].type;
  const Attributes& names = type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ? forward
                            : type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR
                                ? data_gradient
                                : filter_gradient;
  const auto pointers = noted<float*>(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  const auto uids = noted<int64_t>(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  Tensor tensors[3];
  float* data[3] = {};
  for (int i = 0; i < 3; i++) {
    const Raw d = noted_descriptor(operation, i == 0 ? names.x : i == 1 ? names.w : names.y);
    const auto uid = noted<int64_t>(d, CUDNN_ATTR_TENSOR_UNIQUE_ID);
    tensors[i] = tensor_of(d);
    for (std::size_t p = 0; p < uids.size() && p < pointers.size(); p++) {
      if (uids[p] == uid.front()) data[i] = pointers[p];
    }
    if (!memory::on_device(data[i], tensors[i].bytes()) ||
        reinterpret_cast<std::uintptr_t>(data[i]) % 16 != 0)
      return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  }
  const Windows windows = windows_of(noted_descriptor(operation, names.convolution));
  const int written = type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         ? 2
                      : type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? 0
                                                                                             : 1;
  emulation::enqueue(
      stream, [=, x = tensors[0], w = tensors[1], y = tensors[2], dx = data[0], dw = data[1], dy = data[2]] {
        std::memset(data[written], 0, tensors[written].bytes());
        products(x, w, y, windows, [&](int64_t at_x, int64_t at_w, int64_t at_y) {
          if (written == 2)
            dy[at_y] += dx[at_x] * dw[at_w];
          else if (written == 0)
            dx[at_x] += dy[at_y] * dw[at_w];
          else
            dw[at_w] += dy[at_y] * dx[at_x];
        });
        return cudaSuccess;
      });
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = reinterpret_cast<cudnnHandle_t>(new Handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete handle_of(handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle_of(handle)->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, Raw* d) {
  const cudnnStatus_t status = REAL(cudnnBackendCreateDescriptor)(type, d);
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  if (status == CUDNN_STATUS_SUCCESS) notes[*d] = {type, {}};
  return status;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(Raw d) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  notes.erase(d);
  return REAL(cudnnBackendDestroyDescriptor)(d);
}

cudnnStatus_t cudnnBackendSetAttribute(Raw d, Name name, cudnnBackendAttributeType_t type, int64_t count,
                                       const void* values) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  const auto* bytes = static_cast<const char*>(values);
  notes[d].values[name].assign(bytes, bytes + size_of(type) * static_cast<std::size_t>(count));
  if (name == CUDNN_ATTR_OPERATIONGRAPH_HANDLE) return CUDNN_STATUS_SUCCESS;
  const Raw device = properties();
  if (name == CUDNN_ATTR_EXECUTION_PLAN_HANDLE)
    return REAL(cudnnBackendSetAttribute)(d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device);
  return REAL(cudnnBackendSetAttribute)(d, name, type, count, values);
}

cudnnStatus_t cudnnBackendFinalize(Raw d) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  if (notes[d].type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR && !emulation::device_is_chosen())
    return CUDNN_STATUS_NOT_INITIALIZED;
  const Raw device = properties();
  if (notes[d].type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) REAL(cudnnBackendSetAttribute)
  (d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device);
  return REAL(cudnnBackendFinalize)(d);
}

cudnnStatus_t cudnnBackendGetAttribute(Raw d, Name name, cudnnBackendAttributeType_t type, int64_t most,
                                       int64_t* count, void* values) {
  const cudnnStatus_t status = REAL(cudnnBackendGetAttribute)(d, name, type, most, count, values);
  if (name != CUDNN_ATTR_ENGINEHEUR_RESULTS || status != CUDNN_STATUS_SUCCESS || !values) return status;
  // Which graph a configuration is for, since cuDNN does not say.
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  const auto graph = notes[d].values[CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH];
  for (int64_t i = 0; i < *count && i < most; i++)
    notes[static_cast<Raw*>(values)[i]].values[CUDNN_ATTR_ENGINE_OPERATION_GRAPH] = graph;
  return status;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, Raw plan, Raw pack) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  const Raw config = noted_descriptor(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG),
            graph = noted_descriptor(config, CUDNN_ATTR_ENGINE_OPERATION_GRAPH),
            operation = noted_descriptor(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
  return execute(handle_of(handle)->stream, operation, pack);
}

}  // extern "C"
