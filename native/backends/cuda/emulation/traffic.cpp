#include "traffic.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>
#include <vector>

namespace nasp::traffic {

namespace {

constexpr unsigned warp_threads = 32;
constexpr std::uintptr_t sector = 32, bank = 4, banks = 32;

struct Access {
  unsigned lane;
  std::uintptr_t address;
  std::size_t bytes;
};

using Site = std::tuple<unsigned, unsigned, fibers::Space>;  // line, column

struct Counts {
  unsigned long requests = 0, sectors = 0, ideal_sectors = 0, cycles = 0, ideal_cycles = 0;
};

struct Log {
  const char* file = std::getenv("NASP_EMULATION_TRAFFIC");
  std::map<std::pair<unsigned, Site>, unsigned> occurrences;  // of a thread at a site
  // Of a warp, at its n-th time there.
  std::map<std::tuple<unsigned, Site, unsigned>, std::vector<Access>> requests;
  std::map<std::string, Counts> kernels;

  ~Log() {
    FILE* out = file ? std::fopen(file, "w") : nullptr;
    if (!out) return;
    const char* separator = "{";
    for (const auto& [name, c] : kernels) {
      std::fprintf(
          out,
          "%s\n  \"%s\": { \"requests\": %lu, \"sectors\": %lu, \"idealSectors\": %lu, \"cycles\": %lu, "
          "\"idealCycles\": %lu }",
          separator, name.c_str(), c.requests, c.sectors, c.ideal_sectors, c.cycles, c.ideal_cycles);
      separator = ",";
    }
    std::fprintf(out, "%s\n}\n", kernels.empty() ? "{" : "");
    std::fclose(out);
  }
};
Log log;

void count_global(Counts& c, const std::vector<Access>& accesses) {
  std::set<std::uintptr_t> sectors, bytes;
  for (const Access& a : accesses) {
    for (std::uintptr_t p = a.address; p < a.address + a.bytes; p++)
      bytes.insert(p), sectors.insert(p / sector);
  }
  c.sectors += sectors.size();
  c.ideal_sectors += (bytes.size() + sector - 1) / sector;
}

// Eight-byte accesses go half a warp at a time.
void count_shared(Counts& c, const std::vector<Access>& accesses) {
  const unsigned at_once = accesses.front().bytes > bank ? warp_threads / 2 : warp_threads;
  for (unsigned first = 0; first < warp_threads; first += at_once) {
    std::map<std::uintptr_t, std::set<std::uintptr_t>> words;
    for (const Access& a : accesses) {
      if (a.lane < first || a.lane >= first + at_once) continue;
      for (std::uintptr_t p = a.address; p < a.address + a.bytes; p += bank)
        words[p / bank % banks].insert(p / bank);
    }
    if (words.empty()) continue;
    std::size_t longest = 0;
    for (const auto& [_, w] : words) longest = std::max(longest, w.size());
    c.cycles += longest;
    c.ideal_cycles += 1;
  }
}

}  // namespace

void record(unsigned thread, const void* address, std::size_t bytes, const std::source_location& site,
            fibers::Space space) {
  if (!log.file) return;
  const Site at = {site.line(), site.column(), space};
  const unsigned occurrence = log.occurrences[{thread, at}]++;
  if (address)
    log.requests[{thread / warp_threads, at, occurrence}].push_back(
        {thread % warp_threads, reinterpret_cast<std::uintptr_t>(address), bytes});
}

void finish_block(const char* kernel) {
  if (!log.file) return;
  Counts& c = log.kernels[kernel];
  for (const auto& [key, accesses] : log.requests) {
    c.requests++;
    if (std::get<2>(std::get<1>(key)) == fibers::Space::global)
      count_global(c, accesses);
    else
      count_shared(c, accesses);
  }
  log.occurrences.clear();
  log.requests.clear();
}

}  // namespace nasp::traffic
