// What is left between units: node sums, BatchNorm's backward sums, gradients of identities, global average pooling,
// and the way in and out of the layout.
#pragma once
#include "unit_forward.h"

namespace nasp::NASP_ISA {

template <class S>
S* row_of(const View<S>& v, int block, int row, int channel) {
  return v.data + block * v.block_pitch + row * v.row_pitch + channel * v.channel_pitch;
}

template <class L>
L load_source(const Source<typename L::scalar>& s, const typename L::scalar* p, int channel) {
  const L v = L::load(p);
  if (!s.norm.scale) return v;
  return L::splat(s.norm.scale[channel]) * (v - L::splat(s.norm.mean[channel])) +
         L::splat(s.norm.shift[channel]);
}

// A row of y (+)= N terms, weight * (scale * (v - mean) + shift) each, in their order.
template <class L, int N>
void add_terms(typename L::scalar* to, int end, bool overwrite, const Term<typename L::scalar>* terms,
               int block, int row, int c) {
  using S = typename L::scalar;
  const S* from[N];
  L mean[N], scale[N], shift[N];
  NASP_UNROLL for (int t = 0; t < N; t++) {
    const Normalise<S>& n = terms[t].x.norm;
    from[t] = row_of(terms[t].x.x, block, row, c);
    mean[t] = L::splat(n.scale ? n.mean[c] : S(0)),
    scale[t] = L::splat(terms[t].weight * (n.scale ? n.scale[c] : S(1))),
    shift[t] = L::splat(n.scale ? terms[t].weight * n.shift[c] : S(0));
  }
  for (int w = 0; w < end; w += L::count) {
    L sum = overwrite ? L::zero() : L::load(to + w);
    NASP_UNROLL for (int t = 0; t < N; t++) sum += scale[t] * (L::load(from[t] + w) - mean[t]) + shift[t];
    sum.store(to + w);
  }
}

// Calls body.template operator()<N>(first) for N tensors at a time, as many as are read side by side.
template <class Body>
void by_runs(int count, const Body& body) {
  int first = 0;
  for (; first + streams <= count; first += streams) body.template operator()<streams>(first);
  if (count - first == 3) body.template operator()<3>(first);
  if (count - first == 2) body.template operator()<2>(first);
  if (count - first == 1) body.template operator()<1>(first);
}

// y = sum of weight * normalised x over the terms, in their order. No terms: zero.
template <class L>
void node_sum(const Run& run, View<typename L::scalar> y, const Term<typename L::scalar>* terms, int count) {
  const Pieces<L> pieces(y, ceil_div(run.batch, L::count));
  const int end = y.width * L::count;
  run.parallel.run(pieces.count, [&](int piece, int) {
    const int block = pieces.block(piece);
    for (int row = pieces.first(piece); row < pieces.end(piece); row++) {
      for (int c = 0; c < y.channels && count == 0; c++)
        fill_vectors<L>(row_of(y, block, row, c), y.width, L::zero());
      // terms over all channels: long runs of few tensors at a time
      by_runs(count, [&]<int N>(int t) {
        for (int c = 0; c < y.channels; c++)
          add_terms<L, N>(row_of(y, block, row, c), end, t == 0, terms + t, block, row, c);
      });
    }
  });
}

template <class L>
void add(const Run& run, View<typename L::scalar> dx, Write write, View<const typename L::scalar> g,
         typename L::scalar weight) {
  using S = typename L::scalar;
  const Pieces<L> pieces(dx, ceil_div(run.batch, L::count));
  const int end = dx.width * L::count;
  const L w = L::splat(weight);
  run.parallel.run(pieces.count, [&](int piece, int) {
    const int block = pieces.block(piece);
    for (int row = pieces.first(piece); row < pieces.end(piece); row++) {
      for (int c = 0; c < dx.channels; c++) {
        S* to = row_of(dx, block, row, c);
        const S* from = g.data ? row_of(g, block, row, c) : nullptr;
        if (!from)
          fill_vectors<L>(to, dx.width, L::zero());
        else if (write == Write::overwrite)
          for (int i = 0; i < end; i += L::count) (w * L::load(from + i)).store(to + i);
        else
          for (int i = 0; i < end; i += L::count) (L::load(to + i) + w * L::load(from + i)).store(to + i);
      }
    }
  });
}

// A row of a channel added to sums (N, C, 2 vectors): of g, and of g * (y - mean), of N of them.
template <class L, int N>
void add_products(L* sums, const typename L::scalar* g, int end, const Measured<typename L::scalar>* of,
                  int block, int row, int c, int channels) {
  const typename L::scalar* from[N];
  L gradient = L::zero(), product[N], mean[N];
  NASP_UNROLL for (int i = 0; i < N; i++) {
    from[i] = row_of(of[i].y, block, row, c), mean[i] = L::splat(of[i].mean[c]), product[i] = L::zero();
  }
  for (int w = 0; w < end; w += L::count) {
    const L value = L::load(g + w);
    gradient += value;
    NASP_UNROLL for (int i = 0; i < N; i++) product[i] += value * (L::load(from[i] + w) - mean[i]);
  }
  NASP_UNROLL for (int i = 0; i < N; i++) {
    L* sum = sums + 2 * (i * channels + c);
    sum[0] += gradient, sum[1] += product[i];
  }
}

template <class L>
void gradient_sums(const Run& run, View<const typename L::scalar> g, const Measured<typename L::scalar>* of,
                   int count) {
  const Pieces<L> pieces(g, ceil_div(run.batch, L::count));
  const int channels = g.channels, end = g.width * L::count, all = channels * count;
  auto* partial = static_cast<GradientSums*>(run.workspace.shared(
      Workspace::partial_moments, sizeof(GradientSums) * static_cast<std::size_t>(pieces.count) * all));
  run.parallel.run(pieces.count, [&](int piece, int thread) {
    const int block = pieces.block(piece);
    auto* sums = static_cast<L*>(run.workspace.thread(thread, 2 * sizeof(L) * all));  // (count, C, 2)
    std::fill_n(sums, 2 * all, L::zero());
    for (int row = pieces.first(piece); row < pieces.end(piece); row++) {
      by_runs(count, [&]<int N>(int first) {
        for (int c = 0; c < channels; c++)
          add_products<L, N>(sums + 2 * first * channels, row_of(g, block, row, c), end, of + first, block,
                             row, c, channels);
      });
    }
    for (int i = 0; i < all; i++)
      partial[static_cast<ptrdiff_t>(piece) * all + i] =
          sum_of_lanes(sums[2 * i], sums[2 * i + 1], live_count(L::count, run.batch, block));
  });
  for (int i = 0; i < all; i++) {
    const GradientSums sums = add_pieces(partial + i, pieces.count, all);
    Moments& moments = of[i / channels].moments[i % channels];
    moments.gradient = sums.gradient, moments.gradient_y = sums.gradient_y;
  }
}

template <class L>
void global_average(const Run& run, typename L::scalar* y, const Source<typename L::scalar>& x) {
  using S = typename L::scalar;
  const View<const S>& v = x.x;
  run.parallel.run(ceil_div(run.batch, L::count), [&](int block, int) {
    for (int c = 0; c < v.channels; c++) {
      L sum = L::zero();
      for (int row = 0; row < v.height; row++) {
        for (int w = 0; w < v.width; w++)
          sum += load_source<L>(x, row_of(v, block, row, c) + w * L::count, c);
      }
      for (int l = 0; l < live_count(L::count, run.batch, block); l++) {
        y[static_cast<ptrdiff_t>(block * L::count + l) * v.channels + c] = sum.v[l] / S(v.height * v.width);
      }
    }
  });
}

template <class L>
void global_average_backward(const Run& run, View<typename L::scalar> dx, const typename L::scalar* dy) {
  using S = typename L::scalar;
  run.parallel.run(ceil_div(run.batch, L::count), [&](int block, int) {
    for (int c = 0; c < dx.channels; c++) {
      L share = L::zero();
      for (int l = 0; l < live_count(L::count, run.batch, block); l++) {
        share.v[l] =
            dy[static_cast<ptrdiff_t>(block * L::count + l) * dx.channels + c] / S(dx.height * dx.width);
      }
      for (int row = 0; row < dx.height; row++) fill_vectors<L>(row_of(dx, block, row, c), dx.width, share);
    }
  });
}

// The lanes beyond the batch repeat its last image: their numbers count nowhere, but must stay finite where its own do (a
// gradient of zero times infinity is none), and zeros need not, behind BatchNorm on statistics of other images.
template <class L>
void load_images(const Run& run, View<typename L::scalar> y, const typename L::scalar* x) {
  const std::size_t image = static_cast<std::size_t>(y.channels) * y.height * y.width;
  for (int n = 0; n < ceil_div(run.batch, L::count) * L::count; n++) {
    const int block = n / L::count, lane = n % L::count;
    const auto* from = x + smaller(n, run.batch - 1) * image;
    for (int c = 0; c < y.channels; c++) {
      for (int row = 0; row < y.height; row++) {
        auto* to = row_of(y, block, row, c) + lane;
        for (int w = 0; w < y.width; w++) to[w * L::count] = *from++;
      }
    }
  }
}

template <class L>
void store_images(const Run& run, typename L::scalar* y, View<const typename L::scalar> x) {
  for (int n = 0; n < run.batch; n++) {
    for (int c = 0; c < x.channels; c++) {
      for (int row = 0; row < x.height; row++) {
        const auto* from = row_of(x, n / L::count, row, c) + n % L::count;
        for (int w = 0; w < x.width; w++) *y++ = from[w * L::count];
      }
    }
  }
}

}  // namespace nasp::NASP_ISA
