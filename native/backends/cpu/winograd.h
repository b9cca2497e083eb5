// Three taps, stride 1, by Winograd's minimal filtering:
//
//   3x3       F(4x4, 3x3): 36 products for 16 outputs instead of 144    y = A' [ (G w G') * (B' x B) ] A
//   1x3, 3x1  F(4, 3): 6 products for 4 outputs instead of 12           y = A' [ (G w) * (B' x) ]
//
// Products are summed over channels. Images are the vector, so the transforms are additions of vectors, and the products
// are matrix products, one for each of the 36 or 6 positions of a tile.
//
// Layout    V  (positions, C, tiles): transformed inputs
//           M  (positions, outputs at once, tiles): products
// Error     about ten times that of direct sums: 3e-6 to 1.2e-5 of the largest value in float32
// Source    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015 (arXiv 1509.09308)
#pragma once
#include "epilogue.h"
#include "winograd_weights.h"

namespace nasp::NASP_ISA {

constexpr int winograd_most_tiles = 16;
// Tiles at once. Lines across: of one row and the next; down: neighbouring columns of four rows, four tiles of pixels at
// least.
inline int winograd_at_once(Winograd kind, int width) {
  return kind == Winograd::square ? winograd_tiles
         : kind == Winograd::down ? smaller(winograd_most_tiles, width)
                                  : winograd_most_tiles;
}
// Scalars from one position to the next: an odd number of vectors, so that positions do not collide in the cache.
template <class L>
constexpr ptrdiff_t winograd_plane(int channels, int tiles = winograd_tiles) {
  return (static_cast<ptrdiff_t>(channels) * tiles + 1) * L::count;
}
constexpr int winograd_line_pixels = 4 * winograd_most_tiles;  // most pixels of a row that come together
template <class L>
std::size_t winograd_scratch(Winograd kind, int channels, int outputs) {
  if (kind == Winograd::none) return 0;
  const int at_once = smaller(ceil_div(outputs, winograd_group) * winograd_group, winograd_outputs),
            tiles = kind == Winograd::square ? winograd_tiles : winograd_most_tiles;
  return winograd_positions(kind) * (winograd_plane<L>(channels, tiles) + winograd_plane<L>(at_once, tiles)) +
         4 * winograd_line_pixels * L::count;
}

// B' d of six values: rows 1 to 4 of it from d[1..4], rows 0 and 5 from all.
template <class L>
NASP_INLINE void winograd_inner(L (&v)[4], L d1, L d2, L d3, L d4) {
  const L four = L::splat(4);
  const L p = d4 - four * d2, q = d3 - four * d1, s = d4 - d2;
  L e = d3 - d1;
  e += e;
  v[0] = p + q, v[1] = p - q, v[2] = s + e, v[3] = s - e;
}
template <class L>
NASP_INLINE void winograd_outer(L& first, L& last, L d0, L d1, L d2, L d3, L d4, L d5) {
  const L four = L::splat(4), five = L::splat(5);
  first = four * d0 + (d4 - five * d2);
  last = four * d1 + (d5 - five * d3);
}

// B' x B of `count` tiles, all channels. In two halves, so that everything stays in registers. tiles[t]: a tile's first pixel
// of channel 0; v: (36, C, 4 tiles). Channel by channel, so that what is written to a line of the cache is written at once.
template <class L>
[[gnu::noinline]] void winograd_input(typename L::scalar* v, const typename L::scalar* const* tiles,
                                      int count, int channels, ptrdiff_t row_pitch, ptrdiff_t channel_pitch) {
  constexpr int N = winograd_side;
  const ptrdiff_t plane = winograd_plane<L>(channels);
  const auto put_row = [&](typename L::scalar* to, const L(&a)[N]) NASP_LAMBDA_INLINE {
    L inner[4], first, last;
    winograd_inner(inner, a[1], a[2], a[3], a[4]);
    winograd_outer(first, last, a[0], a[1], a[2], a[3], a[4], a[5]);
    first.store(to);
    NASP_UNROLL for (int j = 0; j < 4; j++) inner[j].store(to + (j + 1) * plane);
    last.store(to + 5 * plane);
  };
  const auto tile = [&](typename L::scalar* to, const typename L::scalar* x) NASP_LAMBDA_INLINE {
    {
      L a[4][N];
      NASP_UNROLL for (int j = 0; j < N; j++) {
        const auto* d = x + j * L::count;
        L column[4];
        winograd_inner(column, L::load(d + row_pitch), L::load(d + 2 * row_pitch), L::load(d + 3 * row_pitch),
                       L::load(d + 4 * row_pitch));
        NASP_UNROLL for (int r = 0; r < 4; r++) a[r][j] = column[r];
      }
      NASP_UNROLL for (int r = 0; r < 4; r++) put_row(to + (r + 1) * N * plane, a[r]);
    }
    {
      L a[2][N];
      NASP_UNROLL for (int j = 0; j < N; j++) {
        const auto* d = x + j * L::count;
        winograd_outer(a[0][j], a[1][j], L::load(d), L::load(d + row_pitch), L::load(d + 2 * row_pitch),
                       L::load(d + 3 * row_pitch), L::load(d + 4 * row_pitch), L::load(d + 5 * row_pitch));
      }
      put_row(to, a[0]);
      put_row(to + 5 * N * plane, a[1]);
    }
  };
  for (int c = 0; c < channels; c++, v += winograd_tiles * L::count) {
    for (int t = 0; t < count; t++) tile(v + t * L::count, tiles[t] + c * channel_pitch);
  }
}

// B' x of `count` tiles of six values `step` apart, all channels.
template <class L>
[[gnu::noinline]] void winograd_line_input(typename L::scalar* v, const typename L::scalar* const* tiles,
                                           int count, int channels, int at_once, ptrdiff_t step,
                                           ptrdiff_t channel_pitch) {
  const ptrdiff_t plane = winograd_plane<L>(channels, at_once);
  for (int c = 0; c < channels; c++, v += at_once * L::count) {
    for (int t = 0; t < count; t++) {
      const auto* x = tiles[t] + c * channel_pitch;
      auto* to = v + t * L::count;
      L d[winograd_side], inner[4], first, last;
      NASP_UNROLL for (int i = 0; i < winograd_side; i++) d[i] = L::load(x + i * step);
      winograd_inner(inner, d[1], d[2], d[3], d[4]);
      winograd_outer(first, last, d[0], d[1], d[2], d[3], d[4], d[5]);
      first.store(to);
      NASP_UNROLL for (int j = 0; j < 4; j++) inner[j].store(to + (j + 1) * plane);
      last.store(to + 5 * plane);
    }
  }
}

// M = U' V at one position, for `groups` groups of outputs and the first `used` of `tiles` tiles, multiples of
// winograd_tiles both.
template <class L>
[[gnu::noinline]] void winograd_products(typename L::scalar* m, const typename L::scalar* v,
                                         const typename L::scalar* u, int channels, int groups, int tiles,
                                         int used) {
  constexpr int G = winograd_group, T = winograd_tiles;
  const ptrdiff_t pitch = static_cast<ptrdiff_t>(tiles) * L::count;
  for (int g = 0; g < groups; g++, m += G * pitch, u += static_cast<ptrdiff_t>(channels) * G) {
    for (int q = 0; q < used; q += T) {
      L sum[G][T];
      NASP_UNROLL for (int o = 0; o < G; o++) NASP_UNROLL for (int p = 0; p < T; p++) sum[o][p] = L::zero();
      const typename L::scalar *x = v + q * L::count, *w = u;
      for (int c = channels; c > 0; c--, x += pitch, w += G) {
        L weight[G];
        NASP_UNROLL for (int o = 0; o < G; o++) {
          weight[o] = L::splat(w[o]);
          weight[o].pin();
        }
        NASP_UNROLL for (int p = 0; p < T; p++) {
          L tile = L::load(x + p * L::count);
          tile.pin();
          NASP_UNROLL for (int o = 0; o < G; o++) sum[o][p] += weight[o] * tile;
        }
      }
      NASP_UNROLL for (int o = 0; o < G; o++) NASP_UNROLL for (int p = 0; p < T; p++) sum[o][p].store(
          m + o * pitch + (q + p) * L::count);
    }
  }
}

// A' m of six values.
template <class L>
NASP_INLINE void winograd_back(L (&y)[4], L m0, L m1, L m2, L m3, L m4, L m5) {
  const L two = L::splat(2), four = L::splat(4), eight = L::splat(8);
  const L s = m1 + m2, d = m1 - m2, t = m3 + m4, e = m3 - m4;
  y[0] = m0 + s + t, y[1] = d + two * e, y[2] = s + four * t, y[3] = (d + eight * e) + m5;
}

// A' M A of one tile of one channel: four rows of four pixels, `to[i]` + at.
template <class L>
[[gnu::noinline]] void winograd_output(typename L::scalar* const (&to)[4], ptrdiff_t at,
                                       const typename L::scalar* m, ptrdiff_t plane) {
  constexpr int N = winograd_side;
  L a[4][N];
  NASP_UNROLL for (int j = 0; j < N; j++) {
    const auto* from = m + j * plane;
    L y[4];
    winograd_back(y, L::load(from), L::load(from + N * plane), L::load(from + 2 * N * plane),
                  L::load(from + 3 * N * plane), L::load(from + 4 * N * plane),
                  L::load(from + 5 * N * plane));
    NASP_UNROLL for (int i = 0; i < 4; i++) a[i][j] = y[i];
  }
  NASP_UNROLL for (int i = 0; i < 4; i++) {
    L pixels[4];
    winograd_back(pixels, a[i][0], a[i][1], a[i][2], a[i][3], a[i][4], a[i][5]);
    NASP_UNROLL for (int p = 0; p < 4; p++) pixels[p].store(to[i] + at + p * L::count);
  }
}

// A' m of one tile of one channel: four pixels, to[i].
template <class L>
NASP_INLINE void winograd_line_output(typename L::scalar* const (&to)[4], const typename L::scalar* m,
                                      ptrdiff_t plane) {
  L y[4];
  winograd_back(y, L::load(m), L::load(m + plane), L::load(m + 2 * plane), L::load(m + 3 * plane),
                L::load(m + 4 * plane), L::load(m + 5 * plane));
  NASP_UNROLL for (int i = 0; i < 4; i++) y[i].store(to[i]);
}

// Where the tiles of a map lie, in order: `tall` rows and `wide` pixels each, `across` side by side.
struct WinogradTiles {
  int tall, wide, across, row0;
  WinogradTiles(Winograd kind, int width, int row0)
      : tall(kind == Winograd::across ? 1 : 4),
        wide(kind == Winograd::down ? 1 : 4),
        across(width / wide),
        row0(row0) {}
  int row(int tile) const { return row0 + tile / across * tall; }
  int column(int tile) const { return tile % across * wide; }
  int left_in_row(int tile) const { return across - tile % across; }
};

// Rows [row0, row1) of `width` pixels, multiples of 4 (rows across: any number), from `channels` channels of a band,
// `first` and on.
template <class L, class Epilogue>
void winograd_rows(Winograd kind, const typename L::scalar* packed, int channels, int outputs,
                   const Band<L>& x, int first, int width, int row0, int row1, typename L::scalar* scratch,
                   const Epilogue& epilogue) {
  using S = typename L::scalar;
  const WinogradTiles place(kind, width, row0);
  const int positions = winograd_positions(kind), tiles = winograd_at_once(kind, width),
            count = (row1 - row0) / place.tall * place.across;
  const ptrdiff_t plane = winograd_plane<L>(channels, tiles);
  const std::size_t pitch = winograd_pitch(outputs, channels);
  const int most = smaller(ceil_div(outputs, winograd_group) * winograd_group, winograd_outputs);
  S *v = scratch, *m = v + positions * plane, *lines = m + positions * winograd_plane<L>(most, tiles);
  for (int begin = 0; begin < count; begin += tiles) {
    const int n = smaller(tiles, count - begin);
    const S* from_x[winograd_most_tiles];
    for (int t = 0; t < n; t++) {
      const int row = place.row(begin + t), column = place.column(begin + t);
      from_x[t] = x.at(row - (place.tall > 1), first, column - (place.wide > 1));
    }
    if (kind == Winograd::square)
      winograd_input<L>(v, from_x, n, channels, x.row_pitch, x.channel_pitch);
    else
      winograd_line_input<L>(v, from_x, n, channels, tiles, kind == Winograd::across ? L::count : x.row_pitch,
                             x.channel_pitch);
    const int used = ceil_div(n, winograd_tiles) * winograd_tiles;
    for (int o = 0; o < outputs; o += winograd_outputs) {
      const int some = smaller(winograd_outputs, outputs - o), groups = ceil_div(some, winograd_group);
      const ptrdiff_t m_plane = winograd_plane<L>(groups * winograd_group, tiles);
      const S* u = packed + static_cast<std::size_t>(o) * channels;
      for (int p = 0; p < positions; p++)
        winograd_products<L>(m + p * m_plane, v + p * plane, u + p * pitch, channels, groups, tiles, used);
      for (int c = 0; c < some; c++) {
        const S* from = m + static_cast<ptrdiff_t>(c) * tiles * L::count;
        for (int t = 0, run; t < n; t += run) {  // tiles of the same rows
          run = smaller(n - t, place.left_in_row(begin + t));
          const int row = place.row(begin + t), column = place.column(begin + t);
          S* to[4];
          for (int i = 0; i < place.tall; i++)
            to[i] = lines_of<L>(epilogue, o + c, row + i, column,
                                Lines<S>{lines + i * winograd_line_pixels * L::count, 0})
                        .at;
          for (int k = 0; k < run; k++, from += L::count) {
            const ptrdiff_t at = static_cast<ptrdiff_t>(k) * place.wide * L::count;
            if (kind == Winograd::square) {
              winograd_output<L>(to, at, from, m_plane);
            } else if (kind == Winograd::across) {
              S* const pixels[4] = {to[0] + at, to[0] + at + L::count, to[0] + at + 2 * L::count,
                                    to[0] + at + 3 * L::count};
              winograd_line_output<L>(pixels, from, m_plane);
            } else {
              S* const pixels[4] = {to[0] + at, to[1] + at, to[2] + at, to[3] + at};
              winograd_line_output<L>(pixels, from, m_plane);
            }
          }
          for (int i = 0; i < place.tall; i++)
            finish(epilogue, o + c, 1, row + i, column, run * place.wide, Lines<S>{to[i], 0});
        }
      }
    }
  }
}

}  // namespace nasp::NASP_ISA
