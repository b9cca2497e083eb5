// What the binding knows of the engine: a session owns one supernet, its optimizers' state, its batches and
// its threads. Everything behind it is a template over the scalar type; this face is not.
//
// Errors    every function may throw nasp::Error (code, message)
// Threads   one call at a time, except cancel() and queue(), which may come from another thread
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../backends/device.h"
#include "../core/augment.h"
#include "../core/cell_shape.h"
#include "../data/dataset.h"
#include "supernet_config.h"

namespace nasp {

// group: parameter | buffer | alpha | momentum | adam | gradient | selection
// names: parameters and buffers as in quark0/darts' state_dict; alphas_normal, alphas_reduce; momentum.<parameter>;
//        adam.first.<alpha>, adam.second.<alpha>, adam.step (1); grad.<parameter>; grad.<alpha>: of the mixture's
//        entries; grad.nodes.<alpha> (4): dL/dnode summed over all its elements; grad.bypass.<alpha> (14): of the
//        edges' own weights, where channels are partial; selected.<alpha>: the mixture
struct TensorInfo {
  std::string name, group;
  std::vector<int> shape;  // O, I, H, W
  std::size_t size() const {
    std::size_t n = 1;
    for (int d : shape) n *= static_cast<std::size_t>(d);
    return n;
  }
};

// How alpha becomes the discrete matrix D (paper, Algorithm 1 steps 3 and 5; docs/methods.md).
struct Discretise {
  bool value_one = true;  // true: 1, as the released code; false: the row's own value, as the paper's text
  bool two_edges = true;  // true: keep two rows a node; false: keep all
  double epsilon = 0;     // with this probability every row takes a random operation
  std::uint64_t counter = 0;  // position in the selection stream
};

enum class AlphaOptimizer { adam, sgd };  // sgd: plain gradient, no state
// After the step: clipped to [0, 1], as it is, or D itself.
enum class AlphaProjection { box, none, discrete };

struct AlphaUpdate {
  AlphaOptimizer optimizer = AlphaOptimizer::adam;
  AlphaProjection projection = AlphaProjection::box;
  double lr = 3e-4, beta1 = 0.5, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-3;
  double eta = 0;                                // complexity regulariser: eta * sum_k cost_k * ||A_:k||^2
  std::vector<double> cost_normal, cost_reduce;  // one a candidate; empty = cell type not regularised
  bool cost_on_alpha = false;  // regulariser's gradient at D (false, released code) or at alpha
  std::optional<Discretise> discretise = Discretise{};  // of the matrix that follows; none: the mixture stays
};

struct GradientOptions {
  bool weights = false;          // of the weights too
  bool node_sums = false;        // grad.nodes.<alpha> too
  bool keep_statistics = false;  // running statistics stay as they were
  bool keep_batch = false;       // the ticket is not used up
};

struct WeightUpdate {
  double lr = 0.025, momentum = 0.9, weight_decay = 3e-4, clip = 5;  // clip <= 0: off
  bool nesterov = false;
  bool decay_unselected = false;
  bool apply = true;        // false: only gradients
  bool mixture = false;     // grad.<alpha> too, from the same pass
  bool keep_batch = false;  // the ticket is not used up
};

struct WeightTerm {
  std::string vector;
  double factor;
};

struct StepResult {
  double loss = 0;  // mean softmax cross-entropy over the batch
  int correct = 0, count = 0;
  double forward_seconds = 0, backward_seconds = 0;
  double update_seconds = 0;  // of a weight step: gradient norm, clipping, SGD
  double wait_seconds = 0;    // for the batch to be prepared
  // What the batch took on the loader's thread, beside steps; in the first that uses it.
  double prepare_seconds = 0;
  double gradient_norm = 0;    // weight step: before clipping
  std::vector<double> logits;  // (count, classes)
};

class Session {
 public:
  virtual ~Session() = default;
  virtual const SupernetConfig& config() const = 0;  // with isa and threads filled in
  virtual int lanes() const = 0;

  virtual std::vector<TensorInfo> tensors() const = 0;
  // `data` points to tensor size() scalars of the session's precision. write refuses groups gradient and selection, but
  // for grad.<alpha>: what update_alpha is to use in place of the mixture's gradient.
  virtual void read(const std::string& name, void* data) const = 0;
  virtual void write(const std::string& name, const void* data) = 0;

  // Batches: prepared by a thread of the session; the ticket is given to one step, which frees it.
  // At most 8 may be outstanding (ERR_NASP_BUSY).
  virtual int queue(std::shared_ptr<const Dataset> dataset, std::vector<std::uint32_t> indices,
                    const Augment& augment) = 0;
  // A batch by value: x (N, C, H, W) in the session's precision.
  virtual int load(const void* x, const std::vector<int>& targets) = 0;

  // The mixture: what a node sums. From alpha, or entry by entry: weight and use (edges * candidates), 0 normal, 1
  // reduce.
  virtual void discretise(const Discretise& options) = 0;
  virtual void set_mixture(int type, const std::vector<double>& weight, const std::vector<Use>& use) = 0;
  virtual void set_bypass(int type, const std::vector<double>& weight) = 0;  // (edges)
  // From here on identity skips are followed by dropout in steps; `counter`: of the masks.
  virtual void skip_dropout(double rate, std::uint32_t counter) = 0;
  // The net anew: so many cells, weights drawn from `seed`, alpha, optimizers and mixture as at the start. Queued batches
  // stay, and skip dropout's rate and seed until they are given again. Where it fails there is no net until another rebuild
  // makes one: what needs one throws ERR_NASP_DISPOSED.
  virtual void rebuild(int layers, std::uint64_t seed) = 0;

  // grad.alphas_* = dL/dmixture, exact, every entry that is not absent.
  virtual StepResult architecture_gradient(int ticket, const GradientOptions& options) = 0;
  // Gradient + regulariser -> optimizer -> projection -> D.
  virtual void update_alpha(const AlphaUpdate& options) = 0;
  virtual StepResult weight_step(int ticket, const WeightUpdate& options) = 0;
  // The mixture's net with running statistics, or with the batch's own (running ones stay as they were).
  virtual StepResult evaluate(int ticket, bool batch_statistics) = 0;

  // Vectors over all weights, by name: weights, gradient (net/weight_vectors.h), momentum, and any
  // others, made by naming them as `to`. to = sum of factor * vector; not to gradient.
  virtual void combine(const std::string& to, const std::vector<WeightTerm>& terms) = 0;
  virtual double norm(const std::string& vector) = 0;
  // The running step, or if none runs the next, throws ERR_NASP_ABORTED (and frees its ticket), until cancel(false).
  virtual void cancel(bool on = true) = 0;

  // Bytes: the peak since the last reset of activations and gradients of activations in use; and what is held beside them:
  // weights, optimizers, alpha, packed copies, vectors, a batch's numbers and data sets on a device, prepared batches and the
  // host's workspaces. Not counted: kernels' scratch memory on a device, and lists of a few numbers.
  virtual std::pair<std::size_t, std::size_t> memory(bool reset) = 0;
  // Since the net was built: what was put into the device's queue, and how often the host waited for it. None on a CPU.
  virtual std::optional<DeviceCounts> device_counts() = 0;
};

std::unique_ptr<Session> make_session(const SupernetConfig& config);

}  // namespace nasp
