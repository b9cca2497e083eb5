// Node's own count sees the affinity mask but (before 22) no CPU quota.
#include "usable_threads.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#include "control_groups.h"

#ifdef __linux__
#include <sched.h>
#endif

namespace nasp {
namespace {

#ifdef __linux__

int affinity_count() {
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (!set) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    const int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

// CPUs that one control group grants, infinity where it says nothing.
double quota_of(const std::string& folder) {
  double quota = 0, period = 0;
  if (std::ifstream v2(folder + "/cpu.max"); v2 >> quota >> period)
    return period > 0 ? quota / period : INFINITY;
  std::ifstream v1(folder + "/cpu.cfs_quota_us"), v1_period(folder + "/cpu.cfs_period_us");
  if (v1 >> quota && v1_period >> period && quota > 0 && period > 0) return quota / period;
  return INFINITY;
}

// The least quota on the way from this process's group to the root.
double quota() {
  double least = INFINITY;
  for_each_control_group("cpu",
                         [&](const std::string& folder) { least = std::min(least, quota_of(folder)); });
  return least;
}

#endif

}  // namespace

int usable_threads() {
#ifdef __linux__
  const double granted = std::min(static_cast<double>(affinity_count()), std::ceil(quota()));
  return static_cast<int>(std::clamp(granted, 1.0, static_cast<double>(most_threads)));
#else
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, most_threads);
#endif
}

}  // namespace nasp
