// What a net computes beside units: the host's (net/step_functions.cpp), or a device's own, where a step's numbers lie in
// device memory. Beside Backend (backend.h), whose contract holds here too.
#pragma once
#include <cstdint>

#include "backend.h"

namespace nasp {

// Dropout behind an identity skip (P-DARTS): each element is kept with probability 1 - rate and then divided by it. The
// mask is a function of (seed, counter, place, image, channel, pixel), so backward draws it again, and every backend draws
// the same. Image 4 q + r of channel c, row h, column w takes word r of number ((q C + c) H + h) W + w.
struct Dropout {
  double rate;
  std::uint64_t seed;
  std::uint32_t counter, place;  // of the pass; which skip of the net
};

template <class S>
struct StepFunctions {
  void (*drop)(const Run&, const Backend<S>& backend, View<S> x, const Dropout& dropout);  // in place
};

// The backend's own, else the host's.
template <class S>
const StepFunctions<S>& step_functions(const Backend<S>& backend);

}  // namespace nasp
