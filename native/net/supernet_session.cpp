// The session of a supernet: its batches, its threads, its passes.
#include <chrono>
#include <cmath>

#include "../core/parallel.h"
#include "../backends/device.h"
#include "../backends/registry.h"
#include "../backends/workspace.h"
#include "loss.h"
#include "optimizer.h"
#include "step_batches.h"
#include "supernet.h"
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
        batches_(config_),
        logits_(static_cast<std::size_t>(config_.batch) * config_.classes),
        d_logits_(logits_.size()) {
    build();
  }

  const SupernetConfig& config() const override { return config_; }
  int lanes() const override { return backend_.lanes; }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> list;
    const auto& p = net_->parameters();
    const auto matrix = [&](int t) {
      return std::vector<int>{cell_edges, net_->alpha(t).mixture.candidates};
    };
    for (const Slot& s : p.slots()) list.push_back({s.name, "parameter", s.shape});
    for (const Slot& s : p.buffers()) list.push_back({s.name, "buffer", s.shape});
    for (int t = 0; t < 2; t++) list.push_back({net_->alpha(t).name, "alpha", matrix(t)});
    for (const Slot& s : p.slots()) list.push_back({"momentum." + s.name, "momentum", s.shape});
    for (int t = 0; t < 2; t++) {
      list.push_back({"adam.first." + net_->alpha(t).name, "adam", matrix(t)});
      list.push_back({"adam.second." + net_->alpha(t).name, "adam", matrix(t)});
    }
    list.push_back({"adam.step", "adam", {1}});
    for (const Slot& s : p.slots()) list.push_back({"grad." + s.name, "gradient", s.shape});
    for (int t = 0; t < 2; t++) {
      list.push_back({"grad." + net_->alpha(t).name, "gradient", matrix(t)});
      list.push_back({"grad.nodes." + net_->alpha(t).name, "gradient", {cell_nodes}});
      list.push_back({"grad.bypass." + net_->alpha(t).name, "gradient", {cell_edges}});
    }
    for (int t = 0; t < 2; t++) list.push_back({"selected." + net_->alpha(t).name, "selection", matrix(t)});
    return list;
  }

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
    const Place place = find(name);
    if (place.zero)
      std::fill(to, to + place.size, S(0));
    else
      std::copy(place.data, place.data + place.size, to);
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
    const Place place = find(name);
    std::copy(from, from + place.size, place.data);
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
    for (int t = 0; t < 2; t++)
      nasp::discretise(net_->alpha(t), options, config_.seed, static_cast<std::uint32_t>(t), config_.dense);
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
      if (o.weights) r.gradient_norm = gradient_norm(net_->parameters());
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
    for (int t = 0; t < 2; t++)
      nasp::update_alpha(net_->alpha(t), o, t == 0 ? o.cost_normal : o.cost_reduce, adam_step_);
    if (o.discretise) discretise(*o.discretise);
    for (int t = 0; o.projection == AlphaProjection::discrete && t < 2; t++) project_discrete(net_->alpha(t));
  }

  StepResult weight_step(int ticket, const WeightUpdate& o) override {
    const PassOptions options = {true, true, false, o.keep_batch, true};
    return pass(ticket, options, [&](const Pass<S>& p, StepResult& r) {
      differentiate(p, r, o.mixture, false);
      const auto start = std::chrono::steady_clock::now();
      r.gradient_norm = gradient_norm(net_->parameters());
      if (o.apply && std::isfinite(r.loss) && std::isfinite(r.gradient_norm))
        sgd_step(net_->parameters(), o, r.gradient_norm);
      r.backward_seconds += seconds_since(start);
    });
  }

  StepResult evaluate(int ticket, bool batch_statistics) override {
    return pass(ticket, {batch_statistics, false, true, false, false}, [](const Pass<S>&, StepResult&) {});
  }

  void combine(const std::string& to, const std::vector<WeightTerm>& terms) override {
    vectors_->combine(to, terms);
  }
  double norm(const std::string& vector) const override { return vectors_->norm(vector); }

  void cancel(bool on) override { cancelled_.store(on); }

  std::pair<std::size_t, std::size_t> memory(bool reset) override {
    const std::size_t peak = arena_->peak();
    const std::size_t held = net_->parameters().bytes() + net_->packed_bytes() + vectors_->bytes() +
                             workspace_.bytes() + batches_.bytes();
    if (reset) arena_->reset_peak();
    return {peak, held};
  }

 private:
  void build() {
    vectors_.reset();
    net_ = std::make_unique<Supernet<S>>(config_);
    vectors_ = std::make_unique<WeightVectors<S>>(net_->parameters());
    names_.clear();
    adam_step_ = 0;
    discretise({});
    arena_.reset();
    device_.reset();
    const std::size_t bytes = net_->arena_bytes(backend_, !backend_.device);
    device_ = std::make_unique<Device>(backend_.device,
                                       DevicePlan{net_->largest_activation(backend_), bytes, config_.batch});
    arena_ = std::make_unique<Arena>(bytes, false, device_->memory());
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

  struct Place {
    S* data;
    std::size_t size;
    int slot;   // of a parameter's value, else -1
    bool zero;  // a gradient that this step did not give
  };

  Place find(const std::string& name) const {
    auto& p = const_cast<Parameters<S>&>(net_->parameters());
    const auto rest = [&](const char* prefix) {
      return name.rfind(prefix, 0) == 0 ? name.substr(std::char_traits<char>::length(prefix)) : std::string();
    };
    for (int t = 0; t < 2; t++) {
      auto& a = const_cast<AlphaMatrix<S>&>(net_->alpha(t));
      if (name == a.name) return {a.value.data(), a.value.size(), -1, false};
      if (name == "grad.nodes." + a.name) return {a.node_gradient.data(), a.node_gradient.size(), -1, false};
      if (name == "grad.bypass." + a.name)
        return {a.bypass_gradient.data(), a.bypass_gradient.size(), -1, false};
      if (name == "grad." + a.name) return {a.gradient.data(), a.gradient.size(), -1, false};
      if (name == "adam.first." + a.name) return {a.first.data(), a.first.size(), -1, false};
      if (name == "adam.second." + a.name) return {a.second.data(), a.second.size(), -1, false};
    }
    const std::string momentum = rest("momentum."), gradient = rest("grad.");
    if (names_.empty()) {
      for (std::size_t i = 0; i < p.slots().size(); i++) names_[p.slots()[i].name] = static_cast<int>(i);
      for (std::size_t i = 0; i < p.buffers().size(); i++)
        names_[p.buffers()[i].name] = -1 - static_cast<int>(i);
    }
    const auto found = names_.find(!momentum.empty() ? momentum : !gradient.empty() ? gradient : name);
    if (found == names_.end() || (found->second < 0 && (!momentum.empty() || !gradient.empty()))) {
      throw Error("ERR_NASP_UNKNOWN_TENSOR",
                  "Expected the name of a tensor of this net but received " + name);
    }
    if (found->second < 0)
      return {p.buffer(-1 - found->second), p.buffers()[static_cast<std::size_t>(-1 - found->second)].size,
              -1, false};
    const Slot& s = p.slots()[static_cast<std::size_t>(found->second)];
    if (!momentum.empty()) return {p.momentum(found->second), s.size, -1, false};
    if (!gradient.empty()) return {p.gradient(found->second), s.size, -1, !s.has_gradient};
    return {p.value(found->second), s.size, found->second, false};
  }

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
    std::vector<S> statistics;
    if (options.training && options.keep_statistics) statistics = net_->parameters().buffer_values();
    StepResult result;
    auto start = std::chrono::steady_clock::now();
    batches_.ready(batch);
    reserve_activations();
    const Pass<S> p = {backend_,         {parallel_, workspace_, batch.count, device_->handle()},
                       *arena_,          net_->parameters(),
                       options.training, options.weight_gradients};
    const View<S> x = p.take(config_.image_channels, config_.image_size, config_.image_size);
    backend_.load(p.run, x, batch.planes.data(), 0, batch.count);
    backend_.clear_dead(p.run, x);
    result.wait_seconds = seconds_since(start);

    start = std::chrono::steady_clock::now();
    net_->forward(p, x, logits_.data(), options.dropout ? dropout() : nullptr, cancelled_);
    device_->check();
    result.count = batch.count;
    result.loss = softmax_cross_entropy(d_logits_.data(), &result.correct, logits_.data(),
                                        batch.targets.data(), batch.count, config_.classes);
    result.logits.assign(logits_.begin(),
                         logits_.begin() + static_cast<std::ptrdiff_t>(batch.count) * config_.classes);
    result.forward_seconds = seconds_since(start);
    rest(p, result);
    if (!statistics.empty()) net_->parameters().restore_buffers(statistics);
    free.keep = options.keep_batch;
    return result;
  }

  void differentiate(const Pass<S>& p, StepResult& result, bool mixture, bool node_sums) {
    const auto start = std::chrono::steady_clock::now();
    net_->backward(p, d_logits_.data(), mixture, node_sums, dropout(), cancelled_);
    device_->check();
    result.backward_seconds = seconds_since(start);
  }

  SupernetConfig config_;
  const Backend<S>& backend_;
  std::unique_ptr<Supernet<S>> net_;
  std::unique_ptr<WeightVectors<S>> vectors_;
  Parallel parallel_;
  Workspace workspace_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Arena> arena_;
  StepBatches<S> batches_;
  std::vector<S> logits_, d_logits_;
  std::uint64_t adam_step_ = 0;
  SkipDropout skip_dropout_;
  mutable std::map<std::string, int> names_;  // parameters; buffers as -1 - index
  std::atomic<bool> cancelled_{false};
};

}  // namespace

std::unique_ptr<Session> make_session(const SupernetConfig& config) {
  if (config.precision == Precision::f64) return std::make_unique<SupernetSession<double>>(config);
  return std::make_unique<SupernetSession<float>>(config);
}

}  // namespace nasp
