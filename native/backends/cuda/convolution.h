// Dense convolutions by cuDNN's backend API: forward, data gradient, filter gradient; channels last, weights (O, kh, kw, C),
// float32 without tensor cores, deterministic.
//
// Plans     the first of cuDNN's heuristics that builds, whose engine is deterministic and keeps to float32, and whose
//           workspace is within workspace_bytes; kept by shape
// Target    a handle, or the properties of a device that is not there (plan_table.cpp)
#pragma once
#include <map>
#include <tuple>

#include "../../ops/unit.h"
#include "cudnn_descriptor.h"
#include "queue.h"

namespace nasp::cuda {

enum class ConvolutionPass { forward, data_gradient, filter_gradient };

struct ConvolutionShape {
  int batch, in, height, width;  // x (N, H, W, C)
  int out, out_height, out_width;
  DensePart part;  // kernel, stride, padding before; what lies behind follows from the output's size
  auto key() const {
    return std::tuple(batch, in, height, width, out, out_height, out_width, part.kernel_h, part.kernel_w,
                      part.stride_h, part.stride_w, part.pad_h, part.pad_w);
  }
};

struct PlanTarget {
  cudnnHandle_t handle = nullptr;
  const Descriptor* properties = nullptr;
};

struct ConvolutionPlan {
  Descriptor plan;
  std::size_t workspace = 0;
  int64_t engine = -1;  // cuDNN's number
  int candidates = 0;   // of the heuristics
  bool tensor_cores = false;
  cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED;  // success: plan can be executed
  std::vector<Descriptor> parts;                      // what the plan was made of
};

struct PlanChoice {
  std::size_t most_workspace = 0;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  bool tensor_cores = false;  // true: TF32 for float32
};

ConvolutionPlan plan_convolution(const PlanTarget& target, const ConvolutionShape& shape,
                                 ConvolutionPass pass, const PlanChoice& choice);

class Convolutions {
 public:
  static constexpr std::size_t workspace_bytes = 64 << 20;

  bool open(Queue& queue);  // handle, workspace
  void close();
  // The shape's plan, made where it is not there yet; null after a failure, which a new one inside a step is.
  const ConvolutionPlan* plan(Queue& queue, const ConvolutionShape& shape, ConvolutionPass pass);
  // y = x * w, dx = w * dy, dw = x * dy, as the pass says: to = a * b.
  void run(Queue& queue, const ConvolutionShape& shape, ConvolutionPass pass, float* to, const float* a,
           const float* b);

 private:
  cudnnHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  std::map<std::pair<decltype(ConvolutionShape{}.key()), ConvolutionPass>, ConvolutionPlan> plans_;
};

}  // namespace nasp::cuda
