// From the engine's views to what kernels take. A view's pixels are `pitch` scalars apart, rows and images follow on each
// other, so a slice of channels differs from a whole activation by its pitch alone. Channels are
// neighbours: nodes whose channels are partial come in parts (Backend::split).
#pragma once
#include "context.h"

namespace nasp::cuda {

template <class S>
int pitch_of(const View<S>& v) {
  return static_cast<int>(v.row_pitch / v.width);
}
template <class S>
bool compact(const View<S>& v) {
  return pitch_of(v) == v.channels;
}
template <class S>
Map map_of(const View<S>& v, int batch) {
  return {batch, v.height, v.width, v.channels};
}
inline std::size_t scalars(const Map& m) { return static_cast<std::size_t>(m.pixels()) * m.channels; }

inline Activation activation_of(const Source<float>& s, bool relu) {
  return {s.x.data, pitch_of(s.x), s.norm, relu};
}

}  // namespace nasp::cuda
