// A unit backward: from dL/dy of its pre-norm output (BatchNorm's backward folded into the load) to dx, through the
// ReLU of its load, and to the gradients of its weights: the drivers over pieces of work.
#pragma once
#include <algorithm>
#include <vector>

#include "depthwise_backward.h"
#include "pointwise_backward.h"

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

// A pool over a piece: a few channels of whole images.
template <class L>
void pool_piece(const Run& run, const BackwardUnit<typename L::scalar>& b, int block, int first, int channels,
                int thread, bool alone) {
  using S = typename L::scalar;
  const View<const S>& x = b.x.x;
  const bool max = b.unit->kind == UnitKind::max_pool;
  Unit unit = *b.unit;
  unit.in = unit.out = channels;
  const int out_width = unit.out_width(x.width), out_height = unit.out_height(x.height),
            pad = unit.window_reach();
  const std::size_t x_size = max ? Band<L>::size(channels, x.width, x.height, pad) : 0,
                    dy_size = Band<L>::size(channels, out_width, out_height, 0);
  S* memory = static_cast<S*>(
      run.workspace.thread(thread, sizeof(S) * (x_size + dy_size + pool_backward_scratch<L>(unit, x.width))));
  const Band<L> band(memory, channels, x.width, 0, x.height, pad),
      dy(memory + x_size, channels, out_width, 0, out_height, 0);
  if (max) fill_activation(band, part_of(b.x, first, channels), block, unit.relu, -S(__builtin_inf()));
  fill_gradient(dy, part_of(b.dy, first, channels), block, live_lanes<L>(run.batch, block));
  DataGradient<L> to_dx;
  to_dx.dx = block_of(b.dx.slice(first, channels), block), to_dx.accumulate = b.write == Write::accumulate;
  to_dx.past_caches = alone && leaves_caches(b.dx, ceil_div(run.batch, L::count));
  pool_backward(unit, band, dy, x.height, memory + x_size + dy_size, to_dx);
}

// Pools take their channels one by one, so their pieces are cut by channels, and no row is loaded twice.
template <class L>
void backward_pools(const Run& run, const BackwardUnit<typename L::scalar>* units, int count, bool alone) {
  const auto& x = units->x.x;
  const int most = larger(1, static_cast<int>(piece_bytes / (sizeof(L) * x.height * x.width))),
            groups = ceil_div(x.channels, most), each = ceil_div(x.channels, groups);
  if (!units->dx) return;
  run.parallel.run(groups * ceil_div(run.batch, L::count), [&](int piece, int thread) {
    const int first = piece % groups * each, channels = smaller(each, x.channels - first);
    for (int i = 0; i < count && channels > 0; i++)
      pool_piece<L>(run, units[i], piece / groups, first, channels, thread, alone);
    streamed();
  });
}

// One unit over one piece. alone: nothing else is added to dx in this sweep.
template <class L>
void backward_piece(const Run& run, const SweepUnit<typename L::scalar>& results, const Pieces<L>& pieces,
                    int piece, int thread, bool alone) {
  using S = typename L::scalar;
  const BackwardUnit<S>& b = results.step;
  const Unit& unit = *b.unit;
  const int width = b.x.x.width, stride = unit.stride_h(), block = pieces.block(piece),
            row0 = pieces.first(piece), row1 = pieces.end(piece);
  const typename LoadedPiece<L>::Plan plan(unit, width, row0, row1, results.weights > 0);
  const std::size_t sums_size = results.sums ? 2 * sizeof(L) / sizeof(S) * unit.in : 0,
                    size = unit.depthwise()
                               ? DepthwiseBands<L>(unit, width, results.weights > 0).size()
                               : plan.x_size + plan.dy_size +
                                     backward_scratch<L>(unit, width, row1 - row0, plan.dy_rows, plan.dy_pad);
  S* memory = static_cast<S*>(run.workspace.thread(thread, sizeof(S) * (sums_size + size)));
  auto* dx_sums = results.sums ? reinterpret_cast<L*>(memory) : nullptr;
  memory += sums_size;
  S* dw = results.partial ? results.partial + static_cast<std::size_t>(piece) * results.weights : nullptr;
  if (dw) std::fill_n(dw, results.weights, S(0));
  if (dx_sums) std::fill_n(dx_sums, 2 * unit.in, L::zero());
  DataGradient<L> to_dx;
  to_dx.dx = block_of(b.dx, block), to_dx.accumulate = b.write == Write::accumulate, to_dx.sums = dx_sums;
  // of a stride's or of several parts' gradients, a line is written in turns
  to_dx.past_caches =
      alone && stride == 1 && unit.parts == 1 && leaves_caches(b.dx, ceil_div(run.batch, L::count));
  if (unit.relu) to_dx.gate = {block_of(b.x.x, block), b.x.norm};
  const BackwardPiece<L> p = {
      .step = b,
      .unit = unit,
      .packed = b.packed,
      .block = block,
      .height = b.x.x.height,
      .width = width,
      .out_width = unit.out_width(width),
      .live = live_lanes<L>(run.batch, block),
      .row0 = row0,
      .row1 = row1,
      .out0 = strided(row0, stride),
      .out1 = strided(row1, stride),
      .to_dx = to_dx,
      .want_dx = static_cast<bool>(b.dx),
      .dw = dw,
  };
  if (unit.depthwise()) {
    depthwise_backward(p, memory);
  } else {
    const LoadedPiece<L> loaded(p, plan, memory);
    if (unit.paired() && !results.composed)
      paired_backward(p, loaded);
    else
      dense_backward(p, loaded);
  }
  for (int c = 0; dx_sums && c < unit.in; c++)
    results.sums[static_cast<ptrdiff_t>(piece) * unit.in + c] =
        sum_of_lanes(dx_sums[2 * c], dx_sums[2 * c + 1], live_count(L::count, run.batch, block));
}

// Convolutions whose pieces are cut alike, a piece of all of them at a time: x and dx of a piece are in the cache when the
// next unit wants them.
template <class L>
void backward_convolutions(const Run& run, const BackwardUnit<typename L::scalar>* units, int count,
                           bool alone) {
  int multiple = 0;
  for (int i = 0; i < count; i++) multiple = larger(multiple, piece_rows(*units[i].unit));
  const Pieces<L> pieces(units->x.x, ceil_div(run.batch, L::count), multiple,
                         units->unit->depthwise() ? depthwise_piece : piece_bytes);
  std::vector<SweepUnit<typename L::scalar>> sweep(units, units + count);
  reserve_results(run, sweep, pieces.count);
  run.parallel.run(pieces.count, [&](int piece, int thread) {
    for (const auto& unit : sweep) backward_piece(run, unit, pieces, piece, thread, alone);
    streamed();
  });
  for (const auto& unit : sweep) finish_unit(run, unit, pieces.count);
}

// How a unit is cut into pieces.
enum class Cut { pool, depthwise, dense };
inline Cut cut_of(const Unit& unit) {
  if (unit.kind != UnitKind::convolve) return Cut::pool;
  return unit.depthwise() ? Cut::depthwise : Cut::dense;
}

template <class L>
void backward_units(const Run& run, const BackwardUnit<typename L::scalar>* units, int count) {
  if (runs_pointwise(units, count)) return backward_pointwise<L>(run, units, count);
  for (int i = 0, end; i < count; i = end) {  // neighbours that are cut alike, at once
    const Cut cut = cut_of(*units[i].unit);
    end = i + 1;
    while (end < count && cut_of(*units[end].unit) == cut) end++;
    const auto sweep = cut == Cut::pool ? backward_pools<L> : backward_convolutions<L>;
    sweep(run, units + i, end - i, count == 1);
  }
}

}  // namespace nasp::NASP_ISA
