// 1x1 convolutions of one source and stride 1 backward at once: what several cells' preprocessings, or one cell's two, make of
// the same activation.
//
//   dx   one product over the channels of all their dL/dy, which lie side by side in one band: written once
//   dw   of each, with the rows of x loaded once for all
#pragma once
#include "backward_sweep.h"

namespace nasp::NASP_ISA {

inline bool is_pointwise(const Unit& u) {
  return u.kind == UnitKind::convolve && !u.window() && !u.paired() && u.parts == 1 &&
         u.dense[0].taps() == 1 && u.stride_h() == 1 && u.stride_w() == 1;
}
template <class S>
bool wants_weights(const BackwardUnit<S>& b) {
  return b.dense_gradient[0] != nullptr;
}
// Whether a sweep is of such convolutions alone, and of more than one.
template <class S>
bool runs_pointwise(const BackwardUnit<S>* units, int count) {
  for (int i = 0; i < count; i++) {
    if (!is_pointwise(*units[i].unit) || units[i].unit->relu != units->unit->relu ||
        wants_weights(units[i]) != wants_weights(*units))
      return false;
  }
  return count > 1;
}

// The units' weights for dx as those of one convolution: as pack_dense leaves it.
template <class S>
const S* join_weights(const Run& run, const BackwardUnit<S>* units, int count, int in, int outputs) {
  const int groups = ceil_div(in, tile_outputs);
  const auto size = [](int rows) { return static_cast<ptrdiff_t>(rows) * tile_outputs; };
  auto* joined = static_cast<S*>(
      run.workspace.shared(Workspace::joined_weights, sizeof(S) * groups * size(weight_rows(outputs))));
  for (int group = 0; group < groups; group++) {
    S* to = joined + group * size(weight_rows(outputs));
    for (int i = 0; i < count; i++) {
      const Unit& unit = *units[i].unit;
      to = std::copy_n(
          units[i].packed + PackedLayout(unit).back.dense[0].direct + group * size(weight_rows(unit.out)),
          size(unit.out), to);
    }
  }
  return joined;
}

template <class L>
void backward_pointwise(const Run& run, const BackwardUnit<typename L::scalar>* units, int count) {
  using S = typename L::scalar;
  const View<const S>& x = units->x.x;
  const Unit& any = *units->unit;
  const int blocks = ceil_div(run.batch, L::count);
  const bool want_dw = wants_weights(*units);
  DensePart all;
  for (int i = 0; i < count; i++) all.out += units[i].unit->out;
  const S* weights = join_weights(run, units, count, any.in, all.out);
  const Pieces<L> pieces(x, blocks, piece_rows(any));
  std::vector<SweepUnit<S>> sweep(units, units + count);
  reserve_results(run, sweep, pieces.count);
  run.parallel.run(pieces.count, [&](int piece, int thread) {
    const int block = pieces.block(piece), row0 = pieces.first(piece), row1 = pieces.end(piece),
              rows = row1 - row0;
    const std::size_t x_size = want_dw ? Band<L>::size(any.in, x.width, rows, 0) : 0,
                      dy_size = Band<L>::size(all.out, x.width, rows, 0);
    S* memory = static_cast<S*>(
        run.workspace.thread(thread, sizeof(S) * (x_size + dy_size + lines_size<L>(any.in, x.width))));
    const Band<L> band(memory, any.in, x.width, row0, rows, 0),
        dy(memory + x_size, all.out, x.width, row0, rows, 0);
    if (want_dw) fill_activation(band, units->x, block, any.relu, S(0));
    for (int i = 0, first = 0; i < count; first += units[i].unit->out, i++)
      fill_gradient(dy.slice(first, units[i].unit->out), units[i].dy, block, live_lanes<L>(run.batch, block));
    if (units->dx) {
      DataGradient<L> to_dx;
      to_dx.dx = block_of(units->dx, block), to_dx.accumulate = units->write == Write::accumulate;
      to_dx.past_caches = leaves_caches(units->dx, blocks);
      if (any.relu && want_dw)
        to_dx.activation = band;
      else if (any.relu)
        to_dx.gate = {block_of(x, block), units->x.norm};
      dense_data_gradient(all, any.in, 0, weights, dy, x.width, row0, row1, memory + x_size + dy_size, to_dx);
    }
    for (int i = 0, first = 0; i < count && want_dw; first += units[i].unit->out, i++) {
      S* dw = sweep[i].partial + static_cast<std::size_t>(piece) * sweep[i].weights;
      std::fill_n(dw, sweep[i].weights, S(0));
      dense_weight_gradient(units[i].unit->dense[0], any.in, dw, dy.at(row0, first, 0), dy.channel_pitch,
                            dy.row_pitch, band, row0, rows, x.width);
    }
    streamed();
  });
  for (const auto& unit : sweep) finish_unit(run, unit, pieces.count);
}

}  // namespace nasp::NASP_ISA
