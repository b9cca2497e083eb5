// The table of what the addon exports; src/native.ts has the types.
#include <napi.h>

#include <algorithm>

#include "../backends/cuda_library.h"
#include "../backends/machine_bounds.h"
#include "../backends/registry.h"
#include "../core/draws.h"
#include "../core/usable_threads.h"
#include "../net/operation_run.h"
#include "convert.h"
#include "dataset_wrap.h"
#include "guard.h"
#include "job.h"
#include "session_wrap.h"

namespace nasp {
namespace {

Napi::Value info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object object = Napi::Object::New(env);
  object.Set("version", NASP_VERSION);
#if defined(__clang__)
  object.Set("compiler", "clang " __clang_version__);
#elif defined(__GNUC__)
  object.Set("compiler", "g++ " __VERSION__);
#else
  object.Set("compiler", "unknown");
#endif
  object.Set("built", from_strings(env, built_isas()));
  object.Set("available", from_strings(env, available_isas()));
  object.Set("chosen", chosen_isa());
  object.Set("bf16Probes", has_bf16_probes(chosen_isa()));
  object.Set("threads", usable_threads());
  return object;
}

// Opens the CUDA library, which takes a second: not part of info.
Napi::Value cuda(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const CudaStatus status = cuda_status();
  const auto text = [&](const std::string& s) -> Napi::Value {
    return s.empty() ? env.Null() : Napi::String::New(env, s).As<Napi::Value>();
  };
  Napi::Object object = Napi::Object::New(env);
  object.Set("device", text(status.device));
  object.Set("absence", text(status.absence));
  object.Set("libraries", text(status.libraries));
  return object;
}

Napi::Value operations(const Napi::CallbackInfo& info) {
  const std::vector<OperationInfo> list = list_operations();
  Napi::Array array = Napi::Array::New(info.Env(), list.size());
  for (std::size_t i = 0; i < list.size(); i++) {
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("name", list[i].name);
    object.Set("aliases", from_strings(info.Env(), list[i].aliases));
    array.Set(static_cast<std::uint32_t>(i), object);
  }
  return array;
}

Napi::Value cost(const Napi::CallbackInfo& info) {
  const std::string op = to_text(info[0], "op");
  const int channels = to_int(info[1], "channels"), size = to_int(info[2], "size"),
            stride = to_int(info[3], "stride");
  const OperationCost cost = operation_cost(op, channels, size, stride);
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("parameters", cost.parameters);
  object.Set("multiplyAdds", cost.multiply_adds);
  return object;
}

Napi::Value tensors(const Napi::CallbackInfo& info) {
  const std::string op = to_text(info[0], "op");
  const int channels = to_int(info[1], "channels"), stride = to_int(info[2], "stride");
  const bool affine = to_flag(info[3], "affine"), search_pools = to_flag(info[4], "searchPools");
  return from_tensor_infos(info.Env(), operation_tensors(op, channels, stride, affine, search_pools));
}

Napi::Value run(const Napi::CallbackInfo& info) {
  return from_operation_result(info.Env(), run_operation(to_operation_request(info[0], true)));
}

Napi::Value time(const Napi::CallbackInfo& info) {
  const OperationRequest request = to_operation_request(info[0], false);
  const std::string pass = to_text(info[1], "pass");
  const int repeats = static_cast<int>(to_integer(info[2], "repeats", 1, 1000000));
  const auto convert = [](Napi::Env env, const std::vector<double>& seconds) -> Napi::Value {
    return from_numbers(env, seconds);
  };
  const auto stop = std::make_shared<std::atomic<bool>>(false);
  const std::shared_ptr<LiveTimings> timings = info.Env().GetInstanceData<AddonData>()->timings;
  const Napi::Promise promise = Job<std::vector<double>>::start(
      info.Env(), Napi::Object::New(info.Env()),
      [request, pass, repeats, stop] { return time_operation(request, pass, repeats, *stop); }, convert,
      [timings, stop] { timings->erase(stop); });
  timings->insert(stop);
  return promise;
}

Napi::Value bounds(const Napi::CallbackInfo& info) {
  const std::string isa = to_text(info[0], "isa");
  const MachineBounds bounds = machine_bounds(isa, to_int(info[1], "threads"));
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("gflops", bounds.gflops);
  object.Set("gbps", bounds.gbps);
  return object;
}

// seed, substream, n
struct Draw {
  std::uint64_t seed;
  std::uint32_t substream, n;
  explicit Draw(const Napi::CallbackInfo& info)
      : seed(static_cast<std::uint64_t>(to_integer(info[0], "seed", 0, safe_integer))),
        substream(static_cast<std::uint32_t>(to_integer(info[1], "substream", 0, 4294967295.0))),
        n(static_cast<std::uint32_t>(to_integer(info[2], "n", 0, 1 << 28))) {}
};

Napi::Value draw_permutation(const Napi::CallbackInfo& info) {
  const Draw draw(info);
  const std::vector<std::uint32_t> order = permutation(draw.seed, draw.substream, draw.n);
  Napi::Uint32Array array = Napi::Uint32Array::New(info.Env(), order.size());
  std::copy(order.begin(), order.end(), array.Data());
  return array;
}

Napi::Value draw_normals(const Napi::CallbackInfo& info) {
  const Draw draw(info);
  return from_doubles(info.Env(), normals(draw.seed, draw.substream, draw.n));
}

Napi::Value draw_uniforms(const Napi::CallbackInfo& info) {
  const auto seed = static_cast<std::uint64_t>(to_integer(info[0], "seed", 0, safe_integer));
  const auto substream = static_cast<std::uint32_t>(to_integer(info[1], "substream", 0, 4294967295.0));
  const auto counter = static_cast<std::uint64_t>(to_integer(info[2], "counter", 0, 8796093022207.0));
  const auto n = static_cast<std::uint32_t>(to_integer(info[3], "n", 0, 4096));
  return from_doubles(info.Env(), uniforms(seed, substream, counter, n));
}

Napi::Value set_error_class(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) refuse("a class for type", describe(info[0]));
  info.Env().GetInstanceData<AddonData>()->error_class = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Value cancel_all(const Napi::CallbackInfo& info) {
  const AddonData* addon = info.Env().GetInstanceData<AddonData>();
  for (const std::shared_ptr<SessionState>& state : *addon->live) state->cancel();
  for (const auto& stop : *addon->timings) stop->store(true);
  return info.Env().Undefined();
}

template <Napi::Value (*function)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] { return function(info); });
}

}  // namespace

Napi::Object start_addon(Napi::Env env, Napi::Object exports) {
  AddonData* addon = new AddonData;
  env.SetInstanceData(addon);
  env.AddCleanupHook([live = addon->live, timings = addon->timings, threads = addon->threads] {
    for (const auto& stop : *timings) stop->store(true);
    for (const std::shared_ptr<SessionState>& state : *live) state->close();
    live->clear();
    threads->end();
  });
  exports.Set("Dataset", DatasetWrap::define(env));
  exports.Set("Session", SessionWrap::define(env));
  exports.Set("info", Napi::Function::New<guarded<info>>(env, "info"));
  exports.Set("cudaStatus", Napi::Function::New<guarded<cuda>>(env, "cudaStatus"));
  exports.Set("operations", Napi::Function::New<guarded<operations>>(env, "operations"));
  exports.Set("operationCost", Napi::Function::New<guarded<cost>>(env, "operationCost"));
  exports.Set("operationTensors", Napi::Function::New<guarded<tensors>>(env, "operationTensors"));
  exports.Set("runOperation", Napi::Function::New<guarded<run>>(env, "runOperation"));
  exports.Set("timeOperation", Napi::Function::New<guarded<time>>(env, "timeOperation"));
  exports.Set("machineBounds", Napi::Function::New<guarded<bounds>>(env, "machineBounds"));
  exports.Set("permutation", Napi::Function::New<guarded<draw_permutation>>(env, "permutation"));
  exports.Set("normals", Napi::Function::New<guarded<draw_normals>>(env, "normals"));
  exports.Set("uniforms", Napi::Function::New<guarded<draw_uniforms>>(env, "uniforms"));
  exports.Set("cancelAll", Napi::Function::New<guarded<cancel_all>>(env, "cancelAll"));
  exports.Set("setErrorClass", Napi::Function::New<guarded<set_error_class>>(env, "setErrorClass"));
  return exports;
}

}  // namespace nasp

using nasp::start_addon;
NODE_API_MODULE(nasp, start_addon)
