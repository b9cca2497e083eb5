#include "batch_loader.h"

#include <string>
#include <system_error>
#include <utility>

#include "../core/error.h"

namespace nasp {

BatchLoader::BatchLoader() {
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    throw Error("ERR_NASP_OUT_OF_MEMORY",
                std::string("Could not start the thread that prepares batches: ") + error.what());
  }
}

BatchLoader::~BatchLoader() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  work_there_.notify_one();
  thread_.join();
}

BatchLoader::Ticket BatchLoader::submit(std::function<void()> job) {
  Ticket ticket;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    jobs_.emplace_back(submitted_ + 1, std::move(job));
    ticket = ++submitted_;
  }
  work_there_.notify_one();
  return ticket;
}

void BatchLoader::wait(Ticket ticket) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (ticket > submitted_) throw Error("ERR_NASP_INTERNAL", "Expected a submitted job's ticket");
  work_done_.wait(lock, [&] { return done_ >= ticket; });
  if (auto failure = failures_.extract(ticket)) std::rethrow_exception(failure.mapped());
}

void BatchLoader::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    work_there_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    auto [ticket, job] = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    std::exception_ptr failure;
    try {
      job();
    } catch (...) {
      failure = std::current_exception();
    }
    job = nullptr;  // what it holds is let go before anybody hears that it is done
    lock.lock();
    if (failure) failures_[ticket] = failure;
    done_ = ticket;
    work_done_.notify_all();
  }
}

}  // namespace nasp
