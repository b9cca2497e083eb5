// The session of a supernet: its batches, its threads, its passes.
#include <array>
#include <chrono>
#include <cmath>
#include <mutex>

#include "../core/parallel.h"
#include "../backends/device.h"
#include "../backends/registry.h"
#include "../backends/workspace.h"
#include "../data/augment.h"
#include "../data/batch_loader.h"
#include "loss.h"
#include "optimizer.h"
#include "supernet.h"

namespace nasp {

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void expect(bool ok, const char* what, const std::string& received) {
  if (!ok) throw Error("ERR_NASP_ARGUMENT", std::string("Expected ") + what + " but received " + received);
}

SupernetConfig checked(SupernetConfig c) {
  const auto in = [](const char* name, int v, int low, int high) {
    expect(v >= low && v <= high,
           ("a whole number from " + std::to_string(low) + " to " + std::to_string(high) + " for " + name)
               .c_str(),
           std::to_string(v));
  };
  in("channels", c.channels, 1, 4096);
  in("layers", c.layers, 3, 1000);
  in("classes", c.classes, 2, 65536);
  in("imageSize", c.image_size, 4, 4096);
  in("imageChannels", c.image_channels, 1, 64);
  in("batch", c.batch, 1, 65536);
  in("threads", c.threads, 0, 1024);
  for (const auto* list : {&c.normal, &c.reduce}) {
    expect(!list->empty(), "at least one candidate operation for normal and for reduce", "none");
    for (const std::string& op : *list) make_operation(op, 2, 1, true);
  }
  if (c.isa.empty()) c.isa = chosen_isa();
  if (c.threads == 0) c.threads = usable_threads();
  return c;
}

// A batch on its way: planes are filled by the loader's thread.
template <class S>
struct Batch {
  bool used = false, by_value = false;
  int ticket = 0;
  BatchLoader::Ticket job = 0;
  int count = 0;
  std::vector<S> planes;
  std::vector<int> targets;
};

template <class S>
class SupernetSession final : public Session {
 public:
  explicit SupernetSession(const SupernetConfig& config)
      : config_(checked(config)),
        backend_(backend<S>(config_.isa)),
        net_(config_),
        parallel_(config_.threads),
        workspace_(parallel_.threads()),
        device_(backend_.device,
                {net_.largest_activation(backend_), net_.arena_bytes(backend_), config_.batch}),
        arena_(net_.arena_bytes(backend_), false, device_.memory()),
        logits_(static_cast<std::size_t>(config_.batch) * config_.classes),
        d_logits_(logits_.size()) {
    discretise({});
  }
  ~SupernetSession() override { loader_.drop_all(); }

  const SupernetConfig& config() const override { return config_; }
  int lanes() const override { return backend_.lanes; }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> list;
    const auto& p = net_.parameters();
    const auto matrix = [&](int t) { return std::vector<int>{cell_edges, net_.alpha(t).mixture.candidates}; };
    for (const Slot& s : p.slots()) list.push_back({s.name, "parameter", s.shape});
    for (const Slot& s : p.buffers()) list.push_back({s.name, "buffer", s.shape});
    for (int t = 0; t < 2; t++) list.push_back({net_.alpha(t).name, "alpha", matrix(t)});
    for (const Slot& s : p.slots()) list.push_back({"momentum." + s.name, "momentum", s.shape});
    for (int t = 0; t < 2; t++) {
      list.push_back({"adam.first." + net_.alpha(t).name, "adam", matrix(t)});
      list.push_back({"adam.second." + net_.alpha(t).name, "adam", matrix(t)});
    }
    list.push_back({"adam.step", "adam", {1}});
    for (const Slot& s : p.slots()) list.push_back({"grad." + s.name, "gradient", s.shape});
    for (int t = 0; t < 2; t++) list.push_back({"grad." + net_.alpha(t).name, "gradient", matrix(t)});
    for (int t = 0; t < 2; t++) list.push_back({"selected." + net_.alpha(t).name, "selection", matrix(t)});
    return list;
  }

  void read(const std::string& name, void* data) const override {
    S* to = static_cast<S*>(data);
    if (name == "adam.step") {
      *to = static_cast<S>(adam_step_);
      return;
    }
    for (int t = 0; t < 2; t++) {
      const AlphaMatrix<S>& a = net_.alpha(t);
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
    if (name.rfind("grad.", 0) == 0 || name.rfind("selected.", 0) == 0)
      throw Error("ERR_NASP_UNSUPPORTED", "Expected a tensor that can be written but received " + name);
    const Place place = find(name);
    std::copy(from, from + place.size, place.data);
    if (place.slot >= 0) net_.parameters().slot(place.slot).version++;
  }

  int queue(std::shared_ptr<const Dataset> dataset, std::vector<std::uint32_t> indices,
            const Augment& augment) override {
    check_indices(*dataset, indices.data(), static_cast<int>(indices.size()));
    check_augment(*dataset, augment);
    expect(dataset->channels == config_.image_channels && dataset->height == config_.image_size &&
               dataset->width == config_.image_size,
           ("images of " + std::to_string(config_.image_channels) + " x " +
            std::to_string(config_.image_size) + " x " + std::to_string(config_.image_size))
               .c_str(),
           std::to_string(dataset->channels) + " x " + std::to_string(dataset->height) + " x " +
               std::to_string(dataset->width));
    Batch<S>& batch = reserve(static_cast<int>(indices.size()));
    for (std::uint32_t i : indices) {
      if (dataset->labels[i] >= config_.classes) {
        batch.used = false;
        expect(false, ("labels below " + std::to_string(config_.classes)).c_str(),
               std::to_string(dataset->labels[i]));
      }
    }
    batch.by_value = false;
    batch.job = loader_.submit([&batch, dataset = std::move(dataset), indices = std::move(indices), augment] {
      augment_batch(*dataset, indices.data(), batch.count, augment, batch.planes.data(),
                    batch.targets.data());
    });
    return batch.ticket;
  }

  int load(const void* x, const std::vector<int>& targets) override {
    for (int t : targets)
      expect(t >= 0 && t < config_.classes,
             ("targets from 0 to " + std::to_string(config_.classes - 1)).c_str(), std::to_string(t));
    Batch<S>& batch = reserve(static_cast<int>(targets.size()));
    const S* from = static_cast<const S*>(x);
    std::copy(from, from + image_values() * targets.size(), batch.planes.begin());
    batch.targets = targets;
    batch.by_value = true;
    return batch.ticket;
  }

  void discretise(const Discretise& options) override {
    for (int t = 0; t < 2; t++)
      nasp::discretise(net_.alpha(t), options, config_.seed, static_cast<std::uint32_t>(t), config_.dense);
  }

  StepResult architecture_gradient(int ticket) override {
    return pass(
        ticket, true, [&](const Pass<S>& p, StepResult& r) { differentiate(p, r, true); }, false);
  }

  void update_alpha(const AlphaUpdate& o) override {
    for (auto [cost, t] : {std::pair{&o.cost_normal, 0}, {&o.cost_reduce, 1}}) {
      const std::size_t n = static_cast<std::size_t>(net_.alpha(t).mixture.candidates);
      expect(cost->empty() || cost->size() == n,
             (std::to_string(n) + " values for the cost of " + net_.alpha(t).name).c_str(),
             std::to_string(cost->size()));
    }
    adam_step_++;
    for (int t = 0; t < 2; t++)
      nasp::update_alpha(net_.alpha(t), o, t == 0 ? o.cost_normal : o.cost_reduce, adam_step_);
    discretise(o.discretise);
  }

  StepResult weight_step(int ticket, const WeightUpdate& o) override {
    return pass(
        ticket, true,
        [&](const Pass<S>& p, StepResult& r) {
          differentiate(p, r, false);
          const auto start = std::chrono::steady_clock::now();
          r.gradient_norm = gradient_norm(net_.parameters());
          if (o.apply && std::isfinite(r.loss) && std::isfinite(r.gradient_norm))
            sgd_step(net_.parameters(), o, r.gradient_norm);
          r.backward_seconds += seconds_since(start);
        },
        true);
  }

  StepResult evaluate(int ticket) override {
    return pass(
        ticket, false, [](const Pass<S>&, StepResult&) {}, false);
  }

  void cancel(bool on) override { cancelled_.store(on); }

  std::pair<std::size_t, std::size_t> memory(bool reset) override {
    const std::size_t peak = arena_.peak();
    std::size_t held = net_.parameters().bytes() + net_.packed_bytes() + workspace_.bytes();
    for (const Batch<S>& b : batches_) held += b.planes.size() * sizeof(S);
    if (reset) arena_.reset_peak();
    return {peak, held};
  }

 private:
  struct Place {
    S* data;
    std::size_t size;
    int slot;   // of a parameter's value, else -1
    bool zero;  // a gradient that this step did not give
  };

  Place find(const std::string& name) const {
    auto& p = const_cast<Parameters<S>&>(net_.parameters());
    const auto rest = [&](const char* prefix) {
      return name.rfind(prefix, 0) == 0 ? name.substr(std::char_traits<char>::length(prefix)) : std::string();
    };
    for (int t = 0; t < 2; t++) {
      auto& a = const_cast<AlphaMatrix<S>&>(net_.alpha(t));
      if (name == a.name) return {a.value.data(), a.value.size(), -1, false};
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

  std::size_t image_values() const {
    return static_cast<std::size_t>(config_.image_channels) * config_.image_size * config_.image_size;
  }

  Batch<S>& reserve(int count) {
    expect(count >= 1 && count <= config_.batch,
           ("1 to " + std::to_string(config_.batch) + " images for a batch").c_str(), std::to_string(count));
    const std::lock_guard<std::mutex> lock(batches_mutex_);
    for (Batch<S>& b : batches_) {
      if (b.used) continue;
      b.used = true;
      b.ticket = ++tickets_;
      b.count = count;
      b.planes.resize(static_cast<std::size_t>(config_.batch) * image_values());
      b.targets.resize(static_cast<std::size_t>(config_.batch));
      return b;
    }
    throw Error("ERR_NASP_BUSY",
                "Expected at most " + std::to_string(batches_.size()) +
                    " batches to be outstanding but received another; give their tickets to steps first");
  }

  Batch<S>& batch_of(int ticket) {
    const std::lock_guard<std::mutex> lock(batches_mutex_);
    for (Batch<S>& b : batches_) {
      if (b.used && b.ticket == ticket) return b;
    }
    throw Error("ERR_NASP_ARGUMENT",
                "Expected the ticket of a queued batch but received " + std::to_string(ticket));
  }

  // Waits for the batch, runs the net forward on it, then `rest`; frees the ticket whatever happens.
  template <class Rest>
  StepResult pass(int ticket, bool training, const Rest& rest, bool weight_gradients) {
    Batch<S>& batch = batch_of(ticket);
    struct Free {
      Batch<S>& b;
      std::mutex& m;
      ~Free() {
        const std::lock_guard<std::mutex> lock(m);
        b.used = false;
      }
    } free{batch, batches_mutex_};
    StepResult result;
    auto start = std::chrono::steady_clock::now();
    if (!batch.by_value) loader_.wait(batch.job);
    arena_.rewind(0);
    const Pass<S> p = {backend_, {parallel_, workspace_, batch.count, device_.handle()},
                       arena_,   net_.parameters(),
                       training, weight_gradients};
    const View<S> x = p.take(config_.image_channels, config_.image_size, config_.image_size);
    backend_.load(p.run, x, batch.planes.data(), 0, batch.count);
    backend_.clear_dead(p.run, x);
    result.wait_seconds = seconds_since(start);

    start = std::chrono::steady_clock::now();
    net_.forward(p, x, logits_.data(), cancelled_);
    device_.check();
    result.count = batch.count;
    result.loss = softmax_cross_entropy(d_logits_.data(), &result.correct, logits_.data(),
                                        batch.targets.data(), batch.count, config_.classes);
    result.logits.assign(logits_.begin(),
                         logits_.begin() + static_cast<std::ptrdiff_t>(batch.count) * config_.classes);
    result.forward_seconds = seconds_since(start);
    rest(p, result);
    return result;
  }

  void differentiate(const Pass<S>& p, StepResult& result, bool alpha) {
    const auto start = std::chrono::steady_clock::now();
    net_.backward(p, d_logits_.data(), alpha, cancelled_);
    device_.check();
    result.backward_seconds = seconds_since(start);
  }

  SupernetConfig config_;
  const Backend<S>& backend_;
  Supernet<S> net_;
  Parallel parallel_;
  Workspace workspace_;
  Device device_;
  Arena arena_;
  std::vector<S> logits_, d_logits_;
  std::uint64_t adam_step_ = 0;
  mutable std::map<std::string, int> names_;  // parameters; buffers as -1 - index
  std::atomic<bool> cancelled_{false};
  std::mutex batches_mutex_;
  std::array<Batch<S>, 8> batches_;
  int tickets_ = 0;
  BatchLoader loader_;  // last: its thread writes to the batches
};

}  // namespace

std::unique_ptr<Session> make_session(const SupernetConfig& config) {
  if (config.precision == Precision::f64) return std::make_unique<SupernetSession<double>>(config);
  return std::make_unique<SupernetSession<float>>(config);
}

}  // namespace nasp
