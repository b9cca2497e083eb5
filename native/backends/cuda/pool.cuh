// Kernel bodies of max and average pooling, padding (k - 1) / 2.
//
//   max    pads with -inf; on ties the gradient goes to the first maximum in row-major order (as PyTorch); a NaN is
//          above all numbers, the last of several
//   avg    the mean over the window's pixels inside the image
#pragma once
#include "sum_piece.cuh"

namespace nasp::NASP_KERNELS {

// Pixels inside the image of a window that starts at `first`.
__device__ inline int inside_image(int first, int kernel, int size) {
  return min(first + kernel, size) - max(first, 0);
}

template <int V>
struct alignas(V) Winners {
  unsigned char at[V];
};
template <int V>
struct Maximum {
  Vec<V> value;
  Winners<V> winners;
};

template <int V>
__device__ inline Maximum<V> first_maximum(const PoolArguments& a, const Place& p) {
  Maximum<V> best;
  best.value = splat<V>(-__builtin_huge_valf());
  NASP_UNROLL for (int i = 0; i < V; i++) best.winners.at[i] = 0;
  bool any = false;
  for (int r = 0; r < a.kernel; r++) {
    for (int s = 0; s < a.kernel; s++) {
      const int h = p.h * a.stride - a.pad + r, w = p.w * a.stride - a.pad + s;
      const bool inside = h >= 0 && w >= 0 && h < a.input.height && w < a.input.width;
      const std::size_t from = (static_cast<std::size_t>(p.n) * a.input.height + h) * a.input.width + w;
      const Vec<V> x = load_activation<V>(a.x, inside, inside ? from : 0, p.c, 0);
      if (!inside) continue;
      NASP_UNROLL for (int i = 0; i < V; i++) {
        if (any && !(x.v[i] > best.value.v[i]) && x.v[i] == x.v[i]) continue;
        best.value.v[i] = x.v[i];
        best.winners.at[i] = static_cast<unsigned char>(r * a.kernel + s);
      }
      any = true;
    }
  }
  return best;
}

template <int V>
__global__ void max_pool_winners(PoolArguments a) {
  const Place p = place_in<V>(a.output);
  if (!p.inside) return;
  const Maximum<V> best = first_maximum<V>(a, p);
  write(reinterpret_cast<Winners<V>*>(a.winner + p.pixel * a.output.channels + p.c), 0, best.winners);
}

template <int V>
__device__ inline Vec<V> average(const PoolArguments& a, const Place& p) {
  const int top = p.h * a.stride - a.pad, left = p.w * a.stride - a.pad;
  Vec<V> sum = splat<V>(0);
  for (int r = 0; r < a.kernel; r++) {
    for (int s = 0; s < a.kernel; s++) {
      const int h = top + r, w = left + s;
      const bool inside = h >= 0 && w >= 0 && h < a.input.height && w < a.input.width;
      const std::size_t from = (static_cast<std::size_t>(p.n) * a.input.height + h) * a.input.width + w;
      const Vec<V> x = load_activation<V>(a.x, inside, inside ? from : 0, p.c, 0);
      NASP_UNROLL for (int i = 0; i < V; i++) sum.v[i] += x.v[i];
    }
  }
  const float share = 1.0f / static_cast<float>(inside_image(top, a.kernel, a.input.height) *
                                                inside_image(left, a.kernel, a.input.width));
  NASP_UNROLL for (int i = 0; i < V; i++) sum.v[i] *= share;
  return sum;
}

// A piece of pixels a block: y, stored where it is wanted, with its sums (statistics.cuh).
template <bool max, int V>
__global__ void pool_forward(PoolMomentsArguments a) {
  sum_piece<V>(
      a.moments,
      [&](int pixel, int c) {
        const Place p = place_at(a.pool.output, pixel, c);
        Vec<V> y;
        if constexpr (max)
          y = first_maximum<V>(a.pool, p).value;
        else
          y = average<V>(a.pool, p);
        if (a.pool.y) store(a.pool.y + p.pixel * a.pool.y_pitch + c, y);
        return y;
      },
      true);
}

// Every input pixel gathers from the windows that it lies in.
template <int V>
__global__ void pool_backward(PoolArguments a) {
  const Place p = place_in<V>(a.input);
  if (!p.inside) return;
  Vec<V> sum = splat<V>(0);
  for (int r = 0; r < a.kernel; r++) {
    for (int s = 0; s < a.kernel; s++) {
      const int down = p.h + a.pad - r, right = p.w + a.pad - s, i = down / a.stride, j = right / a.stride;
      const bool inside = down >= 0 && right >= 0 && i * a.stride == down && j * a.stride == right &&
                          i < a.output.height && j < a.output.width;
      const std::size_t from = (static_cast<std::size_t>(p.n) * a.output.height + i) * a.output.width + j;
      const std::size_t at = (inside ? from : 0) * a.output.channels + p.c;
      const Vec<V> dy = load_if<V>(inside, a.dy + at, 0);
      if (a.max) {
        const auto winners =
            read_if(inside, reinterpret_cast<const Winners<V>*>(a.winner + at), 0, Winners<V>());
        NASP_UNROLL for (int k = 0; k < V; k++) sum.v[k] += winners.at[k] == r * a.kernel + s ? dy.v[k] : 0;
      } else if (inside) {
        const float share =
            1.0f / static_cast<float>(inside_image(i * a.stride - a.pad, a.kernel, a.input.height) *
                                      inside_image(j * a.stride - a.pad, a.kernel, a.input.width));
        NASP_UNROLL for (int k = 0; k < V; k++) sum.v[k] += share * dy.v[k];
      }
    }
  }
  write_gradient(a.to, p.pixel, p.c, sum);
}

}  // namespace nasp::NASP_KERNELS
