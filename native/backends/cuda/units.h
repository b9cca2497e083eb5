// Units on the device, and the layout of their weights: [depthwise (K * K, C) or row (O, taps, C), padded to 16 bytes, which
// cuDNN wants] [dense part 0, part 1 (O, taps, C)].
#pragma once
#include "../backend.h"
#include "context.h"
#include "kernels.h"

namespace nasp::cuda {

inline std::size_t packed_first(const Unit& unit) {  // scalars
  return (unit.first_weights() + 3) / 4 * 4;
}
// Scratch for the pieces of a map's moments.
inline double* moment_partials(Context& context, const Map& map) {
  return context.scratch.take<double>(context.queue,
                                      static_cast<std::size_t>(moment_pieces(map)) * 4 * map.channels);
}
std::size_t packed_size(const Unit& unit, bool backward);
void pack_unit(const Run& run, const Unit& unit, float* packed, const UnitWeights<float>& weights,
               bool backward);
// Convolutions' plans for all passes.
void plan_unit(Context& context, const Unit& unit, int batch, int height, int width);
void forward_units(const Run& run, const ForwardUnit<float>* units, int count, const Source<float>& x);
void backward_units(const Run& run, const BackwardUnit<float>* units, int count);

}  // namespace nasp::cuda
