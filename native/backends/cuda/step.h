// What a step computes on the device beside units: see ../step_functions.h.
#pragma once
#include "../step_functions.h"

namespace nasp::cuda {

extern const StepFunctions<float> step_functions;

}  // namespace nasp::cuda
