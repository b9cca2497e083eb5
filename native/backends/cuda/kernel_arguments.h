// What kernels are given: plain structs of device pointers and sizes, the same for host and device. A pitch is from a pixel
// to the next; channels are neighbours.
#pragma once
#include <cstddef>

#include "../step_functions.h"

#if defined(__CUDACC__)
#define NASP_BOTH __host__ __device__
#else
#define NASP_BOTH
#endif

namespace nasp::cuda {

// (N, H, W, C)
struct Map {
  int batch, height, width, channels;
  NASP_BOTH int pixels() const { return batch * height * width; }
};

struct Activation {  // what a unit loads: normalised where norm.scale is not null, then ReLU'd
  const float* x = nullptr;
  int pitch = 0;
  Normalise<float> norm;
  bool relu = false;
};

struct GradientTarget {
  float* dx = nullptr;
  int pitch = 0;
  bool accumulate = false;
  Activation gate;  // x null: no ReLU to pass
};

// Output pixel (i, j) belongs to input pixel (i * stride_h + offset_h, j * stride_w + offset_w).
struct Sampling {
  int stride_h = 1, stride_w = 1, offset_h = 0, offset_w = 0;
  bool operator==(const Sampling&) const = default;
};

struct ActivateArguments {  // y = the activation at the sampled pixels, 0 beyond the image
  float* y;                 // compact
  Activation x;
  Map from, to;
  Sampling sampling;
};

struct FoldArguments {  // y = a * g + b * (x - mean) + c; a null: g
  float* y;             // compact
  const float *g, *x, *mean, *a, *b, *c;
  int g_pitch, x_pitch;
  Map map;
};

struct PassArguments {  // dx (+)= d at the pixels that were sampled; the others get (or keep) nothing
  GradientTarget to;
  const float* d;  // compact, of the sampled map
  Map input, sampled;
  Sampling sampling;
};

constexpr int most_terms = 8;
struct NodeSumArguments {  // y (+)= sum of weight * x
  float* y;
  int pitch, count;
  bool accumulate;
  Activation x[most_terms];
  float weight[most_terms];
  Map map;
};

struct AddArguments {  // dx (+)= weight * g; g null: dx = 0
  float* dx;
  const float* g;
  int dx_pitch, g_pitch;
  float weight;
  bool accumulate;
  Map map;
};

// Channel i * count + p of a node is channel i of part p; parts are compact and follow on each other.
struct PartsArguments {
  float *parts, *node;
  int pitch, count;  // of the node
  Map map;
};

struct AverageArguments {  // y (N, C), the mean over pixels; backward: x = y / pixels
  float* y;
  Activation x;
  float* dx;
  int dx_pitch;
  Map map;
};

struct DepthwiseArguments {
  Activation x;        // of the input
  const float* w;      // (K * K, C)
  float* y;            // compact, of the output; forward's result, backward's gradient
  GradientTarget to;   // data gradient
  float* partial;      // weight gradient: (pieces, K * K, C)
  int pixels_a_piece;  // weight gradient, data gradient with sums
  double* sums;        // data gradient with sums: (pieces, 4, C), of which the last two
  Map input, output;
  int dilation, stride, pad;
};

struct PoolArguments {
  Activation x;
  float* y;  // compact or not; forward
  int y_pitch;
  unsigned char* winner;  // (output pixels, C): row-major place in the window of its first maximum
  const float* dy;        // compact
  GradientTarget to;
  Map input, output;
  int kernel, stride, pad;
  bool max;
};

// Sums of x, its square, g and g * x about a centre, a channel; pieces of pixels, then their sum.
struct MomentsArguments {
  Activation x;
  const float* g;  // null: no products
  int g_pitch;
  const float* centre;  // null: the first pixel's value
  double* partial;      // (pieces, 4, C)
  float* first;         // (C): the first pixel's values, where x can't be read again; null: x is read
  bool only_products;   // the first two sums are not there
  Moments* moments;
  int pieces, pixels_a_piece;
  Map map;
};

struct DropArguments {
  float* x;
  int pitch;
  float kept;  // Dropout::kept
  Dropout dropout;
  Map map;
};

struct NormaliseArguments {
  BatchNorm<float> norm;
  bool training;
  double count;
};
struct FoldNormArguments {
  BatchNorm<float> norm;
  bool training;
  double factor, count;
};
struct ProductArguments {
  double* to;
  const Moments* moments;
  const float *scale, *shift;
  int channels;
  ProductOf of;
};
struct ConvertArguments {
  float* to;
  const double* from;
  int count;
};

struct BiasArguments {  // y (rows, columns)
  float* y;
  const float* b;
  float* db;
  int rows, columns;
};
struct LossArguments {
  float* d_logits;
  StepNumbers* numbers;
  const float* logits;
  const int* targets;
  double* loss;  // an image each
  int* correct;
  int batch, classes;
};

struct NormArguments {
  double* to;
  WeightTable<float> table;
  const float* vector;
  bool gradient;
};
struct SgdArguments {
  WeightTable<float> table;
  SgdStep step;
  const StepNumbers* numbers;
};
struct CombineArguments {
  float* to;
  WeightTable<float> table;
  VectorTerm<float> terms[most_vectors];
  int count;
};
struct AlphaArguments {
  AlphaTable<float> tables[2];
  AlphaStep step;
};

constexpr int most_row_values = 4096;
struct AugmentArguments {
  float* x;  // (N, H, W, C)
  int* targets;
  ImageBytes data;
  const std::uint32_t* indices;
  Augment step;
  int batch;
};

constexpr int taps_channels = 32;
struct TapsArguments {
  float* to;
  const float* from;
  int outputs, channels, taps;
  bool pack;
};

struct PoolMomentsArguments {
  PoolArguments pool;
  MomentsArguments moments;
};

struct SumPiecesArguments {
  float* total;
  const float* partial;  // (pieces, count)
  int pieces, count;
};

}  // namespace nasp::cuda
