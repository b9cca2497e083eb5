// SGD with momentum, weight decay and clipping by the norm of all gradients of the step (torch.optim.SGD,
// clip_grad_norm_: norm + 1e-6 in the denominator), over the parameters that have a gradient. The others stay as they
// are, or with decay_unselected go on decaying and by old momentum (PyTorch before 2.0; see docs/methods.md).
#pragma once
#include <cmath>

#include "../step_entries.h"

namespace nasp {

// sqrt of the sum of squares of a vector over all weights; `gradient`: over the slots that have one.
template <class S>
void norm(const Run&, double* to, const WeightTable<S>& table, const S* vector, bool gradient) {
  double squares = 0;
  for (int i = 0; i < table.slot_count; i++) {
    const WeightSlot& slot = table.slots[i];
    if (gradient && !slot.has_gradient) continue;
    const S* v = vector + slot.offset;
    double sum = 0;
    for (std::size_t j = 0; j < slot.size; j++) sum += static_cast<double>(v[j]) * v[j];
    squares += sum;
  }
  *to = std::sqrt(squares);
}

template <class S>
void sgd(const Run&, const WeightTable<S>& table, const SgdStep& o, const StepNumbers* numbers) {
  if (!is_finite(numbers->loss) || !is_finite(numbers->gradient_norm)) return;
  const SgdFactors<S> factors(o, numbers->gradient_norm);
  for (int i = 0; i < table.slot_count; i++) {
    const WeightSlot& slot = table.slots[i];
    if (!slot.has_gradient && !o.decay_unselected) continue;
    S *w = table.values + slot.offset, *m = table.momentum + slot.offset;
    const S* g = table.gradients + slot.offset;
    for (std::size_t j = 0; j < slot.size; j++) {
      const SgdEntry<S> entry = stepped<S>({w[j], m[j]}, slot.has_gradient ? g[j] : S(0), factors);
      w[j] = entry.weight, m[j] = entry.momentum;
    }
  }
}

// to = sum of factor * vector, summed in double: one term of factor 1 is a copy. `to` may be among the terms.
template <class S>
void combine(const Run&, S* to, const WeightTable<S>& table, const VectorTerm<S>* terms, int count) {
  for (int i = 0; i < table.slot_count; i++) {
    const WeightSlot& slot = table.slots[i];
    for (std::size_t j = slot.offset; j < slot.offset + slot.size; j++) {
      double sum = 0;
      for (int t = 0; t < count; t++) {
        if (!terms[t].gradient || slot.has_gradient) sum += terms[t].factor * terms[t].data[j];
      }
      to[j] = static_cast<S>(sum);
    }
  }
}

}  // namespace nasp
