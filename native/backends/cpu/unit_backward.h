// A unit backward: from dL/dy of its pre-norm output (BatchNorm's backward folded into the load) to dx, through the
// ReLU of its load, and to the gradients of its weights: the drivers over pieces of work.
#pragma once
#include <algorithm>

#include "dense_backward.h"
#include "depthwise_backward.h"

namespace nasp::NASP_ISA {

// Scalars of scratch of a unit whose piece is loaded at once.
template <class L>
std::size_t backward_scratch(const Unit& u, int width, int rows, int dy_rows, int dy_pad) {
  if (u.paired()) {
    const int out_width = u.out_width(width);
    return Band<L>::size(u.between(), out_width, dy_rows + rows, dy_pad) +
           Band<L>::size(u.between(), out_width, rows + 2 * u.reach_h(), 0) +
           paired_backward_scratch<L>(u, width);
  }
  std::size_t size = forward_scratch<L>(u, width, rows);
  for (int i = 0; i < u.parts; i++) size = std::max(size, weight_gradient_scratch<L>(u.dense[i], u.in));
  return size;
}

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

// A pool takes its channels one by one, so its pieces are a few channels of whole images, and no row is loaded twice.
template <class L>
void backward_pool(const Run& run, const BackwardUnit<typename L::scalar>& b) {
  using S = typename L::scalar;
  constexpr std::size_t target = 256 << 10;  // bytes of x
  const View<const S>& x = b.x.x;
  const int most = larger(1, static_cast<int>(target / (sizeof(L) * x.height * x.width))),
            groups = ceil_div(x.channels, most), each = ceil_div(x.channels, groups);
  const bool max = b.unit->kind == UnitKind::max_pool;
  if (!b.dx) return;
  run.parallel.run(groups * ceil_div(run.batch, L::count), [&](int piece, int thread) {
    const int block = piece / groups, first = piece % groups * each,
              channels = smaller(each, x.channels - first);
    if (channels <= 0) return;
    Unit unit = *b.unit;
    unit.in = unit.out = channels;
    const int out_width = unit.out_width(x.width), out_height = unit.out_height(x.height),
              pad = unit.window_reach();
    const std::size_t x_size = max ? Band<L>::size(channels, x.width, x.height, pad) : 0,
                      dy_size = Band<L>::size(channels, out_width, out_height, 0);
    S* memory = static_cast<S*>(run.workspace.thread(
        thread, sizeof(S) * (x_size + dy_size + pool_backward_scratch<L>(unit, x.width))));
    const Band<L> band(memory, channels, x.width, 0, x.height, pad),
        dy(memory + x_size, channels, out_width, 0, out_height, 0);
    if (max) fill_activation(band, part_of(b.x, first, channels), block, unit.relu, -S(__builtin_inf()));
    fill_gradient(dy, part_of(b.dy, first, channels), block, live_lanes<L>(run.batch, block));
    DataGradient<L> to_dx;
    to_dx.dx = block_of(b.dx.slice(first, channels), block), to_dx.accumulate = b.write == Write::accumulate;
    to_dx.past_caches = leaves_caches(b.dx, ceil_div(run.batch, L::count));
    pool_backward(unit, band, dy, x.height, memory + x_size + dy_size, to_dx);
    streamed();
  });
}

template <class L>
void backward_unit(const Run& run, const BackwardUnit<typename L::scalar>& b) {
  using S = typename L::scalar;
  const Unit& unit = *b.unit;
  if (unit.kind != UnitKind::convolve) return backward_pool<L>(run, b);
  const int height = b.x.x.height, width = b.x.x.width, stride = unit.stride_h();
  const bool want_dw = b.first_gradient || b.dense_gradient[0] || b.dense_gradient[1];
  const bool depthwise = unit.depthwise(), composed = runs_composed(unit, height, width);
  const Pieces<L> pieces(b.x.x, ceil_div(run.batch, L::count), depthwise ? depthwise_piece : 256 << 10,
                         unit.reach_h() ? 4 : 2);
  std::size_t weights = 0;
  if (want_dw && composed) {
    weights = static_cast<std::size_t>(composed_weights(unit));
  } else if (want_dw) {
    weights = static_cast<std::size_t>(unit.first_weights());
    for (int i = 0; i < unit.parts; i++) weights += static_cast<std::size_t>(unit.dense_weights(i));
  }
  const std::size_t all_weights = weights * pieces.count,  // behind them the product's gradient, and scratch
      behind = composed ? weights + decompose_scratch(unit) : 0;
  S* partial = weights ? static_cast<S*>(run.workspace.shared(Workspace::partial_weights,
                                                              sizeof(S) * (all_weights + behind)))
                       : nullptr;
  auto* sums = b.dx_moments ? static_cast<GradientSums*>(run.workspace.shared(
                                  Workspace::partial_moments,
                                  sizeof(GradientSums) * static_cast<std::size_t>(pieces.count) * unit.in))
                            : nullptr;

  run.parallel.run(pieces.count, [&](int piece, int thread) {
    const int block = pieces.block(piece), row0 = pieces.first(piece), row1 = pieces.end(piece);
    const typename LoadedPiece<L>::Plan plan(unit, width, row0, row1, want_dw);
    const std::size_t sums_size = sums ? 2 * sizeof(L) / sizeof(S) * unit.in : 0,
                      size = depthwise ? DepthwiseBands<L>(unit, width, want_dw).size()
                                       : plan.x_size + plan.dy_size +
                                             backward_scratch<L>(unit, width, row1 - row0, plan.dy_rows,
                                                                 plan.dy_pad);
    S* memory = static_cast<S*>(run.workspace.thread(thread, sizeof(S) * (sums_size + size)));
    auto* dx_sums = sums ? reinterpret_cast<L*>(memory) : nullptr;
    memory += sums_size;
    S* dw = partial ? partial + static_cast<std::size_t>(piece) * weights : nullptr;
    if (dw) std::fill_n(dw, weights, S(0));
    if (dx_sums) std::fill_n(dx_sums, 2 * unit.in, L::zero());
    DataGradient<L> to_dx;
    to_dx.dx = block_of(b.dx, block), to_dx.accumulate = b.write == Write::accumulate, to_dx.sums = dx_sums;
    // of a stride's or of several parts' gradients, a line is written in turns
    to_dx.past_caches = stride == 1 && unit.parts == 1 && leaves_caches(b.dx, ceil_div(run.batch, L::count));
    if (unit.relu) to_dx.gate = {block_of(b.x.x, block), b.x.norm};
    const BackwardPiece<L> p = {b,
                                unit,
                                b.packed,
                                block,
                                height,
                                width,
                                unit.out_width(width),
                                live_lanes<L>(run.batch, block),
                                row0,
                                row1,
                                output_row(row0, stride),
                                output_row(row1, stride),
                                to_dx,
                                static_cast<bool>(b.dx),
                                dw};
    if (depthwise) {
      depthwise_backward(p, memory);
    } else {
      const LoadedPiece<L> loaded(p, plan, memory);
      if (unit.paired() && !composed)
        paired_backward(p, loaded);
      else
        dense_backward(p, loaded);
    }
    streamed();
    for (int c = 0; dx_sums && c < unit.in; c++)
      sums[static_cast<ptrdiff_t>(piece) * unit.in + c] =
          sum_of_lanes(dx_sums[2 * c], dx_sums[2 * c + 1], live_count(L::count, run.batch, block));
  });
  for (int c = 0; sums && c < unit.in; c++) {
    const GradientSums total = add_pieces(sums + c, pieces.count, unit.in);
    // of dx and activation = scale * (x - mean) + shift
    b.dx_moments[c].gradient = total.gradient;
    b.dx_moments[c].gradient_y =
        (total.gradient_y - static_cast<double>(b.x.norm.shift[c]) * total.gradient) / b.x.norm.scale[c];
  }
  if (!weights) return;
  if (composed) {
    S* dw = partial + all_weights;
    add_pieces(run, dw, partial, pieces.count, weights, static_cast<int>(weights));
    const PackedLayout layout(unit);
    return decompose_gradient(run, b.first_gradient, b.dense_gradient[0], dw, b.packed + layout.row,
                              b.packed + layout.column, unit, dw + weights);
  }
  std::size_t at = 0;
  const auto add_up = [&](S* gradient, int count) {
    if (gradient) add_pieces(run, gradient, partial + at, pieces.count, weights, count);
    at += static_cast<std::size_t>(count);
  };
  add_up(b.first_gradient, unit.first_weights());
  for (int i = 0; i < unit.parts; i++) add_up(b.dense_gradient[i], unit.dense_weights(i));
}

}  // namespace nasp::NASP_ISA
