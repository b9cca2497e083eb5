#include "kernels.h"

#include <cxxabi.h>

#include <cstdlib>

#include "../alpha.cuh"
#include "../augment.cuh"
#include "../batch_norm.cuh"
#include "../depthwise.cuh"
#include "../elementwise.cuh"
#include "../loss.cuh"
#include "../optimizer.cuh"
#include "../pack.cuh"
#include "../pool.cuh"
#include "../skip_dropout.cuh"
#include "../statistics.cuh"

namespace nasp::emulation {

namespace {

using namespace nasp::emulated;

template <class Arguments, void (*kernel)(Arguments)>
constexpr Kernel entry(const char* name) {
  return {name, sizeof(Arguments),
          [](const void* argument) { kernel(*static_cast<const Arguments*>(argument)); }};
}

#define KERNEL(arguments, ...) entry<arguments, &__VA_ARGS__>(#__VA_ARGS__)
#define BY_WIDTH(arguments, name) KERNEL(arguments, name<4>), KERNEL(arguments, name<1>)
#define BY_KERNEL_AND_WIDTH(name)                                                     \
  KERNEL(DepthwiseArguments, name<3, 4>), KERNEL(DepthwiseArguments, name<3, 1>),     \
      KERNEL(DepthwiseArguments, name<5, 4>), KERNEL(DepthwiseArguments, name<5, 1>), \
      KERNEL(DepthwiseArguments, name<7, 4>), KERNEL(DepthwiseArguments, name<7, 1>)

const Kernel kernels[] = {
    BY_WIDTH(ActivateArguments, activate),
    BY_WIDTH(FoldArguments, fold_gradient),
    BY_WIDTH(PassArguments, pass_gradient),
    BY_WIDTH(NodeSumArguments, node_sum),
    BY_WIDTH(AddArguments, add_scaled),
    KERNEL(PartsArguments, split_parts),
    KERNEL(PartsArguments, join_parts),
    BY_WIDTH(AverageArguments, global_average),
    BY_WIDTH(AverageArguments, global_average_backward),
    KERNEL(SumPiecesArguments, sum_pieces),
    BY_KERNEL_AND_WIDTH(depthwise_forward),
    BY_KERNEL_AND_WIDTH(depthwise_data_gradient),
    BY_KERNEL_AND_WIDTH(depthwise_data_gradient_sums),
    KERNEL(DepthwiseArguments, depthwise_weight_gradient<3>),
    KERNEL(DepthwiseArguments, depthwise_weight_gradient<5>),
    KERNEL(DepthwiseArguments, depthwise_weight_gradient<7>),
    BY_WIDTH(PoolArguments, max_pool_winners),
    KERNEL(PoolMomentsArguments, pool_forward<true, 4>),
    KERNEL(PoolMomentsArguments, pool_forward<true, 1>),
    KERNEL(PoolMomentsArguments, pool_forward<false, 4>),
    KERNEL(PoolMomentsArguments, pool_forward<false, 1>),
    BY_WIDTH(PoolArguments, pool_backward),
    KERNEL(DropArguments, drop),
    KERNEL(NormaliseArguments, normalise),
    KERNEL(FoldNormArguments, fold),
    KERNEL(ProductArguments, add_product),
    KERNEL(ConvertArguments, convert),
    KERNEL(BiasArguments, spread_bias),
    KERNEL(BiasArguments, sum_bias),
    KERNEL(LossArguments, cross_entropy),
    KERNEL(LossArguments, sum_losses),
    KERNEL(NormArguments, square_pieces),
    KERNEL(NormArguments, root_of_pieces),
    KERNEL(SgdArguments, sgd),
    KERNEL(CombineArguments, combine),
    KERNEL(AlphaArguments, update_alpha),
    KERNEL(TapsArguments, move_taps),
    KERNEL(AugmentArguments, augment),
    BY_WIDTH(MomentsArguments, piece_moments),
    KERNEL(MomentsArguments, merge_moments),
};

// "void nasp::cuda::activate<4>(nasp::cuda::ActivateArguments)" -> "activate<4>"
std::string short_name(const std::string& mangled) {
  int status = 0;
  char* text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  const std::string name = text ? text : mangled;
  std::free(text);
  const std::string space = "nasp::cuda::";
  const std::size_t from = name.find(space);
  if (from == std::string::npos) return name;
  return name.substr(from + space.size(), name.find('(') - from - space.size());
}

}  // namespace

const Kernel* find_kernel(const std::string& mangled) {
  const std::string name = short_name(mangled);
  for (const Kernel& k : kernels) {
    if (name == k.name) return &k;
  }
  return nullptr;
}

}  // namespace nasp::emulation
