// What the machine reaches now, as the benches' yardstick: multiply-adds in float32 registers under an instruction
// set ("" = the chosen one; 2 FLOPs each), and a read + write stream through memory, both on `threads` threads (0 =
// all that the process may use). The best of a few tries; about a second.
#pragma once
#include <string>

namespace nasp {

struct MachineBounds {
  double gflops = 0, gbps = 0;
};

MachineBounds machine_bounds(const std::string& isa, int threads);

}  // namespace nasp
