// Kernel body of dropout behind identity skips: see Dropout (../step_functions.h).
#pragma once
#include "../step_entries.h"
#include "kernel.h"

namespace nasp::NASP_KERNELS {

// Four images of one channel of one pixel a thread: the words of one number.
__global__ void drop(DropArguments a) {
  const Map quads = {(a.map.batch + 3) / 4, a.map.height, a.map.width, a.map.channels};
  const Place p = place_in<1>(quads);
  if (!p.inside) return;
  const Dropout& d = a.dropout;
  const Random4 r = draw_masks(d, p.n, p.c, p.h, p.w, a.map.channels, a.map.height, a.map.width);
  NASP_UNROLL for (int i = 0; i < 4; i++) {
    const int image = 4 * p.n + i;
    if (image >= a.map.batch) return;
    const std::size_t pixel = (static_cast<std::size_t>(image) * a.map.height + p.h) * a.map.width + p.w;
    float* x = a.x + pixel * a.pitch + p.c;
    const float value = load<1>(x).v[0];
    store(x, Vec<1>{{dropped(value, r.word[i], d.rate, a.kept)}});
  }
}

}  // namespace nasp::NASP_KERNELS
