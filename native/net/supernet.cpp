#include "supernet.h"

#include <algorithm>
#include <array>

namespace nasp {

namespace {
constexpr int stem_multiplier = 3;

void poll(const std::atomic<bool>& cancelled) {
  if (cancelled.load(std::memory_order_relaxed)) throw Error("ERR_NASP_ABORTED", "The step was cancelled");
}

// Room for the gradients of a net's activations. An output's is made when all that read it have theirs, and used up by its own
// cell before the next is made. Of the preprocessed inputs', a cell's second one waits for nobody, its first one for the cell
// before.
template <class S>
class GradientMemory {
 public:
  // output, input: scalars of the largest.
  GradientMemory(const Pass<S>& pass, std::size_t output, std::size_t input)
      : backend_(pass.backend), output_(pass.arena.template take_as<S>(output)) {
    for (S*& memory : inputs_) memory = pass.arena.template take_as<S>(input);
  }
  static void count(ArenaCount<S>& arena, std::size_t output, std::size_t input) {
    arena.template take_as<S>(output);
    for (int i = 0; i < inputs; i++) arena.template take_as<S>(input);
  }
  View<S> output(const Source<S>& like) const { return view(output_, like); }
  View<S> input(std::size_t cell, int input, const Source<S>& like) const {
    return view(inputs_[input == 1 ? 2 : cell % 2], like);
  }

 private:
  static constexpr int inputs = 3;
  View<S> view(S* memory, const Source<S>& like) const {
    return backend_.view(memory, like.x.channels, like.x.height, like.x.width);
  }
  const Backend<S>& backend_;
  S *output_, *inputs_[inputs];
};
}  // namespace

template <class S>
Supernet<S>::Supernet(const SupernetConfig& config)
    : config_(config),
      alpha_{AlphaMatrix<S>("alphas_normal", static_cast<int>(config.normal.size())),
             AlphaMatrix<S>("alphas_reduce", static_cast<int>(config.reduce.size()))} {
  int channels = config.channels, in0 = stem_multiplier * channels, in1 = in0;
  int size0 = config.image_size, size1 = size0;
  stem_ = std::make_unique<Chain<S>>(make_stem(config.image_channels, in0), parameters_, "stem.", true);
  bool previous_reduction = false;
  for (int i = 0; i < config.layers; i++) {
    const bool reduction = i == config.layers / 3 || i == 2 * config.layers / 3;
    if (reduction) channels *= 2;
    cells_.push_back(std::make_unique<Cell<S>>(
        typename Cell<S>::Shape{
            {in0, in1}, channels, {size0, size1}, reduction, previous_reduction, config.partial_channels, i},
        reduction ? config.reduce : config.normal, parameters_, "cells." + std::to_string(i) + "."));
    previous_reduction = reduction;
    in0 = in1, in1 = cell_nodes * channels;
    size0 = size1, size1 = cells_.back()->node_size();
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
  parameters_.allocate(config_.seed, memory);
  for (AlphaMatrix<S>& a : alpha_) a.allocate(memory);
  const std::size_t pooled = static_cast<std::size_t>(config_.batch) * features_;
  pooled_.allocate(pooled, memory);
  d_pooled_.allocate(pooled, memory);
}

template <class S>
void Supernet<S>::plan(const Device& device, int batch) const {
  stem_->plan(device, batch, config_.image_size, config_.image_size);
  for (const auto& cell : cells_) cell->plan(device, batch);
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
typename Supernet<S>::Largest Supernet<S>::largest(const Backend<S>& backend, int batch) const {
  const int size = config_.image_size;
  Largest n = {backend.size(batch, stem_multiplier * config_.channels, size, size), 0};
  for (const auto& cell : cells_) {
    const typename Cell<S>::Shape& shape = cell->shape();
    n.output = std::max(
        n.output, backend.size(batch, shape.channels * cell_nodes, cell->node_size(), cell->node_size()));
    n.input = std::max(n.input, backend.size(batch, shape.channels, shape.size[1], shape.size[1]));
  }
  return n;
}

template <class S>
std::size_t Supernet<S>::largest_activation(const Backend<S>& backend) const {
  const auto [output, input] = largest(backend, config_.batch);
  const int size = config_.image_size;
  return std::max({backend.size(config_.batch, config_.image_channels, size, size), output, input});
}

template <class S>
std::size_t Supernet<S>::arena_bytes(const Backend<S>& backend, bool every) const {
  ArenaCount<S> arena(backend, config_.batch);
  count_x(arena);
  count_forward(arena, every);
  count_backward(arena, every);
  return arena.peak();
}

template <class S>
View<S> Supernet<S>::take_x(const Pass<S>& pass) const {
  return pass.take(config_.image_channels, config_.image_size, config_.image_size);
}
template <class S>
void Supernet<S>::count_x(ArenaCount<S>& arena) const {
  arena.take(config_.image_channels, config_.image_size, config_.image_size);
}

template <class S>
std::vector<typename Supernet<S>::Reader> Supernet<S>::readers(std::size_t output) const {
  std::vector<Reader> found;
  for (std::size_t cell = 0; cell < cells_.size(); cell++) {
    for (int input = 0; input < cell_inputs; input++) {
      const Reader reader = {cell, input};
      if (reader.output() == output) found.push_back(reader);
    }
  }
  return found;
}

template <class S>
void Supernet<S>::preprocess(const Pass<S>& pass, std::size_t output) {
  std::vector<Chain<S>*> chains;
  for (const Reader& r : readers(output)) chains.push_back(&cells_[r.cell]->preprocess(r.input));
  Chain<S>::propagate(pass, outputs_[output], chains.data(), static_cast<int>(chains.size()));
}

template <class S>
void Supernet<S>::forward(const Pass<S>& pass, View<const S> x, S* logits, const SkipDropout* dropout,
                          const std::atomic<bool>& cancelled) {
  Chain<S>* stem = stem_.get();
  Chain<S>::propagate(pass, {x, {}}, &stem, 1);
  outputs_.assign(1, stem_->output());
  for (auto& cell : cells_) {
    poll(cancelled);
    preprocess(pass, outputs_.size() - 1);
    outputs_.push_back(cell->forward(pass, mixture(*cell), dropout));
  }
  pass.backend.global_average(pass.run, pooled_.data(), outputs_.back());
  pass.between().classify(pass.run, logits, classifier(pass.run.batch));
}
template <class S>
void Supernet<S>::count_forward(ArenaCount<S>& arena, bool every) const {
  Chain<S>::count_propagate(arena, {stem_.get()}, config_.image_size, config_.image_size);
  for (const auto& cell : cells_) {
    for (int i = 0; i < cell_inputs; i++)
      Chain<S>::count_propagate(arena, {&cell->preprocess(i)}, cell->shape().size[i], cell->shape().size[i]);
    cell->count_forward(arena, every ? nullptr : &mixture(*cell));
  }
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

  const auto [largest_output, largest_input] = largest(pass.backend, pass.run.batch);
  const GradientMemory<S> memory(pass, largest_output, largest_input);
  std::vector<std::array<Gradient<S>, cell_inputs>> d_in(cells_.size());

  MixtureGradient sums[2];
  for (int t = 0; mixture_wanted && t < 2; t++) {
    sums[t] = alpha_[t].sums(node_sums);
    parameters_.memory().fill_at(sums[t].weight, 0, alpha_[t].sums_bytes());
  }
  std::vector<std::vector<typename Chain<S>::Backward>> reading(1);
  const auto gather = [&](std::size_t o) {  // the gradient of an output from those of its readers
    Gradient<S> d = {memory.output(outputs_[o])};
    reading.front().clear();
    for (const Reader& r : readers(o)) {
      const Gradient<S>& from = d_in[r.cell][static_cast<std::size_t>(r.input)];
      // not written: nothing leaves the input
      if (from.written)
        reading.front().push_back({&cells_[r.cell]->preprocess(r.input), from.view, S(1), nullptr});
    }
    if (o + 1 == outputs_.size())
      pass.backend.global_average_backward(pass.run, d.view, d_pooled_.data()), d.written = true;
    Chain<S>::backward(pass, reading, d);
    return d;
  };
  for (std::size_t i = cells_.size(); i-- > 0;) {
    poll(cancelled);
    Gradient<S> d_out = gather(i + 1);
    if (!d_out.written) {
      if (!mixture_wanted) continue;
      // its probes move running statistics all the same
      pass.backend.add(pass.run, d_out.view, d_out.write(), {}, S(0));
    }
    Cell<S>& cell = *cells_[i];
    for (int input = 0; input < cell_inputs; input++) {
      // what comes from the stem serves its own weights and the preprocessing's only
      if (!dw && Reader{i, input}.output() == 0) continue;
      d_in[i][static_cast<std::size_t>(input)].view = memory.input(i, input, cell.preprocess(input).output());
    }
    cell.backward(pass, d_out.view, d_in[i].data(), mixture(cell),
                  mixture_wanted ? &sums[cell.reduction() ? 1 : 0] : nullptr, dropout);
  }
  if (dw) {
    const Gradient<S> d_stem = gather(0);
    const typename Chain<S>::Backward stem = {stem_.get(), d_stem.view, S(1), nullptr};
    Gradient<S> ends_here;
    if (d_stem.written) Chain<S>::backward(pass, {{stem}}, ends_here);
  }
  for (int t = 0; mixture_wanted && t < 2; t++)
    pass.between().convert(pass.run, alpha_[t].gradient(), sums[t].weight,
                           static_cast<int>(alpha_[t].gradients()) + (node_sums ? cell_nodes : 0));
}
template <class S>
void Supernet<S>::count_backward(ArenaCount<S>& arena, bool every) const {
  const auto [largest_output, largest_input] = largest(arena.backend(), config_.batch);
  GradientMemory<S>::count(arena, largest_output, largest_input);
  for (std::size_t o = 0; o <= cells_.size(); o++) {  // gather
    std::vector<const Chain<S>*> reading;
    int channels = 0, size = 0;
    for (const Reader& r : readers(o)) {
      reading.push_back(&cells_[r.cell]->preprocess(r.input));
      const typename Cell<S>::Shape& shape = cells_[r.cell]->shape();
      channels = shape.in[r.input], size = shape.size[r.input];
    }
    Chain<S>::count_backward(arena, {reading}, channels, size, size);
  }
  for (const auto& cell : cells_) cell->count_backward(arena, every ? nullptr : &mixture(*cell));
  Chain<S>::count_backward(arena, {{stem_.get()}}, config_.image_channels, config_.image_size,
                           config_.image_size);
}

template class Supernet<float>;
template class Supernet<double>;

}  // namespace nasp
