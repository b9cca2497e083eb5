// cuDNN's own word on the convolutions of every search space, for cards that are not there: prints a plan's engine and
// workspace for each shape, pass, type and card, and exits with 1 where a float32 plan is missing or needs more workspace
// than a session has. Nothing is run. `scripts/plan-table.mjs` starts it. --this-card: prints the properties of device 0 in
// place of all that, for device_properties.h.
#include <cstdio>
#include <set>

#include "../../../ops/operation.h"
#include "../convolution.h"
#include "../device_properties.h"

using namespace nasp;
using namespace nasp::cuda;

namespace {

struct Net {
  const char* name;
  int channels, size;
};
// The search of the papers, of the released code's larger nets, and evaluation on CIFAR-10 and Tiny ImageNet.
constexpr Net nets[] = {
    {"search C 16", 16, 32}, {"search and evaluation C 36", 36, 32}, {"Tiny ImageNet C 48", 48, 64}};
constexpr int batches[] = {64, 96};

struct Type {
  const char* name;
  cudnnDataType_t type;
  bool tensor_cores;
};
constexpr Type types[] = {
    {"fp32", CUDNN_DATA_FLOAT, false}, {"tf32", CUDNN_DATA_FLOAT, true}, {"bf16", CUDNN_DATA_BFLOAT16, true}};
constexpr ConvolutionPass passes[] = {ConvolutionPass::forward, ConvolutionPass::data_gradient,
                                      ConvolutionPass::filter_gradient};
constexpr const char* pass_names[] = {"forward", "data", "filter"};

void add_shapes(std::vector<ConvolutionShape>& shapes, const Operation& operation, int batch, int size) {
  int height = size, width = size;
  for (const NamedUnit& n : operation.units) {
    const Unit& u = n.unit;
    const int out_height = u.out_height(height), out_width = u.out_width(width);
    const int between_width = u.paired() ? out_width : width;
    if (u.paired()) shapes.push_back({batch, u.in, height, width, u.row.out, height, out_width, u.row});
    for (int i = 0; i < u.parts && !u.depthwise(); i++) {
      if (u.dense[i].taps() > 1)
        shapes.push_back(
            {batch, u.between(), height, between_width, u.dense[i].out, out_height, out_width, u.dense[i]});
    }
    height = out_height, width = out_width;
  }
}

std::vector<ConvolutionShape> shapes_of(const Net& net, int batch) {
  std::vector<ConvolutionShape> shapes;
  add_shapes(shapes, make_stem(3, 3 * net.channels), batch, net.size);
  for (const OperationName& name : operation_names()) {
    for (int stage = 0; stage < 3; stage++) {
      add_shapes(shapes, make_operation(name.name, net.channels << stage, 1, true), batch, net.size >> stage);
      if (stage > 0)  // a reduction cell's inputs are of the size before it
        add_shapes(shapes, make_operation(name.name, net.channels << stage, 2, true), batch,
                   net.size >> (stage - 1));
    }
  }
  return shapes;
}

int print_this_card() {
  Descriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  properties.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, std::vector<int32_t>{0}).finalize();
  const auto json = properties.get<char>(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 1 << 16);
  if (!properties.ok() || json.empty()) {
    std::fprintf(stderr, "cuDNN finds no device (status %d)\n", static_cast<int>(properties.status()));
    return 1;
  }
  std::printf("%.*s\n", static_cast<int>(json.size()), json.data());
  return 0;
}

struct Tally {
  int plans = 0, missing = 0;
};

// One line: what cuDNN plans for a shape, or that it has nothing.
void print_plan(Tally& tally, const CardProperties& card, const Descriptor& properties,
                const ConvolutionShape& s, const Type& type, int pass) {
  PlanChoice choice;
  choice.most_workspace = Convolutions::workspace_bytes;
  choice.type = type.type;
  choice.tensor_cores = type.tensor_cores;
  const ConvolutionPlan plan = plan_convolution({nullptr, &properties}, s, passes[pass], choice);
  const bool found = plan.status == CUDNN_STATUS_SUCCESS, needed = !type.tensor_cores;
  tally.plans++;
  tally.missing += !found && needed;
  std::printf("%-5s %-5s %-8s %2d %4d -> %-4d %2d x %-4d %d x %d  %d x %d ", card.name, type.name,
              pass_names[pass], s.batch, s.in, s.out, s.height, s.width, s.part.kernel_h, s.part.kernel_w,
              s.part.stride_h, s.part.stride_w);
  if (found)
    std::printf("%8lld %10zu %10d\n", static_cast<long long>(plan.engine), plan.workspace >> 10,
                plan.candidates);
  else
    std::printf("  none, status %d%s\n", static_cast<int>(plan.status), needed ? ": MISSING" : "");
}

void print_net(Tally& tally, const CardProperties& card, const Descriptor& properties, const Net& net,
               int batch) {
  std::printf("# %s, %s, batch %d\n", card.name, net.name, batch);
  std::set<decltype(ConvolutionShape{}.key())> seen;
  for (const ConvolutionShape& s : shapes_of(net, batch)) {
    if (!seen.insert(s.key()).second) continue;
    for (const Type& type : types) {
      for (int pass = 0; pass < 3; pass++) print_plan(tally, card, properties, s, type, pass);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1 && std::string(arguments[1]) == "--this-card") return print_this_card();
  Tally tally;
  std::printf("cuDNN %zu; nothing was run, and no card was there\n", cudnnGetVersion());
  std::printf(
      "card  type  pass     N   in -> out  H x W    kernel stride  engine  workspace KiB  of candidates\n");
  for (const CardProperties& card : cards) {
    Descriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    const std::string json = card.json;
    properties
        .set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
             std::vector<char>(json.begin(), json.end()))
        .finalize();
    if (!properties.ok()) {
      std::printf("cuDNN does not take the properties of %s (it takes 9.8 or newer)\n", card.name);
      return 1;
    }
    for (const Net& net : nets) {
      for (int batch : batches) print_net(tally, card, properties, net, batch);
    }
  }
  std::printf("%d plans asked for, %d that are needed are missing\n", tally.plans, tally.missing);
  return tally.missing == 0 ? 0 : 1;
}
