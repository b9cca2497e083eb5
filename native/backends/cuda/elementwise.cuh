// Kernel bodies of what is left between units: copies that units feed to cuDNN and cuBLAS, BatchNorm's backward folded
// into a gradient, gradients on their way through a ReLU, node sums, global average pooling.
#pragma once
#include "kernel.h"

namespace nasp::NASP_KERNELS {

template <int V>
__global__ void activate(ActivateArguments a) {
  const Place p = place_in<V>(a.to);
  if (!p.inside) return;
  const int h = p.h * a.sampling.stride_h + a.sampling.offset_h,
            w = p.w * a.sampling.stride_w + a.sampling.offset_w;
  const bool inside = h >= 0 && w >= 0 && h < a.from.height && w < a.from.width;
  const std::size_t from = (static_cast<std::size_t>(p.n) * a.from.height + h) * a.from.width + w;
  store(a.y + p.pixel * a.to.channels + p.c, load_activation<V>(a.x, inside, inside ? from : 0, p.c, 0));
}

template <int V>
__global__ void fold_gradient(FoldArguments a) {
  const Place p = place_in<V>(a.map);
  if (!p.inside) return;
  Vec<V> y = load<V>(a.g + p.pixel * a.g_pitch + p.c);
  if (a.a) {
    const Vec<V> x = load<V>(a.x + p.pixel * a.x_pitch + p.c);
    const Vec<V> mean = load<V>(a.mean + p.c), scale = load<V>(a.a + p.c), slope = load<V>(a.b + p.c),
                 offset = load<V>(a.c + p.c);
    NASP_UNROLL for (int i = 0; i < V; i++) y.v[i] =
        scale.v[i] * y.v[i] + slope.v[i] * (x.v[i] - mean.v[i]) + offset.v[i];
  }
  store(a.y + p.pixel * a.map.channels + p.c, y);
}

template <int V>
__global__ void pass_gradient(PassArguments a) {
  const Place p = place_in<V>(a.input);
  if (!p.inside) return;
  const int h = p.h - a.sampling.offset_h, w = p.w - a.sampling.offset_w;
  const int i = h / a.sampling.stride_h, j = w / a.sampling.stride_w;
  const bool sampled = h >= 0 && w >= 0 && i * a.sampling.stride_h == h && j * a.sampling.stride_w == w &&
                       i < a.sampled.height && j < a.sampled.width;
  if (!sampled && a.to.accumulate) return;
  const std::size_t from = (static_cast<std::size_t>(p.n) * a.sampled.height + i) * a.sampled.width + j;
  const Vec<V> d = load_if<V>(sampled, a.d + (sampled ? from : 0) * a.sampled.channels + p.c, 0);
  write_gradient(a.to, p.pixel, p.c, d);
}

template <int V>
__global__ void node_sum(NodeSumArguments a) {
  const Place p = place_in<V>(a.map);
  if (!p.inside) return;
  float* to = a.y + p.pixel * a.pitch + p.c;
  Vec<V> sum = load_if<V>(a.accumulate, to, 0);
  for (int t = 0; t < a.count; t++) {
    const Vec<V> x = load_activation<V>(a.x[t], true, p.pixel, p.c, 0);
    NASP_UNROLL for (int i = 0; i < V; i++) sum.v[i] += a.weight[t] * x.v[i];
  }
  store(to, sum);
}

template <int V>
__global__ void add_scaled(AddArguments a) {
  const Place p = place_in<V>(a.map);
  if (!p.inside) return;
  float* to = a.dx + p.pixel * a.dx_pitch + p.c;
  Vec<V> sum = load_if<V>(a.accumulate, to, 0);
  const Vec<V> g = load_if<V>(a.g != nullptr, a.g ? a.g + p.pixel * a.g_pitch + p.c : nullptr, 0);
  NASP_UNROLL for (int i = 0; i < V; i++) sum.v[i] += a.weight * g.v[i];
  store(to, sum);
}

// A channel of the node a thread: neighbours there are neighbours in each part too.
__device__ inline std::size_t in_parts(const PartsArguments& a, const Place& p) {
  const int channels = a.map.channels / a.count, part = p.c % a.count, c = p.c / a.count;
  return (static_cast<std::size_t>(part) * a.map.pixels() + p.pixel) * channels + c;
}
__global__ void split_parts(PartsArguments a) {
  const Place p = place_in<1>(a.map);
  if (p.inside) write(a.parts, in_parts(a, p), read(a.node, p.pixel * a.pitch + p.c));
}
__global__ void join_parts(PartsArguments a) {
  const Place p = place_in<1>(a.map);
  if (p.inside) write(a.node, p.pixel * a.pitch + p.c, read(a.parts, in_parts(a, p)));
}

// One (image, channel group) a thread; y's map has one pixel an image.
template <int V>
__global__ void global_average(AverageArguments a) {
  const Place p = place_in<V>({a.map.batch, 1, 1, a.map.channels});
  if (!p.inside) return;
  const int pixels = a.map.height * a.map.width;
  Vec<V> sum = splat<V>(0);
  for (int i = 0; i < pixels; i++) {
    const Vec<V> x = load_activation<V>(a.x, true, p.pixel * pixels + i, p.c, 0);
    NASP_UNROLL for (int k = 0; k < V; k++) sum.v[k] += x.v[k];
  }
  NASP_UNROLL for (int k = 0; k < V; k++) sum.v[k] /= static_cast<float>(pixels);
  store(a.y + p.pixel * a.map.channels + p.c, sum);
}

template <int V>
__global__ void global_average_backward(AverageArguments a) {
  const Place p = place_in<V>(a.map);
  if (!p.inside) return;
  Vec<V> share = load<V>(a.y + static_cast<std::size_t>(p.n) * a.map.channels + p.c);
  NASP_UNROLL for (int k = 0; k < V; k++) share.v[k] /= static_cast<float>(a.map.height * a.map.width);
  store(a.dx + p.pixel * a.dx_pitch + p.c, share);
}

__global__ void sum_pieces(SumPiecesArguments a) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= a.count) return;
  float total = 0;
  for (int p = 0; p < a.pieces; p++)
    total += load<1>(a.partial + static_cast<std::size_t>(p) * a.count + i).v[0];
  store(a.total + i, Vec<1>{{total}});
}

}  // namespace nasp::NASP_KERNELS
