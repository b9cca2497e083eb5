#include "parallel.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>

#include "error.h"

namespace nasp {
namespace {

constexpr std::uint64_t left_mask = 0xffffffffull;
constexpr auto spin_time = std::chrono::microseconds(200);

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// True once ready() is; false when spin_time has passed without it.
template <class Ready>
bool spin_until(const Ready& ready) {
  if (ready()) return true;
  const auto end = std::chrono::steady_clock::now() + spin_time;
  do {
    for (int i = 0; i < 32; i++) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace

Parallel::Parallel(int threads) {
  if (threads == 0) threads = usable_threads();
  if (threads < 1 || threads > 1024)
    throw Error("ERR_NASP_ARGUMENT",
                "Expected 0 to 1024 for threads but received " + std::to_string(threads));
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int thread = 1; thread < threads; thread++) workers_.emplace_back([this, thread] { work(thread); });
  } catch (const std::system_error& error) {
    const int started = this->threads();
    stop();
    throw Error("ERR_NASP_OUT_OF_MEMORY", "Could not start thread " + std::to_string(started + 1) + " of " +
                                              std::to_string(threads) + ": " + error.what());
  }
}

Parallel::~Parallel() { stop(); }

void Parallel::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  work_there_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Parallel::run_erased(int pieces, Call call, const void* context) {
  if (pieces <= 0) return;
  if (workers_.empty() || pieces == 1) {
    for (int piece = 0; piece < pieces; piece++) call(context, piece, 0);
    return;
  }
  call_.store(call, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  pieces_.store(pieces, std::memory_order_relaxed);
  failed_.store(false, std::memory_order_relaxed);
  unfinished_.store(pieces, std::memory_order_relaxed);
  const std::uint64_t run = (claim_.load(std::memory_order_relaxed) >> 32) + 1;
  claim_.store(run << 32 | static_cast<std::uint64_t>(pieces));  // sequentially consistent, against sleepers_
  if (sleepers_.load() > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }  // a worker that has looked in vain is in wait() now
    work_there_.notify_all();
  }
  take_pieces(0);
  const auto done = [this] { return unfinished_.load() == 0; };
  if (!spin_until(done)) {
    std::unique_lock<std::mutex> lock(mutex_);
    caller_sleeps_ = true;
    work_done_.wait(lock, done);
    caller_sleeps_ = false;
  }
  if (failed_.load(std::memory_order_acquire)) {
    std::exception_ptr failure;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      std::swap(failure, failure_);
    }
    std::rethrow_exception(failure);
  }
}

// Takes pieces of the current run until none is left.
void Parallel::take_pieces(int thread) {
  int finished = 0;
  std::uint64_t claim = claim_.load(std::memory_order_acquire);
  while ((claim & left_mask) != 0) {
    const Call call = call_.load(std::memory_order_relaxed);
    const void* context = context_.load(std::memory_order_relaxed);
    const int piece = pieces_.load(std::memory_order_relaxed) - static_cast<int>(claim & left_mask);
    if (!claim_.compare_exchange_weak(claim, claim - 1, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    if (!failed_.load(std::memory_order_relaxed)) {
      try {
        call(context, piece, thread);
      } catch (...) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        failed_.store(true, std::memory_order_release);
      }
    }
    finished++;
    claim = claim_.load(std::memory_order_acquire);
  }
  if (finished > 0 && unfinished_.fetch_sub(finished) == finished && caller_sleeps_.load()) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    work_done_.notify_one();
  }
}

void Parallel::work(int thread) {
  const auto called = [this] { return (claim_.load() & left_mask) != 0 || stopping_.load(); };
  for (;;) {
    if (!spin_until(called)) {
      std::unique_lock<std::mutex> lock(mutex_);
      sleepers_++;
      work_there_.wait(lock, called);
      sleepers_--;
    }
    if (stopping_.load()) return;
    take_pieces(thread);
  }
}

}  // namespace nasp
