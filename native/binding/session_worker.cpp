#include "session_worker.h"

#include "addon_data.h"

namespace nasp {

Napi::Value make_error(Napi::Env env, const Failure& failure) {
  const AddonData* addon = env.GetInstanceData<AddonData>();
  if (addon && !addon->error_class.IsEmpty()) {
    try {
      return addon->error_class.New(
          {Napi::String::New(env, failure.code), Napi::String::New(env, failure.message)});
    } catch (const Napi::Error&) {
      // a class that cannot be constructed: a plain Error below
    }
  }
  Napi::Error error = Napi::Error::New(env, failure.message);
  napi_set_named_property(env, error.Value(), "code", Napi::String::New(env, failure.code));
  return error.Value();
}

Session& SessionState::open() const {
  if (!session_) throw Error("ERR_NASP_DISPOSED", "This session was disposed");
  return *session_;
}

Session& SessionState::idle() const {
  Session& session = open();
  if (busy_) throw Error("ERR_NASP_BUSY", "This session is running a step: await its promise first");
  return session;
}

void SessionState::begin() {
  idle();
  std::lock_guard<std::mutex> lock(mutex_);
  busy_ = true;
  job_ = Job::waiting;
}

void SessionState::settle() {
  std::lock_guard<std::mutex> lock(mutex_);
  busy_ = false;
  job_ = Job::none;
}

void SessionState::cancel() {
  Session& session = open();
  std::lock_guard<std::mutex> lock(mutex_);
  if (job_ != Job::none) session.cancel();
}

void SessionState::close() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (job_ == Job::running) session_->cancel();
  ended_.wait(lock, [&] { return job_ != Job::running; });
  session_.reset();
}

StepResult SessionState::run(const std::function<StepResult(Session&)>& work) {
  struct End {  // by whatever way the work ends
    SessionState& state;
    ~End() {
      std::lock_guard<std::mutex> lock(state.mutex_);
      state.session_->cancel(false);
      state.job_ = Job::none;
      state.ended_.notify_all();
    }
  };
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!session_) throw Error("ERR_NASP_ABORTED", "The session was disposed before the step began");
    job_ = Job::running;
  }
  const End end{*this};
  return work(*session_);
}

}  // namespace nasp
