// The head of a net: linear classifier and mean softmax cross-entropy, forward and backward. Small (a batch times a few
// hundred features), so plain loops on one thread.
#pragma once
#include <cmath>
#include <vector>

namespace nasp {

// y (N, O) = x (N, C) w (O, C)^T + b
template <class S>
void linear_forward(S* y, const S* x, const S* w, const S* b, int batch, int outputs, int channels) {
  for (int n = 0; n < batch; n++) {
    for (int o = 0; o < outputs; o++) {
      S sum = b[o];
      for (int c = 0; c < channels; c++) sum += x[n * channels + c] * w[o * channels + c];
      y[n * outputs + o] = sum;
    }
  }
}

// dx (N, C); dw (O, C) and db (O) where not null.
template <class S>
void linear_backward(S* dx, S* dw, S* db, const S* dy, const S* x, const S* w, int batch, int outputs,
                     int channels) {
  for (int i = 0; i < batch * channels; i++) dx[i] = 0;
  for (int i = 0; dw && i < outputs * channels; i++) dw[i] = 0;
  for (int i = 0; db && i < outputs; i++) db[i] = 0;
  for (int n = 0; n < batch; n++) {
    for (int o = 0; o < outputs; o++) {
      const S g = dy[n * outputs + o];
      for (int c = 0; c < channels; c++) dx[n * channels + c] += g * w[o * channels + c];
      if (dw)
        for (int c = 0; c < channels; c++) dw[o * channels + c] += g * x[n * channels + c];
      if (db) db[o] += g;
    }
  }
}

// Mean over the batch, and the number of images whose largest logit (the first of equals) is the target's.
// d_logits (N, O), where not null: of the mean.
template <class S>
double softmax_cross_entropy(S* d_logits, int* correct, const S* logits, const int* targets, int batch,
                             int classes) {
  double loss = 0;
  *correct = 0;
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
    *correct += best == targets[n];
    for (int o = 0; d_logits && o < classes; o++) {
      d_logits[n * classes + o] =
          static_cast<S>((e[static_cast<std::size_t>(o)] / sum - (o == targets[n])) / batch);
    }
  }
  return loss / batch;
}

}  // namespace nasp
