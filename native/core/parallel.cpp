#include "parallel.h"

#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "error.h"
#include "usable_threads.h"

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
  expect(threads >= 1 && threads <= most_threads, "0 to " + std::to_string(most_threads) + " for threads",
         std::to_string(threads));
  shares_ = std::vector<Share>(static_cast<std::size_t>(threads));
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int thread = 1; thread < threads; thread++) workers_.emplace_back([this, thread] { work(thread); });
  } catch (const std::system_error& error) {
    const std::size_t started = workers_.size() + 1;
    stop();
    throw Error("ERR_NASP_OUT_OF_MEMORY", "Could not start thread " + std::to_string(started + 1) + " of " +
                                              std::to_string(threads) + ": " + error.what());
  } catch (...) {  // no memory for what a thread begins with
    stop();
    throw;
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
  const std::uint32_t run = run_.load(std::memory_order_relaxed) + 1;
  for (int share = 0; share < threads(); share++) {
    const auto count = static_cast<std::uint64_t>(share_end(share, pieces) - share_end(share - 1, pieces));
    shares_[static_cast<std::size_t>(share)].left.store(std::uint64_t{run} << 32 | count,
                                                        std::memory_order_relaxed);
  }
  run_.store(run);  // sequentially consistent, against sleepers_
  if (sleepers_.load() > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }  // a worker that has looked in vain is in wait() now
    work_there_.notify_all();
  }
  take_pieces(run, 0);
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

int Parallel::share_end(int share, int pieces) const {
  return static_cast<int>(static_cast<std::int64_t>(pieces) * (share + 1) / threads());
}

// Takes pieces of a run until none is left, its own share first.
void Parallel::take_pieces(std::uint32_t run, int thread) {
  int finished = 0;
  for (int i = 0; i < threads(); i++) finished += take_from((thread + i) % threads(), run, thread);
  if (finished > 0 && unfinished_.fetch_sub(finished) == finished && caller_sleeps_.load()) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    work_done_.notify_one();
  }
}

// Takes what the run has left of a share; how many pieces it were. Of a later run nothing: its shares are begun with one's own.
int Parallel::take_from(int share, std::uint32_t run, int thread) {
  std::atomic<std::uint64_t>& shared = shares_[static_cast<std::size_t>(share)].left;
  int finished = 0;
  std::uint64_t left = shared.load(std::memory_order_acquire);
  while (left >> 32 == run && (left & left_mask) != 0) {
    const Call call = call_.load(std::memory_order_relaxed);
    const void* context = context_.load(std::memory_order_relaxed);
    const int pieces = pieces_.load(std::memory_order_relaxed);
    const int piece = share_end(share, pieces) - static_cast<int>(left & left_mask);
    if (!shared.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel, std::memory_order_acquire))
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
    left = shared.load(std::memory_order_acquire);
  }
  return finished;
}

void Parallel::work(int thread) {
  std::uint32_t seen = 0;
  const auto called = [&] { return run_.load() != seen || stopping_.load(); };
  for (;;) {
    if (!spin_until(called)) {
      std::unique_lock<std::mutex> lock(mutex_);
      sleepers_++;
      work_there_.wait(lock, called);
      sleepers_--;
    }
    if (stopping_.load()) return;
    seen = run_.load();
    take_pieces(seen, thread);
  }
}

}  // namespace nasp
