// What memory this process may still take.
#pragma once
#include <cstddef>
#include <string>

namespace nasp {

// Bytes: what the system has available, or what a control group's limit leaves where that is less. What others will take is
// not known. The largest number where the system does not say (other than Linux).
std::size_t free_memory();

// Throws Error ERR_NASP_OUT_OF_MEMORY where so many bytes of host memory, and a little for everything else, are not free; below
// a mebibyte nobody is asked.
// for_what: "activations".
void expect_free_memory(std::size_t bytes, const std::string& for_what);

}  // namespace nasp
