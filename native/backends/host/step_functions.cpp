// The host's step functions, in one table.
#include "../step_functions.h"

#include "alpha.h"
#include "batch_norm.h"
#include "loss.h"
#include "optimizer.h"
#include "skip_dropout.h"

namespace nasp {

namespace {

template <class S>
void convert(const Run&, S* to, const double* from, int count) {
  for (int i = 0; i < count; i++) to[i] = static_cast<S>(from[i]);
}

}  // namespace

template <class S>
const StepFunctions<S>& step_functions(const Backend<S>& backend) {
  static const StepFunctions<S> host = {
      .normalise = normalise<S>,
      .fold = fold<S>,
      .add_product = add_product<S>,
      .convert = convert<S>,
      .drop = drop<S>,
      .classify = linear_forward<S>,
      .classify_backward = linear_backward<S>,
      .cross_entropy = softmax_cross_entropy<S>,
      .norm = norm<S>,
      .sgd = sgd<S>,
      .combine = combine<S>,
      .update_alpha = update_alpha<S>,
      .augment = nullptr,
  };
  return backend.between ? *backend.between : host;
}

template const StepFunctions<float>& step_functions(const Backend<float>&);
template const StepFunctions<double>& step_functions(const Backend<double>&);

}  // namespace nasp
