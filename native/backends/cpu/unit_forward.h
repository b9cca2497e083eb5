// Units forward: propagate (y stored) and probe (only sums), one driver. All units of a call read the same source, so
// a piece of work copies its padded rows once and every unit reads them from the cache.
#pragma once
#include <algorithm>
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

// In what order a piece of work takes its units: those that load their rows alike together.
template <class S>
std::vector<std::pair<int, int>> unit_order(const ForwardUnit<S>* units, int count) {
  std::vector<std::pair<int, int>> order;  // unit, its first output channel among those of all
  for (Load load : {Load::as_is, Load::with_relu, Load::lowest_padding}) {
    for (int u = 0, first = 0; u < count; first += units[u].unit->out, u++) {
      if (load_of(*units[u].unit) == load) order.emplace_back(u, first);
    }
  }
  return order;
}

template <class L>
void forward_units(const Run& run, const ForwardUnit<typename L::scalar>* units, int count,
                   const Source<typename L::scalar>& x) {
  using S = typename L::scalar;
  const int height = x.x.height, width = x.x.width, channels = x.x.channels;
  const Pieces<L> pieces(x.x, ceil_div(run.batch, L::count));
  int outputs = 0, most_outputs = 0, reach_h = 0, reach_w = 0;
  std::size_t scratch_size = 0;
  const auto order = unit_order(units, count);
  for (int u = 0; u < count; u++) {
    const Unit& unit = *units[u].unit;
    outputs += unit.out;
    most_outputs = larger(most_outputs, unit.out);
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
    for (const auto& [u, first] : order) {
      const Unit& unit = *units[u].unit;
      PieceMoments* moments = partial + static_cast<ptrdiff_t>(piece) * outputs + first;
      if (!filled || load_of(unit) != loaded) {
        loaded = load_of(unit), filled = true;
        fill_activation(band, x, block, loaded == Load::with_relu,
                        loaded == Load::lowest_padding ? -S(__builtin_inf()) : S(0));
      }
      const int from = output_row(row0, unit.stride_h()), to = output_row(row1, unit.stride_h());
      const int out_width = unit.out_width(width), pixels = (to - from) * out_width;
      if (pixels > 0) {
        const auto y = block_of(units[u].y, block);
        const auto g = block_of(units[u].g, block);
        const bool past_caches = leaves_caches(units[u].y, ceil_div(run.batch, L::count));
        for (int c = 0; c < unit.out; c++) sums[c].begin();
        const auto into = [&](const auto& epilogue) {
          unit_piece(unit, units[u].packed, band, height, from, to, scratch, epilogue);
        };
        if (y && g)
          into(Forward<L, true, true>{y, g, sums, from, past_caches});
        else if (g)
          into(Forward<L, false, true>{y, g, sums, from, false});
        else
          into(Forward<L, true, false>{y, g, sums, from, past_caches});
      }
      for (int c = 0; c < unit.out; c++) moments[c] = merge_lanes<L>(sums[c], pixels, pixels > 0 ? live : 0);
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
