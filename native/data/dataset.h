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

// The training transform of quark0/darts: crop from a zero-padded image (padded before normalisation), flip,
// normalise, cutout (a square of zeros after normalisation, its centre uniform in the image, cut at the border).
// Image i of the batch draws at counter `counter + i` of the augment stream.
struct Augment {
  int pad = 0;  // 0 = no crop
  bool flip = false;
  int cutout = 0;  // side in pixels, 0 = off
  std::uint64_t seed = 0, counter = 0;
};

}  // namespace nasp
