// What a backend gives to the nets: a table of functions over units.
//
// Contract  outputs first, then inputs, then parameters; dx is the gradient of x. Forward writes (=). Backward obeys
//           Write::{overwrite, accumulate}; a null pointer or view means "not wanted". No kernel reads a clock or a global.
// Errors    the host's kernels throw where memory is wanting, and only then (Error ERR_NASP_OUT_OF_MEMORY, bad_alloc):
//           workspaces grow in the first steps and are kept, a call's list of units and packing take some as well. A device's
//           throw nothing: see device.h
// Layout    the backend's own (see core/tensor.h); load and store convert from and to (N, C, H, W).
// Memory    pointers and views are to the backend's memory, which on a device (device.h) is written when its queue comes to
//           it: the host reads it through Memory alone (core/memory.h). In the host's lie units, the structs that hold
//           pointers, lists of those, x of load, y of store, and what is marked "host"; done with when a function returns.
// Sums      are taken a piece of work at a time and merged in piece order; pieces do not depend on the number of
//           threads, so results are the same bits on any number of them.
// Batch     Run::batch images are live; the lanes beyond it in the last block count in no sum and no gradient. load repeats the
//           last image in them.
#pragma once
#include <cstddef>

#include "../core/tensor.h"
#include "../ops/unit.h"

namespace nasp {

class Parallel;
class Workspace;
struct DeviceFunctions;
template <class S>
struct StepFunctions;

struct Run {
  Parallel& parallel;
  Workspace& workspace;
  int batch;               // live images
  void* device = nullptr;  // Device::handle() of the session
};

// Per-channel affine map on load: scale * (v - mean) + shift. Null: as is. This is how BatchNorm is applied.
template <class S>
struct Normalise {
  const S *mean = nullptr, *scale = nullptr, *shift = nullptr;
};

// An activation as its consumers see it: stored before its BatchNorm, normalised whenever it is loaded.
template <class S>
struct Source {
  View<const S> x;
  Normalise<S> norm;
};

// dL/dy of a unit's pre-norm output: of g = dL/dz and y, with BatchNorm's backward folded into the load:
// a * g + b * (y - mean) + c per channel. a null: g itself (no BatchNorm).
template <class S>
struct GradientSource {
  View<const S> g, y;
  const S *mean = nullptr, *a = nullptr, *b = nullptr, *c = nullptr;
};

// Some of their channels.
template <class S>
Source<S> part_of(Source<S> source, int first, int channels) {
  source.x = source.x.slice(first, channels);
  if (source.norm.scale) source.norm.mean += first, source.norm.scale += first, source.norm.shift += first;
  return source;
}
template <class S>
GradientSource<S> part_of(GradientSource<S> dy, int first, int channels) {
  dy.g = dy.g.slice(first, channels);
  if (dy.a) dy.y = dy.y.slice(first, channels), dy.mean += first, dy.a += first, dy.b += first, dy.c += first;
  return dy;
}

enum class Write { overwrite, accumulate };

// Raw weights of a unit, O I H W; and the backend's packed copy of them.
template <class S>
struct UnitWeights {
  const S* first = nullptr;  // of the depthwise convolution or the row
  const S* dense[2] = {nullptr, nullptr};
};

// What a forward pass finds out about a channel of y.
struct Moments {
  double mean, variance;        // biased, over live images and all pixels
  double gradient, gradient_y;  // sum of g, sum of g * (y - mean); zero unless g was given
};

template <class S>
struct ForwardUnit {
  const Unit* unit;
  const S* packed;     // null for pools and identity
  View<S> y;           // stored (propagate); null where g is given
  View<const S> g;     // y is multiplied with it, and not stored (probe); null where y is given
  Moments* moments;    // one an output channel
  bool pairs = false;  // packed by pack_pairs, and computed so
};

template <class S>
struct BackwardUnit {
  const Unit* unit;
  const S* packed;  // packed with backward = true
  Source<S> x;
  GradientSource<S> dy;
  View<S> dx;  // of the source after its normalisation, before the unit's ReLU
  Write write;
  S *first_gradient, *dense_gradient[2];  // O I H W, overwritten
  // One a channel of a normalised x; null: not wanted. Of dx about x.norm.mean, as gradient_sums would find them: they
  // belong to the unit whose output x is. Only of units with a ReLU and a depthwise convolution, and scale not zero.
  Moments* dx_moments = nullptr;
};

template <class S>
struct Term {  // of a node's sum
  Source<S> x;
  S weight;
};

// A stored y with a known mean, whose moments[c].gradient and .gradient_y are wanted: sum of g and of g * (y - mean).
template <class S>
struct Measured {
  Moments* moments;
  View<const S> y;
  const S* mean;
};

template <class S>
struct Backend {
  const char* name;
  int lanes;

  int (*blocks)(int batch);  // of images that lie side by side
  View<S> (*view)(S* data, int channels, int height, int width);
  // Scalars of a view of blocks(batch) blocks.
  std::size_t (*size)(int batch, int channels, int height, int width);
  void (*load)(const Run&, View<S> y, const S* x);   // (N, C, H, W)
  void (*store)(const Run&, S* y, View<const S> x);  // (N, C, H, W)

  // Of a unit's weights, in scalars; backward: with what backward needs too.
  std::size_t (*packed_size)(const Unit&, bool backward);
  void (*pack)(const Run&, const Unit&, S* packed, const UnitWeights<S>&, bool backward);

  // For ForwardUnit::pairs, in as many scalars as a forward pass takes: products of input channels in bfloat16, two at a time,
  // where there are products of channels at all. Null: not on this processor, or not in this precision.
  void (*pack_pairs)(const Run&, const Unit&, S* packed, const UnitWeights<S>&) = nullptr;

  // Units that read one source; they may differ in everything else.
  void (*forward)(const Run&, const ForwardUnit<S>* units, int count, const Source<S>& x);
  // Units that read one source and add to one dx: of several the first writes as it says, the others accumulate.
  void (*backward)(const Run&, const BackwardUnit<S>* units, int count);
  void (*gradient_sums)(const Run&, View<const S> g, const Measured<S>* of, int count);

  void (*node_sum)(const Run&, View<S> y, const Term<S>* terms, int count);
  // dx (+)= weight * g; g null: dx = 0, whatever Write says
  void (*add)(const Run&, View<S> dx, Write, View<const S> g, S weight);

  void (*global_average)(const Run&, S* y, const Source<S>& x);          // y (N, C)
  void (*global_average_backward)(const Run&, View<S> dx, const S* dy);  // overwrites

  // Of a node that interleaves `count` parts (net/node_parts.h): from and to parts (count, views of an equal share of its
  // channels). Null: here a view of every count-th channel is as good as one of neighbours.
  void (*split)(const Run&, S* parts, View<const S> node, int count) = nullptr;
  void (*join)(const Run&, View<S> node, const S* parts, int count) = nullptr;

  const DeviceFunctions* device = nullptr;    // null: views lie in host memory
  const StepFunctions<S>* between = nullptr;  // step_functions.h; null: the host's
};

}  // namespace nasp
