// A band of padded rows: what a piece of work reads. Rows are copied once, loaded as is, normalised, ReLU'd, or with
// BatchNorm's backward applied, and then read by every tap of every unit of the piece while they lie in the cache.
//
// Layout    (rows, C, columns, lanes), columns from -pad; beyond the image lies the padding value
#pragma once
#include "../backend.h"
#include "lanes.h"

namespace nasp::NASP_ISA {

template <class L>
struct Band {
  using S = typename L::scalar;
  S* data = nullptr;
  int channels = 0, width = 0, first_row = 0, rows = 0, pad = 0;
  ptrdiff_t channel_pitch = 0, row_pitch = 0;

  // Tiles that hang over the right edge read past a row: into the next one, and at the very end into this slack.
  static constexpr int slack = 64;

  static std::size_t size(int channels, int width, int rows, int pad) {
    return (static_cast<std::size_t>(rows) * channels * columns(width, pad) + slack) * L::count;
  }
  // An odd number of vectors a channel: pitches that are multiples of 4096 bytes would collide in the cache.
  static int columns(int width, int pad) { return (width + 2 * pad) | 1; }

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

  S* at(int row, int channel, int column) const {
    return data + (row - first_row) * row_pitch + channel * channel_pitch +
           static_cast<ptrdiff_t>(column + pad) * L::count;
  }
  // Some of its rows.
  Band part(int row0, int row1) const {
    Band some = *this;
    some.data += (row0 - first_row) * row_pitch;
    some.first_row = row0, some.rows = row1 - row0;
    return some;
  }
  // Rows that a tile asks for beyond the last one are the last one: their results are dropped.
  int clamp_row(int row) const { return smaller(row, first_row + rows - 1); }
};

template <class L>
void fill_vectors(typename L::scalar* p, int n, L value) {
  for (int i = 0; i < n; i++) value.store(p + static_cast<ptrdiff_t>(i) * L::count);
}

// Zero columns beside the rows of a band that tiles write into, and zero rows outside the image.
template <class L>
void clear_padding(const Band<L>& band, int height) {
  const int columns = Band<L>::columns(band.width, band.pad);
  for (int row = band.first_row; row < band.first_row + band.rows; row++) {
    const bool outside = row < 0 || row >= height;
    for (int c = 0; c < band.channels; c++) {
      fill_vectors<L>(band.at(row, c, -band.pad), outside ? columns : band.pad, L::zero());
      if (!outside) fill_vectors<L>(band.at(row, c, band.width), columns - band.pad - band.width, L::zero());
    }
  }
}

// Writes all rows of the band through `load(channel, row)`, which returns a function of the column's address offset.
template <class L, class Row>
void fill_rows(const Band<L>& band, int height, typename L::scalar padding, Row row_of) {
  const L pad_value = L::splat(padding);
  const int columns = Band<L>::columns(band.width, band.pad), right = columns - band.pad - band.width;
  for (int r = band.first_row; r < band.first_row + band.rows; r++) {
    for (int c = 0; c < band.channels; c++) {
      auto* to = band.at(r, c, -band.pad);
      if (r < 0 || r >= height) {
        fill_vectors<L>(to, columns, pad_value);
        continue;
      }
      fill_vectors<L>(to, band.pad, pad_value);
      to += static_cast<ptrdiff_t>(band.pad) * L::count;
      row_of(c, r, to);
      fill_vectors<L>(to + static_cast<ptrdiff_t>(band.width) * L::count, right, pad_value);
    }
  }
}

// The rows of an activation in block `block`.
template <class L>
void fill_activation(const Band<L>& band, const Source<typename L::scalar>& source, int block, bool with_relu,
                     typename L::scalar padding) {
  using S = typename L::scalar;
  const View<const S>& x = source.x;
  const S* base = x.data + block * x.block_pitch;
  const int width = x.width;
  if (!source.norm.scale) {
    fill_rows(band, x.height, padding, [&](int c, int r, S* to) {
      const S* from = base + r * x.row_pitch + c * x.channel_pitch;
      if (with_relu) {
        for (int w = 0; w < width * L::count; w += L::count) relu(L::load(from + w)).store(to + w);
      } else {
        for (int w = 0; w < width * L::count; w += L::count) L::load(from + w).store(to + w);
      }
    });
    return;
  }
  fill_rows(band, x.height, padding, [&](int c, int r, S* to) {
    const S* from = base + r * x.row_pitch + c * x.channel_pitch;
    const L mean = L::splat(source.norm.mean[c]), scale = L::splat(source.norm.scale[c]),
            shift = L::splat(source.norm.shift[c]);
    if (with_relu) {
      for (int w = 0; w < width * L::count; w += L::count)
        relu(scale * (L::load(from + w) - mean) + shift).store(to + w);
    } else {
      for (int w = 0; w < width * L::count; w += L::count)
        (scale * (L::load(from + w) - mean) + shift).store(to + w);
    }
  });
}

// The rows of dL/dy: BatchNorm's backward on g and y. `live` is 1 in the lanes that hold images, 0 elsewhere.
template <class L>
void fill_gradient(const Band<L>& band, const GradientSource<typename L::scalar>& dy, int block, L live) {
  using S = typename L::scalar;
  const int width = dy.g.width;
  fill_rows(band, dy.g.height, S(0), [&](int c, int r, S* to) {
    const S* g = dy.g.data + block * dy.g.block_pitch + r * dy.g.row_pitch + c * dy.g.channel_pitch;
    if (!dy.a) {
      for (int w = 0; w < width * L::count; w += L::count) L::load(g + w).store(to + w);
      return;
    }
    const S* y = dy.y.data + block * dy.y.block_pitch + r * dy.y.row_pitch + c * dy.y.channel_pitch;
    const L a = L::splat(dy.a[c]), b = L::splat(dy.b[c]), mean = L::splat(dy.mean[c]),
            offset = L::splat(dy.c[c]);
    for (int w = 0; w < width * L::count; w += L::count) {
      (live * (a * L::load(g + w) + b * (L::load(y + w) - mean) + offset)).store(to + w);
    }
  });
}

// How an activation is cut into pieces of work: (block, band of input rows). A band's rows are as many as keep it in
// the second-level cache beside its halo; first rows are multiples of 4: Winograd's tiles fit, and stride 2 cuts where
// stride 1 does.
template <class L>
struct Pieces {
  int rows, per_block, count, height;
  Pieces(const View<const typename L::scalar>& x, int blocks) : height(x.height) {
    constexpr std::size_t target = 256 << 10;  // bytes
    const std::size_t row =
        static_cast<std::size_t>(x.channels) * x.width * L::count * sizeof(typename L::scalar);
    int most = static_cast<int>(target / (row ? row : 1));
    most = larger(4, most / 4 * 4);
    per_block = ceil_div(height, most);
    rows = (ceil_div(height, per_block) + 3) / 4 * 4;
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
