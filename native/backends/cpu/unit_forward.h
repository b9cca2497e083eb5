// Units forward: propagate (y stored) and probe (only sums), one driver. All units of a call read the same source, so
// a piece of work copies its padded rows once and every unit reads them from the cache.
#pragma once
#include <algorithm>
#include <optional>
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

// One call of forward_units: what its pieces share.
template <class L>
class ForwardSweep {
  using S = typename L::scalar;

 public:
  ForwardSweep(const Run& run, const ForwardUnit<S>* units, int count, const Source<S>& x)
      : run_(run),
        units_(units),
        x_(x),
        blocks_(ceil_div(run.batch, L::count)),
        pieces_(x.x, blocks_, rows_multiple(units, count, x.x.height)),
        ringed_(runs_ringed(units, count, pieces_.rows)),
        order_(unit_order(units, count, x.x.height, x.x.width, ringed_)) {
    int most_outputs = 0;
    for (const Together& t : order_) most_outputs = larger(most_outputs, t.outputs);
    sums_size_ = sizeof(ChannelSums<L>) / sizeof(S) * most_outputs;
    for (int u = 0; u < count; u++) {
      const Unit& unit = *units[u].unit;
      outputs_ += unit.out;
      reach_h_ = larger(reach_h_, unit.reach_h());
      reach_w_ = larger(reach_w_, unit.reach_w());
      scratch_size_ = std::max(scratch_size_, forward_scratch<L>(unit, x.x.width, pieces_.rows));
    }
    partial_ = static_cast<PieceMoments*>(
        run.workspace.shared(Workspace::partial_moments,
                             sizeof(PieceMoments) * static_cast<std::size_t>(pieces_.count) * outputs_));
  }

  int pieces() const { return pieces_.count; }
  // Of an output channel, numbered through all units.
  Moments moments(int output) const { return merge_pieces(partial_ + output, pieces_.count, outputs_); }

  // All units over a piece.
  void piece(int piece, int thread) const {
    const int row0 = pieces_.first(piece), row1 = pieces_.end(piece), rows = row1 - row0 + 2 * reach_h_,
              channels = x_.x.channels, width = x_.x.width;
    const std::size_t band_size = Band<L>::size(channels, width, rows, reach_w_);
    S* memory =
        static_cast<S*>(run_.workspace.thread(thread, sizeof(S) * (band_size + scratch_size_ + sums_size_)));
    const Place place = {.block = pieces_.block(piece),
                         .row0 = row0,
                         .row1 = row1,
                         .band = Band<L>(memory, channels, width, row0 - reach_h_, rows, reach_w_),
                         .memory = memory,
                         .scratch = memory + band_size};
    auto* sums = reinterpret_cast<ChannelSums<L>*>(place.scratch + scratch_size_);
    const int live = live_count(L::count, run_.batch, place.block);
    std::optional<Load> loaded;
    for (const Together& together : order_) {
      const Unit& unit = *units_[together.units[0]].unit;
      if (!ringed_ && loaded != load_of(unit)) {
        loaded = load_of(unit);
        fill_activation(place.band, x_, place.block, loaded == Load::with_relu,
                        loaded == Load::lowest_padding ? -S(__builtin_inf()) : S(0));
      }
      const int pixels = (place.to(unit) - place.from(unit)) * unit.out_width(width);
      for (int c = 0; c < together.outputs; c++) sums[c].begin();
      if (pixels > 0) run_together(together, place, sums);
      const ChannelSums<L>* own = sums;
      for (int i = 0; i < together.count; i++) {
        PieceMoments* moments = partial_ + static_cast<ptrdiff_t>(piece) * outputs_ + together.first[i];
        for (int c = units_[together.units[i]].unit->out; c > 0; c--, moments++, own++)
          *moments = merge_lanes<L>(*own, pixels, pixels > 0 ? live : 0);
      }
    }
    streamed();
  }

 private:
  // What a piece works on: input rows of a block, their band at the beginning of its memory, scratch behind it.
  struct Place {
    int block, row0, row1;
    Band<L> band;
    S *memory, *scratch;
    int from(const Unit& u) const { return strided(row0, u.stride_h()); }
    int to(const Unit& u) const { return strided(row1, u.stride_h()); }
  };

  static int rows_multiple(const ForwardUnit<S>* units, int count, int height) {
    int multiple = 4;
    for (int u = 0; u < count; u++) multiple = larger(multiple, piece_rows(*units[u].unit));
    return runs_ringed(units, count, smaller(height, ring_rows)) ? larger(multiple, ring_rows) : multiple;
  }

  void run_together(const Together& together, const Place& place, ChannelSums<L>* sums) const {
    if constexpr (has_pairs<L>) {
      if (units_[together.units[0]].pairs) return run_made_of<Paired<L>>(together, place, sums);
    }
    if (crosses_forward(*units_[together.units[0]].unit))
      run_made_of<ForwardProducts<L>>(together, place, sums);
    else
      run_made_of<Exact<L>>(together, place, sums);
  }
  template <class Products>
  void run_made_of(const Together& together, const Place& place, ChannelSums<L>* sums) const {
    if (units_[together.units[0]].g)
      run_into<Forward<L, false, Products>>(together, place, sums);
    else
      run_into<Forward<L, true, Products>>(together, place, sums);
  }
  template <class Into>
  void run_into(const Together& together, const Place& place, ChannelSums<L>* sums) const {
    const Unit& unit = *units_[together.units[0]].unit;
    const int from = place.from(unit), to = place.to(unit);
    const auto epilogue = [&](const ForwardUnit<S>& of, ChannelSums<L>* own) {
      return Into{block_of(of.y, place.block), block_of(of.g, place.block), own, from,
                  leaves_caches(of.y, blocks_)};
    };
    if (together.count == 1 && !ringed_) {
      const ForwardUnit<S>& of = units_[together.units[0]];
      return unit_piece(unit, of.packed, place.band, x_.x.height, from, to, place.scratch,
                        epilogue(of, sums));
    }
    RingedUnit<S, Into> over_ring[most_together];
    WinogradOutput<S, Into> results[most_together];
    for (int i = 0; i < together.count; i++) {
      const ForwardUnit<S>& of = units_[together.units[i]];
      if (ringed_)
        over_ring[i] = {of.unit, of.packed, epilogue(of, sums)};
      else
        results[i] = {of.packed + together.weights[i], of.unit->out, epilogue(of, sums)};
      sums += of.unit->out;
    }
    if (ringed_)
      return ringed_piece<L>(over_ring, together.count, x_, place.block, from, to, place.memory,
                             place.scratch);
    winograd_rows(Winograd::square, false, results, together.count, x_.x.channels, place.band, 0,
                  unit.out_width(x_.x.width), from, to, place.scratch);
  }

  const Run& run_;
  const ForwardUnit<S>* units_;
  const Source<S>& x_;
  int blocks_;
  Pieces<L> pieces_;
  bool ringed_;
  std::vector<Together> order_;
  int outputs_ = 0, reach_h_ = 0, reach_w_ = 0;
  std::size_t scratch_size_ = 0, sums_size_ = 0;  // scalars
  PieceMoments* partial_;                         // (pieces, outputs)
};

template <class L>
void forward_units(const Run& run, const ForwardUnit<typename L::scalar>* units, int count,
                   const Source<typename L::scalar>& x) {
  const ForwardSweep<L> sweep(run, units, count, x);
  run.parallel.run(sweep.pieces(), [&](int piece, int thread) { sweep.piece(piece, thread); });
  for (int u = 0, first = 0; u < count; first += units[u].unit->out, u++)
    for (int c = 0; c < units[u].unit->out; c++) units[u].moments[c] = sweep.moments(first + c);
}

}  // namespace nasp::NASP_ISA
