// Units forward: propagate (y stored) and probe (y in scratch memory, gone at the end of the unit), one driver. Copies of
// the source that units of a call feed to cuDNN and cuBLAS are made once and shared.
#include <vector>

#include "dense.h"
#include "kernels.h"
#include "units.h"
#include "views.h"

namespace nasp::cuda {

namespace {

// What a call's units read: the source itself, or its normalised, ReLU'd or sampled copies.
class Inputs {
 public:
  Inputs(Context& context, const Activation& source, const Map& map)
      : context_(context), source_(source), map_(map) {}

  Activation activation(bool relu) const {
    Activation a = source_;
    a.relu = relu;
    return a;
  }

  struct Matrix {
    const float* data;
    int pitch;
  };
  // compact: pixels must follow on each other
  Matrix copy(bool relu, const Sampling& sampling, const Map& to, bool compact) {
    if (!relu && !source_.norm.scale && sampling == Sampling{} &&
        (!compact || source_.pitch == map_.channels))
      return {source_.x, source_.pitch};
    for (const Copy& c : copies_) {
      if (c.relu == relu && c.sampling == sampling) return {c.data, map_.channels};
    }
    float* data = context_.scratch.take<float>(context_.queue, scalars(to));
    launch_activate(context_.queue, {data, activation(relu), map_, to, sampling});
    copies_.push_back({relu, sampling, data});
    return {data, map_.channels};
  }

 private:
  struct Copy {
    bool relu;
    Sampling sampling;
    const float* data;
  };
  Context& context_;
  Activation source_;
  Map map_;
  std::vector<Copy> copies_;
};

void dense_parts(Context& context, Inputs& inputs, const Unit& unit, const Map& input, const Map& output,
                 float* y, const float* weights) {
  for (int i = 0, first = 0; i < unit.parts; first += unit.dense[i].out, i++) {
    const DensePart& part = unit.dense[i];
    const DenseCall d = {&part, input, {output.batch, output.height, output.width, part.out}};
    const Inputs::Matrix x = inputs.copy(unit.relu, d.sampling(), d.read(), !d.pointwise());
    dense_forward(context, d, y + first, output.channels, x.data, x.pitch, weights);
    weights += unit.dense_weights(i);
  }
}

// Of y (N, H, W, C), compact: moments and, where g is not null, products with it.
MomentsArguments moments_of(Context& context, const Activation& y, const Map& map, View<const float> g,
                            Moments* moments) {
  MomentsArguments a = {};
  a.x = y, a.map = map, a.moments = moments;
  if (g) a.g = g.data, a.g_pitch = pitch_of(g);
  a.partial = moment_partials(context, map);
  return a;
}

// Copies outlive the unit, so they are taken before what is given back at its end.
void copy_inputs(Inputs& inputs, const Unit& unit, const Map& input, const Map& output) {
  if (unit.kind != UnitKind::convolve || unit.depthwise()) return;
  if (unit.paired()) {
    inputs.copy(unit.relu, {}, input, true);
    return;
  }
  for (int i = 0; i < unit.parts; i++) {
    const DenseCall d = {
        &unit.dense[i], input, {output.batch, output.height, output.width, unit.dense[i].out}};
    inputs.copy(unit.relu, d.sampling(), d.read(), !d.pointwise());
  }
}

void pool(Context& context, const Inputs& inputs, const ForwardUnit<float>& u, const Map& input,
          const Map& output) {
  const Unit& unit = *u.unit;
  PoolArguments a = {};
  a.x = inputs.activation(false), a.y = u.y.data, a.y_pitch = unit.out, a.input = input, a.output = output;
  a.kernel = unit.kernel, a.stride = unit.stride, a.pad = unit.pad(), a.max = unit.kind == UnitKind::max_pool;
  MomentsArguments m = moments_of(context, {}, output, u.g, u.moments);
  m.first = context.scratch.take<float>(context.queue, static_cast<std::size_t>(unit.out));
  launch_pool_forward(context.queue, a, m);
}

void depthwise(Context& context, const Inputs& inputs, const Unit& unit, const Map& input, const Map& output,
               float* y, const float* weights) {
  const Map between = {output.batch, output.height, output.width, unit.in};
  DepthwiseArguments a = {};
  a.x = inputs.activation(unit.relu), a.w = weights, a.input = input, a.output = between;
  a.y = context.scratch.take<float>(context.queue, scalars(between));
  a.dilation = unit.dilation, a.stride = unit.stride, a.pad = unit.pad();
  launch_depthwise_forward(context.queue, unit.kernel, a);
  dense_forward(context, {&unit.dense[0], between, output}, y, unit.out, a.y, unit.in,
                weights + packed_first(unit));
}

void pair(Context& context, Inputs& inputs, const Unit& unit, const Map& input, const Map& output, float* y,
          const float* weights) {
  const Map between = {input.batch, input.height, output.width, unit.row.out};
  const Inputs::Matrix x = inputs.copy(unit.relu, {}, input, true);
  float* mid = context.scratch.take<float>(context.queue, scalars(between));
  dense_forward(context, {&unit.row, input, between}, mid, unit.row.out, x.data, x.pitch, weights);
  dense_forward(context, {&unit.dense[0], between, output}, y, unit.out, mid, unit.row.out,
                weights + packed_first(unit));
}

void forward_unit(Context& context, Inputs& inputs, const ForwardUnit<float>& u, const Map& input) {
  const Unit& unit = *u.unit;
  const Map output = {input.batch, unit.out_height(input.height), unit.out_width(input.width), unit.out};
  copy_inputs(inputs, unit, input, output);
  const std::size_t mark = context.scratch.mark();
  if (unit.kind == UnitKind::identity) {
    launch_moments(context.queue, moments_of(context, inputs.activation(false), input, u.g, u.moments));
  } else if (unit.kind != UnitKind::convolve) {
    pool(context, inputs, u, input, output);
  } else {
    float* y = u.y ? u.y.data : context.scratch.take<float>(context.queue, scalars(output));
    if (unit.depthwise())
      depthwise(context, inputs, unit, input, output, y, u.packed);
    else if (unit.paired())
      pair(context, inputs, unit, input, output, y, u.packed);
    else
      dense_parts(context, inputs, unit, input, output, y, u.packed);
    launch_moments(context.queue, moments_of(context, {y, unit.out, {}, false}, output, u.g, u.moments));
  }
  context.scratch.rewind(mark);
}

}  // namespace

void forward_units(const Run& run, const ForwardUnit<float>* units, int count, const Source<float>& x) {
  Call call(run, __func__);
  Context& context = call.context;
  const Map input = map_of(x.x, run.batch);
  Inputs inputs(context, activation_of(x, false), input);
  for (int u = 0; u < count && context.queue.ok(); u++) forward_unit(context, inputs, units[u], input);
}

void plan_unit(Context& context, const Unit& unit, int batch, int height, int width) {
  if (unit.kind != UnitKind::convolve || unit.depthwise()) return;
  Map from = {batch, height, width, unit.in};
  if (unit.paired()) {
    const Map between = {batch, height, unit.out_width(width), unit.row.out};
    plan_dense(context, {&unit.row, from, between});
    from = between;
  }
  for (int i = 0; i < unit.parts; i++) {
    const Map to = {batch, unit.out_height(height), unit.out_width(width), unit.dense[i].out};
    plan_dense(context, {&unit.dense[i], from, to});
  }
}

std::size_t packed_size(const Unit& unit, bool) {
  std::size_t n = packed_first(unit);
  for (int i = 0; i < unit.parts; i++) n += unit.dense_weights(i);
  return n;
}

void pack_unit(const Run& run, const Unit& unit, float* packed, const UnitWeights<float>& w, bool) {
  Call call(run, __func__);
  Queue& queue = call.context.queue;
  if (unit.depthwise())
    launch_move_taps(queue, {packed, w.first, 1, unit.in, unit.kernel * unit.kernel, true});
  if (unit.paired()) launch_move_taps(queue, {packed, w.first, unit.row.out, unit.in, unit.row.taps(), true});
  packed += packed_first(unit);
  for (int i = 0; i < unit.parts; packed += unit.dense_weights(i), i++)
    launch_move_taps(queue,
                     {packed, w.dense[i], unit.dense[i].out, unit.between(), unit.dense[i].taps(), true});
}

}  // namespace nasp::cuda
