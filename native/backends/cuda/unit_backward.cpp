// A unit backward: from dL/dy of its pre-norm output (BatchNorm's backward folded in) to dx, through the ReLU of its load,
// and to the gradients of its weights.
//
//   dense      dx = the transposed convolution of dy; dw = dy x activation
//   pair       d mid = the transposed k x 1 of dy; dx = the transposed 1 x k of d mid; mid is computed again for the k x 1's
//              gradient
//   depthwise  d mid = 1x1 transposed of dy; dx = transposed depthwise of d mid; the depthwise result is computed again for
//              the 1x1's gradient
// Scratch    at most dy, d mid, mid or an activated copy, and dx before the ReLU: see activations_at_work (context.cpp)
#include "dense.h"
#include "kernels.h"
#include "units.h"
#include "views.h"

namespace nasp::cuda {

namespace {

struct Gradient {
  const float* data;  // compact
  Map map;
};

// A unit's backward at work.
struct Backward {
  Context& context;
  Queue& queue;
  Scratch& scratch;
  const BackwardUnit<float>& b;
  const Unit& unit;
  Activation x;  // as the unit loads it
  Map input, output;
  const float* weights;  // on the device
  Gradient dy;
  GradientTarget to;

  bool wants_dx() const { return static_cast<bool>(b.dx); }
  void pool() const;
  void depthwise() const;
  void pair() const;
  MomentsArguments moments_of_dx() const;
  void weight_gradient(float* to, const DenseCall& d, const float* x, int x_pitch, const float* dy,
                       int dy_pitch) const;
  const float* activated(const Map& read, const Sampling& sampling, int* pitch) const;
  void dense(int part, int first, const float* w) const;
  void pass(const float* d, const Map& sampled, const Sampling& sampling, bool accumulate) const;
};

Gradient folded(Context& context, const GradientSource<float>& dy, const Map& map,
                const FoldArguments& coefficients) {
  if (!dy.a && compact(dy.g)) return {dy.g.data, map};
  FoldArguments a = coefficients;
  a.y = context.scratch.take<float>(context.queue, scalars(map));
  a.g = dy.g.data, a.g_pitch = pitch_of(dy.g), a.map = map;
  if (dy.a) a.x = dy.y.data, a.x_pitch = pitch_of(dy.y);
  launch_fold_gradient(context.queue, a);
  return {a.y, map};
}

// dx (+)= d at the sampled pixels, through the unit's ReLU.
void Backward::pass(const float* d, const Map& sampled, const Sampling& sampling, bool accumulate) const {
  PassArguments a = {to, d, input, sampled, sampling};
  a.to.accumulate = accumulate;
  launch_pass_gradient(queue, a);
}

void Backward::pool() const {
  if (!wants_dx()) return;
  PoolArguments a = {};
  a.x = x, a.dy = dy.data, a.to = to, a.input = input, a.output = output;
  a.kernel = unit.kernel, a.stride = unit.stride, a.pad = unit.pad(), a.max = unit.kind == UnitKind::max_pool;
  if (a.max) a.winner = scratch.take<unsigned char>(queue, scalars(output));
  launch_pool_backward(queue, a);
}

void Backward::depthwise() const {
  const Map between = {output.batch, output.height, output.width, unit.in};
  const DenseCall product = {&unit.dense[0], between, output};
  const float* dense_weights = weights + packed_first(unit);
  DepthwiseArguments a = {};
  a.x = x, a.w = weights, a.input = input, a.output = between;
  a.dilation = unit.dilation, a.stride = unit.stride, a.pad = unit.pad();
  float* d_mid = scratch.take<float>(queue, scalars(between));
  if (wants_dx() || b.first_gradient)
    dense_data_gradient(context, product, d_mid, dy.data, unit.out, dense_weights);
  if (wants_dx()) {
    a.y = d_mid, a.to = to;
    if (b.dx_moments)
      launch_depthwise_data_gradient_sums(queue, unit.kernel, a, moments_of_dx());
    else
      launch_depthwise_data_gradient(queue, unit.kernel, a);
  }
  if (b.first_gradient) {
    const int taps = unit.kernel * unit.kernel;
    const std::size_t n = unit.first_weights();
    float* total = scratch.take<float>(queue, n);
    a.y = d_mid;
    a.partial = scratch.take<float>(queue, n * static_cast<std::size_t>(depthwise_pieces(between)));
    launch_depthwise_weight_gradient(queue, unit.kernel, a, total);
    launch_move_taps(queue, {b.first_gradient, total, 1, unit.in, taps, false});
  }
  if (b.dense_gradient[0]) {
    a.y = scratch.take<float>(queue, scalars(between));
    launch_depthwise_forward(queue, unit.kernel, a);
    dense_weight_gradient(context, product, b.dense_gradient[0], a.y, unit.in, dy.data, unit.out);
  }
}

// What the unit's products read: the source itself, or a compact copy of it.
const float* Backward::activated(const Map& read, const Sampling& sampling, int* pitch) const {
  *pitch = unit.in;
  if (!x.relu && !x.norm.scale && sampling == Sampling{} && x.pitch == unit.in) return x.x;
  float* copy = scratch.take<float>(queue, scalars(read));
  launch_activate(queue, {copy, x, input, read, sampling});
  return copy;
}

MomentsArguments Backward::moments_of_dx() const {
  MomentsArguments a = {};
  a.centre = b.x.norm.mean, a.moments = b.dx_moments, a.map = input;
  a.partial = moment_partials(context, input);
  return a;
}

// In the nets' layout (O, C, taps).
void Backward::weight_gradient(float* to, const DenseCall& d, const float* x, int x_pitch, const float* dy,
                               int dy_pitch) const {
  const int out = d.output.channels, in = d.input.channels, taps = d.part->taps();
  if (taps == 1) return dense_weight_gradient(context, d, to, x, x_pitch, dy, dy_pitch);
  const std::size_t mark = scratch.mark();
  float* dw = scratch.take<float>(queue, static_cast<std::size_t>(out) * in * taps);
  dense_weight_gradient(context, d, dw, x, x_pitch, dy, dy_pitch);
  launch_move_taps(queue, {to, dw, out, in, taps, false});
  scratch.rewind(mark);
}

void Backward::pair() const {
  const Map between = {input.batch, input.height, output.width, unit.row.out};
  const DenseCall row = {&unit.row, input, between}, column = {&unit.dense[0], between, output};
  const float* column_weights = weights + packed_first(unit);
  float* d_mid = scratch.take<float>(queue, scalars(between));
  if (wants_dx() || b.first_gradient)
    dense_data_gradient(context, column, d_mid, dy.data, unit.out, column_weights);
  if (wants_dx()) {
    const std::size_t mark = scratch.mark();
    float* before_relu = scratch.take<float>(queue, scalars(input));
    dense_data_gradient(context, row, before_relu, d_mid, unit.row.out, weights);
    pass(before_relu, input, {}, to.accumulate);
    scratch.rewind(mark);
  }
  if (!b.first_gradient && !b.dense_gradient[0]) return;
  int pitch = 0;
  const float* read = activated(input, {}, &pitch);
  if (b.first_gradient) {
    weight_gradient(b.first_gradient, row, read, pitch, d_mid, unit.row.out);
  }
  if (b.dense_gradient[0]) {
    float* mid = scratch.take<float>(queue, scalars(between));
    dense_forward(context, row, mid, unit.row.out, read, pitch, weights);
    weight_gradient(b.dense_gradient[0], column, mid, unit.row.out, dy.data, unit.out);
  }
}

// `first`: the part's first output channel.
void Backward::dense(int i, int first, const float* w) const {
  const DensePart& part = unit.dense[i];
  const DenseCall d = {&part, input, {output.batch, output.height, output.width, part.out}};
  const Map read = d.read();
  const std::size_t mark = scratch.mark();
  if (wants_dx()) {
    float* before_relu = scratch.take<float>(queue, scalars(read));
    dense_data_gradient(context, d, before_relu, dy.data + first, unit.out, w);
    pass(before_relu, read, d.sampling(), i > 0 || to.accumulate);
    scratch.rewind(mark);
  }
  if (!b.dense_gradient[i]) return;
  int pitch = 0;
  const float* read_x = activated(read, d.sampling(), &pitch);
  weight_gradient(b.dense_gradient[i], d, read_x, pitch, dy.data + first, unit.out);
  scratch.rewind(mark);
}

void backward_unit(const Run& run, const BackwardUnit<float>& b) {
  Call call(run, __func__);
  Context& context = call.context;
  const Unit& unit = *b.unit;
  const Map input = map_of(b.x.x, run.batch), output = map_of(b.dy.g, run.batch);
  const Activation x = activation_of(b.x, unit.relu);
  FoldArguments coefficients = {};
  if (b.dy.a)
    coefficients.mean = b.dy.mean, coefficients.a = b.dy.a, coefficients.b = b.dy.b, coefficients.c = b.dy.c;
  const float* weights = b.packed;
  GradientTarget to;
  if (b.dx) {
    to = {b.dx.data, pitch_of(b.dx), b.write == Write::accumulate, {}};
    if (unit.relu) to.gate = x;
  }
  const Backward work = {
      context, context.queue, context.scratch, b,       unit,
      x,       input,         output,          weights, folded(context, b.dy, output, coefficients),
      to};
  if (unit.kind != UnitKind::convolve) {
    work.pool();
  } else if (unit.depthwise()) {
    work.depthwise();
  } else if (unit.paired()) {
    work.pair();
  } else {
    const float* w = weights;
    for (int i = 0, first = 0; i < unit.parts; first += unit.dense[i].out, i++) {
      work.dense(i, first, w);
      w += unit.dense_weights(i);
    }
  }
}

}  // namespace

void backward_units(const Run& run, const BackwardUnit<float>* units, int count) {
  for (int i = 0; i < count; i++) backward_unit(run, units[i]);
}

}  // namespace nasp::cuda
