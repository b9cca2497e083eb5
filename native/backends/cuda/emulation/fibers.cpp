#include "fibers.h"

#include <ucontext.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "memory.h"
#include "traffic.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// A switch of stacks in fifteen instructions: ucontext's makes a system call each time, and tests switch millions of times.
#if defined(__x86_64__)
extern "C" void nasp_fiber_switch(void** save, void* load);
asm(R"(
.text
.globl nasp_fiber_switch
.hidden nasp_fiber_switch
.type nasp_fiber_switch,@function
nasp_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size nasp_fiber_switch,.-nasp_fiber_switch
)");
#endif

namespace nasp::fibers {

namespace {

constexpr std::size_t stack_bytes = 32 * 1024 + 192;  // 192: stacks do not begin on the same cache sets
enum class State { ready, at_barrier, done };

#if defined(__x86_64__)
using Stack = void*;
#else
using Stack = ucontext_t;
#endif

struct Fiber {
  Stack stack;
  Size thread;
  State state;
};

struct Shared {
  const void* key;
  std::vector<char> bytes;
};

struct Machine {
  Block block;
  std::vector<Fiber> fibers;
  std::vector<char> stacks;
  std::vector<Shared> shared;
  Stack scheduler;
  std::size_t running = 0;
  const std::function<void()>* body = nullptr;
  std::string failure;
  unsigned launches = 0;
  const void* scheduler_bottom = nullptr;  // of its stack, for AddressSanitizer
  std::size_t scheduler_bytes = 0;
};
thread_local Machine machine;

void to_scheduler() {
  Fiber& f = machine.fibers[machine.running];
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(f.state == State::done ? nullptr : &fake, machine.scheduler_bottom,
                                 machine.scheduler_bytes);
#endif
#if defined(__x86_64__)
  nasp_fiber_switch(&f.stack, machine.scheduler);
#else
  swapcontext(&f.stack, &machine.scheduler);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void run_body() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &machine.scheduler_bottom, &machine.scheduler_bytes);
#endif
  (*machine.body)();
  machine.fibers[machine.running].state = State::done;
  to_scheduler();
}

void prepare(Fiber& f, char* memory) {
  f.state = State::ready;
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(memory, stack_bytes);  // frames of the thread that had it before
#endif
#if defined(__x86_64__)
  auto top = (reinterpret_cast<std::uintptr_t>(memory) + stack_bytes) & ~std::uintptr_t{15};
  void** p = reinterpret_cast<void**>(top);
  *--p = nullptr;
  *--p = reinterpret_cast<void*>(run_body);
  for (int i = 0; i < 6; i++) *--p = nullptr;
  f.stack = p;
#else
  getcontext(&f.stack);
  f.stack.uc_stack.ss_sp = memory;
  f.stack.uc_stack.ss_size = stack_bytes;
  f.stack.uc_link = nullptr;
  makecontext(&f.stack, run_body, 0);
#endif
}

void resume(std::size_t i) {
  machine.running = i;
  machine.block.thread = machine.fibers[i].thread;
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, machine.stacks.data() + i * stack_bytes, stack_bytes);
#endif
#if defined(__x86_64__)
  nasp_fiber_switch(&machine.scheduler, machine.fibers[i].stack);
#else
  swapcontext(&machine.scheduler, &machine.fibers[i].stack);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

// The q-th thread to go on: ascending, descending, or by a stride that visits all, in turn from launch to launch.
std::size_t in_order(std::size_t q, std::size_t n) {
  switch (machine.launches % 3) {
    case 0:
      return q;
    case 1:
      return n - 1 - q;
    default: {
      std::size_t stride = (machine.launches * 2654435761u) % n;
      while (std::gcd(stride, n) != 1) stride++;
      return q * stride % n;
    }
  }
}

void run_block() {
  const std::size_t n = machine.fibers.size();
  for (Shared& s : machine.shared) std::memset(s.bytes.data(), 0xFF, s.bytes.size());
  for (std::size_t i = 0; i < n; i++) prepare(machine.fibers[i], machine.stacks.data() + i * stack_bytes);
  for (;;) {
    std::size_t done = 0, waiting = 0;
    for (std::size_t q = 0; q < n; q++) {
      const std::size_t i = in_order(q, n);
      if (machine.fibers[i].state == State::ready) resume(i);
      if (!machine.failure.empty()) return;
    }
    for (const Fiber& f : machine.fibers) {
      done += f.state == State::done;
      waiting += f.state == State::at_barrier;
    }
    if (done == n) return;
    if (done > 0) {
      machine.failure =
          "a barrier that only " + std::to_string(waiting) + " of " + std::to_string(n) + " threads reach";
      return;
    }
    for (Fiber& f : machine.fibers) f.state = State::ready;
  }
}

}  // namespace

Block& block() { return machine.block; }

void wait_for_block() {
  machine.fibers[machine.running].state = State::at_barrier;
  to_scheduler();
  machine.block.thread = machine.fibers[machine.running].thread;
}

void* shared(const void* key, std::size_t bytes) {
  for (Shared& s : machine.shared) {
    if (s.key == key) return s.bytes.data();
  }
  machine.shared.push_back({key, std::vector<char>(bytes, static_cast<char>(0xFF))});
  return machine.shared.back().bytes.data();
}

void touch(const void* address, std::size_t bytes, const std::source_location& site, Space space) {
  const Size& t = machine.block.thread;
  const unsigned thread = t.x + machine.block.size.x * (t.y + machine.block.size.y * t.z);
  traffic::record(thread, address, bytes, site, space);
  if (!address || space == Space::shared || memory::on_device(address, bytes)) return;
  machine.failure = "line " + std::to_string(site.line()) + " reaches outside of device memory";
  to_scheduler();  // and is never resumed
}

std::string launch(const char* kernel, Size grid, Size size, const std::function<void()>& body) {
  const std::size_t threads = static_cast<std::size_t>(size.x) * size.y * size.z;
  if (threads == 0 || threads > 1024 || size.z > 64 || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
      grid.y > 65535 || grid.z > 65535)
    return "blocks or threads beyond what a device has";
  machine.launches++;
  machine.failure.clear();
  machine.body = &body;
  machine.block.size = size;
  machine.fibers.resize(threads);
  if (machine.stacks.size() < threads * stack_bytes)
    machine.stacks = std::vector<char>(threads * stack_bytes);  // not resized: old frames are not copied
  for (unsigned i = 0; i < threads; i++)
    machine.fibers[i].thread = {i % size.x, i / size.x % size.y, i / size.x / size.y};
  for (unsigned z = 0; z < grid.z; z++) {
    for (unsigned y = 0; y < grid.y; y++) {
      for (unsigned x = 0; x < grid.x; x++) {
        machine.block.index = {x, y, z};
        run_block();
        if (!machine.failure.empty())
          return std::string(kernel) + ", block (" + std::to_string(x) + ", " + std::to_string(y) +
                 "): " + machine.failure;
        traffic::finish_block(kernel);
      }
    }
  }
  return "";
}

}  // namespace nasp::fibers
