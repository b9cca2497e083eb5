// Threads that wait for work, as many as were ever busy at once: a new one for each step made forward passes 5 to 10 % slower.
// They end with the environment, whose cleanup hook waits for them.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace nasp {

class JobThreads {
 public:
  JobThreads() = default;
  JobThreads(const JobThreads&) = delete;
  JobThreads& operator=(const JobThreads&) = delete;
  ~JobThreads();

  // On the JavaScript thread, as end(). std::system_error where there is no thread, and none can be started.
  void run(std::function<void()> work);
  void end();  // waits for what runs; nothing runs afterwards

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable given_;
  std::deque<std::function<void()>> waiting_;  // under mutex_, as the two below
  std::size_t idle_ = 0;
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace nasp
