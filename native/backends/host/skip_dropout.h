// Dropout behind identity skips: see Dropout (step_functions.h).
#pragma once
#include <cstdint>

#include "../step_entries.h"
#include "../../core/parallel.h"

namespace nasp {

// x: whole images, rows (channels, width, lanes).
template <class S>
void drop(const Run& run, const Backend<S>& backend, View<S> x, const Dropout& d) {
  const int lanes = backend.lanes;
  const S kept = static_cast<S>(d.kept());
  run.parallel.run(backend.blocks(run.batch) * x.height, [&](int piece, int) {
    const int block = piece / x.height, row = piece % x.height;
    for (int c = 0; c < x.channels; c++) {
      S* v = x.data + block * x.block_pitch + row * x.row_pitch + c * x.channel_pitch;
      for (int w = 0; w < x.width; w++, v += lanes) {
        Random4 r = {};
        for (int lane = 0; lane < lanes; lane++) {
          const int image = block * lanes + lane;
          if (lane == 0 || image % 4 == 0)
            r = draw_masks(d, image / 4, c, row, w, x.channels, x.height, x.width);
          v[lane] = dropped(v[lane], r.word[image % 4], d.rate, kept);
        }
      }
    }
  });
}

}  // namespace nasp
