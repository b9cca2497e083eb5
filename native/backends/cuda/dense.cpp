#include "dense.h"

namespace nasp::cuda {

namespace {

constexpr float one = 1, zero = 0;

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

// Row-major matrices are the transposes of cuBLAS's: y (P, O) = x (P, C) w (O, C)^T is y^T = w x^T there.
void dense_forward(Context& context, const DenseCall& d, float* y, int y_pitch, const float* x, int x_pitch,
                   const float* w) {
  if (!d.pointwise())
    return context.convolutions.run(context.queue, shape_of(d), ConvolutionPass::forward, x, w, y);
  if (!context.queue.ok()) return;
  const int c = d.input.channels, o = d.output.channels;
  context.queue.called();
  context.queue.check(cublasSgemm(context.blas, CUBLAS_OP_T, CUBLAS_OP_N, o, d.output.pixels(), c, &one, w, c,
                                  x, x_pitch, &zero, y, y_pitch),
                      "a 1x1 convolution");
}

void dense_data_gradient(Context& context, const DenseCall& d, float* dx, int dx_pitch, const float* dy,
                         int dy_pitch, const float* w) {
  if (!d.pointwise())
    return context.convolutions.run(context.queue, shape_of(d), ConvolutionPass::data_gradient, dx, w, dy);
  if (!context.queue.ok()) return;
  const int c = d.input.channels, o = d.output.channels;
  context.queue.called();
  context.queue.check(cublasSgemm(context.blas, CUBLAS_OP_N, CUBLAS_OP_N, c, d.output.pixels(), o, &one, w, c,
                                  dy, dy_pitch, &zero, dx, dx_pitch),
                      "a 1x1 convolution's data gradient");
}

void dense_weight_gradient(Context& context, const DenseCall& d, float* dw, const float* x, int x_pitch,
                           const float* dy, int dy_pitch) {
  if (!d.pointwise())
    return context.convolutions.run(context.queue, shape_of(d), ConvolutionPass::filter_gradient, x, dw, dy);
  if (!context.queue.ok()) return;
  const int c = d.input.channels, o = d.output.channels;
  context.queue.called();
  context.queue.check(cublasSgemm(context.blas, CUBLAS_OP_N, CUBLAS_OP_T, c, o, d.output.pixels(), &one, x,
                                  x_pitch, dy, dy_pitch, &zero, dw, c),
                      "a 1x1 convolution's weight gradient");
}

}  // namespace nasp::cuda
