// The dense parts of a unit. 1x1 parts are matrix products by cuBLAS, on the pixels that the stride leaves; all others are
// cuDNN's convolutions on the whole input. Weights (O, taps, C).
#pragma once
#include "context.h"

namespace nasp::cuda {

struct DenseCall {
  const DensePart* part;
  Map input, output;  // channels: of the unit's input, and of this part's output

  bool pointwise() const { return part->taps() == 1; }
  Sampling sampling() const;  // of what the product reads: identity unless pointwise
  Map read() const;           // the map of x: the sampled pixels where pointwise, else the input
};

void plan_dense(Context&, const DenseCall&);

// Row-major matrices are the transposes of cuBLAS's: c (rows, columns) = op(a) op(b) is c^T = op(b)^T op(a)^T there, which this
// is given. beta 1: added to c.
void product(Context&, const char* what, float* c, int ldc, cublasOperation_t op_a, cublasOperation_t op_b,
             int m, int n, int k, const float* a, int lda, const float* b, int ldb, float beta = 0);

// Compact x and dx, of read()'s map; y and dy with a pitch, which is the part's channels unless pointwise.
void dense_forward(Context&, const DenseCall&, float* y, int y_pitch, const float* x, int x_pitch,
                   const float* w);
void dense_data_gradient(Context&, const DenseCall&, float* dx, const float* dy, int dy_pitch,
                         const float* w);
void dense_weight_gradient(Context&, const DenseCall&, float* dw, const float* x, int x_pitch,
                           const float* dy, int dy_pitch);

}  // namespace nasp::cuda
