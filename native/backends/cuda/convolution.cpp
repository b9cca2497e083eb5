#include "convolution.h"

#include <algorithm>

namespace nasp::cuda {

namespace {

enum Uid : int64_t { uid_x = 'x', uid_w = 'w', uid_y = 'y' };
constexpr int64_t most_engines = 256;

// (N, C, H, W) with channels last in memory.
Descriptor tensor(Uid uid, cudnnDataType_t type, int64_t n, int64_t c, int64_t h, int64_t w) {
  Descriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {uid})
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, std::vector<cudnnDataType_t>{type})
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, {n, c, h, w})
      .set(CUDNN_ATTR_TENSOR_STRIDES, {h * w * c, 1, w * c, c})
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, {16});
  d.finalize();
  return d;
}

// Padding behind the image: what the last window needs, which may be less than nothing.
int64_t pad_behind(int in, int out, int kernel, int stride, int pad) {
  return static_cast<int64_t>(out - 1) * stride + kernel - in - pad;
}

Descriptor convolution(const ConvolutionShape& s) {
  const DensePart& p = s.part;
  Descriptor d(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  d.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, {2})
      .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE,
           std::vector<cudnnDataType_t>{CUDNN_DATA_FLOAT})
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE,
           std::vector<cudnnConvolutionMode_t>{CUDNN_CROSS_CORRELATION})
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {p.pad_h, p.pad_w})
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS,
           {std::max<int64_t>(0, pad_behind(s.height, s.out_height, p.kernel_h, p.stride_h, p.pad_h)),
            std::max<int64_t>(0, pad_behind(s.width, s.out_width, p.kernel_w, p.stride_w, p.pad_w))})
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1})
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {p.stride_h, p.stride_w});
  d.finalize();
  return d;
}

struct OperationNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
  std::vector<int64_t> uids;  // of what is written, then of what is read
};

OperationNames names_of(ConvolutionPass pass) {
  switch (pass) {
    case ConvolutionPass::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
              {uid_y, uid_x, uid_w}};
    case ConvolutionPass::data_gradient:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
              {uid_x, uid_w, uid_y}};
    default:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
              {uid_w, uid_x, uid_y}};
  }
}

struct EngineNotes {
  int64_t number = -1;
  bool deterministic = true, tensor_cores = false;
};

EngineNotes notes_of(const Descriptor& config) {
  const Descriptor engine = config.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  EngineNotes notes;
  const auto number = engine.get<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1);
  if (!number.empty()) notes.number = number.front();
  for (cudnnBackendNumericalNote_t note : engine.get<cudnnBackendNumericalNote_t>(
           CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT)) {
    if (note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) notes.deterministic = false;
    if (note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS ||
        note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
      notes.tensor_cores = true;
  }
  return notes;
}

// The heuristics' engine configurations, best first.
std::vector<Descriptor> configurations(const PlanTarget& target, const Descriptor& graph,
                                       cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, std::vector<cudnnBackendHeurMode_t>{mode});
  if (target.properties) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.properties);
  if (!heuristics.finalize().ok()) return {};
  std::vector<Descriptor> configs;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (int64_t i = 0; i < most_engines; i++) {
    configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    raw.push_back(configs.back().raw());
  }
  int64_t count = 0;
  if (cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                               most_engines, &count, raw.data()) != CUDNN_STATUS_SUCCESS)
    return {};
  configs.resize(static_cast<std::size_t>(std::min(count, most_engines)));
  return configs;
}

}  // namespace

ConvolutionPlan plan_convolution(const PlanTarget& target, const ConvolutionShape& s, ConvolutionPass pass,
                                 const PlanChoice& choice) {
  ConvolutionPlan result;
  const OperationNames names = names_of(pass);
  Descriptor x = tensor(uid_x, choice.type, s.batch, s.in, s.height, s.width),
             w = tensor(uid_w, choice.type, s.out, s.in, s.part.kernel_h, s.part.kernel_w),
             y = tensor(uid_y, choice.type, s.batch, s.out, s.out_height, s.out_width),
             shape = convolution(s), operation(names.type), graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  operation.set(names.x, x)
      .set(names.w, w)
      .set(names.y, y)
      .set(names.convolution, shape)
      .set(names.alpha, CUDNN_TYPE_FLOAT, std::vector<float>{1})
      .set(names.beta, CUDNN_TYPE_FLOAT, std::vector<float>{0})
      .finalize();
  if (target.handle)
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, std::vector<cudnnHandle_t>{target.handle});
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation).finalize();
  for (const Descriptor* d : {&x, &w, &y, &shape, &operation, &graph}) {
    result.status = d->status();
    if (!d->ok()) return result;
  }
  result.status = CUDNN_STATUS_NOT_SUPPORTED;
  for (cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    std::vector<Descriptor> configs = configurations(target, graph, mode);
    result.candidates += static_cast<int>(configs.size());
    for (Descriptor& config : configs) {
      const EngineNotes notes = notes_of(config);
      if (!notes.deterministic || (notes.tensor_cores && !choice.tensor_cores)) continue;
      Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
      if (target.handle)
        plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE,
                 std::vector<cudnnHandle_t>{target.handle});
      else
        plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.properties);
      if (!plan.finalize().ok()) {
        result.status = plan.status();
        continue;
      }
      const auto bytes = plan.get<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1);
      if (bytes.empty() || static_cast<std::size_t>(bytes.front()) > choice.most_workspace) continue;
      result.plan = std::move(plan);
      result.workspace = static_cast<std::size_t>(bytes.front());
      result.engine = notes.number;
      result.tensor_cores = notes.tensor_cores;
      result.status = CUDNN_STATUS_SUCCESS;
      for (Descriptor* d : {&x, &w, &y, &shape, &operation, &graph, &config})
        result.parts.push_back(std::move(*d));
      return result;
    }
  }
  return result;
}

bool Convolutions::open(Queue& queue) {
  return queue.check(cudnnCreate(&handle_), "starting cuDNN") &&
         queue.check(cudnnSetStream(handle_, queue.stream), "giving cuDNN its stream") &&
         queue.check(cudaMalloc(&workspace_, workspace_bytes), "device memory for cuDNN");
}

void Convolutions::close() {
  plans_.clear();
  if (workspace_) cudaFree(workspace_);
  if (handle_) cudnnDestroy(handle_);
}

const ConvolutionPlan* Convolutions::plan(Queue& queue, const ConvolutionShape& shape, ConvolutionPass pass) {
  if (!queue.ok()) return nullptr;
  const auto key = std::pair(shape.key(), pass);
  auto found = plans_.find(key);
  if (found == plans_.end()) {
    if (queue.in_step()) {
      queue.fail("ERR_NASP_INTERNAL", "A convolution was run that nothing was planned for");
      return nullptr;
    }
    PlanChoice choice;
    choice.most_workspace = workspace_bytes;
    found = plans_.emplace(key, plan_convolution({handle_, nullptr}, shape, pass, choice)).first;
  }
  return queue.check(found->second.status, "a plan for a convolution") ? &found->second : nullptr;
}

void Convolutions::run(Queue& queue, const ConvolutionShape& shape, ConvolutionPass pass, float* to,
                       const float* a, const float* b) {
  const ConvolutionPlan* planned = plan(queue, shape, pass);
  if (!planned) return;
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::vector<const void*>{to, a, b})
      .set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, names_of(pass).uids)
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, std::vector<void*>{workspace_})
      .finalize();
  if (!queue.check(pack.status(), "a convolution's pointers")) return;
  queue.called();
  queue.check(cudnnBackendExecute(handle_, planned->plan.raw(), pack.raw()), "a convolution");
}

}  // namespace nasp::cuda
