// The session of a supernet: its batches, its threads, its passes.
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <set>

#include "../core/parallel.h"
#include "../backends/device.h"
#include "../backends/registry.h"
#include "../backends/workspace.h"
#include "alpha_selection.h"
#include "held_data.h"
#include "loss.h"
#include "optimizer.h"
#include "step_batches.h"
#include "supernet.h"
#include "tensor_names.h"
#include "weight_vectors.h"

namespace nasp {

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

SupernetConfig checked(SupernetConfig c) {
  const auto in = [](const char* name, int v, int low, int high) {
    expect(v >= low && v <= high,
           "a whole number from " + std::to_string(low) + " to " + std::to_string(high) + " for " + name,
           std::to_string(v));
  };
  in("channels", c.channels, 1, 4096);
  in("layers", c.layers, 3, 1000);
  in("classes", c.classes, 2, 65536);
  in("imageSize", c.image_size, 4, 4096);
  in("imageChannels", c.image_channels, 1, 64);
  in("batch", c.batch, 1, 65536);
  in("threads", c.threads, 0, 1024);
  in("partialChannels", c.partial_channels, 1, 64);
  for (const auto* list : {&c.normal, &c.reduce}) {
    expect(!list->empty(), "at least one candidate operation for normal and for reduce", "none");
    for (const std::string& op : *list) make_operation(op, 2, 1, true);
  }
  if (c.isa.empty()) c.isa = chosen_isa();
  if (c.threads == 0) c.threads = usable_threads();
  return c;
}

template <class S>
class SupernetSession final : public Session {
 public:
  explicit SupernetSession(const SupernetConfig& config)
      : config_(checked(config)),
        backend_(backend<S>(config_.isa)),
        parallel_(config_.threads),
        workspace_(parallel_.threads()),
        batches_(config_, step_functions(backend_).augment != nullptr) {
    build();
  }

  const SupernetConfig& config() const override { return config_; }
  int lanes() const override { return backend_.lanes; }

  std::vector<TensorInfo> tensors() const override { return list_tensors(*net_); }

  void read(const std::string& name, void* data) const override {
    S* to = static_cast<S*>(data);
    if (name == "adam.step") {
      *to = static_cast<S>(adam_step_);
      return;
    }
    for (int t = 0; t < 2; t++) {
      const AlphaMatrix<S>& a = net_->alpha(t);
      if (name != "selected." + a.name) continue;
      std::copy(a.mixture.weight.begin(), a.mixture.weight.end(), to);
      return;
    }
    const auto place = names_->find(*net_, name);
    if (place.zero)
      std::fill(to, to + place.size, S(0));
    else
      net_->parameters().read(to, place.data, place.size);
    device_->check();
  }

  void write(const std::string& name, const void* data) override {
    const S* from = static_cast<const S*>(data);
    if (name == "adam.step") {
      adam_step_ = static_cast<std::uint64_t>(std::max<S>(0, *from));
      return;
    }
    const bool alpha_gradient = name == "grad.alphas_normal" || name == "grad.alphas_reduce";
    if ((name.rfind("grad.", 0) == 0 && !alpha_gradient) || name.rfind("selected.", 0) == 0)
      throw Error("ERR_NASP_UNSUPPORTED", "Expected a tensor that can be written but received " + name);
    const auto place = names_->find(*net_, name);
    net_->parameters().write(place.data, from, place.size);
    device_->check();
    if (place.slot >= 0) net_->parameters().slot(place.slot).version++;
  }

  int queue(std::shared_ptr<const Dataset> dataset, std::vector<std::uint32_t> indices,
            const Augment& augment) override {
    return batches_.queue(std::move(dataset), std::move(indices), augment);
  }

  int load(const void* x, const std::vector<int>& targets) override {
    return batches_.load(static_cast<const S*>(x), targets);
  }

  void discretise(const Discretise& options) override {
    AlphaStep step = {};
    take(step, options);
    run_alpha(step, {});
  }

  void set_mixture(int type, const std::vector<double>& weight, const std::vector<Use>& use) override {
    AlphaMatrix<S>& alpha = net_->alpha(type);
    Mixture& mixture = alpha.mixture;
    for (auto [given, what] : {std::pair{weight.size(), "weight"}, {use.size(), "use"}})
      expect(given == mixture.weight.size(),
             std::to_string(mixture.weight.size()) + " entries for " + what + " of " + alpha.name,
             std::to_string(given));
    mixture.weight = weight;
    mixture.use = use;
    if (config_.dense) std::fill(mixture.use.begin(), mixture.use.end(), Use::propagated);
  }

  void set_bypass(int type, const std::vector<double>& weight) override {
    expect(weight.size() == cell_edges,
           std::to_string(cell_edges) + " entries for the bypass of " + net_->alpha(type).name,
           std::to_string(weight.size()));
    net_->alpha(type).mixture.bypass = weight;
  }

  void skip_dropout(double rate, std::uint32_t counter) override {
    expect(rate >= 0 && rate < 1, "a number from 0 to below 1 for rate", std::to_string(rate));
    skip_dropout_ = {rate, config_.seed, counter};
  }

  void rebuild(int layers, std::uint64_t seed) override {
    SupernetConfig config = config_;
    config.layers = layers, config.seed = seed;
    config_ = checked(config);
    build();
  }

  StepResult architecture_gradient(int ticket, const GradientOptions& o) override {
    const PassOptions options = {true, o.weights, o.keep_statistics, o.keep_batch, true};
    return pass(ticket, options, [&](const Pass<S>& p, StepResult& r) {
      differentiate(p, r, true, o.node_sums);
      if (o.weights) take_gradient_norm(p, net_->parameters().table());
    });
  }

  void update_alpha(const AlphaUpdate& o) override {
    for (auto [cost, t] : {std::pair{&o.cost_normal, 0}, {&o.cost_reduce, 1}}) {
      const std::size_t n = static_cast<std::size_t>(net_->alpha(t).mixture.candidates);
      expect(cost->empty() || cost->size() == n,
             std::to_string(n) + " values for the cost of " + net_->alpha(t).name,
             std::to_string(cost->size()));
    }
    if (o.optimizer == AlphaOptimizer::adam) adam_step_++;
    AlphaStep step = {};
    step.update = true, step.adam = o.optimizer == AlphaOptimizer::adam;
    step.box = o.projection == AlphaProjection::box, step.cost_on_alpha = o.cost_on_alpha;
    step.lr = o.lr, step.beta1 = o.beta1, step.beta2 = o.beta2, step.eps = o.eps;
    step.weight_decay = o.weight_decay, step.eta = o.eta;
    step.correction1 = 1 - std::pow(o.beta1, static_cast<double>(adam_step_));
    step.correction2 = 1 - std::pow(o.beta2, static_cast<double>(adam_step_));
    step.project_discrete = o.projection == AlphaProjection::discrete;
    if (o.discretise) take(step, *o.discretise);
    run_alpha(step, {&o.cost_normal, &o.cost_reduce});
  }

  StepResult weight_step(int ticket, const WeightUpdate& o) override {
    const PassOptions options = {true, true, false, o.keep_batch, true};
    return pass(ticket, options, [&](const Pass<S>& p, StepResult& r) {
      differentiate(p, r, o.mixture, false);
      const auto start = std::chrono::steady_clock::now();
      const WeightTable<S> table = net_->parameters().table();
      take_gradient_norm(p, table);
      if (o.apply) {
        p.between().sgd(p.run, table,
                        {o.lr, o.momentum, o.weight_decay, o.clip, o.nesterov, o.decay_unselected},
                        numbers());
        for (Slot& s : net_->parameters().slots()) s.version += s.has_gradient || o.decay_unselected;
      }
      r.backward_seconds += seconds_since(start);
    });
  }

  StepResult evaluate(int ticket, bool batch_statistics) override {
    return pass(ticket, {batch_statistics, false, true, false, false}, [](const Pass<S>&, StepResult&) {});
  }

  void combine(const std::string& to, const std::vector<WeightTerm>& terms) override {
    vectors_->combine(run(config_.batch), step_functions(backend_), to, terms);
    device_->check();
  }
  double norm(const std::string& vector) override {
    const double norm = vectors_->norm(run(config_.batch), step_functions(backend_), vector);
    device_->check();
    return norm;
  }

  void cancel(bool on) override { cancelled_.store(on); }

  std::pair<std::size_t, std::size_t> memory(bool reset) override {
    const std::size_t peak = arena_->peak();
    const std::size_t held = net_->parameters().bytes() + net_->packed_bytes() + vectors_->bytes() +
                             workspace_.bytes() + batches_.bytes();
    if (reset) arena_->reset_peak();
    return {peak, held};
  }

  std::optional<std::pair<unsigned long, unsigned long>> device_counts() override {
    if (!backend_.device) return std::nullopt;
    const DeviceCounts counts = device_->counts();
    return std::pair{counts.launches, counts.waits};
  }

 private:
  void build() {
    vectors_.reset();
    arena_.reset();
    net_.reset();
    results_ = {}, d_logits_ = {}, targets_ = {}, indices_ = {};
    selection_.reset();
    data_.clear();
    device_.reset();
    net_ = std::make_unique<Supernet<S>>(config_);
    vectors_ = std::make_unique<WeightVectors<S>>(net_->parameters());
    net_->prepare(backend_);
    names_ = std::make_unique<TensorNames<S>>(*net_);
    planned_.clear();
    adam_step_ = 0;
    const std::size_t bytes = net_->arena_bytes(backend_, !backend_.device);
    const std::size_t images = static_cast<std::size_t>(config_.batch) * config_.image_channels *
                               config_.image_size * config_.image_size;
    device_ =
        std::make_unique<Device>(backend_.device, DevicePlan{net_->largest_activation(backend_), bytes,
                                                             config_.batch, images, net_->parameter_bytes()});
    const Memory memory = device_->memory();
    net_->allocate(memory);
    const std::size_t logits = static_cast<std::size_t>(config_.batch) * config_.classes;
    results_.allocate(sizeof(StepNumbers) + logits * sizeof(S), memory);
    d_logits_.allocate(logits, memory);
    targets_.allocate(static_cast<std::size_t>(config_.batch), memory);
    indices_.allocate(static_cast<std::size_t>(config_.batch), memory);

    selection_ = std::make_unique<AlphaSelection<S>>(*net_, memory);
    arena_ = std::make_unique<Arena>(bytes, false, memory);
    discretise({});
    reserve_activations();
  }

  // What a step finds, in the backend's memory: numbers, then logits.
  StepNumbers* numbers() { return reinterpret_cast<StepNumbers*>(results_.data()); }
  S* logits() { return reinterpret_cast<S*>(numbers() + 1); }

  Run run(int batch) { return {parallel_, workspace_, batch, device_->handle()}; }

  void run_alpha(const AlphaStep& step, const std::array<const std::vector<double>*, 2>& costs) {
    selection_->run(*net_, step_functions(backend_), run(config_.batch), step, costs);
    device_->check();
  }

  void take(AlphaStep& step, const Discretise& o) const {
    step.discretise = true, step.value_one = o.value_one, step.two_edges = o.two_edges;
    step.epsilon = o.epsilon, step.counter = o.counter;
    step.seed = config_.seed, step.dense = config_.dense;
  }

  void take_gradient_norm(const Pass<S>& p, const WeightTable<S>& table) {
    p.between().norm(p.run, &numbers()->gradient_norm, table, table.gradients, true);
  }

  // In host memory, address space for every operation: pages follow use. A device's memory is taken whole, so there it
  // grows with what mixtures propagate.
  void reserve_activations() {
    arena_->rewind(0);
    if (!backend_.device) return;
    const std::size_t bytes = net_->arena_bytes(backend_, false);
    if (bytes <= arena_->reserved()) return;
    arena_->reserve_anew(0);
    device_->expect_room(bytes, config_.batch);
    arena_->reserve_anew(bytes);
  }

  const SkipDropout* dropout() const { return skip_dropout_.rate > 0 ? &skip_dropout_ : nullptr; }

  struct PassOptions {
    bool training, weight_gradients, keep_statistics, keep_batch, dropout;
  };

  // Waits for the batch, runs the net forward on it, then `rest`. Frees the ticket: always where it fails.
  template <class Rest>
  StepResult pass(int ticket, const PassOptions& options, const Rest& rest) {
    StepBatch<S>& batch = batches_.of(ticket);
    struct Free {
      StepBatches<S>& batches;
      StepBatch<S>& batch;
      bool keep = false;
      ~Free() {
        if (!keep) batches.free(batch);
      }
    } free{batches_, batch};
    StepResult result;
    auto start = std::chrono::steady_clock::now();
    batches_.ready(batch);
    reserve_activations();
    if (planned_.insert(batch.count).second) net_->plan(*device_, batch.count);
    const ImageBytes* images =
        batch.dataset ? &data_.of(batch.dataset, net_->parameters().memory()) : nullptr;
    const DeviceStep step(*device_);
    const bool restored = options.training && options.keep_statistics;
    if (restored) net_->parameters().save_buffers();
    const Memory& memory = net_->parameters().memory();
    const Pass<S> p = {backend_,           run(batch.count), *arena_,
                       net_->parameters(), options.training, options.weight_gradients};
    const View<S> x = p.take(config_.image_channels, config_.image_size, config_.image_size);
    if (images) {
      memory.write_at(indices_.data(), batch.indices.data(), batch.indices.size() * sizeof(std::uint32_t));
      const Augment& a = batch.augment;
      p.between().augment(p.run, x, targets_.data(), *images, indices_.data(),
                          {a.pad, a.flip, a.cutout, a.seed, a.counter});
    } else {
      backend_.load(p.run, x, batch.planes.data(), 0, batch.count);
      backend_.clear_dead(p.run, x);
      memory.write_at(targets_.data(), batch.targets.data(),
                      sizeof(int) * static_cast<std::size_t>(batch.count));
    }
    result.wait_seconds = seconds_since(start);

    start = std::chrono::steady_clock::now();
    net_->forward(p, x, logits(), options.dropout ? dropout() : nullptr, cancelled_);
    p.between().cross_entropy(p.run, d_logits_.data(), numbers(), logits(), targets_.data(), config_.classes);
    result.forward_seconds = seconds_since(start);
    rest(p, result);
    if (restored) net_->parameters().restore_buffers();

    start = std::chrono::steady_clock::now();
    step.end();
    const std::size_t values = static_cast<std::size_t>(batch.count) * config_.classes;
    std::vector<char> found(sizeof(StepNumbers) + values * sizeof(S));
    memory.read_at(found.data(), results_.data(), found.size());
    device_->check();
    StepNumbers numbers;
    std::memcpy(&numbers, found.data(), sizeof(numbers));
    std::vector<S> logits(values);
    std::memcpy(logits.data(), found.data() + sizeof(numbers), values * sizeof(S));
    result.count = batch.count;
    result.loss = numbers.loss, result.correct = numbers.correct;
    if (options.weight_gradients) result.gradient_norm = numbers.gradient_norm;
    result.logits.assign(logits.begin(), logits.end());
    (options.training ? result.backward_seconds : result.forward_seconds) += seconds_since(start);
    free.keep = options.keep_batch;
    return result;
  }

  void differentiate(const Pass<S>& p, StepResult& result, bool mixture, bool node_sums) {
    const auto start = std::chrono::steady_clock::now();
    net_->backward(p, d_logits_.data(), mixture, node_sums, dropout(), cancelled_);
    result.backward_seconds = seconds_since(start);
  }

  SupernetConfig config_;
  const Backend<S>& backend_;
  Parallel parallel_;
  Workspace workspace_;
  std::unique_ptr<Device> device_;  // before what lies in its memory
  std::unique_ptr<Supernet<S>> net_;
  std::unique_ptr<WeightVectors<S>> vectors_;
  std::unique_ptr<TensorNames<S>> names_;
  std::unique_ptr<Arena> arena_;
  StepBatches<S> batches_;
  std::unique_ptr<AlphaSelection<S>> selection_;
  Store<char> results_;
  Store<S> d_logits_;
  Store<int> targets_;
  Store<std::uint32_t> indices_;
  HeldData data_;
  std::uint64_t adam_step_ = 0;
  SkipDropout skip_dropout_;
  std::set<int> planned_;  // batch sizes
  std::atomic<bool> cancelled_{false};
};

}  // namespace

std::unique_ptr<Session> make_session(const SupernetConfig& config) {
  if (config.precision == Precision::f64) return std::make_unique<SupernetSession<double>>(config);
  return std::make_unique<SupernetSession<float>>(config);
}

}  // namespace nasp
