#include "convert.h"

#include <cstring>

#include "../core/cell_shape.h"

namespace nasp {
namespace {

constexpr std::uint32_t most_tensors = 4096, most_dimensions = 8;

NamedTensor to_named_tensor(const Napi::Value& value, const std::string& name) {
  const Fields fields(value, name);
  NamedTensor tensor;
  tensor.name = fields.text("name");
  double size = 1;
  for (double extent : fields.numbers("shape", most_dimensions)) {
    if (!(extent >= 1 && extent <= 1 << 28) || extent != static_cast<int>(extent))
      refuse("integers from 1 for " + fields.name("shape"), number_text(extent));
    tensor.shape.push_back(static_cast<int>(extent));
    size *= extent;
  }
  tensor.data = to_doubles(fields.get("data"), fields.name("data"));
  fields.expect_no_others();
  if (static_cast<double>(tensor.data.size()) != size)
    refuse("as many values as the shape has for " + fields.name("data"), std::to_string(tensor.data.size()));
  return tensor;
}

Napi::Array from_named_tensors(Napi::Env env, const std::vector<NamedTensor>& tensors) {
  Napi::Array array = Napi::Array::New(env, tensors.size());
  for (std::size_t i = 0; i < tensors.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", tensors[i].name);
    object.Set("shape", from_numbers(env, {tensors[i].shape.begin(), tensors[i].shape.end()}));
    object.Set("data", from_doubles(env, tensors[i].data));
    array.Set(static_cast<std::uint32_t>(i), object);
  }
  return array;
}

bool to_bf16_probes(const Fields& fields) {
  return !fields.get("probePrecision").IsUndefined() && fields.choice("probePrecision", {"f32", "bf16"}) == 1;
}

}  // namespace

SupernetConfig to_supernet_config(const Napi::Value& value) {
  const Fields fields(value, "");
  SupernetConfig config;
  config.channels = fields.integer("channels");
  config.layers = fields.integer("layers");
  config.classes = fields.integer("classes");
  config.image_size = fields.integer("imageSize");
  config.image_channels = fields.integer("imageChannels");
  config.batch = fields.integer("batch");
  config.normal = fields.texts("normal", most_candidates);
  config.reduce = fields.texts("reduce", most_candidates);
  config.precision = fields.choice("precision", {"f32", "f64"}) == 0 ? Precision::f32 : Precision::f64;
  config.isa = fields.text("isa");
  config.threads = fields.integer("threads");
  config.partial_channels = fields.integer_or("partialChannels", 1);
  config.bf16_probes = to_bf16_probes(fields);
  config.dense = fields.flag("dense");
  config.seed = fields.counter("seed");
  fields.expect_no_others();
  return config;
}

Dataset to_dataset(const Napi::Value& value) {
  const Fields fields(value, "");
  Dataset dataset;
  dataset.channels = fields.integer("channels");
  dataset.height = fields.integer("height");
  dataset.width = fields.integer("width");
  dataset.mean = fields.numbers("mean", 1024);
  dataset.std = fields.numbers("std", 1024);
  const Napi::Value images = fields.get("images"), labels = fields.get("labels");
  const auto label_bytes = to_span<std::uint8_t>(labels, "labels");
  const auto image_bytes = to_span<std::uint8_t>(images, "images");
  if (label_bytes.size() > 0x7fffffff)
    refuse("less than 2^31 images for labels", std::to_string(label_bytes.size()));
  dataset.count = static_cast<int>(label_bytes.size());
  dataset.labels.assign(label_bytes.begin(), label_bytes.end());
  dataset.images.assign(image_bytes.begin(), image_bytes.end());
  fields.expect_no_others();
  check_dataset(dataset);
  return dataset;
}

Augment to_augment(const Napi::Value& value) {
  const Fields fields(value, "augment");
  Augment augment;
  augment.pad = fields.integer("pad");
  augment.flip = fields.flag("flip");
  augment.cutout = fields.integer("cutout");
  augment.seed = fields.counter("seed");
  augment.counter = fields.counter("counter");
  fields.expect_no_others();
  return augment;
}

Discretise to_discretise(const Napi::Value& value, const std::string& name) {
  const Fields fields(value, name);
  Discretise options;
  options.value_one = fields.choice("value", {"one", "kept"}) == 0;
  options.two_edges = fields.choice("edges", {"two", "all"}) == 0;
  options.epsilon = fields.finite("epsilon");
  options.counter = fields.counter("counter");
  fields.expect_no_others();
  return options;
}

std::vector<Use> to_uses(const Napi::Value& value, const std::string& name) {
  std::vector<Use> uses;
  for (const std::uint8_t use : to_span<std::uint8_t>(value, name)) {
    if (use > static_cast<std::uint8_t>(Use::propagated))
      refuse("0, 1 or 2 for " + name + "[" + std::to_string(uses.size()) + "]", std::to_string(use));
    uses.push_back(static_cast<Use>(use));
  }
  return uses;
}

GradientOptions to_gradient_options(const Napi::Value& value) {
  GradientOptions options;
  if (value.IsUndefined()) return options;
  const Fields fields(value, "");
  options.weights = fields.flag_or("weights", false);
  options.node_sums = fields.flag_or("nodeSums", false);
  options.keep_statistics = fields.flag_or("keepStatistics", false);
  options.keep_batch = fields.flag_or("keepBatch", false);
  fields.expect_no_others();
  return options;
}

std::vector<WeightTerm> to_weight_terms(const Napi::Value& value, const std::string& name) {
  const Napi::Object object = to_object(value, name);
  const Napi::Array vectors = object.GetPropertyNames();
  std::vector<WeightTerm> terms;
  for (std::uint32_t i = 0; i < vectors.Length(); i++) {
    const std::string vector = to_text(vectors.Get(i), name);
    terms.push_back({vector, to_finite(object.Get(vectors.Get(i)), name + "." + vector)});
  }
  return terms;
}

AlphaUpdate to_alpha_update(const Napi::Value& value) {
  const Fields fields(value, "");
  AlphaUpdate options;
  if (!fields.get("optimizer").IsUndefined())
    options.optimizer =
        fields.choice("optimizer", {"adam", "sgd"}) == 0 ? AlphaOptimizer::adam : AlphaOptimizer::sgd;
  if (!fields.get("projection").IsUndefined())
    options.projection =
        static_cast<AlphaProjection>(fields.choice("projection", {"box", "none", "discrete"}));
  options.lr = fields.finite("lr");
  options.beta1 = fields.finite("beta1");
  options.beta2 = fields.finite("beta2");
  options.eps = fields.finite("eps");
  options.weight_decay = fields.finite("weightDecay");
  options.eta = fields.finite("eta");
  options.cost_normal = fields.numbers("costNormal", most_candidates);
  options.cost_reduce = fields.numbers("costReduce", most_candidates);
  options.cost_on_alpha = fields.choice("costOn", {"discrete", "alpha"}) == 1;
  options.discretise.reset();
  if (!fields.get("discretise").IsUndefined())
    options.discretise = to_discretise(fields.get("discretise"), "discretise");
  fields.expect_no_others();
  return options;
}

WeightUpdate to_weight_update(const Napi::Value& value) {
  const Fields fields(value, "");
  WeightUpdate options;
  options.lr = fields.finite("lr");
  options.momentum = fields.finite("momentum");
  options.weight_decay = fields.finite("weightDecay");
  options.clip = fields.finite("clip");
  options.decay_unselected = fields.choice("unselected", {"skipped", "decayed"}) == 1;
  options.nesterov = fields.flag_or("nesterov", false);
  options.apply = fields.flag("apply");
  options.mixture = fields.flag_or("mixture", false);
  options.keep_batch = fields.flag_or("keepBatch", false);
  fields.expect_no_others();
  return options;
}

OperationRequest to_operation_request(const Napi::Value& value, bool with_values) {
  const Fields fields(value, "");
  OperationRequest request;
  request.op = fields.text("op");
  request.channels = fields.integer("channels");
  request.height = fields.integer("height");
  request.width = fields.integer("width");
  request.batch = fields.integer("batch");
  request.stride = fields.integer("stride");
  request.affine = fields.flag("affine");
  request.training = fields.flag_or("training", true);
  request.search_pools = fields.flag_or("searchPools", false);
  request.precision = fields.choice("precision", {"f32", "f64"}) == 0 ? Precision::f32 : Precision::f64;
  request.bf16_probes = to_bf16_probes(fields);
  request.isa = fields.text_or("isa", "");
  request.threads = fields.integer_or("threads", 0);
  if (with_values) {
    const Napi::Array array = to_array(fields.get("parameters"), "parameters", most_tensors);
    for (std::uint32_t i = 0; i < array.Length() && i < most_tensors; i++)
      request.parameters.push_back(to_named_tensor(array.Get(i), "parameters[" + std::to_string(i) + "]"));
    request.x = to_doubles(fields.get("x"), "x");
    request.dy = to_doubles(fields.get("dy"), "dy");
  }
  fields.expect_no_others();
  return request;
}

Napi::Object from_supernet_config(Napi::Env env, const SupernetConfig& config) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("channels", config.channels);
  object.Set("layers", config.layers);
  object.Set("classes", config.classes);
  object.Set("imageSize", config.image_size);
  object.Set("imageChannels", config.image_channels);
  object.Set("batch", config.batch);
  object.Set("normal", from_strings(env, config.normal));
  object.Set("reduce", from_strings(env, config.reduce));
  object.Set("precision", config.precision == Precision::f32 ? "f32" : "f64");
  object.Set("isa", config.isa);
  object.Set("threads", config.threads);
  object.Set("partialChannels", config.partial_channels);
  object.Set("probePrecision", config.bf16_probes ? "bf16" : "f32");
  object.Set("dense", config.dense);
  object.Set("seed", static_cast<double>(config.seed));
  object.Freeze();
  return object;
}

Napi::Array from_tensor_infos(Napi::Env env, const std::vector<TensorInfo>& infos) {
  Napi::Array array = Napi::Array::New(env, infos.size());
  for (std::size_t i = 0; i < infos.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", infos[i].name);
    object.Set("group", infos[i].group);
    object.Set("shape", from_numbers(env, {infos[i].shape.begin(), infos[i].shape.end()}));
    array.Set(static_cast<std::uint32_t>(i), object);
  }
  return array;
}

Napi::Array from_strings(Napi::Env env, const std::vector<std::string>& names) {
  Napi::Array array = Napi::Array::New(env, names.size());
  for (std::size_t i = 0; i < names.size(); i++) array.Set(static_cast<std::uint32_t>(i), names[i]);
  return array;
}

Napi::Array from_numbers(Napi::Env env, const std::vector<double>& numbers) {
  Napi::Array array = Napi::Array::New(env, numbers.size());
  for (std::size_t i = 0; i < numbers.size(); i++) array.Set(static_cast<std::uint32_t>(i), numbers[i]);
  return array;
}

Napi::Float64Array from_doubles(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(double));
  return array;
}

Napi::Object from_step_result(Napi::Env env, const StepResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("loss", result.loss);
  object.Set("correct", result.correct);
  object.Set("count", result.count);
  object.Set("forwardSeconds", result.forward_seconds);
  object.Set("backwardSeconds", result.backward_seconds);
  object.Set("updateSeconds", result.update_seconds);
  object.Set("waitSeconds", result.wait_seconds);
  object.Set("prepareSeconds", result.prepare_seconds);
  object.Set("gradientNorm", result.gradient_norm);
  object.Set("logits", from_doubles(env, result.logits));
  return object;
}

Napi::Object from_operation_result(Napi::Env env, const OperationResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("yShape", from_numbers(env, {result.y_shape.begin(), result.y_shape.end()}));
  object.Set("y", from_doubles(env, result.y));
  object.Set("dx", from_doubles(env, result.dx));
  object.Set("probe", result.probe);
  object.Set("dw", from_named_tensors(env, result.dw));
  object.Set("buffers", from_named_tensors(env, result.buffers));
  return object;
}

}  // namespace nasp
