// The function table of the CUDA backend, and what stands in it beside units: the way in and out of the layout, node sums,
// global average pooling; and the C function through which nasp.node finds all of it.
#include <cstdio>

#include "kernels.h"
#include "step.h"
#include "table.h"
#include "units.h"
#include "views.h"

namespace nasp::cuda {

namespace {

int blocks(int batch) { return batch; }

View<float> view(float* data, int channels, int height, int width) {
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(width) * channels;
  return {data, channels, height, width, row * height, row, 1};
}

std::size_t size(int batch, int channels, int height, int width) {
  return static_cast<std::size_t>(batch) * channels * height * width;
}

// Calls take(first row, rows) on runs of rows of all images that fit the page-locked buffer; a batch does.
template <class Take>
void by_rows(Context& context, const Map& map, const Take& take) {
  const std::size_t row_bytes = sizeof(float) * static_cast<std::size_t>(map.width) * map.channels;
  const int rows = map.batch * map.height, most = static_cast<int>(context.staging_bytes() / row_bytes);
  if (most == 0)
    return context.queue.fail("ERR_NASP_UNSUPPORTED", "A row of an image has %zu bytes", row_bytes);
  for (int first = 0; first < rows; first += most) take(first, first + most < rows ? most : rows - first);
}

// Where (channel, row of all images) starts in (N, C, H, W).
std::size_t planar(const Map& map, int row, int channel) {
  return ((static_cast<std::size_t>(row / map.height) * map.channels + channel) * map.height +
          row % map.height) *
         map.width;
}

void load(const Run& run, View<float> y, const float* x) {
  Call call(run, __func__);
  Context& context = call.context;
  const Map map = map_of(y, run.batch);
  by_rows(context, map, [&](int row, int rows) {
    const std::size_t n = static_cast<std::size_t>(rows) * map.width * map.channels;
    auto* packed = reinterpret_cast<float*>(context.stage(n * sizeof(float)));
    if (!packed) return;
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < map.channels; c++) {
        const float* from = x + planar(map, row + r, c);
        float* to = packed + static_cast<std::size_t>(r) * map.width * map.channels + c;
        for (int w = 0; w < map.width; w++) to[static_cast<std::size_t>(w) * map.channels] = from[w];
      }
    }
    context.queue.check(cudaMemcpyAsync(y.data + row * y.row_pitch, packed, n * sizeof(float),
                                        cudaMemcpyHostToDevice, context.queue.stream),
                        "copying images to the device");
  });
}

void store(const Run& run, float* y, View<const float> x) {
  Call call(run, __func__);
  Context& context = call.context;
  const Map map = map_of(x, run.batch);
  by_rows(context, map, [&](int row, int rows) {
    const std::size_t n = static_cast<std::size_t>(rows) * map.width * map.channels;
    auto* packed = reinterpret_cast<float*>(context.stage(n * sizeof(float)));
    const std::size_t line = static_cast<std::size_t>(map.channels) * sizeof(float);
    if (!packed || !context.queue.check(cudaMemcpy2DAsync(packed, line, x.data + row * x.row_pitch,
                                                          pitch_of(x) * sizeof(float), line,
                                                          static_cast<std::size_t>(rows) * map.width,
                                                          cudaMemcpyDeviceToHost, context.queue.stream),
                                        "copying an activation from the device"))
      return;
    if (!context.queue.wait()) return;
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < map.channels; c++) {
        const float* from = packed + static_cast<std::size_t>(r) * map.width * map.channels + c;
        float* to = y + planar(map, row + r, c);
        for (int w = 0; w < map.width; w++) to[w] = from[static_cast<std::size_t>(w) * map.channels];
      }
    }
  });
}

void gradient_sums(const Run& run, View<const float> g, const Measured<float>* of, int count) {
  for (int i = 0; i < count; i++) {
    const auto& [moments, y, mean] = of[i];
    Call call(run, __func__);
    Context& context = call.context;
    MomentsArguments a = {};
    a.x = {y.data, pitch_of(y), {}, false}, a.map = map_of(y, run.batch);
    a.g = g.data, a.g_pitch = pitch_of(g);
    a.centre = mean, a.moments = moments;
    a.partial = moment_partials(context, a.map);
    launch_moments(context.queue, a);
  }
}

void node_sum(const Run& run, View<float> y, const Term<float>* terms, int count) {
  Call call(run, __func__);
  NodeSumArguments a = {};
  a.y = y.data, a.pitch = pitch_of(y), a.map = map_of(y, run.batch);
  for (int first = 0; first == 0 || first < count; first += most_terms) {
    a.count = count - first < most_terms ? count - first : most_terms;
    for (int t = 0; t < a.count; t++)
      a.x[t] = activation_of(terms[first + t].x, false), a.weight[t] = terms[first + t].weight;
    a.accumulate = first > 0;
    launch_node_sum(call.context.queue, a);
  }
}

void add(const Run& run, View<float> dx, Write write, View<const float> g, float weight) {
  Call call(run, __func__);
  AddArguments a = {};
  a.dx = dx.data, a.dx_pitch = pitch_of(dx), a.weight = weight, a.map = map_of(dx, run.batch);
  if (g) a.g = g.data, a.g_pitch = pitch_of(g);
  a.accumulate = g && write == Write::accumulate;
  launch_add(call.context.queue, a);
}

void global_average(const Run& run, float* y, const Source<float>& x) {
  Call call(run, __func__);
  AverageArguments a = {};
  a.x = activation_of(x, false), a.map = map_of(x.x, run.batch), a.y = y;
  launch_global_average(call.context.queue, a);
}

void global_average_backward(const Run& run, View<float> dx, const float* dy) {
  Call call(run, __func__);
  AverageArguments a = {};
  a.y = const_cast<float*>(dy), a.dx = dx.data, a.dx_pitch = pitch_of(dx), a.map = map_of(dx, run.batch);
  launch_global_average_backward(call.context.queue, a);
}

void split(const Run& run, float* parts, View<const float> node, int count) {
  Call call(run, __func__);
  launch_split_parts(call.context.queue,
                     {parts, const_cast<float*>(node.data), pitch_of(node), count, map_of(node, run.batch)});
}

void join(const Run& run, View<float> node, const float* parts, int count) {
  Call call(run, __func__);
  launch_join_parts(call.context.queue,
                    {const_cast<float*>(parts), node.data, pitch_of(node), count, map_of(node, run.batch)});
}

// ---- the device ------------------------------------------------------------------------------------------

Context* context_of(void* device) { return static_cast<Context*>(device); }

const DeviceFunctions device_functions = {
    .open = [](const DevicePlan& plan, DeviceFailure& failure) -> void* {
      return Context::open(plan, failure);
    },
    .close = [](void* device) { delete context_of(device); },
    .failure = [](void* device, DeviceFailure& failure) { failure = context_of(device)->queue.failure(); },
    .counts = [](void* device) { return context_of(device)->queue.counts(); },
    .expect_room = [](void* device, std::size_t bytes, int batch,
                      DeviceFailure& failure) { context_of(device)->has_room(0, bytes, batch, failure); },
    .plan =
        [](void* device, const Unit& unit, int batch, int height, int width) {
          if (context_of(device)->make_current()) plan_unit(*context_of(device), unit, batch, height, width);
        },
    .begin_step = [](void* device) { context_of(device)->begin_step(); },
    .end_step = [](void* device) { context_of(device)->end_step(); },
    .reserve = [](void* device, std::size_t bytes) { return context_of(device)->reserve(bytes); },
    .release = [](void* device, void* memory) { context_of(device)->release(memory); },
    .fill =
        [](void* device, void* to, unsigned char byte, std::size_t bytes) {
          Queue& queue = context_of(device)->queue;
          if (queue.ok())
            queue.check(cudaMemsetAsync(to, byte, bytes, queue.stream), "filling device memory");
        },
    .read = [](void* device, void* to, const void* from,
               std::size_t bytes) { return context_of(device)->read(to, from, bytes); },
    .write = [](void* device, void* to, const void* from,
                std::size_t bytes) { context_of(device)->write(to, from, bytes); },
    .copy =
        [](void* device, void* to, const void* from, std::size_t bytes) {
          Queue& queue = context_of(device)->queue;
          if (queue.ok())
            queue.check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, queue.stream),
                        "copying within the device");
        },
};

const Backend<float> backend = {
    .name = "cuda",
    .lanes = 1,
    .blocks = blocks,
    .view = view,
    .size = size,
    .load = load,
    .store = store,
    .packed_size = packed_size,
    .pack = pack_unit,
    .forward = forward_units,
    .backward = backward_units,
    .gradient_sums = gradient_sums,
    .node_sum = node_sum,
    .add = add,
    .global_average = global_average,
    .global_average_backward = global_average_backward,
    .split = split,
    .join = join,
    .device = &device_functions,
    .between = &step_functions,
};

// The library holds code for cards from this compute capability on (cmake/cuda.cmake).
constexpr int least_capability = 8;

int find_device(char* text, std::size_t size) {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count == 0) error = cudaErrorNoDevice;
  cudaDeviceProp properties;
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, 0);
  if (error != cudaSuccess) {
    explain(error, text, size);
    return static_cast<int>(error);
  }
  if (properties.major < least_capability) {
    std::snprintf(text, size,
                  "No CUDA device can be used: %s has compute capability %d.%d, and a card of %d.0 or newer "
                  "(Ampere) is needed",
                  properties.name, properties.major, properties.minor, least_capability);
    return static_cast<int>(cudaErrorNoKernelImageForDevice);
  }
  std::snprintf(text, size, "%s, compute capability %d.%d, %zu MiB", properties.name, properties.major,
                properties.minor, properties.totalGlobalMem >> 20);
  return 0;
}

void libraries(char* text, std::size_t size) {
  int runtime = 0, driver = 0, blas = 0;
  cudaRuntimeGetVersion(&runtime);
  cudaDriverGetVersion(&driver);
  cublasGetProperty(MAJOR_VERSION, &blas);
  const std::size_t cudnn = cudnnGetVersion();
  char driver_text[64] = "no driver";
  if (driver > 0)
    std::snprintf(driver_text, sizeof(driver_text), "driver for CUDA %d.%d", driver / 1000,
                  driver % 1000 / 10);
  std::snprintf(text, size, "CUDA runtime %d.%d, %s, cuDNN %zu.%zu.%zu, cuBLAS %d", runtime / 1000,
                runtime % 1000 / 10, driver_text, cudnn / 10000, cudnn / 100 % 100, cudnn % 100, blas);
}

}  // namespace

}  // namespace nasp::cuda

extern "C" __attribute__((visibility("default"))) const nasp::CudaTable* nasp_cuda_table() {
  using namespace nasp;
  static const CudaTable table = {
      .version = CudaTable::current,
      .size = sizeof(CudaTable),
      .backend_size = sizeof(Backend<float>),
      .device_size = sizeof(DeviceFunctions),
      .step_size = sizeof(StepFunctions<float>),
      .layout = CudaTable::current_layout,
      .backend = &cuda::backend,
      .find_device = cuda::find_device,
      .libraries = cuda::libraries,
  };
  return &table;
}
