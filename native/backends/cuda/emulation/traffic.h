// How well kernels' accesses coalesce, counted on a CPU: for every access of a warp, the 32-byte sectors that it moves
// beside the fewest that hold the bytes it asks for, and the cycles that its shared memory's 32 banks need beside the
// fewest. NASP_EMULATION_TRAFFIC=<file> turns it on; the file is written when the process ends, as JSON by kernel.
#pragma once
#include "fibers.h"

namespace nasp::traffic {

void record(unsigned thread, const void* address, std::size_t bytes, const std::source_location& site,
            fibers::Space space);
void finish_block(const char* kernel);

}  // namespace nasp::traffic
