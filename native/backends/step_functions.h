// What a net computes beside units: BatchNorm's per-channel numbers, products with the gradient, the classifier and its
// loss, the optimizers. The host's (host/step_functions.cpp), or a device's own. Beside Backend (backend.h), whose contract
// holds here too.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../core/augment.h"
#include "../core/cell_shape.h"
#include "backend.h"

namespace nasp {

constexpr double batch_norm_eps = 1e-5, batch_norm_momentum = 0.1;

// A unit's output as its BatchNorm sees it; (channels) each.
template <class S>
struct BatchNorm {
  int channels;
  bool norm;                           // false: no BatchNorm, the identity
  const S *weight, *bias;              // null: not affine
  S *running_mean, *running_variance;  // null: no BatchNorm
  Moments* moments;                    // of forward; then of backward
  S *mean, *scale, *shift, *inverse_deviation;
  double* mean_rest;                   // what rounding the mean to S left; the shift makes it good
  S *a, *b, *c;                        // of GradientSource
  S *weight_gradient, *bias_gradient;  // null: not wanted
};

// <g, z> from moments that were taken with g (product_of, step_entries.h).
enum class ProductOf {
  normalised,   // about the source's mean: scale * sum(g (y - mean)) + shift * sum(g)
  about_mean,   // about the batch's own mean
  as_is,        // about 0
  gradient_sum  // of g alone
};

// Mean softmax cross-entropy of a batch, and what a step says of itself.
struct alignas(32) StepNumbers {
  double loss, gradient_norm;
  int correct;  // images
};

template <class S>
struct Classifier {  // logits (N, O) = x (N, C) w (O, C)^T + b
  int batch, outputs, channels;
  const S *x, *w, *b;
};

// Weights of a net: slots, each from a multiple of slot_alignment on.
constexpr std::size_t slot_alignment = 64, piece_size = 1024;
struct WeightSlot {
  std::size_t offset, size;
  bool has_gradient;
};
struct WeightPiece {  // of a slot, piece_size scalars at most
  std::uint32_t slot, count;
  std::uint64_t offset;
};
template <class S>
struct WeightTable {
  S *values, *gradients, *momentum;
  const WeightSlot* slots;  // host
  int slot_count;
  const WeightPiece* pieces;
  const unsigned char* has_gradient;  // by slot
  double* partial;                    // one a piece
  int piece_count;                    // 0 where the backend's memory is the host's
};

// torch.optim.SGD; see host/optimizer.h.
struct SgdStep {
  double lr, momentum, weight_decay, clip;
  bool nesterov, decay_unselected;
};

constexpr int most_vectors = 8;
template <class S>
struct VectorTerm {
  const S* data;
  double factor;
  bool gradient;  // 0 where the slot has none
};

// Both architecture matrices; a matrix is (edges, candidates).
template <class S>
struct AlphaTable {
  int candidates;
  S *value, *gradient, *first, *second;
  double* weight;      // D
  Use* use;            // what becomes of its entries
  const double* cost;  // (candidates); null: not regularised
};
struct AlphaStep {
  bool update;  // gradient + regulariser -> optimizer -> box; false: D alone
  bool adam, box, cost_on_alpha;
  double lr, beta1, beta2, eps, weight_decay, eta, correction1, correction2;
  bool discretise, value_one, two_edges, dense;
  double epsilon;
  std::uint64_t seed, counter;
  bool project_discrete;  // alpha <- clip of D, and D likewise
};

// Dropout behind an identity skip (P-DARTS): each element is kept with probability 1 - rate and then divided by it. The
// mask is a function of (seed, counter, place, image, channel, pixel), so backward draws it again, and every backend draws
// the same. Image 4 q + r of channel c, row h, column w takes word r of number ((q C + c) H + h) W + w.
struct Dropout {
  double rate;
  std::uint64_t seed;
  std::uint32_t counter, place;                   // of the pass; which skip of the net
  double kept() const { return 1 / (1 - rate); }  // the factor of what is
};

// A data set as bytes (N, C, H, W), and its normalisation.
struct ImageBytes {
  const unsigned char *images, *labels;
  const double *mean, *deviation;  // (C), of byte / 255
  int channels, height, width;
};

template <class S>
struct StepFunctions {
  // From a unit's moments to its mean, scale and shift; in training running statistics follow (unbiased variance of
  // `count` values).
  void (*normalise)(const Run&, const BatchNorm<S>&, bool training, double count);
  // From moments with g = dL/dz / factor to a, b, c, and the gradients of BatchNorm's parameters.
  void (*fold)(const Run&, const BatchNorm<S>&, bool training, double factor, double count);
  // *to += the sum over channels; scale, shift: of ProductOf::normalised
  void (*add_product)(const Run&, double* to, const Moments*, int channels, const S* scale, const S* shift,
                      ProductOf);
  void (*convert)(const Run&, S* to, const double* from, int count);
  void (*drop)(const Run&, const Backend<S>&, View<S> x, const Dropout&);  // in place

  void (*classify)(const Run&, S* logits, const Classifier<S>&);
  // dw, db null: not wanted
  void (*classify_backward)(const Run&, S* dx, S* dw, S* db, const S* d_logits, const Classifier<S>&);
  // d_logits: of the mean loss. correct: the largest logit (the first of equals) is the target's.
  void (*cross_entropy)(const Run&, S* d_logits, StepNumbers*, const S* logits, const int* targets,
                        int classes);

  // The Euclidean norm of a vector over all weights; `gradient`: of slots that have one alone.
  void (*norm)(const Run&, double* to, const WeightTable<S>&, const S* vector, bool gradient);
  // Does nothing where the numbers' loss or gradient norm is not finite.
  void (*sgd)(const Run&, const WeightTable<S>&, const SgdStep&, const StepNumbers*);
  // terms: host
  void (*combine)(const Run&, S* to, const WeightTable<S>&, const VectorTerm<S>* terms, int count);
  void (*update_alpha)(const Run&, const AlphaTable<S> (&)[2], const AlphaStep&);
  // x and targets of a batch of images by their indices; null: the host prepares batches.
  void (*augment)(const Run&, View<S> x, int* targets, const ImageBytes&, const std::uint32_t* indices,
                  const Augment&);
};

// The backend's own, else the host's.
template <class S>
const StepFunctions<S>& step_functions(const Backend<S>& backend);

}  // namespace nasp
