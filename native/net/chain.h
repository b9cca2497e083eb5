// An operation at work: a chain of units with its parameters, what its forward pass saved, and its backward.
//
//   forward    a group of chains that read one source, together: first units in one sweep over the source
//     propagate  pre-norm outputs are kept for backward; the result is a Source, normalised whenever it is loaded
//     probe      <g, z> only, exact: chains of one unit in one sweep over the source, then those of more, an edge at a
//                time; what lies between their units is given back at the edge's end
//   backward   of such a group too, from g = dL/dnode and each chain's weight in the node's sum: dx, weight gradients,
//              <g, z>; an edge's first units in one sweep over the source and dx
//   twins      operations without weights (pools, the identity) are the same on all edges that leave the source: they are
//              propagated once, and go backward once, from the weighted sum of their edges' g
// Source     the exact sparse architecture step: with D one-hot, dL/dD[e,k] = <dL/dnode, op_k(x_e)>
#pragma once
#include <algorithm>

#include "../backends/device.h"
#include "../backends/step_functions.h"
#include "../ops/operation.h"
#include "arena_count.h"
#include "parameters.h"

namespace nasp {

// What every pass of a net needs.
template <class S>
struct Pass {
  const Backend<S>& backend;
  Run run;
  Arena& arena;
  Parameters<S>& parameters;
  bool training;          // batch statistics, and running ones are updated
  bool weight_gradients;  // backward: dw as well as dx
  bool pairs = false;     // probes' products in bfloat16 (Backend::pack_pairs)

  const StepFunctions<S>& between() const { return step_functions(backend); }
  View<S> take(int channels, int height, int width) const {
    return backend.view(arena.take_as<S>(backend.size(run.batch, channels, height, width)), channels, height,
                        width);
  }
};

template <class S>
struct Gradient {  // of an activation, with the state of its first writer
  View<S> view;
  bool written = false;
  Write write() {
    const Write w = written ? Write::accumulate : Write::overwrite;
    written = true;
    return w;
  }
};

template <class S>
class Chain {
 public:
  Chain(Operation operation, Parameters<S>& parameters, const std::string& prefix, bool affine);

  const Operation& operation() const { return operation_; }
  // Takes room for the chain's numbers; before the parameters are allocated.
  void prepare(const Backend<S>& backend, Parameters<S>& parameters);
  // Plans all units on the device, for inputs of that size.
  void plan(const Device& device, int batch, int height, int width) const;
  std::size_t packed_bytes() const;
  // Every parameter of the chain has a gradient in this step.
  void mark_gradients(Parameters<S>& parameters) const;

  struct Probe {
    Chain* chain;
    View<const S> g;
    double* product;  // += <g, z>; in the backend's memory
  };
  // Outputs are taken from the pass's arena and stay there: whoever rewinds it ends what output() and backward read.
  static void propagate(const Pass<S>& pass, const Source<S>& x, Chain* const* chains, int count);
  // From an x of that size.
  static void count_propagate(ArenaCount<S>& arena, const std::vector<const Chain*>& chains, int height,
                              int width);
  // Gives back all that it takes from the arena. Not of chains whose backward is to come: it overwrites what they keep.
  // Those of one g, an edge's, follow on each other.
  static void probe(const Pass<S>& pass, const Source<S>& x, const Probe* probes, int count);
  // An edge's chains with each other.
  static void count_probe(ArenaCount<S>& arena, const std::vector<std::vector<const Chain*>>& edges,
                          int channels, int height, int width);

  // Without weights; of one source both make the same y. Their statistics are the same in training alone, where backward is.
  bool twin_of(const Chain& other) const;

  Source<S> output() const { return output_; }  // of the last propagate
  // A chain's part in a group's backward. weight: of its output in the sum whose gradient g is.
  // product: += <g, z>; null: not wanted.
  struct Backward {
    Chain* chain;
    View<const S> g;
    S weight;
    double* product;
  };
  // Of chains that have propagated the same source, an edge's with each other. dx: the first chain that has a gradient writes it
  // as it says; null: not wanted.
  static void backward(const Pass<S>& pass, const std::vector<std::vector<Backward>>& edges, Gradient<S>& dx);
  static void count_backward(ArenaCount<S>& arena, const std::vector<std::vector<const Chain*>>& edges,
                             int channels, int height, int width);

 private:
  struct Norm {
    int weight = -1, bias = -1, running_mean = -1, running_variance = -1;
  };
  struct Stage {  // a unit, its parameters, and what its forward saved
    NamedUnit named;
    int first = -1, dense[2] = {-1, -1};
    Norm norm;
    std::vector<S> packed;          // in host memory
    std::size_t numbers = 0;        // their place
    std::size_t device_packed = 0;  // the packed weights' place in a device's memory
    std::uint64_t packed_version = 0;
    bool packed_backward = false;
    std::vector<S> pairs;  // the weights once more, packed for probes in bfloat16
    std::uint64_t pairs_version = 0;
    Source<S> x;
    View<S> y;
    const Unit& unit() const { return named.unit; }
  };

  int units() const { return static_cast<int>(stages_.size()); }
  bool weightless() const;                                                            // the identity, a pool
  static std::uint64_t version(const Stage& stage, const Parameters<S>& parameters);  // of its weights
  static UnitWeights<S> weights(const Stage& stage, Parameters<S>& parameters);
  const S* pack(Stage& stage, const Pass<S>& pass, bool backward);
  const S* pack_pairs(Stage& stage, const Pass<S>& pass);
  ForwardUnit<S> forward_unit(Stage& stage, const Pass<S>& pass, View<const S> g, bool probed);
  BatchNorm<S> numbers(const Stage& stage, Parameters<S>& parameters) const;
  void normalise(Stage& stage, const Pass<S>& pass, double count);
  Source<S> output_of(const Pass<S>& pass, const Stage& stage) const;
  void count_outputs(ArenaCount<S>& arena, int from, int to, int height, int width) const;
  void forward_rest(const Pass<S>& pass, View<const S> g, bool keep);
  static void measure(const Pass<S>& pass, const std::vector<Backward>& chains);
  static void backward_first(const Pass<S>& pass, std::vector<BackwardUnit<S>>& units, Gradient<S>& dx);
  static void backward_weightless(const Pass<S>& pass, const std::vector<Backward>& chains, Gradient<S>& dx);
  BackwardUnit<S> backward_to_first(const Pass<S>& pass, View<const S> g, S weight);

  Operation operation_;
  std::vector<Stage> stages_;
  Source<S> output_;
};

// The first of the chains before the i-th that is its twin; null: none.
template <class Chain>
Chain* twin_before(Chain* const* chains, int i) {
  Chain* const* const end = chains + i;
  Chain* const* const found = std::find_if(chains, end, [&](Chain* c) { return chains[i]->twin_of(*c); });
  return found == end ? nullptr : *found;
}

// That a unit's output has in a batch, from an input of that size.
template <class S>
double pixel_count(const Pass<S>& pass, const Unit& unit, const View<const S>& x) {
  return static_cast<double>(pass.run.batch) * unit.out_height(x.height) * unit.out_width(x.width);
}

}  // namespace nasp
