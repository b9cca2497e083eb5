// The search net: stem, cells with reductions at L / 3 and 2 L / 3, global average pooling, linear classifier.
// Parameter names, shapes and order of quark0/darts cnn/model_search.py.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "alpha.h"
#include "cell.h"
#include "supernet_config.h"

namespace nasp {

template <class S>
class Supernet {
 public:
  explicit Supernet(const SupernetConfig& config);

  Parameters<S>& parameters() { return parameters_; }
  const Parameters<S>& parameters() const { return parameters_; }
  AlphaMatrix<S>& alpha(int type) { return alpha_[type]; }  // 0 normal, 1 reduce
  const AlphaMatrix<S>& alpha(int type) const { return alpha_[type]; }
  // Room for what units keep, then the net's memory; both before the first pass.
  void prepare(const Backend<S>& backend);
  void allocate(const Memory& memory);
  void plan(const Device& device, int batch) const;  // before the first pass of so many images
  std::size_t packed_bytes() const;
  std::size_t parameter_bytes() const { return parameters_.planned_bytes(); }  // of allocate, once prepared
  // The most that a step takes, at the mixtures that stand, or (every) whatever they are.
  std::size_t arena_bytes(const Backend<S>& backend, bool every) const;
  std::size_t largest_activation(const Backend<S>& backend) const;  // scalars
  View<S> take_x(const Pass<S>& pass) const;                        // a step's first take

  // logits (N, classes), in the backend's memory, of x (N, C, H, W) at the current mixtures. `cancelled` is polled between cells.
  void forward(const Pass<S>& pass, View<const S> x, S* logits, const SkipDropout* dropout,
               const std::atomic<bool>& cancelled);
  // From d_logits of the forward pass just done. mixture: gradients of both mixtures are wanted (overwritten), node_sums:
  // those of the nodes' sums as well.
  void backward(const Pass<S>& pass, const S* d_logits, bool mixture, bool node_sums,
                const SkipDropout* dropout, const std::atomic<bool>& cancelled);

 private:
  const Mixture& mixture(const Cell<S>& cell) const { return alpha_[cell.reduction() ? 1 : 0].mixture; }
  Classifier<S> classifier(int batch);
  // An input of a cell, and which of outputs_ it reads: the stem's (0), or that of a cell before.
  struct Reader {
    std::size_t cell;
    int input;
    std::size_t output() const { return cell + input > 0 ? cell + input - 1 : 0; }
  };
  std::vector<Reader> readers(std::size_t output) const;
  void preprocess(const Pass<S>& pass, std::size_t output);
  void count_x(ArenaCount<S>& arena) const;
  void count_forward(ArenaCount<S>& arena, bool every) const;
  void count_backward(ArenaCount<S>& arena, bool every) const;
  struct Largest {  // scalars: of the outputs of stem and cells, of the cells' preprocessed inputs
    std::size_t output, input;
  };
  Largest largest(const Backend<S>& backend, int batch) const;

  SupernetConfig config_;
  Parameters<S> parameters_;
  AlphaMatrix<S> alpha_[2];
  std::unique_ptr<Chain<S>> stem_;
  std::vector<std::unique_ptr<Cell<S>>> cells_;
  int features_ = 0, classifier_weight_ = -1, classifier_bias_ = -1;
  std::vector<Source<S>> outputs_;  // the stem's, then the cells'
  Store<S> pooled_, d_pooled_;
};

}  // namespace nasp
