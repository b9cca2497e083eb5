// The head of a net: linear classifier and mean softmax cross-entropy, forward and backward. Small (a batch times a few
// hundred features), so plain loops on one thread.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

#include "../step_entries.h"

namespace nasp {

template <class S>
void linear_forward(const Run&, S* y, const Classifier<S>& l) {
  const std::ptrdiff_t channels = l.channels;
  for (int n = 0; n < l.batch; n++, y += l.outputs) {
    const S* x = l.x + n * channels;
    for (int o = 0; o < l.outputs; o++) {
      const S* w = l.w + o * channels;
      S sum = l.b[o];
      for (int c = 0; c < channels; c++) sum += x[c] * w[c];
      y[o] = sum;
    }
  }
}

// dx (N, C); dw (O, C) and db (O) where not null.
template <class S>
void linear_backward(const Run&, S* dx, S* dw, S* db, const S* dy, const Classifier<S>& l) {
  const std::ptrdiff_t channels = l.channels;
  std::fill_n(dx, l.batch * channels, S(0));
  if (dw) std::fill_n(dw, l.outputs * channels, S(0));
  if (db) std::fill_n(db, l.outputs, S(0));
  for (int n = 0; n < l.batch; n++, dx += channels, dy += l.outputs) {
    const S* x = l.x + n * channels;
    for (int o = 0; o < l.outputs; o++) {
      const S g = dy[o];
      const S* w = l.w + o * channels;
      for (int c = 0; c < channels; c++) dx[c] += g * w[c];
      S* to = dw ? dw + o * channels : nullptr;
      for (int c = 0; to && c < channels; c++) to[c] += g * x[c];
      if (db) db[o] += g;
    }
  }
}

// Mean over the batch, and the number of images whose largest logit (the first of equals) is the target's.
// d_logits (N, O): of the mean.
template <class S>
void softmax_cross_entropy(const Run& run, S* d_logits, StepNumbers* numbers, const S* logits,
                           const int* targets, int classes) {
  const int batch = run.batch;
  double loss = 0;
  int correct = 0;
  std::vector<double> e(static_cast<std::size_t>(classes));
  for (int n = 0; n < batch; n++, d_logits += classes) {
    const S* row = logits + static_cast<std::ptrdiff_t>(n) * classes;
    int best = 0;
    for (int o = 1; o < classes; o++) {
      if (row[o] > row[best]) best = o;
    }
    double sum = 0;
    for (int o = 0; o < classes; o++) sum += e[static_cast<std::size_t>(o)] = exponential(row[o], row[best]);
    loss += image_loss(sum, row[targets[n]], row[best]);
    correct += best == targets[n];
    for (int o = 0; o < classes; o++)
      d_logits[o] = logit_gradient<S>(e[static_cast<std::size_t>(o)], sum, o == targets[n], batch);
  }
  numbers->loss = loss / batch;
  numbers->correct = correct;
}

}  // namespace nasp
