// A sweep of units backward, a piece of all of them at a time: where their pieces leave gradients and sums, and how these are
// added up.
#pragma once
#include <vector>

#include "dense_backward.h"

namespace nasp::NASP_ISA {

// Adds the pieces' weight gradients in piece order: partial (pieces, count) -> total (count).
template <class S>
void add_pieces(const Run& run, S* total, const S* partial, int pieces, std::size_t pitch, int count) {
  constexpr int chunk = 1024;
  run.parallel.run(ceil_div(count, chunk), [&](int part, int) {
    const int end = smaller(count, (part + 1) * chunk);
    for (int i = part * chunk; i < end; i++) total[i] = partial[i];
    for (int p = 1; p < pieces; p++) {
      const S* from = partial + static_cast<std::size_t>(p) * pitch;
      for (int i = part * chunk; i < end; i++) total[i] += from[i];
    }
  });
}

// A unit of a sweep, and what its pieces leave.
template <class S>
struct SweepUnit {
  const BackwardUnit<S>& step;
  bool composed;
  std::size_t weights = 0;  // gradients that a piece leaves
  // (pieces, weights); behind them the product's gradient and scratch of a composed pair
  S* partial = nullptr;
  GradientSums* sums = nullptr;  // (pieces, C): of dx; null: not wanted

  explicit SweepUnit(const BackwardUnit<S>& b)
      : step(b), composed(runs_composed(*b.unit, b.x.x.height, b.x.x.width)) {
    const Unit& unit = *b.unit;
    if (!b.first_gradient && !b.dense_gradient[0] && !b.dense_gradient[1]) return;
    weights = composed ? static_cast<std::size_t>(composed_weights(unit)) : unit.weights();
  }
  std::size_t partial_size(int pieces) const {
    return weights == 0 ? 0 : weights * pieces + (composed ? weights + decompose_scratch(*step.unit) : 0);
  }
  std::size_t sums_size(int pieces) const {
    return step.dx_moments ? static_cast<std::size_t>(pieces) * step.unit->in : 0;
  }
};

template <class S>
void reserve_results(const Run& run, std::vector<SweepUnit<S>>& sweep, int pieces) {
  std::size_t partial_size = 0, sums_size = 0;
  for (const SweepUnit<S>& u : sweep)
    partial_size += u.partial_size(pieces), sums_size += u.sums_size(pieces);
  auto* partial = static_cast<S*>(run.workspace.shared(Workspace::partial_weights, sizeof(S) * partial_size));
  auto* sums = static_cast<GradientSums*>(
      run.workspace.shared(Workspace::partial_moments, sizeof(GradientSums) * sums_size));
  for (SweepUnit<S>& u : sweep) {
    if (u.weights) u.partial = partial;
    if (u.step.dx_moments) u.sums = sums;
    partial += u.partial_size(pieces), sums += u.sums_size(pieces);
  }
}

// Adds up what the pieces left.
template <class S>
void finish_unit(const Run& run, const SweepUnit<S>& results, int pieces) {
  const BackwardUnit<S>& b = results.step;
  const Unit& unit = *b.unit;
  for (int c = 0; results.sums && c < unit.in; c++) {
    const GradientSums total = add_pieces(results.sums + c, pieces, unit.in);
    // of dx and activation = scale * (x - mean) + shift
    b.dx_moments[c].gradient = total.gradient;
    b.dx_moments[c].gradient_y =
        (total.gradient_y - static_cast<double>(b.x.norm.shift[c]) * total.gradient) / b.x.norm.scale[c];
  }
  const std::size_t weights = results.weights;
  if (!weights) return;
  if (results.composed) {
    S* dw = results.partial + weights * pieces;
    add_pieces(run, dw, results.partial, pieces, weights, static_cast<int>(weights));
    const PackedLayout layout(unit);
    return decompose_gradient(run, b.first_gradient, b.dense_gradient[0], dw, b.packed + layout.row,
                              b.packed + layout.column, unit, dw + weights);
  }
  std::size_t at = 0;
  const auto add_up = [&](S* gradient, std::size_t count) {
    if (gradient) add_pieces(run, gradient, results.partial + at, pieces, weights, static_cast<int>(count));
    at += count;
  };
  add_up(b.first_gradient, unit.first_weights());
  for (int i = 0; i < unit.parts; i++) add_up(b.dense_gradient[i], unit.dense_weights(i));
}

}  // namespace nasp::NASP_ISA
