// A band of padded rows: what a piece of work reads. Rows are copied once, loaded as is, normalised, ReLU'd, or with
// BatchNorm's backward applied, and then read by every tap of every unit of the piece while they lie in the cache.
//
// Layout    (rows, C, columns, lanes), columns from -pad; beyond the image lies the padding value, which a row has in common with
//           that of the next channel
// Ring      a band of fewer rows than its piece keeps the last `slots` of them: part() says which
#pragma once
#include "../backend.h"
#include "lanes.h"

namespace nasp::NASP_ISA {

template <class L>
struct Band {
  using S = typename L::scalar;
  S* data = nullptr;
  int channels = 0, width = 0, first_row = 0, rows = 0, pad = 0;
  int first_slot = 0, slots = 1 << 30;  // where the first row lies; rows that there is room for
  ptrdiff_t channel_pitch = 0, row_pitch = 0;

  // Tiles that hang over the right edge read past a row: into the next one, and at the very end into this slack.
  static constexpr int slack = 64;

  static std::size_t size(int channels, int width, int rows, int pad) {
    return (static_cast<std::size_t>(rows) * channels * columns(width, pad) + slack) * L::count;
  }
  // From one channel to the next, an odd number of vectors: multiples of 4096 bytes would collide in the cache.
  static int columns(int width, int pad) { return (width + pad) | 1; }

  Band() = default;
  Band(S* memory, int channels, int width, int first_row, int rows, int pad)
      : data(memory),
        channels(channels),
        width(width),
        first_row(first_row),
        rows(rows),
        pad(pad),
        channel_pitch(static_cast<ptrdiff_t>(columns(width, pad)) * L::count),
        row_pitch(channel_pitch * channels) {}

  // A ring: no more than `rows` rows, starting with first_row.
  static Band ring(S* memory, int channels, int width, int first_row, int rows, int pad) {
    Band band(memory, channels, width, first_row, rows, pad);
    band.slots = rows;
    return band;
  }

  int slot(int row) const {
    const int from_start = row - first_row + first_slot;
    return from_start >= slots ? from_start - slots : from_start;
  }
  S* at(int row, int channel, int column) const {
    return data + slot(row) * row_pitch + channel * channel_pitch +
           static_cast<ptrdiff_t>(column + pad) * L::count;
  }
  // Some of its rows. Of a ring: those that lie in it now.
  Band part(int row0, int row1) const {
    Band some = *this;
    some.first_slot = slot(row0), some.first_row = row0, some.rows = row1 - row0;
    return some;
  }
  // Some of its channels.
  Band slice(int first, int count) const {
    Band some = *this;
    some.data += first * channel_pitch, some.channels = count;
    return some;
  }
};

template <class L>
void fill_vectors(typename L::scalar* p, int n, L value) {
  for (int i = 0; i < n; i++) value.store(p + static_cast<ptrdiff_t>(i) * L::count);
}

// The columns beside a row, or all of a row outside the image; true: it was outside.
template <class L>
bool pad_row(const Band<L>& band, int row, int height, L value) {
  const bool outside = row < 0 || row >= height;
  const int columns = Band<L>::columns(band.width, band.pad);
  fill_vectors<L>(band.at(row, 0, -band.pad), outside ? columns * band.channels + band.pad : band.pad, value);
  for (int c = 0; c < band.channels && !outside; c++)
    fill_vectors<L>(band.at(row, c, band.width), columns - band.width, value);
  return outside;
}

// Zero columns beside the rows of a band that tiles write into, and zero rows outside the image.
template <class L>
void clear_padding(const Band<L>& band, int height) {
  for (int row = band.first_row; row < band.first_row + band.rows; row++)
    pad_row(band, row, height, L::zero());
}

// Channels that are read side by side: one stream of a tensor leaves a third of the memory's bandwidth unused, because the
// processor fetches ahead in each page by itself.
constexpr int streams = 4;

// Calls body.template operator()<N>(first, step): channels first, first + step, …, N of them, until all have been.
template <class Body>
inline void by_streams(int channels, const Body& body) {
  if (channels % streams == 0) {
    const int step = channels / streams;
    for (int c = 0; c < step; c++) body.template operator()<streams>(c, step);
  } else {
    for (int c = 0; c < channels; c++) body.template operator()<1>(c, 1);
  }
}

// Writes all rows of the band: `value` makes a vector of it from a channel's index among the N that it was given, its
// coefficients, and the address offset of the pixel.
template <class L, class Channels>
void fill_rows(const Band<L>& band, int height, typename L::scalar padding, const Channels& channels_of) {
  const int end = band.width * L::count;
  for (int r = band.first_row; r < band.first_row + band.rows; r++) {
    if (pad_row(band, r, height, L::splat(padding))) continue;
    by_streams(band.channels, [&]<int N>(int first, int step) {
      typename L::scalar* to[N];
      NASP_UNROLL for (int i = 0; i < N; i++) to[i] = band.at(r, first + i * step, 0);
      channels_of.template operator()<N>(first, step, r, [&](const auto& value) NASP_LAMBDA_INLINE {
        for (int w = 0; w < end; w += L::count)
          NASP_UNROLL for (int i = 0; i < N; i++) value(i, w).store(to[i] + w);
      });
    });
  }
}

// The rows of an activation in block `block`.
template <class L>
void fill_activation(const Band<L>& band, const Source<typename L::scalar>& source, int block, bool with_relu,
                     typename L::scalar padding) {
  using S = typename L::scalar;
  const View<const S>& x = source.x;
  const S* base = x.data + block * x.block_pitch;
  fill_rows(band, x.height, padding, [&]<int N>(int first, int step, int r, const auto& store) {
    const S* from[N];
    NASP_UNROLL for (int i = 0; i < N; i++) from[i] =
        base + r * x.row_pitch + (first + i * step) * x.channel_pitch;
    if (!source.norm.scale) {
      if (with_relu)
        store([&](int i, int w) NASP_LAMBDA_INLINE { return relu(L::load(from[i] + w)); });
      else
        store([&](int i, int w) NASP_LAMBDA_INLINE { return L::load(from[i] + w); });
      return;
    }
    L mean[N], scale[N], shift[N];
    NASP_UNROLL for (int i = 0; i < N; i++) {
      const int c = first + i * step;
      mean[i] = L::splat(source.norm.mean[c]), scale[i] = L::splat(source.norm.scale[c]);
      shift[i] = L::splat(source.norm.shift[c]);
    }
    if (with_relu)
      store([&](int i, int w)
                NASP_LAMBDA_INLINE { return relu(scale[i] * (L::load(from[i] + w) - mean[i]) + shift[i]); });
    else
      store([&](int i, int w)
                NASP_LAMBDA_INLINE { return scale[i] * (L::load(from[i] + w) - mean[i]) + shift[i]; });
  });
}

// The rows of dL/dy: BatchNorm's backward on g and y. `live` is 1 in the lanes that hold images, 0 elsewhere.
template <class L>
void fill_gradient(const Band<L>& band, const GradientSource<typename L::scalar>& dy, int block, L live) {
  using S = typename L::scalar;
  fill_rows(band, dy.g.height, S(0), [&]<int N>(int first, int step, int r, const auto& store) {
    const S *g[N], *y[N];
    NASP_UNROLL for (int i = 0; i < N; i++) {
      const int c = first + i * step;
      g[i] = dy.g.data + block * dy.g.block_pitch + r * dy.g.row_pitch + c * dy.g.channel_pitch;
      y[i] =
          dy.a ? dy.y.data + block * dy.y.block_pitch + r * dy.y.row_pitch + c * dy.y.channel_pitch : nullptr;
    }
    if (!dy.a) return store([&](int i, int w) NASP_LAMBDA_INLINE { return L::load(g[i] + w); });
    L a[N], b[N], mean[N], offset[N];
    NASP_UNROLL for (int i = 0; i < N; i++) {
      const int c = first + i * step;
      a[i] = L::splat(dy.a[c]), b[i] = L::splat(dy.b[c]), mean[i] = L::splat(dy.mean[c]);
      offset[i] = L::splat(dy.c[c]);
    }
    store([&](int i, int w) NASP_LAMBDA_INLINE {
      return live * (a[i] * L::load(g[i] + w) + b[i] * (L::load(y[i] + w) - mean[i]) + offset[i]);
    });
  });
}

// Bytes of an activation that a piece of work takes: they stay in the second-level cache, a halo beside them.
constexpr std::size_t piece_bytes = 256 << 10;

// How an activation is cut into pieces of work: (block, band of input rows). First rows are multiples of some number, which
// stride 2 cuts where stride 1 does.
template <class L>
struct Pieces {
  int rows, per_block, count, height;
  Pieces(const View<const typename L::scalar>& x, int blocks, int multiple = 4,
         std::size_t target = piece_bytes)
      : height(x.height) {
    const std::size_t row =
        static_cast<std::size_t>(x.channels) * x.width * L::count * sizeof(typename L::scalar);
    int most = static_cast<int>(target / (row ? row : 1));
    most = larger(multiple, most / multiple * multiple);
    per_block = ceil_div(height, most);
    rows = ceil_div(ceil_div(height, per_block), multiple) * multiple;
    per_block = ceil_div(height, rows);
    count = per_block * blocks;
  }
  int block(int piece) const { return piece / per_block; }
  int first(int piece) const { return piece % per_block * rows; }
  int end(int piece) const { return smaller(height, first(piece) + rows); }
};

template <class L>
L live_lanes(int batch, int block) {
  L live = L::zero();
  for (int l = 0; l < L::count; l++) live.v[l] = block * L::count + l < batch ? 1 : 0;
  return live;
}
inline int live_count(int lanes, int batch, int block) { return smaller(lanes, batch - block * lanes); }

}  // namespace nasp::NASP_ISA
