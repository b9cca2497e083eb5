#include "../backends/step_functions.h"

#include "skip_dropout.h"

namespace nasp {

template <class S>
const StepFunctions<S>& step_functions(const Backend<S>& backend) {
  static const StepFunctions<S> host = {drop<S>};
  return backend.between ? *backend.between : host;
}

template const StepFunctions<float>& step_functions(const Backend<float>&);
template const StepFunctions<double>& step_functions(const Backend<double>&);

}  // namespace nasp
