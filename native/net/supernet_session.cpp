// The session of a supernet: its batches, its threads, its passes.
#include <array>
#include <cmath>
#include <utility>

#include "../core/clock.h"
#include "../core/parallel.h"
#include "../backends/registry.h"
#include "../backends/workspace.h"
#include "placed_net.h"
#include "session.h"
#include "step_batches.h"

namespace nasp {

namespace {

template <class S>
class SupernetSession final : public Session {
 public:
  explicit SupernetSession(const SupernetConfig& config)
      : config_(checked(config)),
        backend_(backend<S>(config_.isa)),
        parallel_(config_.threads),
        workspace_(parallel_.threads()),
        batches_(config_, step_functions(backend_).augment != nullptr) {
    build(config_);
  }

  const SupernetConfig& config() const override { return config_; }
  int lanes() const override { return backend_.lanes; }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> infos;
    for (const Tensor<S>& t : placed().names.list()) infos.push_back(t.info);
    return infos;
  }

  void read(const std::string& name, void* data) const override {
    S* to = static_cast<S*>(data);
    PlacedNet<S>& net = placed();
    const Tensor<S>& t = net.names.find(name);
    Parameters<S>& parameters = net.supernet.parameters();
    if (t.mixture)
      std::copy(t.mixture->weight.begin(), t.mixture->weight.end(), to);
    else if (!t.data)
      *to = static_cast<S>(adam_step_);
    else if (t.info.group == "gradient" && t.slot >= 0 && !parameters.slot(t.slot).has_gradient)
      std::fill(to, to + t.info.size(), S(0));  // this step gave none
    else
      parameters.read(to, t.data, t.info.size());
    net.device->check();
  }

  void write(const std::string& name, const void* data) override {
    const S* from = static_cast<const S*>(data);
    PlacedNet<S>& net = placed();
    const Tensor<S>& t = net.names.find(name);
    expect(t.writable, "a tensor that can be written", name, "ERR_NASP_UNSUPPORTED");
    if (!t.data) {
      expect(*from >= 0 && *from <= S(1ull << 53) && *from == std::floor(*from),
             "a whole number from 0 to 2^53 for adam.step", number_text(*from));
      adam_step_ = static_cast<std::uint64_t>(*from);
      return;
    }
    Parameters<S>& parameters = net.supernet.parameters();
    parameters.write(t.data, from, t.info.size());
    net.device->check();
    if (t.slot >= 0) parameters.slot(t.slot).version++;
  }

  int queue(std::shared_ptr<const Dataset> dataset, std::vector<std::uint32_t> indices,
            const Augment& augment) override {
    return batches_.queue(std::move(dataset), std::move(indices), augment);
  }

  int load(const void* x, const std::vector<int>& targets) override {
    return batches_.load(static_cast<const S*>(x), targets);
  }

  void discretise(const Discretise& options) override { discretise(placed(), options); }

  void set_mixture(int type, const std::vector<double>& weight, const std::vector<Use>& use) override {
    AlphaMatrix<S>& alpha = net().alpha(type);
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
           std::to_string(cell_edges) + " entries for the bypass of " + net().alpha(type).name,
           std::to_string(weight.size()));
    net().alpha(type).mixture.bypass = weight;
  }

  void skip_dropout(double rate, std::uint32_t counter) override {
    expect(rate >= 0 && rate < 1, "a number from 0 to below 1 for rate", number_text(rate));
    skip_dropout_ = {rate, config_.seed, counter};
  }

  void rebuild(int layers, std::uint64_t seed) override {
    SupernetConfig config = config_;
    config.layers = layers, config.seed = seed;
    build(checked(config));
  }

  StepResult architecture_gradient(int ticket, const GradientOptions& o) override {
    const PassOptions options = {.training = true,
                                 .weight_gradients = o.weights,
                                 .keep_statistics = o.keep_statistics,
                                 .keep_batch = o.keep_batch,
                                 .backward = true};
    return pass(ticket, options, [&](const Pass<S>& p, StepResult& r) {
      differentiate(p, r, true, o.node_sums);
      if (o.weights) take_gradient_norm(p, net().parameters().table());
    });
  }

  void update_alpha(const AlphaUpdate& o) override {
    PlacedNet<S>& net = placed();
    for (auto [cost, t] : {std::pair{&o.cost_normal, 0}, {&o.cost_reduce, 1}}) {
      const AlphaMatrix<S>& alpha = net.supernet.alpha(t);
      const std::size_t n = static_cast<std::size_t>(alpha.mixture.candidates);
      expect(cost->empty() || cost->size() == n,
             "none or " + std::to_string(n) + " values for the cost of " + alpha.name,
             std::to_string(cost->size()));
    }
    for (auto [beta, name] : {std::pair{o.beta1, "beta1"}, {o.beta2, "beta2"}})
      expect(beta >= 0 && beta < 1, std::string("a number from 0 to below 1 for ") + name, number_text(beta));
    AlphaStep step = {};
    if (o.discretise) take(step, net.config, *o.discretise);
    if (o.optimizer == AlphaOptimizer::adam) adam_step_++;
    step.update = true, step.adam = o.optimizer == AlphaOptimizer::adam;
    step.box = o.projection == AlphaProjection::box, step.cost_on_alpha = o.cost_on_alpha;
    step.lr = o.lr, step.beta1 = o.beta1, step.beta2 = o.beta2, step.eps = o.eps;
    step.weight_decay = o.weight_decay, step.eta = o.eta;
    step.correction1 = 1 - std::pow(o.beta1, static_cast<double>(adam_step_));
    step.correction2 = 1 - std::pow(o.beta2, static_cast<double>(adam_step_));
    step.project_discrete = o.projection == AlphaProjection::discrete;
    run_alpha(net, step, {&o.cost_normal, &o.cost_reduce});
  }

  StepResult weight_step(int ticket, const WeightUpdate& o) override {
    const PassOptions options = {
        .training = true, .weight_gradients = true, .keep_batch = o.keep_batch, .backward = true};
    return pass(ticket, options, [&](const Pass<S>& p, StepResult& r) {
      differentiate(p, r, o.mixture, false);
      const auto start = Clock::now();
      const WeightTable<S> table = net().parameters().table();
      take_gradient_norm(p, table);
      if (o.apply) {
        p.between().sgd(p.run, table,
                        {o.lr, o.momentum, o.weight_decay, o.clip, o.nesterov, o.decay_unselected},
                        placed().numbers());
        for (Slot& s : net().parameters().slots()) s.version += s.has_gradient || o.decay_unselected;
      }
      r.update_seconds = seconds_since(start);
    });
  }

  StepResult evaluate(int ticket, bool batch_statistics) override {
    const PassOptions options = {.training = batch_statistics, .keep_statistics = true};
    return pass(ticket, options, [](const Pass<S>&, StepResult&) {});
  }

  void combine(const std::string& to, const std::vector<WeightTerm>& terms) override {
    PlacedNet<S>& net = placed();
    net.device->check();
    net.vectors.combine(run(net, config_.batch), step_functions(backend_), to, terms);
    net.device->check();
  }
  double norm(const std::string& vector) override {
    PlacedNet<S>& net = placed();
    const double norm = net.vectors.norm(run(net, config_.batch), step_functions(backend_), vector);
    net.device->check();
    return norm;
  }

  void cancel(bool on) override { cancelled_.store(on); }

  std::pair<std::size_t, std::size_t> memory(bool reset) override {
    const std::size_t held = workspace_.bytes() + batches_.bytes();
    if (!placed_) return {0, held};
    const std::size_t peak = placed_->arena->peak();
    if (reset) placed_->arena->reset_peak();
    return {peak, held + placed_->bytes()};
  }

  std::optional<DeviceCounts> device_counts() override {
    if (!backend_.device) return std::nullopt;
    return placed().device->counts();
  }

 private:
  // Where it fails, no net is left, and the configuration is the one before.
  void build(SupernetConfig config) {
    placed_.reset();  // gives its memory back before the next takes any
    auto next = std::make_unique<PlacedNet<S>>(config, backend_);
    discretise(*next, {});
    next->reserve_activations();
    config_ = std::move(config);
    adam_step_ = 0;
    placed_ = std::move(next);
  }

  PlacedNet<S>& placed() const {
    if (!placed_)
      throw Error("ERR_NASP_DISPOSED",
                  "This session has had no net since a rebuild failed: rebuild it or dispose of it");
    return *placed_;
  }
  Supernet<S>& net() const { return placed().supernet; }

  Run run(const PlacedNet<S>& placed, int batch) {
    return {parallel_, workspace_, batch, placed.device->handle()};
  }

  void discretise(PlacedNet<S>& placed, const Discretise& options) {
    AlphaStep step = {};
    take(step, placed.config, options);
    run_alpha(placed, step, {});
  }

  void run_alpha(PlacedNet<S>& placed, const AlphaStep& step,
                 const std::array<const std::vector<double>*, 2>& costs) {
    placed.selection->run(placed.supernet, step_functions(backend_), run(placed, placed.config.batch), step,
                          costs);
    placed.device->check();
  }

  static void take(AlphaStep& step, const SupernetConfig& config, const Discretise& o) {
    expect(o.epsilon >= 0 && o.epsilon <= 1, "a number from 0 to 1 for epsilon", number_text(o.epsilon));
    step.discretise = true, step.value_one = o.value_one, step.two_edges = o.two_edges;
    step.epsilon = o.epsilon, step.counter = o.counter;
    step.seed = config.seed, step.dense = config.dense;
  }

  void take_gradient_norm(const Pass<S>& p, const WeightTable<S>& table) {
    p.between().norm(p.run, &placed().numbers()->gradient_norm, table, table.gradients, true);
  }

  const SkipDropout* dropout() const { return skip_dropout_.rate > 0 ? &skip_dropout_ : nullptr; }

  struct PassOptions {
    bool training = false, weight_gradients = false, keep_statistics = false, keep_batch = false;
    bool backward = false;  // goes backward, so skips are dropped
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
    auto start = Clock::now();
    batches_.ready(batch);
    result.prepare_seconds = std::exchange(batch.prepare_seconds, 0);
    PlacedNet<S>& net = placed();
    net.device->check();
    net.reserve_activations();
    net.prepare_batch(batch);
    const DeviceStep step(*net.device);
    {
      const KeptBuffers<S> kept(net.supernet.parameters(), options.training && options.keep_statistics);
      const Pass<S> p = {
          backend_,         run(net, batch.count),    *net.arena,         net.supernet.parameters(),
          options.training, options.weight_gradients, config_.bf16_probes};
      const View<S> x = net.supernet.take_x(p);
      net.take_batch(p, x, batch);
      result.wait_seconds = seconds_since(start);

      start = Clock::now();
      net.supernet.forward(p, x, net.logits(), options.backward ? dropout() : nullptr, cancelled_);
      p.between().cross_entropy(p.run, net.d_logits.data(), net.numbers(), net.logits(), net.targets.data(),
                                config_.classes);
      result.forward_seconds = seconds_since(start);
      rest(p, result);
    }

    start = Clock::now();
    step.end();
    net.read_result(result, batch.count);
    if (!options.weight_gradients) result.gradient_norm = 0;
    (options.backward ? result.backward_seconds : result.forward_seconds) += seconds_since(start);
    free.keep = options.keep_batch;
    return result;
  }

  void differentiate(const Pass<S>& p, StepResult& result, bool mixture, bool node_sums) {
    const auto start = Clock::now();
    net().backward(p, placed().d_logits.data(), mixture, node_sums, dropout(), cancelled_);
    result.backward_seconds = seconds_since(start);
  }

  SupernetConfig config_;
  const Backend<S>& backend_;
  Parallel parallel_;
  Workspace workspace_;
  std::unique_ptr<PlacedNet<S>> placed_;
  StepBatches<S> batches_;
  std::uint64_t adam_step_ = 0;
  SkipDropout skip_dropout_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace

std::unique_ptr<Session> make_session(const SupernetConfig& config) {
  if (config.precision == Precision::f64) return std::make_unique<SupernetSession<double>>(config);
  return std::make_unique<SupernetSession<float>>(config);
}

}  // namespace nasp
