// The options of the training transform of quark0/darts (data/augment.h), for the host and for devices: crop from a zero-padded
// image (padded before normalisation), flip, normalise, cutout (a square of zeros after normalisation, its centre uniform in
// the image, cut at the border). Image i of a batch draws at counter `counter + i` of the augment stream.
#pragma once
#include <cstdint>

namespace nasp {

struct Augment {
  int pad = 0;  // 0 = no crop
  bool flip = false;
  int cutout = 0;  // side in pixels, 0 = off
  std::uint64_t seed = 0, counter = 0;
};

}  // namespace nasp
