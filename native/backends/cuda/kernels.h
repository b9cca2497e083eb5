// Launches, one a kernel or pair of kernels; the bodies are in the .cuh of the same name.
#pragma once
#include "kernel_arguments.h"
#include "queue.h"

namespace nasp::cuda {

// elementwise.cu
void launch_activate(Queue&, const ActivateArguments&);
void launch_fold_gradient(Queue&, const FoldArguments&);
void launch_pass_gradient(Queue&, const PassArguments&);
void launch_node_sum(Queue&, const NodeSumArguments&);
void launch_add(Queue&, const AddArguments&);
void launch_split_parts(Queue&, const PartsArguments&);
void launch_join_parts(Queue&, const PartsArguments&);
void launch_global_average(Queue&, const AverageArguments&);
void launch_global_average_backward(Queue&, const AverageArguments&);
void launch_sum_pieces(Queue&, const SumPiecesArguments&);

// depthwise.cu: kernels 3, 5 and 7. The weight gradient's pieces: depthwise_pieces of them, and depthwise_pieces * K * K * C
// floats of partial sums, added to total (K * K, C).
void launch_depthwise_forward(Queue&, int kernel, const DepthwiseArguments&);
void launch_depthwise_data_gradient(Queue&, int kernel, const DepthwiseArguments&);
// With the sums of dx and of dx * (x - mean), into merged.moments (statistics.cu): merged's partial, centre, map.
void launch_depthwise_data_gradient_sums(Queue&, int kernel, DepthwiseArguments, MomentsArguments merged);
int depthwise_pieces(const Map& output);
void launch_depthwise_weight_gradient(Queue&, int kernel, DepthwiseArguments, float* total);

// pool.cu: backward of a max pool finds the winners first
// Forward with the moments of y, which is not stored where y is null.
void launch_pool_forward(Queue&, const PoolArguments&, MomentsArguments);
void launch_pool_backward(Queue&, const PoolArguments&);

// batch_norm.cu
void launch_normalise(Queue&, const NormaliseArguments&);
void launch_fold(Queue&, const FoldNormArguments&);
void launch_add_product(Queue&, const ProductArguments&);
void launch_convert(Queue&, const ConvertArguments&);

// loss.cu
void launch_spread_bias(Queue&, const BiasArguments&);
void launch_sum_bias(Queue&, const BiasArguments&);
void launch_cross_entropy(Queue&, const LossArguments&);

// optimizer.cu
void launch_norm(Queue&, const NormArguments&);
void launch_sgd(Queue&, const SgdArguments&);
void launch_combine(Queue&, const CombineArguments&);

// alpha.cu, augment.cu, pack.cu
void launch_augment(Queue&, const AugmentArguments&);
void launch_update_alpha(Queue&, const AlphaArguments&);
void launch_move_taps(Queue&, const TapsArguments&);

// skip_dropout.cu
void launch_drop(Queue&, const DropArguments&);

// statistics.cu: moment_pieces of them, and 4 * C doubles of partial sums a piece
int moment_pieces(const Map& map);
void launch_moments(Queue&, MomentsArguments);
void launch_merge_moments(Queue&, MomentsArguments);  // of sums that lie in pieces

}  // namespace nasp::cuda
