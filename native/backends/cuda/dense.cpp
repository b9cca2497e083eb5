#include "dense.h"

namespace nasp::cuda {

namespace {

ConvolutionShape shape_of(const DenseCall& d) {
  return {d.input.batch,     d.input.channels, d.input.height, d.input.width,
          d.output.channels, d.output.height,  d.output.width, *d.part};
}

}  // namespace

Sampling DenseCall::sampling() const {
  if (!pointwise()) return {};
  return {part->stride_h, part->stride_w, -part->pad_h, -part->pad_w};
}

Map DenseCall::read() const {
  if (!pointwise()) return input;
  return {input.batch, output.height, output.width, input.channels};
}

void plan_dense(Context& context, const DenseCall& d) {
  if (d.pointwise()) return;
  for (ConvolutionPass pass :
       {ConvolutionPass::forward, ConvolutionPass::data_gradient, ConvolutionPass::filter_gradient})
    context.convolutions.plan(context.queue, shape_of(d), pass);
}

void product(Context& context, const char* what, float* c, int ldc, cublasOperation_t op_a,
             cublasOperation_t op_b, int m, int n, int k, const float* a, int lda, const float* b, int ldb,
             float beta) {
  if (!context.queue.ok()) return;
  const float one = 1;
  context.queue.called();
  context.queue.check(cublasSgemm(context.blas, op_a, op_b, m, n, k, &one, a, lda, b, ldb, &beta, c, ldc),
                      what);
}

// y (P, O) = x (P, C) w (O, C)^T
void dense_forward(Context& context, const DenseCall& d, float* y, int y_pitch, const float* x, int x_pitch,
                   const float* w) {
  if (!d.pointwise())
    return context.convolutions.run(context.queue, shape_of(d), ConvolutionPass::forward, y, x, w);
  const int c = d.input.channels, o = d.output.channels;
  product(context, "a 1x1 convolution", y, y_pitch, CUBLAS_OP_T, CUBLAS_OP_N, o, d.output.pixels(), c, w, c,
          x, x_pitch);
}

void dense_data_gradient(Context& context, const DenseCall& d, float* dx, const float* dy, int dy_pitch,
                         const float* w) {
  if (!d.pointwise())
    return context.convolutions.run(context.queue, shape_of(d), ConvolutionPass::data_gradient, dx, w, dy);
  const int c = d.input.channels, o = d.output.channels;
  product(context, "a 1x1 convolution's data gradient", dx, c, CUBLAS_OP_N, CUBLAS_OP_N, c, d.output.pixels(),
          o, w, c, dy, dy_pitch);
}

void dense_weight_gradient(Context& context, const DenseCall& d, float* dw, const float* x, int x_pitch,
                           const float* dy, int dy_pitch) {
  if (!d.pointwise())
    return context.convolutions.run(context.queue, shape_of(d), ConvolutionPass::filter_gradient, dw, x, dy);
  const int c = d.input.channels, o = d.output.channels;
  product(context, "a 1x1 convolution's weight gradient", dw, c, CUBLAS_OP_N, CUBLAS_OP_T, c, o,
          d.output.pixels(), x, x_pitch, dy, dy_pitch);
}

}  // namespace nasp::cuda
