// Weight gradient of a 3x3 convolution at stride 1, through the transforms of F(4x4, 3x3):
//
//   dw = G' [ sum over tiles and images of (A dy A') * (B' x B) ] G
//
// 36 products a tile of 4 x 4 pixels, input and output channel, instead of 144. The sums over images are what a matrix
// product sums over, so dy is turned round first, all but a pair of images: its vectors hold half of the outputs and
// two images, are multiplied with the same two images of x, and only their two lanes are left to be added.
//
// Layout    V     (36, C, 4 tiles, images): transformed x
//           D     (36, 4 tiles, pairs of images, even and odd outputs, lanes): transformed dy of as many outputs as a
//                 vector has lanes; lanes are outputs, each with the two images of the pair
//           sums  (O / outputs, 36, C, outputs)
// Error     1e-6 to 3e-6 of the largest value in float32
// Source    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015 (arXiv 1509.09308)
#pragma once
#include "winograd.h"

namespace nasp::NASP_ISA {

constexpr int gradient_positions = winograd_positions(Winograd::square);
constexpr int gradient_inputs = NASP_REGISTERS >= 32 ? 8 : 4;  // input channels of a register tile
constexpr int gradient_rest = 4;                               // and of one for what remains

inline bool has_winograd_gradient(const DensePart& part, int in, int height, int width) {
  return winograd_of(part, in) == Winograd::square && winograd_size(height, width) && in % gradient_rest == 0;
}

template <class L>
struct WeightGradientSizes {                                      // in scalars
  static constexpr ptrdiff_t images = winograd_tiles * L::count;  // of all tiles
  static constexpr ptrdiff_t d_plane = (images + 1) * L::count;   // a position of D; an odd number of vectors
  static constexpr ptrdiff_t turned = 16 * L::count * L::count;   // dy of a tile, turned round
  ptrdiff_t v_plane, sums_plane, sums_group;                      // a position of V, of sums; a group of sums
  int groups;                                                     // of outputs
  WeightGradientSizes(int channels, int outputs)
      : v_plane(winograd_plane<L>(channels)),
        sums_plane(static_cast<ptrdiff_t>(channels | 1) * L::count),
        sums_group(gradient_positions * sums_plane),
        groups(ceil_div(outputs, L::count)) {}
  std::size_t size() const {
    return static_cast<std::size_t>(gradient_positions * (v_plane + d_plane) + turned + groups * sums_group);
  }
};

// Of vectors a and b, `Distance` apart in a square of lanes: what lies beside the square's diagonal changes places.
template <class L, int Distance, int... Lane>
NASP_INLINE void exchange(L& a, L& b, std::integer_sequence<int, Lane...>) {
  const L first = a, second = b;
  a = {__builtin_shufflevector(first.v, second.v, (Lane & Distance ? L::count + Lane - Distance : Lane)...)};
  b = {__builtin_shufflevector(first.v, second.v, (Lane & Distance ? L::count + Lane : Lane + Distance)...)};
}
// Of the square's 1 x 1 (Distance 1) or 2 x 2 (Distance 2) blocks of lanes; a block stays as it is.
template <class L, int Distance>
NASP_INLINE void transpose(L (&v)[L::count]) {
  if constexpr (Distance < L::count) {
    NASP_UNROLL for (int i = 0; i < L::count; i++) if (!(i & Distance))
        exchange<L, Distance>(v[i], v[i + Distance], std::make_integer_sequence<int, L::count>());
    transpose<L, Distance * 2>(v);
  }
}

// dy of one tile -> (4 x 4 pixels, pairs of images, even and odd outputs, lanes); outputs that there are not are zeros.
template <class L>
[[gnu::noinline]] void turn_tile(typename L::scalar* turned, const typename L::scalar* dy, int outputs,
                                 ptrdiff_t row_pitch, ptrdiff_t channel_pitch) {
  for (int r = 0; r < 4; r++, dy += row_pitch) {
    for (int p = 0; p < 4; p++, turned += L::count * L::count) {
      const auto* from = dy + p * L::count;
      L v[L::count];
      if (outputs >= L::count) {
        NASP_UNROLL for (int o = 0; o < L::count; o++) v[o] = L::load(from + o * channel_pitch);
      } else {
        NASP_UNROLL for (int o = 0; o < L::count; o++) v[o] =
            o < outputs ? L::load(from + o * channel_pitch) : L::zero();
      }
      transpose<L, 2>(v);
      NASP_UNROLL for (int i = 0; i < L::count; i++) v[i].store(turned + i * L::count);
    }
  }
}

// A y of four values.
template <class L>
NASP_INLINE void winograd_spread(L (&d)[winograd_side], L y0, L y1, L y2, L y3) {
  const L two = L::splat(2), four = L::splat(4), eight = L::splat(8);
  const L e = y0 + y2, f = y1 + y3, g = y0 + four * y2, h = two * y1 + eight * y3;
  d[0] = y0, d[1] = e + f, d[2] = e - f, d[3] = g + h, d[4] = g - h, d[5] = y3;
}

// A dy A' of one tile; d: D at this tile.
template <class L>
[[gnu::noinline]] void winograd_gradient_input(typename L::scalar* d, const typename L::scalar* turned) {
  constexpr int N = winograd_side;
  constexpr ptrdiff_t plane = WeightGradientSizes<L>::d_plane, pixel = L::count * L::count;
  for (int i = 0; i < L::count; i++, turned += L::count, d += L::count) {  // vectors of a pixel
    L a[N][4];
    NASP_UNROLL for (int j = 0; j < 4; j++) {
      const auto* y = turned + j * pixel;
      L column[N];
      winograd_spread(column, L::load(y), L::load(y + 4 * pixel), L::load(y + 8 * pixel),
                      L::load(y + 12 * pixel));
      NASP_UNROLL for (int r = 0; r < N; r++) a[r][j] = column[r];
    }
    NASP_UNROLL for (int r = 0; r < N; r++) {
      L row[N];
      winograd_spread(row, a[r][0], a[r][1], a[r][2], a[r][3]);
      NASP_UNROLL for (int j = 0; j < N; j++) row[j].store(d + (r * N + j) * plane);
    }
  }
}

// Two scalars side by side, over and over. As 64-bit numbers where they fit: g++ builds pairs of floats on the stack.
template <class L>
NASP_INLINE L splat_pair(const typename L::scalar* p) {
  using S = typename L::scalar;
  if constexpr (sizeof(S) == 4) {
    typedef long long Vector __attribute__((vector_size(sizeof(L))));
    long long bits;
    __builtin_memcpy(&bits, p, sizeof bits);
    return {reinterpret_cast<typename L::vector>(bits - Vector{})};
  } else {
    typedef S Pair __attribute__((vector_size(2 * sizeof(S))));
    const Pair pair = {p[0], p[1]};
    return [&]<int... Lane>(std::integer_sequence<int, Lane...>) {
      return L{__builtin_shufflevector(pair, pair, (Lane & 1)...)};
    }
    (std::make_integer_sequence<int, L::count>());
  }
}

// sums (Inputs, outputs) = V D, or += where `add`, of one position, over the images of its tiles.
template <class L, int Inputs>
[[gnu::noinline]] void winograd_gradient_products(typename L::scalar* sums, const typename L::scalar* v,
                                                  const typename L::scalar* d, int images, bool add) {
  constexpr ptrdiff_t pitch = WeightGradientSizes<L>::images;
  L even[Inputs], odd[Inputs];
  NASP_UNROLL for (int c = 0; c < Inputs; c++) even[c] = odd[c] = L::zero();
  for (int i = images; i > 0; i -= 2, v += 2, d += 2 * L::count) {
    L even_outputs = L::load(d), odd_outputs = L::load(d + L::count);
    even_outputs.pin(), odd_outputs.pin();
    NASP_UNROLL for (int c = 0; c < Inputs; c++) {
      L value = splat_pair<L>(v + c * pitch);
      value.pin();
      even[c] += value * even_outputs;
      odd[c] += value * odd_outputs;
    }
  }
  NASP_UNROLL for (int c = 0; c < Inputs; c++) {
    L sum = add_pair<L, 1>(even[c], odd[c], std::make_integer_sequence<int, L::count>());
    if (add) sum += L::load(sums + c * L::count);
    sum.store(sums + c * L::count);
  }
}

// G' u of six values.
template <class L>
NASP_INLINE void winograd_gather(L (&g)[3], const L (&u)[winograd_side]) {
  using S = typename L::scalar;
  const L fourth = L::splat(S(1) / 4), sixth = L::splat(S(1) / 6), twelfth = L::splat(S(1) / 12),
          low = L::splat(S(1) / 24);
  const L p = u[1] + u[2], q = u[2] - u[1], r = u[3] + u[4], s = u[3] - u[4];
  g[0] = fourth * u[0] - sixth * p + low * r;
  g[1] = sixth * q + twelfth * s;
  g[2] = sixth * (r - p) + u[5];
}

// dw (outputs, C, 3, 3) = G' sums G of one group of outputs.
template <class L>
[[gnu::noinline]] void winograd_gradient_output(typename L::scalar* dw, const typename L::scalar* sums,
                                                int channels, int outputs, ptrdiff_t plane) {
  constexpr int N = winograd_side;
  for (int c = 0; c < channels; c++, sums += L::count, dw += 9) {
    L half[3][N];
    NASP_UNROLL for (int j = 0; j < N; j++) {
      L u[N], w[3];
      NASP_UNROLL for (int i = 0; i < N; i++) u[i] = L::load(sums + (i * N + j) * plane);
      winograd_gather(w, u);
      NASP_UNROLL for (int i = 0; i < 3; i++) half[i][j] = w[i];
    }
    alignas(sizeof(L)) typename L::scalar taps[9][L::count];
    NASP_UNROLL for (int i = 0; i < 3; i++) {
      L w[3];
      winograd_gather(w, half[i]);
      NASP_UNROLL for (int j = 0; j < 3; j++) w[j].store(taps[3 * i + j]);
    }
    for (int o = 0; o < smaller(outputs, L::count); o++) {
      auto* to = dw + static_cast<ptrdiff_t>(o) * channels * 9;
      NASP_UNROLL for (int t = 0; t < 9; t++) to[t] = taps[t][o];
    }
  }
}

// dw (O, C, 3, 3) = over the rows [row0, row1) of dy, whose channels start at `first`.
template <class L>
void winograd_weight_gradient(typename L::scalar* dw, int channels, int outputs, const Band<L>& x,
                              const Band<L>& dy, int first, int row0, int row1, typename L::scalar* scratch) {
  constexpr int P = gradient_positions, T = winograd_tiles;
  const WeightGradientSizes<L> sizes(channels, outputs);
  const int across = dy.width / 4, places = (row1 - row0) / 4 * across;
  auto *v = scratch, *d = v + P * sizes.v_plane, *turned = d + P * sizes.d_plane,
       *sums = turned + sizes.turned;
  for (int begin = 0; begin < places; begin += T) {
    const int n = smaller(T, places - begin);
    const auto row_of = [&](int t) { return row0 + (begin + t) / across * 4; };
    const auto column_of = [&](int t) { return (begin + t) % across * 4; };
    const typename L::scalar* tiles[T];
    for (int t = 0; t < n; t++) tiles[t] = x.at(row_of(t) - 1, 0, column_of(t) - 1);
    winograd_input<L>(v, tiles, n, channels, x.row_pitch, x.channel_pitch);
    for (int g = 0; g < sizes.groups; g++) {
      const int o = g * L::count;
      for (int t = 0; t < n; t++) {
        turn_tile<L>(turned, dy.at(row_of(t), first + o, column_of(t)), outputs - o, dy.row_pitch,
                     dy.channel_pitch);
        winograd_gradient_input<L>(d + t * L::count * L::count, turned);
      }
      auto* group = sums + g * sizes.sums_group;
      for (int p = 0; p < P; p++) {
        const auto products = [&]<int Inputs>(int c) {
          winograd_gradient_products<L, Inputs>(group + p * sizes.sums_plane + c * L::count,
                                                v + p * sizes.v_plane + c * sizes.images,
                                                d + p * sizes.d_plane, n * L::count, begin > 0);
        };
        int c = 0;
        for (; c + gradient_inputs <= channels; c += gradient_inputs)
          products.template operator()<gradient_inputs>(c);
        for (; c < channels; c += gradient_rest) products.template operator()<gradient_rest>(c);
      }
      if (begin + T >= places)
        winograd_gradient_output<L>(dw + static_cast<ptrdiff_t>(o) * channels * 9, group, channels,
                                    outputs - o, sizes.sums_plane);
    }
  }
}

}  // namespace nasp::NASP_ISA
