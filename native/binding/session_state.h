// A session's state, between the JavaScript object and its running step.
//
// One step a session: begin() refuses a second. The state is shared by the JavaScript object, its step's job and the
// environment's cleanup hook, so whichever goes last frees it. close() cancels a step that runs and waits for it,
// then frees the engine's session (a step that has not begun finds it gone); it may be called again.
#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "../net/session.h"

namespace nasp {

struct SessionState {
  explicit SessionState(std::unique_ptr<Session> session) : session_(std::move(session)) {}

  // On the JavaScript thread.
  Session& open() const;  // throws ERR_NASP_DISPOSED after close()
  Session& idle() const;  // throws ERR_NASP_BUSY from begin() to settle() as well
  void begin();
  void settle();  // the step has ended, or could not be handed over
  void cancel();
  void close();
  bool closed() const { return !session_; }

  // On the job's thread: work(session) unless the session was closed before it began.
  StepResult run(const std::function<StepResult(Session&)>& work);

 private:
  enum class Stage { none, waiting, running };

  std::unique_ptr<Session> session_;
  bool busy_ = false;
  std::mutex mutex_;
  std::condition_variable ended_;
  Stage stage_ = Stage::none;  // under mutex_
};

}  // namespace nasp
