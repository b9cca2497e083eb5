// A data set registered once: bytes as they lie in the file, labels, and the normalisation. Immutable, shared.
#pragma once
#include <cstdint>
#include <vector>

namespace nasp {

struct Dataset {
  int count = 0, channels = 3, height = 32, width = 32;
  std::vector<std::uint8_t> images;  // (N, C, H, W)
  std::vector<std::uint8_t> labels;  // (N)
  std::vector<double> mean, std;     // one a channel, of pixel / 255
};

void check_dataset(const Dataset& dataset);  // throws Error where it contradicts itself

}  // namespace nasp
