// The function table of one instruction set and one scalar type.
#pragma once
#include "elementwise.h"
#include "unit_backward.h"

namespace nasp::NASP_ISA {

template <class L>
struct Table {
  using S = typename L::scalar;
  static int blocks(int batch) { return ceil_div(batch, L::count); }
  static View<S> view(S* data, int channels, int height, int width) {
    const ptrdiff_t channel = static_cast<ptrdiff_t>(width) * L::count;
    return {data, channels, height, width, channel * channels * height, channel * channels, channel};
  }
  static std::size_t size(int batch, int channels, int height, int width) {
    return static_cast<std::size_t>(blocks(batch)) * channels * height * width * L::count;
  }
  // pairs: whether this processor has products of pairs.
  static const Backend<S>& get(const char* name, [[maybe_unused]] bool pairs = false) {
    static const Backend<S> table = {
        .name = name,
        .lanes = L::count,
        .blocks = blocks,
        .view = view,
        .size = size,
        .load = load_images<L>,
        .store = store_images<L>,
        .packed_size = packed_size<S>,
        .pack = pack_unit<L>,
        .pack_pairs = packs_pairs(pairs),
        .forward = forward_units<L>,
        .backward = backward_units<L>,
        .gradient_sums = gradient_sums<L>,
        .node_sum = node_sum<L>,
        .add = add<L>,
        .global_average = global_average<L>,
        .global_average_backward = global_average_backward<L>,
    };
    return table;
  }

 private:
  static constexpr auto packs_pairs(bool there) -> decltype(Backend<S>::pack_pairs) {
    if constexpr (has_pairs<L>)
      if (there) return pack_unit_pairs<L>;
    return nullptr;
  }
};

}  // namespace nasp::NASP_ISA
