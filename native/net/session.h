// What the binding knows of the engine: a session owns one supernet, its optimizers' state, its batches and
// its threads. Everything behind it is a template over the scalar type; this face is not.
//
// Errors    every function may throw nasp::Error (code, message)
// Threads   one call at a time, except cancel() and queue(), which may come from another thread
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../data/dataset.h"

namespace nasp {

enum class Precision { f32, f64 };

struct SupernetConfig {
  int channels = 16, layers = 8, classes = 10;
  int image_size = 32, image_channels = 3;
  int batch = 64;                           // the largest batch that will be queued
  std::vector<std::string> normal, reduce;  // candidate operations of the two cell types, canonical names
  Precision precision = Precision::f32;
  std::string isa;     // "" = NASP_ISA or the best the machine has
  int threads = 0;     // 0 = what the process may use
  bool dense = false;  // run and differentiate every operation (tests, comparison)
  std::uint64_t seed = 0;
};

// group: parameter | buffer | alpha | momentum | adam | gradient | selection
// names: parameters and buffers as in quark0/darts' state_dict; alphas_normal, alphas_reduce; momentum.<parameter>;
//        adam.first.<alpha>, adam.second.<alpha>, adam.step (1); grad.<parameter>, grad.<alpha>, selected.<alpha>
struct TensorInfo {
  std::string name, group;
  std::vector<int> shape;  // O, I, H, W
  std::size_t size() const {
    std::size_t n = 1;
    for (int d : shape) n *= static_cast<std::size_t>(d);
    return n;
  }
};

// How alpha becomes the discrete matrix D (paper, Algorithm 1 steps 3 and 5; reproduction.md 4.1).
struct Discretise {
  bool value_one = true;  // true: 1, as the released code; false: the row's own value, as the paper's text
  bool two_edges = true;  // true: keep two rows a node; false: keep all
  double epsilon = 0;     // with this probability every row takes a random operation
  std::uint64_t counter = 0;  // position in the selection stream
};

struct AlphaUpdate {
  double lr = 3e-4, beta1 = 0.5, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-3;
  double eta = 0;                                // complexity regulariser: eta * sum_k cost_k * ||A_:k||^2
  std::vector<double> cost_normal, cost_reduce;  // one a candidate; empty = cell type not regularised
  bool cost_on_alpha = false;  // regulariser's gradient at D (false, released code) or at alpha
  Discretise discretise;       // of the matrix that follows
};

struct WeightUpdate {
  double lr = 0.025, momentum = 0.9, weight_decay = 3e-4, clip = 5;  // clip <= 0: off
  bool decay_unselected = false;
  bool apply = true;  // false: only gradients
};

struct StepResult {
  double loss = 0;  // mean softmax cross-entropy over the batch
  int correct = 0, count = 0;
  double forward_seconds = 0, backward_seconds = 0, wait_seconds = 0;  // wait: for the batch to be prepared
  double gradient_norm = 0;                                            // weight step: before clipping
  std::vector<double> logits;                                          // (count, classes)
};

class Session {
 public:
  virtual ~Session() = default;
  virtual const SupernetConfig& config() const = 0;  // with isa and threads filled in
  virtual int lanes() const = 0;

  virtual std::vector<TensorInfo> tensors() const = 0;
  // `data` points to tensor size() scalars of the session's precision. write refuses groups gradient and selection.
  virtual void read(const std::string& name, void* data) const = 0;
  virtual void write(const std::string& name, const void* data) = 0;

  // Batches: prepared by a thread of the session; the ticket is given to one step, which frees it.
  // At most 8 may be outstanding (ERR_NASP_BUSY).
  virtual int queue(std::shared_ptr<const Dataset> dataset, std::vector<std::uint32_t> indices,
                    const Augment& augment) = 0;
  // A batch by value: x (N, C, H, W) in the session's precision.
  virtual int load(const void* x, const std::vector<int>& targets) = 0;

  virtual void discretise(const Discretise& options) = 0;     // alpha -> D
  virtual StepResult architecture_gradient(int ticket) = 0;   // grad.alphas_* = dL/dD, exact, every entry
  virtual void update_alpha(const AlphaUpdate& options) = 0;  // gradient + regulariser -> Adam -> [0,1] -> D
  virtual StepResult weight_step(int ticket, const WeightUpdate& options) = 0;
  virtual StepResult evaluate(int ticket) = 0;  // running statistics, D's net
  // The running step, or if none runs the next, throws ERR_NASP_ABORTED (and frees its ticket), until cancel(false).
  virtual void cancel(bool on = true) = 0;

  // Peak bytes of the engine's own memory since the last reset: activations and gradients of activations in use,
  // and everything allocated (weights, optimizer, packed copies, workspaces) beside them.
  virtual std::pair<std::size_t, std::size_t> memory(bool reset) = 0;
};

std::unique_ptr<Session> make_session(const SupernetConfig& config);

// ---- one operation alone: for verify, tests and benches --------------------------------------------------

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
  std::string isa;
  int threads = 0;
  bool guarded = true;  // sentinels behind every activation; ERR_NASP_INTERNAL where one was overwritten
  std::vector<double> x, dy;  // (N, C, H, W), (N, C, H', W')
  std::vector<NamedTensor>
      parameters;  // parameters and, optionally, running statistics by their names in the operation
};

struct OperationResult {
  std::vector<int> y_shape;
  std::vector<double> y, dx;
  double probe = 0;                      // <dy, y> by the probe mode, which stores nothing
  std::vector<NamedTensor> dw, buffers;  // gradients; running statistics after this forward
};

OperationResult run_operation(const OperationRequest& request);

// Seconds of `repeats` runs of pass: "forward" (propagate), "probe", "backward" (data and weights), "both".
// x and dy are random.
std::vector<double> time_operation(const OperationRequest& request, const std::string& pass, int repeats);

struct OperationInfo {
  std::string name;
  std::vector<std::string> aliases;
};
std::vector<OperationInfo> list_operations();
// Parameters (affine = false) and multiply-adds of one image, at C -> C, stride, on an H x W input.
std::pair<double, double> operation_cost(const std::string& op, int channels, int size, int stride);
// Names and shapes of an operation's parameters and buffers (group parameter or buffer).
std::vector<TensorInfo> operation_tensors(const std::string& op, int channels, int stride, bool affine,
                                          bool search_pools);

}  // namespace nasp
