// Dropout behind identity skips: see Dropout (step_functions.h).
#pragma once
#include <cstdint>

#include "../step_functions.h"
#include "../../core/parallel.h"
#include "../../core/rng.h"

namespace nasp {

// x: whole images, rows (channels, width, lanes).
template <class S>
void drop(const Run& run, const Backend<S>& backend, View<S> x, const Dropout& d) {
  const int lanes = backend.lanes;
  const S factor = static_cast<S>(1 / (1 - d.rate));
  const std::uint64_t base = static_cast<std::uint64_t>(d.counter) << 32;
  run.parallel.run(backend.blocks(run.batch) * x.height, [&](int piece, int) {
    const int block = piece / x.height, row = piece % x.height;
    for (int c = 0; c < x.channels; c++) {
      S* v = x.data + block * x.block_pitch + row * x.row_pitch + c * x.channel_pitch;
      for (int w = 0; w < x.width; w++, v += lanes) {
        Random4 r = {};
        for (int lane = 0; lane < lanes; lane++) {
          const int image = block * lanes + lane;
          if (lane == 0 || image % 4 == 0) {
            const auto quad = static_cast<std::uint64_t>(image / 4);
            r = philox(d.seed, static_cast<std::uint32_t>(Stream::dropout), d.place,
                       base + ((quad * x.channels + c) * x.height + row) * x.width + w);
          }
          v[lane] = uniform(r.word[image % 4]) < d.rate ? S(0) : v[lane] * factor;
        }
      }
    }
  });
}

}  // namespace nasp
