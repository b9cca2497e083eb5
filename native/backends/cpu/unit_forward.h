// Units forward: propagate (y stored) and probe (only sums), one driver. All units of a call read the same source, so
// a piece of work copies its padded rows once and every unit reads them from the cache.
#pragma once
#include <vector>

#include "../../core/parallel.h"
#include "../workspace.h"
#include "unit_piece.h"

namespace nasp::NASP_ISA {

// How a unit wants its rows loaded; units of the same kind share a band.
enum class Load { as_is, with_relu, lowest_padding };
inline Load load_of(const Unit& u) {
  return u.kind == UnitKind::max_pool ? Load::lowest_padding : u.relu ? Load::with_relu : Load::as_is;
}

// Output rows that belong to the input rows [first, end).
inline int output_row(int input_row, int stride) { return ceil_div(input_row, stride); }

template <class S>
View<S> block_of(View<S> v, int block) {
  if (v.data) v.data += block * v.block_pitch;
  return v;
}

// An activation of more than the second-level caches hold is stored past them: the memory line that a store would fetch first
// is the larger half of its cost.
constexpr std::size_t most_cached = 1 << 20;  // bytes
template <class S>
bool leaves_caches(const View<S>& v, int blocks) {
  return v.data && sizeof(S) * static_cast<std::size_t>(v.block_pitch) * blocks > most_cached;
}

// Units of a sweep that run at once over a piece of work, and where their output channels begin among those of all units: one
// unit, or several with results of the same kind, 3x3 convolutions by Winograd or depthwise ones over a ring.
constexpr int most_together = 8;
struct Together {
  int units[most_together], first[most_together], count, outputs;
  std::size_t weights[most_together];  // of several units: where those of Winograd's form lie among a unit's
};
// Whether a unit is one 3x3 convolution by Winograd on maps of that size, and where its weights lie.
inline bool is_winograd_square(const Unit& u, int height, int width, std::size_t& weights) {
  const DenseForm dense(u, PackedLayout(u).forward, height, width);
  const auto& [part, at, first] = dense.parts[0];
  weights = at.winograd;
  return dense.count == 1 && winograd_on(part, u.in, height, width) == Winograd::square;
}
template <class S>
bool same_results(const ForwardUnit<S>& a, const ForwardUnit<S>& b) {
  return static_cast<bool>(a.y) == static_cast<bool>(b.y) &&
         static_cast<bool>(a.g) == static_cast<bool>(b.g) && a.pairs == b.pairs;
}

// Rows of a sweep's pieces that run over a ring, whatever they take: of fewer, what lies above and below is copied too often.
constexpr int ring_rows = 16;
// Whether a sweep runs over a ring: depthwise units alone, of one stride, on pieces of many rows (of 8, no faster).
template <class S>
bool runs_ringed(const ForwardUnit<S>* units, int count, int rows) {
  for (int i = 0; i < count; i++) {
    const Unit& u = *units[i].unit;
    if (!u.depthwise() || u.stride != units->unit->stride || u.relu != units->unit->relu ||
        rows <= 4 * ring_step(u))
      return false;
  }
  return true;
}

// In what order a piece of work takes its units: those that load their rows alike together.
template <class S>
std::vector<Together> unit_order(const ForwardUnit<S>* units, int count, int height, int width, bool ringed) {
  std::vector<Together> order;
  for (Load load : {Load::as_is, Load::with_relu, Load::lowest_padding}) {
    for (const bool square : {false, true}) {
      const std::size_t start = order.size();
      for (int u = 0, first = 0; u < count; first += units[u].unit->out, u++) {
        const Unit& unit = *units[u].unit;
        std::size_t weights;
        if (load_of(unit) != load || is_winograd_square(unit, height, width, weights) != square) continue;
        const bool joins = (square || ringed) && order.size() > start && order.back().count < most_together &&
                           same_results(units[order.back().units[0]], units[u]);
        if (!joins) order.push_back({});
        Together& t = order.back();
        t.units[t.count] = u, t.first[t.count] = first, t.weights[t.count] = weights;
        t.count++, t.outputs += unit.out;
      }
    }
  }
  return order;
}

template <class L>
void forward_units(const Run& run, const ForwardUnit<typename L::scalar>* units, int count,
                   const Source<typename L::scalar>& x) {
  using S = typename L::scalar;
  const int height = x.x.height, width = x.x.width, channels = x.x.channels;
  int multiple = 4;
  for (int u = 0; u < count; u++) multiple = larger(multiple, piece_rows(*units[u].unit));
  if (runs_ringed(units, count, smaller(height, ring_rows))) multiple = larger(multiple, ring_rows);
  const Pieces<L> pieces(x.x, ceil_div(run.batch, L::count), multiple);
  int outputs = 0, most_outputs = 0, reach_h = 0, reach_w = 0;
  std::size_t scratch_size = 0;
  const bool ringed = runs_ringed(units, count, pieces.rows);
  const auto order = unit_order(units, count, height, width, ringed);
  for (const Together& t : order) most_outputs = larger(most_outputs, t.outputs);
  for (int u = 0; u < count; u++) {
    const Unit& unit = *units[u].unit;
    outputs += unit.out;
    reach_h = larger(reach_h, unit.reach_h());
    reach_w = larger(reach_w, unit.reach_w());
    const std::size_t need = forward_scratch<L>(unit, width, pieces.rows);
    scratch_size = scratch_size > need ? scratch_size : need;
  }
  auto* partial = static_cast<PieceMoments*>(run.workspace.shared(
      Workspace::partial_moments, sizeof(PieceMoments) * static_cast<std::size_t>(pieces.count) * outputs));

  run.parallel.run(pieces.count, [&](int piece, int thread) {
    const int block = pieces.block(piece), row0 = pieces.first(piece), row1 = pieces.end(piece);
    const int rows = row1 - row0 + 2 * reach_h;
    const std::size_t band_size = Band<L>::size(channels, width, rows, reach_w);
    const std::size_t sums_size = sizeof(ChannelSums<L>) / sizeof(S) * most_outputs;
    S* memory =
        static_cast<S*>(run.workspace.thread(thread, sizeof(S) * (band_size + scratch_size + sums_size)));
    const Band<L> band(memory, channels, width, row0 - reach_h, rows, reach_w);
    S* scratch = memory + band_size;
    auto* sums = reinterpret_cast<ChannelSums<L>*>(scratch + scratch_size);
    const int live = live_count(L::count, run.batch, block);
    bool filled = false;
    Load loaded = Load::as_is;
    for (const Together& together : order) {
      const ForwardUnit<S>& step = units[together.units[0]];
      const Unit& unit = *step.unit;
      if (!ringed && (!filled || load_of(unit) != loaded)) {
        loaded = load_of(unit), filled = true;
        fill_activation(band, x, block, loaded == Load::with_relu,
                        loaded == Load::lowest_padding ? -S(__builtin_inf()) : S(0));
      }
      const int from = output_row(row0, unit.stride_h()), to = output_row(row1, unit.stride_h());
      const int out_width = unit.out_width(width), pixels = (to - from) * out_width;
      const auto into = [&]<bool Store, class Products>() {
        using Into = Forward<L, Store, Products>;
        const auto epilogue = [&](const ForwardUnit<S>& of, ChannelSums<L>* own) {
          return Into{block_of(of.y, block), block_of(of.g, block), own, from,
                      leaves_caches(of.y, ceil_div(run.batch, L::count))};
        };
        if (together.count == 1 && !ringed)
          return unit_piece(unit, step.packed, band, height, from, to, scratch, epilogue(step, sums));
        RingedUnit<S, Into> over_ring[most_together];
        WinogradOutput<S, Into> results[most_together];
        ChannelSums<L>* own = sums;
        for (int i = 0; i < together.count; i++) {
          const ForwardUnit<S>& of = units[together.units[i]];
          if (ringed)
            over_ring[i] = {of.unit, of.packed, epilogue(of, own)};
          else
            results[i] = {of.packed + together.weights[i], of.unit->out, epilogue(of, own)};
          own += of.unit->out;
        }
        if (ringed) return ringed_piece<L>(over_ring, together.count, x, block, from, to, memory, scratch);
        winograd_rows(Winograd::square, false, results, together.count, channels, band, 0, out_width, from,
                      to, scratch);
      };
      if (pixels > 0) {
        for (int c = 0; c < together.outputs; c++) sums[c].begin();
        const auto made_of = [&]<class Products>() {
          if (step.g)
            into.template operator()<false, Products>();
          else
            into.template operator()<true, Products>();
        };
        if (has_pairs<L> && step.pairs)
          made_of.template operator()<std::conditional_t<has_pairs<L>, Paired<L>, ForwardProducts<L>>>();
        else
          made_of.template operator()<ForwardProducts<L>>();
      }
      const ChannelSums<L>* own = sums;
      for (int i = 0; i < together.count; i++) {
        PieceMoments* moments = partial + static_cast<ptrdiff_t>(piece) * outputs + together.first[i];
        for (int c = units[together.units[i]].unit->out; c > 0; c--, moments++, own++)
          *moments = merge_lanes<L>(*own, pixels, pixels > 0 ? live : 0);
      }
    }
    streamed();
  });

  for (int u = 0, first = 0; u < count; first += units[u].unit->out, u++) {
    for (int c = 0; c < units[u].unit->out; c++) {
      units[u].moments[c] = merge_pieces(partial + first + c, pieces.count, outputs);
    }
  }
}

}  // namespace nasp::NASP_ISA
