// What one environment (the main thread's, or a worker thread's) has of its own: no state of the binding is global.
#pragma once
#include <napi.h>

#include <atomic>
#include <memory>
#include <set>

#include "job_threads.h"

namespace nasp {

struct SessionState;

// Sessions not yet disposed, closed by the environment's cleanup hook. Shared with their owners, because at the end
// of an environment its data may go before its objects do.
using LiveSessions = std::set<std::shared_ptr<SessionState>>;
// Of timings that run: true ends one after its repeat.
using LiveTimings = std::set<std::shared_ptr<std::atomic<bool>>>;

struct AddonData {
  Napi::FunctionReference error_class;  // empty until setErrorClass()
  std::shared_ptr<LiveSessions> live = std::make_shared<LiveSessions>();
  std::shared_ptr<LiveTimings> timings = std::make_shared<LiveTimings>();
  std::shared_ptr<JobThreads> threads = std::make_shared<JobThreads>();
};

}  // namespace nasp
