// How many threads: what may be asked for, and what this process may use.
#pragma once

namespace nasp {

constexpr int most_threads = 1024;

// The CPUs of the process's affinity mask, or the control group's CPU quota rounded up where that is less; from 1 to
// most_threads.
int usable_threads();

}  // namespace nasp
