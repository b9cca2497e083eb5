#include "job_threads.h"

#include <utility>

namespace nasp {

JobThreads::~JobThreads() { end(); }

void JobThreads::run(std::function<void()> work) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(work));
    if (waiting_.size() > idle_) {
      try {
        threads_.emplace_back([this] { loop(); });
      } catch (...) {
        waiting_.pop_back();
        throw;
      }
    }
  }
  given_.notify_one();
}

void JobThreads::end() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
  }
  given_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void JobThreads::loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    idle_++;
    given_.wait(lock, [&] { return ended_ || !waiting_.empty(); });
    idle_--;
    if (waiting_.empty()) return;
    {
      const std::function<void()> work = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      work();
    }
    lock.lock();
  }
}

}  // namespace nasp
