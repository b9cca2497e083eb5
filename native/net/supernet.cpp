#include "supernet.h"

#include <algorithm>

namespace nasp {

namespace {
constexpr int stem_multiplier = 3;

void poll(const std::atomic<bool>& cancelled) {
  if (cancelled.load(std::memory_order_relaxed)) throw Error("ERR_NASP_ABORTED", "The step was cancelled");
}
}  // namespace

template <class S>
Supernet<S>::Supernet(const SupernetConfig& config)
    : config_(config),
      alpha_{AlphaMatrix<S>("alphas_normal", static_cast<int>(config.normal.size())),
             AlphaMatrix<S>("alphas_reduce", static_cast<int>(config.reduce.size()))} {
  int channels = config.channels, in0 = stem_multiplier * channels, in1 = in0;
  stem_ = std::make_unique<Chain<S>>(make_stem(config.image_channels, in0), parameters_, "stem.", true);
  bool previous_reduction = false;
  for (int i = 0; i < config.layers; i++) {
    const bool reduction = i == config.layers / 3 || i == 2 * config.layers / 3;
    if (reduction) channels *= 2;
    cells_.push_back(std::make_unique<Cell<S>>(
        typename Cell<S>::Shape{in0, in1, channels, reduction, previous_reduction, config.partial_channels,
                                i},
        reduction ? config.reduce : config.normal, parameters_, "cells." + std::to_string(i) + "."));
    previous_reduction = reduction;
    in0 = in1, in1 = cell_nodes * channels;
  }
  features_ = in1;
  classifier_weight_ =
      parameters_.add("classifier.weight", {config.classes, features_}, Initial::fan_in, features_);
  classifier_bias_ = parameters_.add("classifier.bias", {config.classes}, Initial::fan_in, features_);
}

template <class S>
void Supernet<S>::prepare(const Backend<S>& backend) {
  stem_->prepare(backend, parameters_);
  for (auto& cell : cells_) cell->prepare(backend, parameters_);
}

template <class S>
void Supernet<S>::allocate(const Memory& memory) {
  parameters_.allocate(config_.seed, true, memory);
  for (AlphaMatrix<S>& a : alpha_) a.allocate(memory);
  const std::size_t pooled = static_cast<std::size_t>(config_.batch) * features_;
  pooled_.allocate(pooled, memory);
  d_pooled_.allocate(pooled, memory);
}

template <class S>
void Supernet<S>::plan(const Device& device, int batch) const {
  int size0 = config_.image_size, size = size0, width = size0;
  stem_->plan(device, batch, size, width);
  for (const auto& cell : cells_) {
    cell->plan(device, batch, size0, size0, size, size);
    size0 = size;
    if (cell->reduction()) size = (size + 1) / 2;
  }
}

template <class S>
Classifier<S> Supernet<S>::classifier(int batch) {
  return {batch,
          config_.classes,
          features_,
          pooled_.data(),
          parameters_.value(classifier_weight_),
          parameters_.value(classifier_bias_)};
}

template <class S>
std::size_t Supernet<S>::packed_bytes() const {
  std::size_t n = stem_->packed_bytes();
  for (const auto& c : cells_) n += c->packed_bytes();
  return n;
}

template <class S>
std::size_t Supernet<S>::largest_activation(const Backend<S>& backend) const {
  const int channels =
      std::max({config_.image_channels, stem_multiplier * config_.channels, cell_nodes * config_.channels});
  return backend.size(config_.batch, channels, config_.image_size, config_.image_size);
}

template <class S>
std::size_t Supernet<S>::arena_bytes(const Backend<S>& backend, bool every) const {
  int size = config_.image_size, channels = config_.channels;
  const int stem = stem_multiplier * channels;
  const std::size_t image = largest_activation(backend);
  std::size_t n = backend.size(config_.batch, stem, size, size) + 4096;
  std::size_t probes = 0;
  for (const auto& cell : cells_) {
    n += cell->stored(backend, config_.batch, size, size, every ? nullptr : &mixture(*cell));
    probes = std::max(probes, cell->probe_stored(backend, config_.batch, size, size));
    if (cell->reduction()) size = (size + 1) / 2, channels *= 2;
  }
  // x; gradients: three outputs, two inputs, one between units; and where channels are partial an output's in parts
  const std::size_t images = config_.partial_channels > 1 && backend.split ? 10 : 9;
  return sizeof(S) * (n + probes + images * image + 64 * 4096);
}

template <class S>
void Supernet<S>::forward(const Pass<S>& pass, View<const S> x, S* logits, const SkipDropout* dropout,
                          const std::atomic<bool>& cancelled) {
  Chain<S>* stem = stem_.get();
  Chain<S>::propagate(pass, {x, {}}, &stem, 1);
  outputs_.assign(2, stem_->output());
  for (auto& cell : cells_) {
    poll(cancelled);
    const std::size_t n = outputs_.size();
    outputs_.push_back(cell->forward(pass, outputs_[n - 2], outputs_[n - 1], mixture(*cell), dropout));
  }
  pass.backend.global_average(pass.run, pooled_.data(), outputs_.back());
  pass.between().classify(pass.run, logits, classifier(pass.run.batch));
}

template <class S>
void Supernet<S>::backward(const Pass<S>& pass, const S* d_logits, bool mixture_wanted, bool node_sums,
                           const SkipDropout* dropout, const std::atomic<bool>& cancelled) {
  const bool dw = pass.weight_gradients;
  parameters_.forget_gradients();
  pass.between().classify_backward(
      pass.run, d_pooled_.data(), dw ? parameters_.gradient(classifier_weight_) : nullptr,
      dw ? parameters_.gradient(classifier_bias_) : nullptr, d_logits, classifier(pass.run.batch));
  if (dw)
    parameters_.slot(classifier_weight_).has_gradient = parameters_.slot(classifier_bias_).has_gradient =
        true;

  // Gradients of the last three outputs are alive at a time. Output 1 is output 0, the stem: one gradient for both.
  std::size_t largest = 0;
  for (const Source<S>& o : outputs_)
    largest = std::max(largest, pass.backend.size(pass.run.batch, o.x.channels, o.x.height, o.x.width));
  S* memory[3];
  for (S*& m : memory) m = pass.arena.template take_as<S>(largest);
  std::vector<Gradient<S>> gradients(outputs_.size());
  for (std::size_t i = 1; i < outputs_.size(); i++) {
    const View<const S>& o = outputs_[i].x;
    gradients[i].view = pass.backend.view(memory[i % 3], o.channels, o.height, o.width);
  }
  pass.backend.global_average_backward(pass.run, gradients.back().view, d_pooled_.data());
  gradients.back().written = true;

  MixtureGradient sums[2];
  for (int t = 0; mixture_wanted && t < 2; t++) {
    sums[t] = alpha_[t].sums(node_sums);
    parameters_.memory().fill_at(sums[t].weight, 0, alpha_[t].sums_bytes());
  }
  for (std::size_t i = cells_.size(); i-- > 0;) {
    poll(cancelled);
    if (!gradients[i + 2].written)
      continue;  // nothing but `none`, or nothing at all, leaves this cell: no gradient
    Cell<S>& cell = *cells_[i];
    Gradient<S>& in0 = gradients[std::max<std::size_t>(i, 1)];
    Gradient<S>& in1 = gradients[i + 1];
    const bool to_stem0 = i <= 1, to_stem1 = i == 0;  // the stem's gradient serves its weights only
    cell.backward(pass, gradients[i + 2], to_stem0 && !dw ? nullptr : &in0, to_stem1 && !dw ? nullptr : &in1,
                  mixture(cell), mixture_wanted ? &sums[cell.reduction() ? 1 : 0] : nullptr, dropout);
  }
  if (dw && gradients[1].written)
    stem_->backward(pass, gradients[1].view, S(1), {}, Write::overwrite, nullptr);
  for (int t = 0; mixture_wanted && t < 2; t++)
    pass.between().convert(pass.run, alpha_[t].gradient(), sums[t].weight,
                           static_cast<int>(alpha_[t].gradients()) + (node_sums ? cell_nodes : 0));
}

template class Supernet<float>;
template class Supernet<double>;

}  // namespace nasp
