// Work off the JavaScript thread, whose promise is settled on it. Not on libuv's threads: an environment that ends waits for
// those before any of its cleanup hooks could cancel what they do, and there are four for everything in the process. The work
// sees plain structs only.
#pragma once
#include <napi.h>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "../core/error.h"
#include "addon_data.h"
#include "guard.h"

namespace nasp {

// Runs work() and resolves its promise with convert(env, result), or rejects it; settled() comes first, on the JavaScript
// thread, unless the environment ends meanwhile. `keep` is not collected before that.
template <class Result>
class Job {
 public:
  using Work = std::function<Result()>;
  using Convert = Napi::Value (*)(Napi::Env, const Result&);

  // Where it throws, nothing runs and settled() is not called.
  static Napi::Promise start(Napi::Env env, const Napi::Object& keep, Work work, Convert convert,
                             std::function<void()> settled) {
    std::unique_ptr<Job> job(new Job(env, std::move(work), convert, std::move(settled)));
    job->keep_ = Napi::Persistent(keep);
    const Napi::Promise promise = job->deferred_.Promise();
    if (napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "nasp"), 0, 1,
                                        job.get(), finish, job.get(), deliver, &job->done_) != napi_ok)
      throw Napi::Error::New(env);
    Job* const owned = job.release();  // by finish() from here
    try {
      env.GetInstanceData<AddonData>()->threads->run([owned] { owned->run(); });
    } catch (const std::exception& error) {
      napi_release_threadsafe_function(owned->done_, napi_tsfn_abort);
      if (!dynamic_cast<const std::system_error*>(&error)) throw;
      throw Error("ERR_NASP_OUT_OF_MEMORY", "The system has no thread left to work on");
    }
    return promise;
  }

 private:
  Job(Napi::Env env, Work work, Convert convert, std::function<void()> settled)
      : work_(std::move(work)),
        convert_(convert),
        settled_(std::move(settled)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  // On a job thread; does not touch the job any more once it is released.
  void run() {
    try {
      result_ = work_();
    } catch (...) {
      failure_ = std::current_exception();
    }
    // Where the environment ends the call fails, and the function is not to be touched again.
    const napi_threadsafe_function done = done_;
    if (napi_call_threadsafe_function(done, nullptr, napi_tsfn_nonblocking) == napi_ok)
      napi_release_threadsafe_function(done, napi_tsfn_release);
  }

  // On the JavaScript thread, as the two below. No environment: it has ended.
  static void deliver(napi_env env, napi_value, void* job, void*) {
    if (env) static_cast<Job*>(job)->settle(env);
  }
  // Nothing refers to the job any more: its thread has released it, or has ended with the environment.
  static void finish(napi_env, void* job, void*) { delete static_cast<Job*>(job); }

  // Nothing may leave: while an environment ends no JavaScript can run, and every call here may fail.
  void settle(Napi::Env env) {
    try {
      guard(env, [&] {
        settled_();
        if (failure_) std::rethrow_exception(failure_);
        deferred_.Resolve(convert_(env, *result_));
      });
    } catch (const Napi::Error& error) {
      reject(thrown_value(error));
    }
  }
  void reject(napi_value reason) noexcept {
    try {
      deferred_.Reject(reason);
    } catch (const Napi::Error&) {
    }
  }

  Work work_;
  Convert convert_;
  std::function<void()> settled_;
  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference keep_;
  napi_threadsafe_function done_ = nullptr;
  std::optional<Result> result_;
  std::exception_ptr failure_;
};

}  // namespace nasp
