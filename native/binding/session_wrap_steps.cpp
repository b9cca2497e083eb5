// A session's batches and the steps that use them up. A step runs off the main thread and is a promise; arguments are
// read before, here.
#include "../data/augment.h"
#include "convert.h"
#include "dataset_wrap.h"
#include "guard.h"
#include "job.h"
#include "session_wrap.h"

namespace nasp {

Napi::Value SessionWrap::queue(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::shared_ptr<const Dataset> dataset = DatasetWrap::from(info[0], "dataset");
    const Augment augment = to_augment(info[2]);
    const Span<std::uint32_t> span = to_span<std::uint32_t>(info[1], "indices");
    const std::size_t most = static_cast<std::size_t>(config_.batch);
    if (span.size < 1 || span.size > most)
      refuse("1 to " + std::to_string(most) + " entries", "indices", std::to_string(span.size));
    if (dataset->channels != config_.image_channels || dataset->height != config_.image_size ||
        dataset->width != config_.image_size)
      refuse("images of the session's size", "dataset",
             std::to_string(dataset->channels) + " x " + std::to_string(dataset->height) + " x " +
                 std::to_string(dataset->width));
    check_augment(*dataset, augment);
    check_indices(*dataset, span.data, static_cast<int>(span.size));
    Session& session = state_->open();  // a running step does not mind
    return Napi::Number::New(info.Env(), session.queue(dataset, {span.data, span.data + span.size}, augment));
  });
}

Napi::Value SessionWrap::load(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const Span<std::int32_t> targets = to_span<std::int32_t>(info[1], "targets");
    if (targets.size < 1 || targets.size > static_cast<std::size_t>(config_.batch))
      refuse("1 to " + std::to_string(config_.batch) + " entries", "targets", std::to_string(targets.size));
    for (std::size_t i = 0; i < targets.size; i++) {
      if (targets.data[i] < 0 || targets.data[i] >= config_.classes)
        refuse("a class from 0 to " + std::to_string(config_.classes - 1),
               "targets[" + std::to_string(i) + "]", std::to_string(targets.data[i]));
    }
    const std::size_t image =
        static_cast<std::size_t>(config_.image_channels) * config_.image_size * config_.image_size;
    const auto put = [&](const auto& x) {
      if (x.size != image * targets.size)
        refuse(std::to_string(image * targets.size) + " values", "x", std::to_string(x.size));
      return state_->idle().load(x.data, {targets.data, targets.data + targets.size});
    };
    const int ticket = config_.precision == Precision::f32 ? put(to_span<float>(info[0], "x"))
                                                           : put(to_span<double>(info[0], "x"));
    return Napi::Number::New(info.Env(), ticket);
  });
}

// Every failure of a step, of its arguments too, is a rejection.
Napi::Value SessionWrap::start(const Napi::CallbackInfo& info, const std::function<Step()>& read_arguments) {
  const Napi::Env env = info.Env();
  try {
    return guard(env, [&]() -> Napi::Value {
      const Step step = read_arguments();
      state_->begin();
      const std::shared_ptr<SessionState> state = state_;
      const auto settled = [this] {
        state_->settle();
        account();
      };
      const auto convert = [](Napi::Env env, const StepResult& result) -> Napi::Value {
        return from_step_result(env, result);
      };
      try {
        return Job<StepResult>::start(
            env, info.This().As<Napi::Object>(), [state, step] { return state->run(step); }, convert,
            settled);
      } catch (...) {
        state_->settle();
        throw;
      }
    });
  } catch (const Napi::Error& error) {
    const Napi::Promise::Deferred deferred = Napi::Promise::Deferred::New(env);
    deferred.Reject(thrown_value(error));
    return deferred.Promise();
  }
}

Napi::Value SessionWrap::architecture_gradient(const Napi::CallbackInfo& info) {
  return start(info, [&]() -> Step {
    const int ticket = static_cast<int>(to_integer(info[0], "ticket", 0, 0x7fffffff));
    const GradientOptions options = to_gradient_options(info[1]);
    return [ticket, options](Session& session) { return session.architecture_gradient(ticket, options); };
  });
}

Napi::Value SessionWrap::weight_step(const Napi::CallbackInfo& info) {
  return start(info, [&]() -> Step {
    const int ticket = static_cast<int>(to_integer(info[0], "ticket", 0, 0x7fffffff));
    const WeightUpdate options = to_weight_update(info[1]);
    return [ticket, options](Session& session) { return session.weight_step(ticket, options); };
  });
}

Napi::Value SessionWrap::evaluate(const Napi::CallbackInfo& info) {
  return start(info, [&]() -> Step {
    const int ticket = static_cast<int>(to_integer(info[0], "ticket", 0, 0x7fffffff));
    bool batch_statistics = false;
    if (!info[1].IsUndefined()) batch_statistics = Fields(info[1], "").flag_or("batchStatistics", false);
    return
        [ticket, batch_statistics](Session& session) { return session.evaluate(ticket, batch_statistics); };
  });
}

void SessionWrap::cancel(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] { state_->cancel(); });
}

}  // namespace nasp
