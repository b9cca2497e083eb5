// The engine's threads. run(pieces, body) calls body(piece, thread) once for every piece and returns when all are
// done; the caller takes part as thread 0. Each thread begins with a share of its own, so that runs which cut the same
// data alike find it in the cache of the core that wrote it, and helps the others when that is done: who takes which
// piece is left to chance, so bodies write to places that belong to the piece, and sums over pieces are added by the
// caller in piece order.
//
// Costs       no allocation a call; workers spin for a moment between runs before they sleep, and the caller never
//             waits for a worker that took no piece
// Exceptions  the first one is rethrown in the caller when all taken pieces are done; pieces not yet taken are skipped
// Limits      one run at a time, from one thread at a time; a body must not call run of the same object
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace nasp {

class Parallel {
 public:
  // Threads in all, the caller included: at most most_threads; 0 = usable_threads() (usable_threads.h).
  explicit Parallel(int threads);
  ~Parallel();
  Parallel(const Parallel&) = delete;
  Parallel& operator=(const Parallel&) = delete;

  int threads() const { return static_cast<int>(shares_.size()); }

  template <class Body>
  void run(int pieces, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_erased(
        pieces,
        [](const void* context, int piece, int thread) {
          (*static_cast<Plain*>(const_cast<void*>(context)))(piece, thread);
        },
        std::addressof(body));
  }

 private:
  using Call = void (*)(const void* context, int piece, int thread);

  // Pieces that a thread begins with, not yet taken: run number << 32 | how many, the last ones of its share. A thread
  // that takes a piece by compare-and-swap knows by the success that the run it read the fields of is still going on: a
  // run ends only when nothing is left to take.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> left{0};
  };

  void run_erased(int pieces, Call call, const void* context);
  void take_pieces(std::uint32_t run, int thread);
  int take_from(int share, std::uint32_t run, int thread);
  int share_end(int share, int pieces) const;
  void work(int thread);
  void stop();

  std::vector<Share> shares_;          // one a thread
  std::atomic<std::uint32_t> run_{0};  // the number of the last one, when its shares are there
  std::atomic<Call> call_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<int> pieces_{0};
  alignas(64) std::atomic<int> unfinished_{0};
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;  // under mutex_

  std::mutex mutex_;
  std::condition_variable work_there_, work_done_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false}, stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace nasp
