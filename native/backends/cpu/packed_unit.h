// A unit's weights as the kernels read them, and where each part of them lies.
#pragma once
#include "composed_pair.h"
#include "depthwise.h"
#include "winograd.h"

namespace nasp::NASP_ISA {

// What the first input rows of its pieces are multiples of. Winograd's tiles are of 4 output rows; of 1x1 kernels 2 rows will
// do, where 4 are too many for the cache. Of a pair so many that what its column reads above and below, which the row computes
// once more, is no great part (at stride 2, 0.64 to 0.84 of the time with 8).
inline int piece_rows(const Unit& u) {
  if (u.kind != UnitKind::convolve || u.depthwise()) return 4;
  if (u.paired() && !composes(u)) return 16;
  return u.reach_h() == 0 ? 2 : u.dense[0].kernel_h > 1 ? 4 * u.stride_h() : 4;
}

// Where the parts of a packed unit lie. Forward: the first convolution (depthwise (C, k, k) or a row), then the dense parts;
// then the same for backward, turned and transposed. A row or dense part: its direct and, where it has one, its Winograd
// form. Of a pair that may run composed its product too, in the form that it runs in, and at the end both factors as they are.
struct PackedPart {
  std::size_t direct = 0, winograd = 0;
};
struct PackedLayout {
  struct Half {
    PackedPart first, dense[2], composed;
  };
  Half forward, back;
  std::size_t forward_size, row, column, size;

  explicit PackedLayout(const Unit& u) {
    size = 0;
    for (Half* half : {&forward, &back}) {
      const bool transposed = half == &back;
      const auto add = [&](const DensePart& d, int in, bool runs_direct = true) -> PackedPart {
        const int to = transposed ? in : d.out, from = transposed ? d.out : in;
        const std::size_t direct = size,
                          winograd = direct + (runs_direct ? packed_dense_size(to, from, d.taps()) : 0);
        size = winograd + packed_winograd_size(winograd_of(d, in), to, from);
        return {direct, winograd};
      };
      half->first = {size, size};
      if (u.paired())
        half->first = add(u.row, u.in);
      else
        size += u.first_weights();
      for (int i = 0; i < u.parts; i++) half->dense[i] = add(u.dense[i], u.between());
      half->composed = {size, size};
      if (composes(u)) half->composed = add(composed_part(u), u.in, composed_runs_direct(u));
      if (!transposed) forward_size = size;
    }
    row = size, column = row + u.first_weights();
    if (composes(u)) size = column + u.dense_weights(0);
  }
};

// The dense convolutions that a unit runs as on maps of that size, side by side: of a composed pair its product. None of a unit
// where something lies between (depthwise, a pair that does not run composed), of a pool or the identity.
struct DenseForm {
  struct Part {
    DensePart part;
    PackedPart at;
    int first = 0;  // of its output channels
  };
  int count = 0;
  Part parts[2];

  DenseForm(const Unit& u, const PackedLayout::Half& half, int height, int width) {
    if (u.kind != UnitKind::convolve || u.depthwise()) return;
    if (runs_composed(u, height, width)) parts[count++] = {composed_part(u), half.composed, 0};
    if (u.paired()) return;
    for (int i = 0, first = 0; i < u.parts; first += u.dense[i].out, i++)
      parts[count++] = {u.dense[i], half.dense[i], first};
  }
};

template <class S>
std::size_t packed_size(const Unit& u, bool backward) {
  const PackedLayout layout(u);
  return backward ? layout.size : layout.forward_size;
}

// The root mean square of what a depthwise convolution makes of inputs of 1.
template <class S>
double depthwise_growth(const S* w, const Unit& u) {
  double squares = 0;
  for (std::size_t i = 0; i < u.first_weights(); i++) squares += static_cast<double>(w[i]) * w[i];
  return std::sqrt(squares / u.in);
}

// Whether a unit's products forward are crossed: where the size of inputs is known, behind a ReLU, and BatchNorm before it. An
// image's may be any.
inline bool crosses_forward(const Unit& u) { return crosses && u.relu; }

// crossed: whether those of a forward pass are for crossed products.
template <class L>
void pack_unit_for(const Run& run, const Unit& u, typename L::scalar* packed,
                   const UnitWeights<typename L::scalar>& w, bool backward, bool crossed) {
  using S = typename L::scalar;
  const PackedLayout layout(u);
  std::vector<S> composed;
  if (composes(u)) {
    composed.resize(static_cast<std::size_t>(composed_weights(u)));
    compose(run, composed.data(), w.first, w.dense[0], u.in, u.between(), u.out);
  }
  for (const bool transposed : {false, true}) {
    if (transposed && !backward) return;
    const auto& half = transposed ? layout.back : layout.forward;
    const double expected = !crossed || transposed ? not_crossed
                            : u.depthwise()        ? expected_input * depthwise_growth(w.first, u)
                                                   : expected_input;
    const auto pack = [&](const PackedPart& at, const S* weights, const DensePart& d, int in,
                          bool runs_direct = true) {
      const Winograd kind = winograd_of(d, in);
      if (runs_direct) pack_dense(packed + at.direct, weights, d.out, in, d.taps(), transposed, expected);
      if (kind != Winograd::none)
        pack_winograd<L>(run, kind, packed + at.winograd, weights, d.out, in, transposed, expected);
    };
    if (u.paired())
      pack(half.first, w.first, u.row, u.in);
    else if (u.depthwise())
      pack_depthwise(packed + half.first.direct, w.first, u.in, u.kernel * u.kernel, transposed);
    for (int i = 0; i < u.parts; i++) pack(half.dense[i], w.dense[i], u.dense[i], u.between());
    if (composes(u)) pack(half.composed, composed.data(), composed_part(u), u.in, composed_runs_direct(u));
  }
  if (composes(u)) {
    std::copy_n(w.first, u.first_weights(), packed + layout.row);
    std::copy_n(w.dense[0], u.dense_weights(0), packed + layout.column);
  }
}

template <class L>
void pack_unit(const Run& run, const Unit& u, typename L::scalar* packed,
               const UnitWeights<typename L::scalar>& w, bool backward) {
  pack_unit_for<L>(run, u, packed, w, backward, crosses_forward(u));
}

// As pack_unit's for a forward pass, in the same places: what runs in pairs packed in them (pairs.h), the rest as it is.
template <class L>
void pack_unit_pairs(const Run& run, const Unit& u, typename L::scalar* packed,
                     const UnitWeights<typename L::scalar>& w) {
  pack_unit_for<L>(run, u, packed, w, false, false);
  const auto pair = [&](const PackedPart& at, const DensePart& d, int in) {
    const Winograd kind = winograd_of(d, in);
    if (kind != Winograd::none) return pair_winograd(kind, packed + at.winograd, d.out, in);
    if (d.taps() > 1) return;
    auto *to = packed + at.direct, *from = to;
    for (int o = 0; o < d.out;
         o += tile_outputs, from += weight_rows(in) * tile_outputs, to += pair_count(in) * tile_outputs)
      pair_weights(to, from, in, tile_outputs);
  };
  const auto half = PackedLayout(u).forward;
  if (u.paired()) pair(half.first, u.row, u.in);
  for (int i = 0; i < u.parts; i++) pair(half.dense[i], u.dense[i], u.between());
  if (composes(u)) pair(half.composed, composed_part(u), u.in);
}

}  // namespace nasp::NASP_ISA
