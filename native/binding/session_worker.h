// A session's state, and jobs on libuv's threads. A job's work sees plain structs only; its promise is settled on the
// JavaScript thread.
//
// One job a session: begin() refuses a second. The state is shared by the JavaScript object, its running job and the
// environment's cleanup hook, so whichever goes last frees it. close() cancels a job that runs and waits for it,
// then frees the engine's session (a job still waiting for a thread finds it gone); it may be called again.
#pragma once
#include <napi.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "../net/session.h"
#include "guard.h"

namespace nasp {

struct SessionState {
  explicit SessionState(std::unique_ptr<Session> session) : session_(std::move(session)) {}

  // On the JavaScript thread.
  Session& open() const;  // throws ERR_NASP_DISPOSED after close()
  Session& idle() const;  // throws ERR_NASP_BUSY from begin() to settle() as well
  void begin();
  void settle();  // the job has ended, or could not be handed over
  void cancel();
  void close();
  bool closed() const { return !session_; }

  // On a pool thread: work(session) unless the session was closed while the job waited.
  StepResult run(const std::function<StepResult(Session&)>& work);

 private:
  enum class Job { none, waiting, running };

  std::unique_ptr<Session> session_;
  bool busy_ = false;
  std::mutex mutex_;
  std::condition_variable ended_;
  Job job_ = Job::none;  // under mutex_
};

// Runs work() on a pool thread and resolves its promise with convert(env, result), or rejects it; settled() comes
// first, on the JavaScript thread. `keep` is not collected before that.
template <class Result>
class Worker : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result()>;
  using Convert = Napi::Value (*)(Napi::Env, const Result&);

  // Where it throws, nothing runs and settled() is not called.
  static Napi::Promise start(Napi::Env env, const Napi::Object& keep, Work work, Convert convert,
                             std::function<void()> settled) {
    std::unique_ptr<Worker> worker(new Worker(env, std::move(work), convert, std::move(settled)));
    worker->keep_ = Napi::Persistent(keep);
    const Napi::Promise promise = worker->deferred_.Promise();
    worker->Queue();
    worker.release();  // owns itself from here
    return promise;
  }

 protected:
  void Execute() override {
    try {
      result_ = work_();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  // Nothing may leave: while an environment ends no JavaScript can run, and every call here may fail.
  void OnOK() override {
    try {
      guard(Env(), [&] {
        settled_();
        if (failure_) std::rethrow_exception(failure_);
        deferred_.Resolve(convert_(Env(), *result_));
      });
    } catch (const Napi::Error& error) {
      reject(error.Value());
    } catch (...) {  // no memory for the failure's own text
      napi_value code, text, error;
      if (napi_create_string_utf8(Env(), "ERR_NASP_OUT_OF_MEMORY", NAPI_AUTO_LENGTH, &code) == napi_ok &&
          napi_create_string_utf8(Env(), "The engine is out of memory", NAPI_AUTO_LENGTH, &text) == napi_ok &&
          napi_create_error(Env(), code, text, &error) == napi_ok)
        reject(Napi::Value(Env(), error));
    }
  }

 private:
  Worker(Napi::Env env, Work work, Convert convert, std::function<void()> settled)
      : Napi::AsyncWorker(env, "nasp"),
        work_(std::move(work)),
        convert_(convert),
        settled_(std::move(settled)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  void reject(const Napi::Value& reason) noexcept {
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
  std::optional<Result> result_;
  std::exception_ptr failure_;
};

}  // namespace nasp
