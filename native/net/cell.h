// A search cell: two inputs through their preprocessing, four nodes, every candidate operation on every edge.
//
//   node j = sum over edges (i, j) and operations k of D[e][k] * op_k(node i); output = the four nodes' channels
//
// The edges (core/cell_shape.h) are 14 rows of D. In a reduction cell those that leave an input have stride 2.
// Order     sources are taken in order, all operations that leave one together (forward); backward takes them in
//           reverse: when a source's turn comes, the gradients of all nodes that it feeds are final. First what was
//           propagated goes backward, an edge at a time, then all of the source's probes run together
// Partial   with parts = k > 1 (PC-DARTS), operations see the first C / k channels of a source only; the others go by,
//           through a 2 x 2 max pool where the edge has stride 2, times the edge's own weight. A node interleaves the
//           k parts (channel shuffle): its channel i k + p is channel i of part p, and part 0 is the mixture's.
// Source    quark0/darts cnn/model_search.py; yuhuixu1993/PC-DARTS model_search.py
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "../core/cell_shape.h"
#include "node_parts.h"

namespace nasp {

// Of all skips of a pass: see Dropout (backends/step_functions.h).
struct SkipDropout {
  double rate = 0;  // 0: off
  std::uint64_t seed = 0;
  std::uint32_t counter = 0;  // of the pass
};

// The matrix D of one cell type and what becomes of each of its entries.
struct Mixture {
  int candidates = 0;
  std::vector<double> weight;  // (edges, candidates)
  std::vector<Use> use;
  std::vector<double> bypass;  // (edges): weights of what goes by; used where channels are partial
  explicit Mixture(int candidates = 0)
      : candidates(candidates),
        weight(static_cast<std::size_t>(cell_edges) * candidates),
        use(weight.size(), Use::probed),
        bypass(cell_edges) {}
  bool propagated(int entry) const { return use[static_cast<std::size_t>(entry)] == Use::propagated; }
  bool probed(int entry) const { return use[static_cast<std::size_t>(entry)] == Use::probed; }
};

// What backward adds to, in the backend's memory: gradients of one cell type's mixture, summed over its cells.
struct MixtureGradient {
  double* weight;    // (edges, candidates)
  double* bypass;    // (edges)
  double* node_sum;  // (nodes): dL/dnode summed over all elements; null: not wanted
};

template <class S>
class Cell {
 public:
  struct Shape {
    int in[cell_inputs], channels;  // channels of the inputs and of a node
    int size[cell_inputs];          // the inputs' height and width; preprocessed, both have the second's
    bool reduction, previous_reduction;
    int parts;  // operations see channels / parts
    int index;  // in the net
  };
  Cell(const Shape& shape, const std::vector<std::string>& candidates, Parameters<S>& parameters,
       const std::string& prefix);

  void prepare(const Backend<S>& backend, Parameters<S>& parameters);
  void plan(const Device& device, int batch) const;
  bool reduction() const { return shape_.reduction; }
  const Shape& shape() const { return shape_; }
  int node_size() const { return strided(shape_.size[1], shape_.reduction ? 2 : 1); }
  std::size_t packed_bytes() const;

  // The preprocessing of input i. The net runs it, forward before the cell and backward after it: other cells read the same
  // output, and all that read one run together.
  Chain<S>& preprocess(int i) { return i == 0 ? preprocess0_ : preprocess1_; }

  // From what the preprocessing has left. dropout: null in evaluation.
  Source<S> forward(const Pass<S>& pass, const Mixture& mixture, const SkipDropout* dropout);
  // With dropout; mixture null: at least what any takes.
  void count_forward(ArenaCount<S>& arena, const Mixture* mixture) const;
  // From the output's gradient to those of the preprocessed inputs, d_in (2), whose views are null where they are not wanted.
  // d_mixture: += <dL/dnode, op>; null: not wanted, and nothing is probed.
  void backward(const Pass<S>& pass, const View<S>& d_out, Gradient<S>* d_in, const Mixture& mixture,
                MixtureGradient* d_mixture, const SkipDropout* dropout);
  void count_backward(ArenaCount<S>& arena, const Mixture* mixture) const;

 private:
  using Probes = std::vector<typename Chain<S>::Probe>;

  Chain<S>& chain(int edge, int k) const {
    return *chains_[static_cast<std::size_t>(edge * candidates_ + k)];
  }
  Dropout mask_of(const SkipDropout& d, int entry) const {
    constexpr int places = 4096;  // a cell
    static_assert(cell_edges * most_candidates <= places);
    return {d.rate, d.seed, d.counter, static_cast<std::uint32_t>(shape_.index * places + entry)};
  }
  static bool propagated(const Mixture* mixture, int entry) { return !mixture || mixture->propagated(entry); }
  static bool probed(const Mixture* mixture, int entry) { return !mixture || mixture->probed(entry); }
  int part_channels() const { return shape_.channels / shape_.parts; }
  // Edges from source i have stride 2.
  bool halves(int i) const { return shape_.reduction && i < cell_inputs; }
  Source<S> source(int i) const;  // inputs, then nodes
  int source_size(int i) const { return i < cell_inputs ? shape_.size[1] : node_size(); }
  Source<S> part_of(const Source<S>& source, int part) const {
    return nasp::part_of(source, part * part_channels(), part_channels());
  }
  Source<S> bypass(int i, int part) const;  // what goes by from source i into part 1, 2, ... of a node
  View<S> node(const View<S>& concatenated, int j) const {
    return concatenated.slice(j * shape_.channels, shape_.channels);
  }
  void sum_node(const Pass<S>& pass, int j, const Mixture& mixture);
  void run_from(const Pass<S>& pass, int i, const Mixture& mixture, const SkipDropout* dropout);
  void count_run_from(ArenaCount<S>& arena, int i, const Mixture* mixture) const;
  void backward_bypass(const Pass<S>& pass, int i, const NodeParts<S>* d_nodes, Gradient<S>& dx,
                       const Mixture& mixture, MixtureGradient* d_mixture);
  void count_backward_bypass(ArenaCount<S>& arena, int i) const;
  View<const S> dropped(const Pass<S>& pass, int entry, View<const S> g, const SkipDropout* dropout);
  void add_node_sums(const Pass<S>& pass, const View<S>& d_out, double* sums) const;

  Shape shape_;
  int candidates_;  // operations on an edge
  Chain<S> preprocess0_, preprocess1_;
  std::vector<std::unique_ptr<Chain<S>>> chains_;
  std::unique_ptr<Chain<S>> halving_[cell_inputs];  // of what goes by at stride 2
  std::vector<Source<S>> outputs_;                  // of the chains, behind dropout
  View<S> output_;
};

}  // namespace nasp
