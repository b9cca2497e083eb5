// Candidate operations as chains of units, with the names of their parameters in quark0/darts' state_dict.
#pragma once
#include <string>
#include <vector>

#include "unit.h"

namespace nasp {

struct NamedUnit {
  Unit unit;
  // Parameter names without ".weight" (first: of the depthwise convolution or the row); norm: the BatchNorm's module.
  std::string first, dense[2], norm;
};

struct Operation {
  bool zero = false;             // `none`
  std::vector<NamedUnit> units;  // empty and not zero: the identity
  bool identity() const { return units.empty() && !zero; }
};

// channels -> channels. search_pools: pools are followed by BatchNorm, as in search cells.
// Throws Error ERR_NASP_ARGUMENT for an unknown name, ERR_NASP_SHAPE for a factorized reduce to an odd number.
Operation make_operation(const std::string& name, int channels, int stride, bool search_pools);

// Not candidates, but of the same kind: the cells' preprocessing and bypass, and the stem.
Operation make_relu_conv_bn(int in, int out);
Operation make_factorized_reduce(int in, int out);
Operation make_stem(int in, int out);
Operation make_halving_pool(int channels);  // max pool 2 x 2, stride 2, no BatchNorm: PC-DARTS' bypass

struct OperationName {
  const char *name, *aliases;  // aliases separated by spaces
};
const std::vector<OperationName>& operation_names();

// Weights without BatchNorm's, and multiply-adds of one image of height x width.
struct OperationCost {
  double parameters, multiply_adds;
};
OperationCost operation_cost(const Operation& operation, int height, int width);

}  // namespace nasp
