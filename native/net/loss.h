// The head of a net: linear classifier and mean softmax cross-entropy, forward and backward. Small (a batch times a few
// hundred features), so plain loops on one thread.
#pragma once
#include <cmath>
#include <vector>

#include "../backends/step_functions.h"

namespace nasp {

template <class S>
void linear_forward(const Run&, S* y, const Classifier<S>& l) {
  for (int n = 0; n < l.batch; n++) {
    for (int o = 0; o < l.outputs; o++) {
      S sum = l.b[o];
      for (int c = 0; c < l.channels; c++) sum += l.x[n * l.channels + c] * l.w[o * l.channels + c];
      y[n * l.outputs + o] = sum;
    }
  }
}

// dx (N, C); dw (O, C) and db (O) where not null.
template <class S>
void linear_backward(const Run&, S* dx, S* dw, S* db, const S* dy, const Classifier<S>& l) {
  const int channels = l.channels;
  for (int i = 0; i < l.batch * channels; i++) dx[i] = 0;
  for (int i = 0; dw && i < l.outputs * channels; i++) dw[i] = 0;
  for (int i = 0; db && i < l.outputs; i++) db[i] = 0;
  for (int n = 0; n < l.batch; n++) {
    for (int o = 0; o < l.outputs; o++) {
      const S g = dy[n * l.outputs + o];
      for (int c = 0; c < channels; c++) dx[n * channels + c] += g * l.w[o * channels + c];
      if (dw)
        for (int c = 0; c < channels; c++) dw[o * channels + c] += g * l.x[n * channels + c];
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
  for (int n = 0; n < batch; n++) {
    const S* row = logits + n * classes;
    int best = 0;
    for (int o = 1; o < classes; o++) {
      if (row[o] > row[best]) best = o;
    }
    double sum = 0;
    for (int o = 0; o < classes; o++)
      sum += e[static_cast<std::size_t>(o)] = std::exp(static_cast<double>(row[o]) - row[best]);
    loss += std::log(sum) - (static_cast<double>(row[targets[n]]) - row[best]);
    correct += best == targets[n];
    for (int o = 0; o < classes; o++) {
      d_logits[n * classes + o] =
          static_cast<S>((e[static_cast<std::size_t>(o)] / sum - (o == targets[n])) / batch);
    }
  }
  numbers->loss = loss / batch;
  numbers->correct = correct;
  numbers->count = batch;
}

}  // namespace nasp
