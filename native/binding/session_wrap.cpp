// The session itself, its tensors, its mixture and alpha: what is done at once. Its steps: session_wrap_steps.cpp.
#include "session_wrap.h"

#include <utility>

#include "convert.h"
#include "guard.h"

namespace nasp {

Napi::Function SessionWrap::define(Napi::Env env) {
  // V8 checks the receiver of every method: `this` is a Session in all of them. It checks none of an accessor's, so there is
  // none: what a session shows is its own property.
  return DefineClass(env, "Session",
                     {
                         InstanceMethod<&SessionWrap::tensors>("tensors"),
                         InstanceMethod<&SessionWrap::read>("read"),
                         InstanceMethod<&SessionWrap::write>("write"),
                         InstanceMethod<&SessionWrap::queue>("queue"),
                         InstanceMethod<&SessionWrap::load>("load"),
                         InstanceMethod<&SessionWrap::discretise>("discretise"),
                         InstanceMethod<&SessionWrap::set_mixture>("setMixture"),
                         InstanceMethod<&SessionWrap::set_bypass>("setBypass"),
                         InstanceMethod<&SessionWrap::skip_dropout>("skipDropout"),
                         InstanceMethod<&SessionWrap::rebuild>("rebuild"),
                         InstanceMethod<&SessionWrap::combine>("combine"),
                         InstanceMethod<&SessionWrap::norm>("norm"),
                         InstanceMethod<&SessionWrap::architecture_gradient>("architectureGradient"),
                         InstanceMethod<&SessionWrap::update_alpha>("updateAlpha"),
                         InstanceMethod<&SessionWrap::weight_step>("weightStep"),
                         InstanceMethod<&SessionWrap::evaluate>("evaluate"),
                         InstanceMethod<&SessionWrap::cancel>("cancel"),
                         InstanceMethod<&SessionWrap::memory>("memory"),
                         InstanceMethod<&SessionWrap::device_counts>("deviceCounts"),
                         InstanceMethod<&SessionWrap::dispose>("dispose"),
                     });
}

SessionWrap::SessionWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SessionWrap>(info), env_(info.Env()) {
  guard(info.Env(), [&] {
    live_ = info.Env().GetInstanceData<AddonData>()->live;
    auto session = make_session(to_supernet_config(info[0]));
    Napi::Object self = info.This().As<Napi::Object>();
    describe_net(*session, self);
    self.DefineProperty(Napi::PropertyDescriptor::Value(
        "lanes", Napi::Number::New(info.Env(), session->lanes()), napi_enumerable));
    state_ = std::make_shared<SessionState>(std::move(session));
    account();
    live_->insert(state_);
  });
}

SessionWrap::~SessionWrap() {
  if (state_) close();
}

void SessionWrap::close() {
  state_->close();
  live_->erase(state_);
  account();
}

void SessionWrap::account() {
  std::int64_t bytes = 0;
  if (!state_->closed()) {
    const auto [activations, allocated] = state_->open().memory(false);
    bytes = static_cast<std::int64_t>(activations + allocated);
  }
  std::int64_t total;
  napi_adjust_external_memory(env_, bytes - accounted_, &total);
  accounted_ = bytes;
}

std::size_t SessionWrap::size_of(const std::string& name) const {
  const auto found = sizes_.find(name);
  if (found == sizes_.end())
    refuse("the name of one of the session's tensors for name", '"' + name + '"', "ERR_NASP_UNKNOWN_TENSOR");
  return found->second;
}

void SessionWrap::describe_net(const Session& session, Napi::Object self) {
  config_ = session.config();
  sizes_.clear();
  for (const TensorInfo& tensor : session.tensors()) sizes_[tensor.name] = tensor.size();
  self.DefineProperty(Napi::PropertyDescriptor::Value(
      "options", from_supernet_config(self.Env(), config_),
      static_cast<napi_property_attributes>(napi_enumerable | napi_configurable)));
}

Napi::Value SessionWrap::tensors(const Napi::CallbackInfo& info) {
  return guard(info.Env(),
               [&]() -> Napi::Value { return from_tensor_infos(info.Env(), state_->idle().tensors()); });
}

Napi::Value SessionWrap::read(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::string name = to_text(info[0], "name");
    const Session& session = state_->idle();
    const std::size_t size = size_of(name);
    if (config_.precision == Precision::f32) {
      Napi::Float32Array values = Napi::Float32Array::New(info.Env(), size);
      session.read(name, values.Data());
      return values;
    }
    Napi::Float64Array values = Napi::Float64Array::New(info.Env(), size);
    session.read(name, values.Data());
    return values;
  });
}

void SessionWrap::write(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const std::string name = to_text(info[0], "name");
    const auto copy = [&](const auto& span) {
      Session& session = state_->idle();
      const std::size_t size = size_of(name);
      if (span.size() != size)
        refuse(std::to_string(size) + " values for data of " + name, std::to_string(span.size()));
      session.write(name, span.data());
    };
    if (config_.precision == Precision::f32)
      copy(to_span<float>(info[1], "data"));
    else
      copy(to_span<double>(info[1], "data"));
  });
}

void SessionWrap::discretise(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const Discretise options = to_discretise(info[0], "");
    state_->idle().discretise(options);
  });
}

namespace {
int to_cell_type(const Napi::Value& value) {
  const std::string type = to_text(value, "type");
  if (type != "normal" && type != "reduce") refuse("\"normal\" or \"reduce\" for type", describe(value));
  return type == "normal" ? 0 : 1;
}
}  // namespace

void SessionWrap::set_mixture(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const int type = to_cell_type(info[0]);
    const std::vector<double> weight = to_doubles(info[1], "weight");
    const std::vector<Use> use = to_uses(info[2], "use");
    state_->idle().set_mixture(type, weight, use);
  });
}

void SessionWrap::set_bypass(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const int type = to_cell_type(info[0]);
    const std::vector<double> weight = to_doubles(info[1], "weight");
    state_->idle().set_bypass(type, weight);
  });
}

void SessionWrap::skip_dropout(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const double rate = to_finite(info[0], "rate");
    const auto counter = static_cast<std::uint32_t>(to_integer(info[1], "counter", 0, 4294967295.0));
    state_->idle().skip_dropout(rate, counter);
  });
}

void SessionWrap::rebuild(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const int layers = to_int(info[0], "layers");
    const auto seed = static_cast<std::uint64_t>(to_integer(info[1], "seed", 0, safe_integer));
    Session& session = state_->idle();
    try {
      session.rebuild(layers, seed);
    } catch (...) {
      account();
      throw;
    }
    account();
    try {
      describe_net(session, info.This().As<Napi::Object>());
    } catch (const Napi::Error&) {  // JavaScript has frozen the object: what it shows stays as it was
    }
  });
}

void SessionWrap::combine(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const std::string to = to_text(info[0], "to");
    const std::vector<WeightTerm> terms = to_weight_terms(info[1], "terms");
    state_->idle().combine(to, terms);
  });
}

Napi::Value SessionWrap::norm(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::string vector = to_text(info[0], "vector");
    return Napi::Number::New(info.Env(), state_->idle().norm(vector));
  });
}

void SessionWrap::update_alpha(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const AlphaUpdate options = to_alpha_update(info[0]);
    state_->idle().update_alpha(options);
  });
}

Napi::Value SessionWrap::device_counts(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const auto counts = state_->idle().device_counts();
    if (!counts) return info.Env().Null();
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("launches", static_cast<double>(counts->launches));
    result.Set("waits", static_cast<double>(counts->waits));
    return result;
  });
}

Napi::Value SessionWrap::memory(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const bool reset = !info[0].IsUndefined() && to_flag(info[0], "reset");
    const auto [peak, allocated] = state_->idle().memory(reset);
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("peakActivations", static_cast<double>(peak));
    object.Set("allocated", static_cast<double>(allocated));
    return object;
  });
}

void SessionWrap::dispose(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] { close(); });
}

}  // namespace nasp
