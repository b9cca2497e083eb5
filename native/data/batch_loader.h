// A thread of its own that runs jobs in the order they are handed in: batches are prepared on it, ahead of the step
// that takes them.
//
// Tickets     count from 1; a failure is kept until its ticket is waited for
// Exceptions  a job's exception is rethrown by wait
// Ending      the destructor runs no further job and waits for the one that is running
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace nasp {

class BatchLoader {
 public:
  using Ticket = std::uint64_t;

  BatchLoader();
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  Ticket submit(std::function<void()> job);
  void wait(Ticket ticket);  // returns at once for a job that is done

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable work_there_, work_done_;
  std::deque<std::pair<Ticket, std::function<void()>>> jobs_;
  std::map<Ticket, std::exception_ptr> failures_;
  Ticket submitted_ = 0, done_ = 0;  // jobs end in order, so one number says which
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace nasp
