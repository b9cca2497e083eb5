// Weight gradients of the convolutions that winograd.h computes, through the same transforms:
//
//   3x3         dw = G' [ sum over tiles and images of (A dy A') * (B' x B) ] G    36 products for 16 pixels instead of 144
//   1x7, 7x1    dw = G' [ sum over tiles and images of (A dy) * (B' x) ]           10 for 4 instead of 28
//   at stride 2 (the lines)                                                        14 for 4 instead of 28
//
// of each input and output channel. The sums over images are what a matrix product sums over, so dy is turned round first,
// all but a pair of images: its vectors hold half of the outputs and two images, are multiplied with the same two images
// of x, and only their two lanes are left to be added.
//
// Layout    V     (positions, C, 4 tiles, images): transformed x
//           D     (positions, 4 tiles, pairs of images, even and odd outputs, lanes): transformed dy of as many outputs as
//                 a vector has lanes; lanes are outputs, each with the two images of the pair
//           sums  (O / outputs, positions, C, outputs)
// Error     1e-6 to 3e-6 of the largest value in float32
// Source    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015 (arXiv 1509.09308)
#pragma once
#include "winograd.h"

namespace nasp::NASP_ISA {

constexpr int gradient_inputs = NASP_REGISTERS >= 32 ? 8 : 4;  // input channels of a register tile
constexpr int gradient_rest = 4;                               // and of one for what remains

inline Winograd winograd_gradient_on(const DensePart& part, int in, int height, int width) {
  return in % gradient_rest ? Winograd::none : winograd_on(part, in, height, width);
}

template <class L>
struct WeightGradientSizes {                                      // in scalars
  static constexpr ptrdiff_t images = winograd_tiles * L::count;  // of all tiles
  static constexpr ptrdiff_t d_plane = (images + 1) * L::count;   // a position of D; an odd number of vectors
  static constexpr ptrdiff_t turned = 16 * L::count * L::count;   // dy of a tile, turned round
  ptrdiff_t v_plane, sums_plane, sums_group;                      // a position of V, of sums; a group of sums
  int groups;                                                     // of outputs
  int positions;
  int inputs;  // channels of all phases
  WeightGradientSizes(Winograd kind, int channels, int outputs)
      : v_plane(winograd_plane<L>(winograd_phases(kind) * channels)),
        sums_plane(static_cast<ptrdiff_t>(winograd_phases(kind) * channels | 1) * L::count),
        sums_group(winograd_positions(kind) * sums_plane),
        groups(ceil_div(outputs, L::count)),
        positions(winograd_positions(kind)),
        inputs(winograd_phases(kind) * channels) {}
  std::size_t size() const {
    return static_cast<std::size_t>(positions * (v_plane + d_plane) + turned + groups * sums_group);
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

// dy of one tile -> (its pixels, pairs of images, even and odd outputs, lanes); outputs that there are not are zeros.
template <class L>
[[gnu::noinline]] void turn_tile(typename L::scalar* turned, const typename L::scalar* dy, int tall, int wide,
                                 int outputs, ptrdiff_t row_pitch, ptrdiff_t channel_pitch) {
  for (int r = 0; r < tall; r++, dy += row_pitch) {
    for (int p = 0; p < wide; p++, turned += L::count * L::count) {
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

// A dy A' of one tile; d: D at this tile.
template <class L>
[[gnu::noinline]] void winograd_gradient_input(typename L::scalar* d, const typename L::scalar* turned) {
  constexpr int taps = winograd_square_taps, N = winograd_side(taps);
  constexpr ptrdiff_t plane = WeightGradientSizes<L>::d_plane, pixel = L::count * L::count;
  for (int i = 0; i < L::count; i++, turned += L::count, d += L::count) {  // vectors of a pixel
    L a[N][4];
    NASP_UNROLL for (int j = 0; j < 4; j++) {
      L y[4], column[N];
      NASP_UNROLL for (int i = 0; i < 4; i++) y[i] = L::load(turned + (4 * i + j) * pixel);
      winograd_spread<L, taps>(column, y);
      NASP_UNROLL for (int r = 0; r < N; r++) a[r][j] = column[r];
    }
    NASP_UNROLL for (int r = 0; r < N; r++) {
      L row[N];
      winograd_spread<L, taps>(row, a[r]);
      NASP_UNROLL for (int j = 0; j < N; j++) row[j].store(d + (r * N + j) * plane);
    }
  }
}

// A dy of one tile of a line.
template <class L, int Taps>
[[gnu::noinline]] void winograd_line_gradient_input(typename L::scalar* d, const typename L::scalar* turned) {
  constexpr int N = winograd_side(Taps);
  constexpr ptrdiff_t plane = WeightGradientSizes<L>::d_plane, pixel = L::count * L::count;
  for (int i = 0; i < L::count; i++, turned += L::count, d += L::count) {
    L y[4], row[N];
    NASP_UNROLL for (int p = 0; p < 4; p++) y[p] = L::load(turned + p * pixel);
    winograd_spread<L, Taps>(row, y);
    NASP_UNROLL for (int j = 0; j < N; j++) row[j].store(d + j * plane);
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

// Values of one tap, lanes are outputs -> dw (outputs, …).
template <class L>
NASP_INLINE void put_tap(typename L::scalar* dw, L tap, int outputs, ptrdiff_t output_pitch) {
  alignas(sizeof(L)) typename L::scalar values[L::count];
  tap.store(values);
  for (int o = 0; o < smaller(outputs, L::count); o++, dw += output_pitch) *dw = values[o];
}

// dw (outputs, C, 3, 3) = G' sums G of one group of outputs.
template <class L>
[[gnu::noinline]] void winograd_gradient_output(typename L::scalar* dw, const typename L::scalar* sums,
                                                int channels, int outputs, ptrdiff_t plane) {
  constexpr int taps = winograd_square_taps, N = winograd_side(taps);
  const ptrdiff_t pitch = static_cast<ptrdiff_t>(channels) * taps * taps;
  for (int c = 0; c < channels; c++, sums += L::count, dw += taps * taps) {
    L half[taps][N];
    NASP_UNROLL for (int j = 0; j < N; j++) {
      L u[N], w[taps];
      NASP_UNROLL for (int i = 0; i < N; i++) u[i] = L::load(sums + (i * N + j) * plane);
      winograd_gather<L, taps>(w, u);
      NASP_UNROLL for (int i = 0; i < taps; i++) half[i][j] = w[i];
    }
    NASP_UNROLL for (int i = 0; i < taps; i++) {
      L w[taps];
      winograd_gather<L, taps>(w, half[i]);
      NASP_UNROLL for (int j = 0; j < taps; j++) put_tap(dw + taps * i + j, w[j], outputs, pitch);
    }
  }
}

// dw (outputs, C, 7) = G' sums, of each phase.
template <class L, int Taps>
[[gnu::noinline]] void winograd_line_gradient_output(Winograd kind, typename L::scalar* dw,
                                                     const typename L::scalar* sums, int channels,
                                                     int outputs, ptrdiff_t plane) {
  constexpr int whole = winograd_line_taps, N = winograd_side(Taps);
  const ptrdiff_t pitch = static_cast<ptrdiff_t>(channels) * whole;
  for (int i = 0; i < winograd_phases(kind); i++) {
    const WinogradPhase phase = {kind, i, false};
    for (int c = 0; c < channels; c++, sums += L::count) {
      L u[N], w[Taps];
      NASP_UNROLL for (int j = 0; j < N; j++) u[j] = L::load(sums + j * plane);
      winograd_gather<L, Taps>(w, u);
      NASP_UNROLL for (int k = 0; k < Taps; k++) {
        const int tap = phase.tap(k);
        if (tap >= 0) put_tap(dw + c * whole + tap, w[k], outputs, pitch);
      }
    }
  }
}

// dw (O, C, kernel) = over the rows [row0, row1) of dy, whose channels start at `first`.
template <class L>
void winograd_weight_gradient(Winograd kind, typename L::scalar* dw, int channels, int outputs,
                              const Band<L>& x, const Band<L>& dy, int first, int row0, int row1,
                              typename L::scalar* scratch) {
  constexpr int T = winograd_tiles;
  const WeightGradientSizes<L> sizes(kind, channels, outputs);
  const int P = sizes.positions, taps = winograd_kernel(kind);
  const WinogradTiles place(kind, dy.width, row0);
  const int places = place.count(row1);
  auto *v = scratch, *d = v + P * sizes.v_plane, *turned = d + P * sizes.d_plane,
       *sums = turned + sizes.turned;
  for (int begin = 0; begin < places; begin += T) {
    const int n = smaller(T, places - begin);
    for (int i = 0; i < winograd_phases(kind); i++)
      winograd_tile_inputs<L>({kind, i, false}, v + i * channels * sizes.images, sizes.v_plane, T, place,
                              begin, n, x, 0, channels);
    for (int g = 0; g < sizes.groups; g++) {
      const int o = g * L::count;
      for (int t = 0; t < n; t++) {
        turn_tile<L>(turned, dy.at(place.row(begin + t), first + o, place.column(begin + t)), place.tall,
                     place.wide, outputs - o, dy.row_pitch, dy.channel_pitch);
        auto* at = d + t * L::count * L::count;
        if (kind == Winograd::square)
          winograd_gradient_input<L>(at, turned);
        else
          with_line_taps(kind, [&]<int Taps>() { winograd_line_gradient_input<L, Taps>(at, turned); });
      }
      auto* group = sums + g * sizes.sums_group;
      for (int p = 0; p < P; p++) {
        const auto products = [&]<int Inputs>(int c) {
          winograd_gradient_products<L, Inputs>(group + p * sizes.sums_plane + c * L::count,
                                                v + p * sizes.v_plane + c * sizes.images,
                                                d + p * sizes.d_plane, n * L::count, begin > 0);
        };
        int c = 0;
        for (; c + gradient_inputs <= sizes.inputs; c += gradient_inputs)
          products.template operator()<gradient_inputs>(c);
        for (; c < sizes.inputs; c += gradient_rest) products.template operator()<gradient_rest>(c);
      }
      if (begin + T < places) continue;
      auto* to = dw + static_cast<ptrdiff_t>(o) * channels * taps;
      if (kind == Winograd::square)
        winograd_gradient_output<L>(to, group, channels, outputs - o, sizes.sums_plane);
      else
        with_line_taps(kind, [&]<int Taps>() {
          winograd_line_gradient_output<L, Taps>(kind, to, group, channels, outputs - o, sizes.sums_plane);
        });
    }
  }
}

}  // namespace nasp::NASP_ISA
