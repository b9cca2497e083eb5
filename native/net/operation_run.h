// One operation alone: for verify, tests and benches.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "../ops/operation.h"
#include "session.h"

namespace nasp {

struct NamedTensor {
  std::string name;
  std::vector<int> shape;
  std::vector<double> data;
};

struct OperationRequest {
  std::string op;
  int channels = 16, height = 8, width = 8, batch = 4, stride = 1;
  bool affine = false;   // affine BatchNorm; pools are followed by BatchNorm only where search_pools is true
  bool training = true;  // batch statistics; false: running statistics
  bool search_pools = false;  // pool + BatchNorm, as in search cells
  Precision precision = Precision::f32;
  bool bf16_probes = false;  // as SupernetConfig's
  std::string isa;
  int threads = 0;
  std::vector<double> x, dy;  // (N, C, H, W), (N, C, H', W')
  // Parameters and, optionally, running statistics by their names in the operation.
  std::vector<NamedTensor> parameters;
};

struct OperationResult {
  std::vector<int> y_shape;
  std::vector<double> y, dx;
  double probe = 0;                      // <dy, y> by the probe mode, which stores nothing
  std::vector<NamedTensor> dw, buffers;  // gradients; running statistics after this forward
};

// With sentinels behind every activation: ERR_NASP_INTERNAL where one was overwritten.
OperationResult run_operation(const OperationRequest& request);

// Seconds of `repeats` runs of pass: "forward" (propagate), "probe", "backward" (data and weights), "both".
// x and dy are random. Also of op "batch_norm", which is no operation: what BatchNorm takes beside units, on the CPU, "forward"
// (x normalised into a node's sum) and "backward" (the sums of g and g * y). ERR_NASP_ABORTED before the next repeat once `stop` is set.
std::vector<double> time_operation(const OperationRequest& request, const std::string& pass, int repeats,
                                   const std::atomic<bool>& stop);

struct OperationInfo {
  std::string name;
  std::vector<std::string> aliases;
};
std::vector<OperationInfo> list_operations();
// Of affine = false, at C -> C, stride, on a square input.
OperationCost operation_cost(const std::string& op, int channels, int size, int stride);
// Names and shapes of an operation's parameters and buffers (group parameter or buffer).
std::vector<TensorInfo> operation_tensors(const std::string& op, int channels, int stride, bool affine,
                                          bool search_pools);

}  // namespace nasp
