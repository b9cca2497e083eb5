// SGD with momentum, weight decay and clipping by the norm of all gradients of the step (torch.optim.SGD,
// clip_grad_norm_: norm + 1e-6 in the denominator), over the parameters that have a gradient. The others stay as they
// are, or with decay_unselected go on decaying and by old momentum (PyTorch before 2.0; see docs/methods.md).
#pragma once
#include <cmath>

#include "../core/parallel.h"
#include "parameters.h"

namespace nasp {

template <class S>
double gradient_norm(Parameters<S>& parameters) {
  double sum = 0;
  for (std::size_t i = 0; i < parameters.slots().size(); i++) {
    const Slot& p = parameters.slots()[i];
    if (!p.has_gradient) continue;
    const S* g = parameters.gradient(static_cast<int>(i));
    double part = 0;
    for (std::size_t j = 0; j < p.size; j++) part += static_cast<double>(g[j]) * g[j];
    sum += part;
  }
  return std::sqrt(sum);
}

template <class S>
void sgd_step(Parameters<S>& parameters, const WeightUpdate& o, double norm) {
  const double ratio = o.clip > 0 ? o.clip / (norm + 1e-6) : 1;
  const S factor = static_cast<S>(ratio < 1 ? ratio : 1), lr = static_cast<S>(o.lr),
          momentum = static_cast<S>(o.momentum), decay = static_cast<S>(o.weight_decay);
  for (std::size_t i = 0; i < parameters.slots().size(); i++) {
    Slot& p = parameters.slots()[i];
    if (!p.has_gradient && !o.decay_unselected) continue;
    S *w = parameters.value(static_cast<int>(i)), *m = parameters.momentum(static_cast<int>(i));
    const S* g = parameters.gradient(static_cast<int>(i));
    for (std::size_t j = 0; j < p.size; j++) {
      const S step = (p.has_gradient ? factor * g[j] : S(0)) + decay * w[j];
      m[j] = momentum * m[j] + step;
      w[j] -= lr * (o.nesterov ? step + momentum * m[j] : m[j]);
    }
    p.version++;
  }
}

}  // namespace nasp
