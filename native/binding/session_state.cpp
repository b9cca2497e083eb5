#include "session_state.h"

#include "../core/error.h"

namespace nasp {

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
  stage_ = Stage::waiting;
}

void SessionState::settle() {
  std::lock_guard<std::mutex> lock(mutex_);
  busy_ = false;
  stage_ = Stage::none;
}

void SessionState::cancel() {
  Session& session = open();
  std::lock_guard<std::mutex> lock(mutex_);
  if (stage_ != Stage::none) session.cancel();
}

void SessionState::close() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (stage_ == Stage::running) session_->cancel();
  ended_.wait(lock, [&] { return stage_ != Stage::running; });
  session_.reset();
}

StepResult SessionState::run(const std::function<StepResult(Session&)>& work) {
  struct End {  // by whatever way the work ends
    SessionState& state;
    ~End() {
      std::lock_guard<std::mutex> lock(state.mutex_);
      state.session_->cancel(false);
      state.stage_ = Stage::none;
      state.ended_.notify_all();
    }
  };
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!session_) throw Error("ERR_NASP_ABORTED", "The session was disposed before the step began");
    stage_ = Stage::running;
  }
  const End end{*this};
  return work(*session_);
}

}  // namespace nasp
