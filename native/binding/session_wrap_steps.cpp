// A session's batches and the steps that use them up. A step runs off the main thread and is a promise; arguments are
// read before, here.
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
    const auto indices = to_span<std::uint32_t>(info[1], "indices");
    Session& session = state_->open();  // a running step does not mind
    return Napi::Number::New(info.Env(), session.queue(dataset, {indices.begin(), indices.end()}, augment));
  });
}

Napi::Value SessionWrap::load(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const auto targets = to_span<std::int32_t>(info[1], "targets");
    const std::size_t values = static_cast<std::size_t>(config_.image_channels) * config_.image_size *
                               config_.image_size * targets.size();
    const auto put = [&](const auto& x) {
      if (x.size() != values) refuse(std::to_string(values) + " values for x", std::to_string(x.size()));
      return state_->idle().load(x.data(), {targets.begin(), targets.end()});
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
      const int ticket = to_int(info[0], "ticket");
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
            env, info.This().As<Napi::Object>(),
            [state, step, ticket] {
              return state->run([&](Session& session) { return step(session, ticket); });
            },
            convert, settled);
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
    const GradientOptions options = to_gradient_options(info[1]);
    return [options](Session& session, int ticket) { return session.architecture_gradient(ticket, options); };
  });
}

Napi::Value SessionWrap::weight_step(const Napi::CallbackInfo& info) {
  return start(info, [&]() -> Step {
    const WeightUpdate options = to_weight_update(info[1]);
    return [options](Session& session, int ticket) { return session.weight_step(ticket, options); };
  });
}

Napi::Value SessionWrap::evaluate(const Napi::CallbackInfo& info) {
  return start(info, [&]() -> Step {
    bool batch_statistics = false;
    if (!info[1].IsUndefined()) {
      const Fields fields(info[1], "");
      batch_statistics = fields.flag_or("batchStatistics", false);
      fields.expect_no_others();
    }
    return [batch_statistics](Session& session, int ticket) {
      return session.evaluate(ticket, batch_statistics);
    };
  });
}

void SessionWrap::cancel(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] { state_->cancel(); });
}

}  // namespace nasp
