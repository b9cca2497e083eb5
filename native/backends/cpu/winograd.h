// Convolutions by Winograd's minimal filtering (winograd_points.h):
//
//   3x3             F(4x4, 3x3): 36 products for 16 outputs instead of 144    y = A' [ (G w G') * (B' x B) ] A
//   1x7, 7x1        F(4, 7): 10 products for 4 outputs instead of 28          y = A' [ (G w) * (B' x) ]
//   at stride 2     F(4, 4) of one phase, F(4, 3) of the other, added up: 13 for 4 instead of 28
//
// Phases are every other pixel, and every other tap: 0, 2, 4, 6 and 1, 3, 5. Products are summed over channels. Images are the
// vector, so the transforms are additions of vectors, and the products are matrix products, one for each position of a tile.
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
         : is_down(kind)          ? smaller(winograd_most_tiles, width)
                                  : winograd_most_tiles;
}
// Scalars from one position to the next: an odd number of vectors, so that positions do not collide in the cache.
template <class L>
constexpr ptrdiff_t winograd_plane(int channels, int tiles = winograd_tiles) {
  return (static_cast<ptrdiff_t>(channels) * tiles + 1) * L::count;
}
constexpr int winograd_line_pixels = 4 * winograd_most_tiles;  // most pixels of a row that come together
// Outputs whose products are made at once: where phases of x are added up, all of them.
inline int winograd_outputs_at_once(Winograd kind, bool transpose, int outputs) {
  return transpose || winograd_phases(kind) == 1 ? smaller(outputs, winograd_outputs) : outputs;
}
template <class L>
std::size_t winograd_scratch(Winograd kind, bool transpose, int channels, int outputs) {
  if (kind == Winograd::none) return 0;
  const int at_once = winograd_outputs_at_once(kind, transpose, outputs),
            tiles = kind == Winograd::square ? winograd_tiles : winograd_most_tiles;
  return winograd_positions(kind) * (winograd_plane<L>(channels, tiles) + winograd_plane<L>(at_once, tiles)) +
         4 * winograd_line_pixels * L::count;
}

// B' x B of `count` tiles, all channels. In two halves, so that everything stays in registers. tiles[t]: a tile's first pixel
// of channel 0; v: (36, C, 4 tiles). Channel by channel, so that what is written to a line of the cache is written at once.
template <class L>
[[gnu::noinline]] void winograd_input(typename L::scalar* v, const typename L::scalar* const* tiles,
                                      int count, int channels, ptrdiff_t row_pitch, ptrdiff_t channel_pitch) {
  constexpr int taps = winograd_square_taps, N = winograd_side(taps);
  const ptrdiff_t plane = winograd_plane<L>(channels);
  const auto put_row = [&](typename L::scalar* to, const L(&a)[N]) NASP_LAMBDA_INLINE {
    L inner[4];
    winograd_inner<L, taps>(inner, a);
    winograd_outer<L, taps, false>(a).store(to);
    NASP_UNROLL for (int j = 0; j < 4; j++) inner[j].store(to + (j + 1) * plane);
    winograd_outer<L, taps, true>(a).store(to + 5 * plane);
  };
  const auto tile = [&](typename L::scalar* to, const typename L::scalar* x) NASP_LAMBDA_INLINE {
    {
      L a[4][N];
      NASP_UNROLL for (int j = 0; j < N; j++) {
        L d[N], column[4];
        NASP_UNROLL for (int i = 0; i < N; i++) d[i] = L::load(x + j * L::count + i * row_pitch);
        winograd_inner<L, taps>(column, d);
        NASP_UNROLL for (int r = 0; r < 4; r++) a[r][j] = column[r];
      }
      NASP_UNROLL for (int r = 0; r < 4; r++) put_row(to + (r + 1) * N * plane, a[r]);
    }
    {
      L a[2][N];
      NASP_UNROLL for (int j = 0; j < N; j++) {
        L d[N];
        NASP_UNROLL for (int i = 0; i < N; i++) d[i] = L::load(x + j * L::count + i * row_pitch);
        a[0][j] = winograd_outer<L, taps, false>(d), a[1][j] = winograd_outer<L, taps, true>(d);
      }
      put_row(to, a[0]);
      put_row(to + 5 * N * plane, a[1]);
    }
  };
  for (int c = 0; c < channels; c++, v += winograd_tiles * L::count) {
    for (int t = 0; t < count; t++) tile(v + t * L::count, tiles[t] + c * channel_pitch);
  }
}

// B' x of `count` tiles of values `step` apart, all channels; v: of `at_once` tiles a channel.
template <class L, int Taps>
[[gnu::noinline]] void winograd_line_input(typename L::scalar* v, const typename L::scalar* const* tiles,
                                           int count, int channels, int at_once, ptrdiff_t plane,
                                           ptrdiff_t step, ptrdiff_t channel_pitch) {
  constexpr int N = winograd_side(Taps), zero = WinogradPoints<Taps>::zero, inside = N - 1 - zero;
  for (int c = 0; c < channels; c++, v += at_once * L::count) {
    for (int t = 0; t < count; t++) {
      const auto* x = tiles[t] + c * channel_pitch;
      auto* to = v + t * L::count;
      L d[N], inner[inside];
      NASP_UNROLL for (int i = 0; i < N; i++) d[i] = L::load(x + i * step);
      winograd_inner<L, Taps>(inner, d);
      if constexpr (zero) winograd_outer<L, Taps, false>(d).store(to);
      NASP_UNROLL for (int j = 0; j < inside; j++) inner[j].store(to + (j + zero) * plane);
      winograd_outer<L, Taps, true>(d).store(to + (N - 1) * plane);
    }
  }
}

// One tile of M = U' V at one position, or += where `add`; M's and V's rows are `pitch` apart.
template <class L, int G, class Product>
NASP_INLINE void winograd_tile(typename L::scalar* m, const typename L::scalar* v,
                               const typename L::scalar* u, bool add, int channels, ptrdiff_t pitch) {
  constexpr int T = winograd_group_tiles;
  if constexpr (Product::crossed) {
    CrossedSums<L, G, T> sums;
    sums.add(v, pitch, L::count, u, channels);
    sums.finish(u, channels, [&](int o, int p, L value) NASP_LAMBDA_INLINE {
      auto* to = m + o * pitch + p * L::count;
      (add ? L::load(to) + value : value).store(to);
    });
    return;
  } else {
    L sum[G][T];
    const auto channel = [&]<bool First>() NASP_LAMBDA_INLINE {
      L weight[G];
      NASP_UNROLL for (int o = 0; o < G; o++) {
        weight[o] = L::splat(u[o]);
        weight[o].pin();
      }
      NASP_UNROLL for (int p = 0; p < T; p++) {
        L tile = L::load(v + p * L::count);
        tile.pin();
        NASP_UNROLL for (int o = 0; o < G; o++) sum[o][p] =
            First ? Product::first(weight[o], tile) : Product::add(sum[o][p], weight[o], tile);
      }
      v += pitch, u += G;
    };
    int c = Product::inputs(channels);
    if (add) {
      NASP_UNROLL for (int o = 0; o < G; o++) NASP_UNROLL for (int p = 0; p < T; p++) sum[o][p] =
          L::load(m + o * pitch + p * L::count);
    } else {
      channel.template operator()<true>();
      c--;
    }
    for (; c > 0; c--) channel.template operator()<false>();
    NASP_UNROLL for (int o = 0; o < G; o++) NASP_UNROLL for (int p = 0; p < T; p++) sum[o][p].store(
        m + o * pitch + p * L::count);
  }
}

// M at one position for `groups` groups of G outputs and the first `used` of `tiles` tiles, multiples of winograd_tiles both.
template <class L, int G, class Product>
[[gnu::noinline]] void winograd_products(typename L::scalar* m, const typename L::scalar* v,
                                         const typename L::scalar* u, bool add, int channels, int groups,
                                         int tiles, int used) {
  const ptrdiff_t pitch = static_cast<ptrdiff_t>(tiles) * L::count;
  for (int g = 0; g < groups; g++, m += G * pitch, u += static_cast<ptrdiff_t>(Product::rows(channels)) * G) {
    for (int q = 0; q < used; q += winograd_group_tiles)
      winograd_tile<L, G, Product>(m + q * L::count, v + q * L::count, u, add, channels, pitch);
  }
}

// Groups of equal size that follow each other.
struct WinogradGroups {
  int size, count, first;  // first: output, from the first of those at once on
};
// Of the outputs [o, o + some): at most three runs, full groups and what is left. Their number.
inline int winograd_groups_of(WinogradGroups (&runs)[3], int o, int some, int outputs) {
  int count = 0;
  for (int at = 0, size; at < some; at += size) {
    size = winograd_group_at(o + at, outputs);
    if (count == 0 || runs[count - 1].size != size) runs[count++] = {size, 0, at};
    runs[count - 1].count++;
  }
  return count;
}
// Calls body.template operator()<G>() for groups of that size.
template <class Body>
NASP_INLINE void with_winograd_group(int size, const Body& body) {
  if (size == winograd_group) return body.template operator()<winograd_group>();
  if (crosses && size == 4) return body.template operator()<4>();
  if (size == 2) return body.template operator()<2>();
  if (size == 1) return body.template operator()<1>();
  body.template operator()<3>();
}

// A' M A of one tile of one channel: four rows of four pixels, `to[i]` + at.
template <class L>
[[gnu::noinline]] void winograd_output(typename L::scalar* const (&to)[4], ptrdiff_t at,
                                       const typename L::scalar* m, ptrdiff_t plane) {
  constexpr int taps = winograd_square_taps, N = winograd_side(taps);
  L a[4][N];
  NASP_UNROLL for (int j = 0; j < N; j++) {
    L column[N], y[4];
    NASP_UNROLL for (int i = 0; i < N; i++) column[i] = L::load(m + (i * N + j) * plane);
    winograd_back<L, taps>(y, column);
    NASP_UNROLL for (int i = 0; i < 4; i++) a[i][j] = y[i];
  }
  NASP_UNROLL for (int i = 0; i < 4; i++) {
    L pixels[4];
    winograd_back<L, taps>(pixels, a[i]);
    NASP_UNROLL for (int p = 0; p < 4; p++) pixels[p].store(to[i] + at + p * L::count);
  }
}

// A' m of `count` neighbouring tiles of one channel: pixel i of a tile goes to to[i], those of the next `step` on.
template <class L, int Taps>
[[gnu::noinline]] void winograd_line_output(typename L::scalar* const (&to)[4], ptrdiff_t step,
                                            const typename L::scalar* m, ptrdiff_t plane, int count) {
  constexpr int N = winograd_side(Taps);
  for (int t = 0; t < count; t++, m += L::count) {
    L products[N], y[4];
    NASP_UNROLL for (int i = 0; i < N; i++) products[i] = L::load(m + i * plane);
    winograd_back<L, Taps>(y, products);
    NASP_UNROLL for (int i = 0; i < 4; i++) y[i].store(to[i] + t * step);
  }
}

// Where the tiles of a map, or of a phase of one, lie, in order: `tall` rows and `wide` pixels each, `across` side by side.
struct WinogradTiles {
  int tall, wide, across, row0;
  WinogradTiles(Winograd kind, int width, int row0)
      : tall(kind == Winograd::square || is_down(kind) ? 4 : 1),
        wide(is_down(kind) ? 1 : 4),
        across(width / wide),
        row0(row0) {}
  int row(int tile) const { return row0 + tile / across * tall; }
  int column(int tile) const { return tile % across * wide; }
  int count(int row1) const { return (row1 - row0) / tall * across; }
  int left_in_row(int tile) const { return across - tile % across; }
};

// Transformed inputs of tiles [begin, begin + count) of a phase of x, or of all of dy; v: of `at_once` tiles a channel. The
// band's channels from `first` on.
template <class L>
void winograd_tile_inputs(const WinogradPhase& phase, typename L::scalar* v, ptrdiff_t plane, int at_once,
                          const WinogradTiles& place, int begin, int count, const Band<L>& x, int first,
                          int channels) {
  const Winograd kind = phase.kind;
  const int above = place.tall > 1 ? phase.reach() : 0, left = place.wide > 1 ? phase.reach() : 0;
  const typename L::scalar* tiles[winograd_most_tiles];
  for (int t = 0; t < count; t++)
    tiles[t] = x.at(phase.read_row(place.row(begin + t)) - above, first,
                    phase.read_column(place.column(begin + t)) - left);
  if (kind == Winograd::square) {
    winograd_input<L>(v, tiles, count, channels, x.row_pitch, x.channel_pitch);
  } else {
    with_line_taps(kind, [&]<int Taps>() {
      winograd_line_input<L, Taps>(v, tiles, count, channels, at_once, plane,
                                   phase.read_step() * (is_down(kind) ? x.row_pitch : L::count),
                                   x.channel_pitch);
    });
  }
}

// One of the convolutions that share transformed inputs.
template <class S, class Epilogue>
struct WinogradOutput {
  const S* packed;
  int channels;
  Epilogue epilogue;
};

// From v to the pixels of tiles [begin, begin + count): of a phase of dx, or once all phases of x are added up. m: the products,
// and behind them lines of pixels. Pixels of a phase across do not lie side by side, so they go to no epilogue in place.
template <class L, class Epilogue>
void winograd_tile_outputs(const WinogradPhase& phase,
                           const WinogradOutput<typename L::scalar, Epilogue>& to_all, int channels,
                           const WinogradTiles& place, int begin, int count, int tiles,
                           const typename L::scalar* v, typename L::scalar* m) {
  using S = typename L::scalar;
  using Products = typename Epilogue::Products;
  const auto& [packed, outputs, epilogue] = to_all;
  const Winograd kind = phase.kind;
  const bool add = !phase.transpose && phase.index > 0,
             ends = phase.transpose || phase.index + 1 == winograd_phases(kind);
  const int positions = winograd_positions(kind), used = ceil_div(count, winograd_tiles) * winograd_tiles,
            at_once = winograd_outputs_at_once(kind, phase.transpose, outputs),
            rows = Products::rows(channels);
  const ptrdiff_t plane = winograd_plane<L>(channels, tiles);
  const std::size_t pitch = winograd_pitch(outputs, channels);
  S* lines = m + positions * winograd_plane<L>(at_once, tiles);
  for (int o = 0; o < outputs; o += at_once) {
    const int some = smaller(at_once, outputs - o);
    WinogradGroups runs[3];
    const int run_count = winograd_groups_of(runs, o, some, outputs);
    const ptrdiff_t m_plane = winograd_plane<L>(some, tiles);
    const S* u = packed + phase.index * positions * pitch + static_cast<std::size_t>(o) * rows;
    for (int p = 0; p < positions; p++) {
      for (int r = 0; r < run_count && phase.has(p); r++) {
        const auto& [size, groups, first] = runs[r];
        with_winograd_group(size, [&]<int G>() {
          winograd_products<L, G, Products>(
              m + p * m_plane + static_cast<ptrdiff_t>(first) * tiles * L::count, v + p * plane,
              u + p * pitch + static_cast<ptrdiff_t>(first) * rows, add, channels, groups, tiles, used);
        });
      }
      if (!phase.has(p) && !add) std::fill_n(m + p * m_plane, m_plane, S(0));
    }
    if (!ends) continue;
    for (int c = 0; c < some; c++) {
      const S* from = m + static_cast<ptrdiff_t>(c) * tiles * L::count;
      for (int t = 0, run; t < count; t += run) {  // tiles of the same rows
        run = smaller(count - t, place.left_in_row(begin + t));
        const int row = place.row(begin + t), left = phase.given_column(place.column(begin + t));
        S* to[4];
        for (int i = 0; i < place.tall; i++)
          to[i] = lines_of<L>(epilogue, o + c, phase.given_row(row + i), left,
                              Lines<S>{lines + i * winograd_line_pixels * L::count, 0})
                      .at;
        if (kind == Winograd::square) {
          for (int k = 0; k < run; k++)
            winograd_output<L>(to, static_cast<ptrdiff_t>(k) * 4 * L::count, from + k * L::count, m_plane);
        } else {
          S* pixels[4];
          for (int i = 0; i < 4; i++) pixels[i] = place.tall > 1 ? to[i] : to[0] + i * L::count;
          with_line_taps(kind, [&]<int Taps>() {
            winograd_line_output<L, Taps>(pixels, place.wide * L::count, from, m_plane, run);
          });
        }
        from += run * L::count;
        for (int i = 0; i < place.tall; i++)
          finish(epilogue, o + c, 1, phase.given_row(row + i), left, run * place.wide, Lines<S>{to[i], 0});
      }
    }
  }
}

// Rows [row0, row1) of `width` pixels, of a phase where dx has several, multiples of 4 (rows across: any number), of `count`
// convolutions of `channels` channels of a band, `first` and on: several at stride 1 alone.
template <class L, class Epilogue>
void winograd_rows(Winograd kind, bool transpose, const WinogradOutput<typename L::scalar, Epilogue>* outputs,
                   int count, int channels, const Band<L>& x, int first, int width, int row0, int row1,
                   typename L::scalar* scratch) {
  using S = typename L::scalar;
  const WinogradTiles place(kind, width, row0);
  const int tiles = winograd_at_once(kind, width), all_tiles = place.count(row1);
  const ptrdiff_t plane = winograd_plane<L>(channels, tiles);
  S *v = scratch, *m = v + winograd_positions(kind) * plane;
  for (int begin = 0; begin < all_tiles; begin += tiles) {
    const int n = smaller(tiles, all_tiles - begin);
    for (int i = 0; i < winograd_phases(kind); i++) {
      const WinogradPhase phase = {kind, i, transpose};
      if (i == 0 || !transpose)  // phases of dx read the same of dy
        winograd_tile_inputs(phase, v, plane, tiles, place, begin, n, x, first, channels);
      if constexpr (std::is_same_v<typename Epilogue::Products, Paired<L>>) {
        const ptrdiff_t pitch = static_cast<ptrdiff_t>(tiles) * L::count;
        for (int p = 0; p < winograd_positions(kind); p++)
          pair_channels<L>(v + p * plane, pitch, v + p * plane, pitch, channels, n);
      }
      for (int j = 0; j < count; j++)
        winograd_tile_outputs<L>(phase, outputs[j], channels, place, begin, n, tiles, v, m);
    }
  }
}

}  // namespace nasp::NASP_ISA
