#include "step.h"

#include "dense.h"
#include "kernels.h"
#include "views.h"

namespace nasp::cuda {

namespace {

void normalise(const Run& run, const BatchNorm<float>& norm, bool training, double count) {
  Call call(run, __func__);
  launch_normalise(call.context.queue, {norm, training, count});
}

void fold(const Run& run, const BatchNorm<float>& norm, bool training, double factor, double count) {
  Call call(run, __func__);
  launch_fold(call.context.queue, {norm, training, factor, count});
}

void add_product(const Run& run, double* to, const Moments* moments, int channels, const float* scale,
                 const float* shift, ProductOf of) {
  Call call(run, __func__);
  launch_add_product(call.context.queue, {to, moments, scale, shift, channels, of});
}

void convert(const Run& run, float* to, const double* from, int count) {
  Call call(run, __func__);
  launch_convert(call.context.queue, {to, from, count});
}

void drop(const Run& run, const Backend<float>&, View<float> x, const Dropout& dropout) {
  Call call(run, __func__);
  launch_drop(call.context.queue,
              {x.data, pitch_of(x), static_cast<float>(dropout.kept()), dropout, map_of(x, run.batch)});
}

void classify(const Run& run, float* logits, const Classifier<float>& l) {
  Call call(run, __func__);
  launch_spread_bias(call.context.queue, {logits, l.b, nullptr, l.batch, l.outputs});
  product(call.context, "the classifier", logits, l.outputs, CUBLAS_OP_T, CUBLAS_OP_N, l.outputs, l.batch,
          l.channels, l.w, l.channels, l.x, l.channels, 1);
}

void classify_backward(const Run& run, float* dx, float* dw, float* db, const float* d_logits,
                       const Classifier<float>& l) {
  Call call(run, __func__);
  product(call.context, "the classifier's data gradient", dx, l.channels, CUBLAS_OP_N, CUBLAS_OP_N,
          l.channels, l.batch, l.outputs, l.w, l.channels, d_logits, l.outputs);
  if (dw)
    product(call.context, "the classifier's weight gradient", dw, l.channels, CUBLAS_OP_N, CUBLAS_OP_T,
            l.channels, l.outputs, l.batch, l.x, l.channels, d_logits, l.outputs);
  if (db)
    launch_sum_bias(call.context.queue, {const_cast<float*>(d_logits), nullptr, db, l.batch, l.outputs});
}

void cross_entropy(const Run& run, float* d_logits, StepNumbers* numbers, const float* logits,
                   const int* targets, int classes) {
  Call call(run, __func__);
  Context& context = call.context;
  const auto images = static_cast<std::size_t>(run.batch);
  LossArguments a = {d_logits, numbers, logits, targets, nullptr, nullptr, run.batch, classes};
  a.loss = context.scratch.take<double>(context.queue, images);
  a.correct = context.scratch.take<int>(context.queue, images);
  launch_cross_entropy(context.queue, a);
}

void norm(const Run& run, double* to, const WeightTable<float>& table, const float* vector, bool gradient) {
  Call call(run, __func__);
  launch_norm(call.context.queue, {to, table, vector, gradient});
}

void sgd(const Run& run, const WeightTable<float>& table, const SgdStep& step, const StepNumbers* numbers) {
  Call call(run, __func__);
  launch_sgd(call.context.queue, {table, step, numbers});
}

void combine(const Run& run, float* to, const WeightTable<float>& table, const VectorTerm<float>* terms,
             int count) {
  Call call(run, __func__);
  CombineArguments a = {};
  a.to = to, a.table = table, a.count = count;
  for (int t = 0; t < count; t++) a.terms[t] = terms[t];
  launch_combine(call.context.queue, a);
}

void update_alpha(const Run& run, const AlphaTable<float> (&tables)[2], const AlphaStep& step) {
  Call call(run, __func__);
  launch_update_alpha(call.context.queue, {{tables[0], tables[1]}, step});
}

void augment(const Run& run, View<float> x, int* targets, const ImageBytes& data,
             const std::uint32_t* indices, const Augment& step) {
  Call call(run, __func__);
  launch_augment(call.context.queue, {x.data, targets, data, indices, step, run.batch});
}

}  // namespace

const StepFunctions<float> step_functions = {
    .normalise = normalise,
    .fold = fold,
    .add_product = add_product,
    .convert = convert,
    .drop = drop,
    .classify = classify,
    .classify_backward = classify_backward,
    .cross_entropy = cross_entropy,
    .norm = norm,
    .sgd = sgd,
    .combine = combine,
    .update_alpha = update_alpha,
    .augment = augment,
};

}  // namespace nasp::cuda
