// Kernel bodies of depthwise convolution, K x K, any stride and dilation: forward with normalisation and ReLU on load, the
// data gradient through the load's ReLU, with the sums that the BatchNorm before it wants on the store, and the weight
// gradient in pieces that sum_pieces adds in order.
#pragma once
#include "kernel.h"

namespace nasp::NASP_KERNELS {

template <int K, int V>
__global__ void depthwise_forward(DepthwiseArguments a) {
  const Place p = place_in<V>(a.output);
  if (!p.inside) return;
  Vec<V> sum = splat<V>(0);
  NASP_UNROLL for (int r = 0; r < K; r++) NASP_UNROLL for (int s = 0; s < K; s++) {
    const int h = p.h * a.stride - a.pad + r * a.dilation, w = p.w * a.stride - a.pad + s * a.dilation;
    const bool inside = h >= 0 && w >= 0 && h < a.input.height && w < a.input.width;
    const std::size_t from = (static_cast<std::size_t>(p.n) * a.input.height + h) * a.input.width + w;
    const Vec<V> x = load_activation<V>(a.x, inside, inside ? from : 0, p.c, 0),
                 weight = load<V>(a.w + (r * K + s) * a.input.channels + p.c);
    NASP_UNROLL for (int i = 0; i < V; i++) sum.v[i] += weight.v[i] * x.v[i];
  }
  store(a.y + p.pixel * a.output.channels + p.c, sum);
}

// Every input pixel gathers from the windows that it lies in: row r of the kernel.
template <int K, int V>
__device__ inline void gather_row(Vec<V>& sum, const DepthwiseArguments& a, const Place& p, int r) {
  const int down = p.h + a.pad - r * a.dilation, i = down / a.stride;
  NASP_UNROLL for (int s = 0; s < K; s++) {
    const int right = p.w + a.pad - s * a.dilation, j = right / a.stride;
    const bool inside = down >= 0 && right >= 0 && i * a.stride == down && j * a.stride == right &&
                        i < a.output.height && j < a.output.width;
    const std::size_t from = (static_cast<std::size_t>(p.n) * a.output.height + i) * a.output.width + j;
    const Vec<V> dy = load_if<V>(inside, a.y + (inside ? from : 0) * a.output.channels + p.c, 0),
                 weight = load<V>(a.w + (r * K + s) * a.input.channels + p.c);
    NASP_UNROLL for (int k = 0; k < V; k++) sum.v[k] += weight.v[k] * dy.v[k];
  }
}

template <int K, int V>
__global__ void depthwise_data_gradient(DepthwiseArguments a) {
  const Place p = place_in<V>(a.input);
  if (!p.inside) return;
  Vec<V> sum = splat<V>(0);
  NASP_UNROLL for (int r = 0; r < K; r++) gather_row<K>(sum, a, p, r);
  write_gradient(a.to, p.pixel, p.c, sum);
}

// The same, and on the store the sums of dx and of dx * (x - mean), a channel: a block (lanes of channel groups, rows of
// pixels) goes through a piece of pixels. dx is overwritten and has a gate. See merge_moments for `moments`.
template <int K, int V>
__global__ void depthwise_data_gradient_sums(DepthwiseArguments a) {
  NASP_SHARED(double, memory, 256);
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * V, channels = a.input.channels;
  const bool live = c < channels;
  Vec<V> sum[2] = {splat<V>(0), splat<V>(0)};
  if (live) {
    const Activation& gate = a.to.gate;
    const Vec<V> mean = load<V>(gate.norm.mean + c), scale = load<V>(gate.norm.scale + c),
                 shift = load<V>(gate.norm.shift + c);
    const int begin = blockIdx.y * a.pixels_a_piece, end = min(begin + a.pixels_a_piece, a.input.pixels());
    for (int pixel = begin + threadIdx.y; pixel < end; pixel += blockDim.y) {
      const Place p = place_at(a.input, pixel, c);
      Vec<V> d = splat<V>(0);
      NASP_ROLLED for (int r = 0; r < K; r++)
          gather_row<K>(d, a, p, r);  // all weights would not fit in registers
      const Vec<V> x = load<V>(gate.x + static_cast<std::size_t>(pixel) * gate.pitch + c);
      NASP_UNROLL for (int i = 0; i < V; i++) {
        const float off = x.v[i] - mean.v[i];
        d.v[i] = scale.v[i] * off + shift.v[i] > 0 ? d.v[i] : 0;
        sum[0].v[i] += d.v[i];
        sum[1].v[i] += d.v[i] * off;
      }
      store(a.to.dx + static_cast<std::size_t>(pixel) * a.to.pitch + c, d);
    }
  }
  NASP_UNROLL for (int k = 0; k < 2; k++) store_row_sums(
      a.sums + (static_cast<std::size_t>(blockIdx.y) * 4 + 2 + k) * channels + c, live, sum[k], memory);
}

// Block (lanes of channels, rows of pixels), grid (channel groups, pieces): sums over a piece's output pixels.
template <int K>
__global__ void depthwise_weight_gradient(DepthwiseArguments a) {
  NASP_SHARED(double, memory, 256);
  const int c = blockIdx.x * blockDim.x + threadIdx.x, channels = a.input.channels;
  const bool live = c < channels;
  float sum[K * K];
  NASP_UNROLL for (int t = 0; t < K * K; t++) sum[t] = 0;
  const int begin = blockIdx.y * a.pixels_a_piece, end = min(begin + a.pixels_a_piece, a.output.pixels());
  for (int pixel = begin + threadIdx.y; live && pixel < end; pixel += blockDim.y) {
    const float dy = load<1>(a.y + static_cast<std::size_t>(pixel) * channels + c).v[0];
    const int top = pixel / a.output.width % a.output.height * a.stride - a.pad,
              left = pixel % a.output.width * a.stride - a.pad,
              image = pixel / a.output.width / a.output.height * a.input.height;
    NASP_UNROLL for (int r = 0; r < K; r++) NASP_UNROLL for (int s = 0; s < K; s++) {
      const int h = top + r * a.dilation, w = left + s * a.dilation;
      const bool inside = h >= 0 && w >= 0 && h < a.input.height && w < a.input.width;
      const std::size_t from = static_cast<std::size_t>(image + h) * a.input.width + w;
      sum[r * K + s] += dy * load_activation<1>(a.x, inside, inside ? from : 0, c, 0).v[0];
    }
  }
  NASP_UNROLL for (int t = 0; t < K * K; t++) {
    const double total = sum_rows(sum[t], memory);
    if (threadIdx.y == 0 && live)
      store(a.partial + (static_cast<std::size_t>(blockIdx.y) * K * K + t) * channels + c,
            Vec<1>{{static_cast<float>(total)}});
  }
}

}  // namespace nasp::NASP_KERNELS
