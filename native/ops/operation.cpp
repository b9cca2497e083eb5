#include "operation.h"

#include "../core/error.h"

namespace nasp {

namespace {

DensePart dense(int out, int kernel_h, int kernel_w, int stride_h, int stride_w) {
  return {out, kernel_h, kernel_w, stride_h, stride_w, kernel_h / 2, kernel_w / 2};
}

Unit convolve(int in, int out, bool relu, bool norm, DensePart part) {
  Unit u;
  u.relu = relu, u.norm = norm, u.in = in, u.out = out, u.parts = 1, u.dense[0] = part;
  return u;
}

// Kernels 3, 5 and 7, dilation 1 and 2: what the backends have weight gradients for.
Unit depthwise(int channels, int kernel, int dilation, int stride) {
  expect((kernel == 3 || kernel == 5 || kernel == 7) && (dilation == 1 || dilation == 2),
         "kernel 3, 5 or 7 and dilation 1 or 2 for a depthwise convolution",
         std::to_string(kernel) + " and " + std::to_string(dilation), "ERR_NASP_UNSUPPORTED");
  Unit u = convolve(channels, channels, true, true, dense(channels, 1, 1, 1, 1));
  u.kernel = kernel, u.dilation = dilation, u.stride = stride;
  return u;
}

// Builds the operations of one (channels, stride); each returns its chain.
struct Builder {
  int channels, stride;
  bool search_pools;

  Operation zero() const { return {.zero = true, .units = {}}; }
  Operation skip() const { return stride == 1 ? Operation{} : make_factorized_reduce(channels, channels); }
  Operation pool(UnitKind kind, int kernel) const {
    Unit u;
    u.kind = kind, u.norm = search_pools, u.in = u.out = channels, u.kernel = kernel, u.stride = stride;
    return {.units = {{u, "", {}, "1"}}};
  }
  Operation relu_conv_bn(int kernel) const {
    const Unit u = convolve(channels, channels, true, true, dense(channels, kernel, kernel, stride, stride));
    return {.units = {{u, "", {"op.1", ""}, "op.2"}}};
  }
  Operation conv_pair(int kernel) const {  // 1 x k, then k x 1; one BatchNorm
    Unit u = convolve(channels, channels, true, true, dense(channels, kernel, 1, stride, 1));
    u.row = dense(channels, 1, kernel, 1, stride);
    return {.units = {{u, "1", {"2", ""}, "3"}}};
  }
  Operation separable(int kernel) const {
    return {.units = {{depthwise(channels, kernel, 1, stride), "op.1", {"op.2", ""}, "op.3"},
                      {depthwise(channels, kernel, 1, 1), "op.5", {"op.6", ""}, "op.7"}}};
  }
  Operation dilated(int kernel) const {
    return {.units = {{depthwise(channels, kernel, 2, stride), "op.1", {"op.2", ""}, "op.3"}}};
  }
};

}  // namespace

Operation make_operation(const std::string& name, int channels, int stride, bool search_pools) {
  const Builder builder = {channels, stride, search_pools};
  using enum UnitKind;
#define OPERATION(id, aliases, chain) \
  if (name == #id) return builder.chain;
#include "op_list.inc"
#undef OPERATION
  std::string known;
  for (const OperationName& n : operation_names()) known += (known.empty() ? "" : ", ") + std::string(n.name);
  refuse("one of " + known + " for operation", name);
}

Operation make_relu_conv_bn(int in, int out) {
  return {.units = {{convolve(in, out, true, true, dense(out, 1, 1, 1, 1)), "", {"op.1", ""}, "op.2"}}};
}

Operation make_factorized_reduce(int in, int out) {
  expect(out % 2 == 0, "an even number of channels for a factorized reduce (skip_connect at stride 2)",
         std::to_string(out), "ERR_NASP_SHAPE");
  Unit u = convolve(in, out, true, true, {out / 2, 1, 1, 2, 2, 0, 0});
  u.parts = 2;
  u.dense[1] = {out / 2, 1, 1, 2, 2, -1, -1};  // the second half reads from pixel (1, 1) on
  return {.units = {{u, "", {"conv_1", "conv_2"}, "bn"}}};
}

Operation make_stem(int in, int out) {
  return {.units = {{convolve(in, out, false, true, dense(out, 3, 3, 1, 1)), "", {"0", ""}, "1"}}};
}

Operation make_halving_pool(int channels) {
  Unit u;
  u.kind = UnitKind::max_pool, u.in = u.out = channels, u.kernel = 2, u.stride = 2;
  return {.units = {{u, "", {}, ""}}};
}

const std::vector<OperationName>& operation_names() {
  static const std::vector<OperationName> names = {
#define OPERATION(id, aliases, chain) {#id, aliases},
#include "op_list.inc"
#undef OPERATION
  };
  return names;
}

OperationCost operation_cost(const Operation& operation, int height, int width) {
  OperationCost cost = {0, 0};
  for (const NamedUnit& n : operation.units) {
    const Unit& u = n.unit;
    cost.parameters += static_cast<double>(u.weights());
    cost.multiply_adds += u.multiply_adds(height, width);
    height = u.out_height(height), width = u.out_width(width);
  }
  return cost;
}

}  // namespace nasp
