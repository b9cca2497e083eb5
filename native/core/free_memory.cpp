// A system that has promised more memory than it has ends processes when they use it, so what is free is asked for first.
#include "free_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "control_groups.h"
#include "error.h"

namespace nasp {
namespace {

// Of what is free, left to everything else: an eighth, at most so much.
constexpr std::size_t left_to_others = 256 << 20;
constexpr std::size_t not_asked_below = 1 << 20;
constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

// The number that stands behind `name` in a file of names and numbers; `otherwise` where there is none.
std::size_t number_in(const std::string& file, const std::string& name, std::size_t otherwise) {
  std::ifstream lines(file);
  for (std::string word; lines >> word;) {
    std::size_t number = 0;
    if (word == name) return lines >> number ? number : otherwise;
    lines.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return otherwise;
}

// The limit of one control group less what it uses; pages of files that it would give back are not counted as used.
std::size_t left_by(const std::string& folder) {
  const auto left = [&](const char* limit_file, const char* usage_file, const char* reclaimable) {
    std::size_t limit = 0, usage = 0;
    std::ifstream limits(folder + limit_file), usages(folder + usage_file);
    if (!(limits >> limit) || !(usages >> usage)) return unlimited;  // "max", or no such file
    usage -= std::min(usage, number_in(folder + "/memory.stat", reclaimable, 0));
    return limit - std::min(limit, usage);
  };
  return std::min(left("/memory.max", "/memory.current", "inactive_file"),
                  left("/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"));
}

}  // namespace

std::size_t free_memory() {
  const std::size_t kib = number_in("/proc/meminfo", "MemAvailable:", unlimited);
  std::size_t least = kib == unlimited ? unlimited : kib * 1024;
  for_each_control_group("memory",
                         [&](const std::string& folder) { least = std::min(least, left_by(folder)); });
  return least;
}

void expect_free_memory(std::size_t bytes, const std::string& for_what) {
  if (bytes < not_asked_below) return;
  const std::size_t found = free_memory(), free = found - std::min(found / 8, left_to_others);
  if (bytes <= free) return;
  throw Error("ERR_NASP_OUT_OF_MEMORY",
              "Expected " + std::to_string((bytes >> 20) + 1) + " MiB more memory for " + for_what +
                  ", but only " + std::to_string(free >> 20) +
                  " MiB are free; a smaller batch, fewer channels or fewer layers need less");
}

}  // namespace nasp
