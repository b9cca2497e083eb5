// A 1x3 convolution followed by a 3x1 one is a 3x3 convolution: nothing but a sum over channels lies between them, and rows
// outside the image are zero either way. By Winograd's filtering it costs fewer products than the two (36 C^2 for 16 pixels
// instead of 96 C^2), and no result in between:
//
//   w[o][c][s][t] = sum over m of  column[o][m][s] * row[m][c][t]
//
// So where Winograd's 3x3 applies the pair runs as its product, and the product's gradient is taken to both factors. At stride
// 2 the two cost as many products as the 3x3 (the row runs on all rows of the image), and backward its results once more.
//
// Layout    row (M, C, 3), column (O, M, 3), w (O, C, 3, 3)
#pragma once
#include <algorithm>
#include <vector>

#include "../../core/parallel.h"
#include "winograd_weights.h"

namespace nasp::NASP_ISA {

constexpr int composed_taps = winograd_square_taps;

inline DensePart composed_part(const Unit& u) {
  DensePart part;
  part.out = u.out;
  part.kernel_h = part.kernel_w = composed_taps;
  part.stride_h = u.stride_h(), part.stride_w = u.stride_w();
  part.pad_h = part.pad_w = composed_taps / 2;
  return part;
}
inline bool composes(const Unit& u) {
  if (!u.paired()) return false;
  const DensePart &row = u.row, &column = u.dense[0];
  const bool pair = row.kernel_w == composed_taps && row.pad_w == composed_taps / 2 &&
                    column.kernel_h == composed_taps && column.pad_h == composed_taps / 2;
  return pair && row.stride_w == column.stride_h &&
         (row.stride_w == 2 || winograd_of(composed_part(u), u.in) != Winograd::none);
}
inline int composed_weights(const Unit& u) { return u.out * u.in * composed_taps * composed_taps; }
inline bool composed_runs_direct(const Unit& u) {
  return winograd_of(composed_part(u), u.in) == Winograd::none;
}
inline bool runs_composed(const Unit& u, int height, int width) {
  return composes(u) &&
         (composed_runs_direct(u) || winograd_on(composed_part(u), u.in, height, width) != Winograd::none);
}

// sum (length) = sum over r of factor(r) * rows[r] (length), four at a time.
template <class S, class Factor>
void weighted_sum(S* sum, const S* rows, int count, int length, const Factor& factor) {
  std::fill_n(sum, length, S(0));
  int r = 0;
  for (; r + 4 <= count; r += 4, rows += 4 * length) {
    const S f[4] = {factor(r), factor(r + 1), factor(r + 2), factor(r + 3)};
    for (int i = 0; i < length; i++)
      sum[i] += f[0] * rows[i] + f[1] * rows[length + i] + f[2] * rows[2 * length + i] +
                f[3] * rows[3 * length + i];
  }
  for (; r < count; r++, rows += length) {
    const S f = factor(r);
    for (int i = 0; i < length; i++) sum[i] += f * rows[i];
  }
}

// w from its factors, overwritten.
template <class S>
void compose(const Run& run, S* w, const S* row, const S* column, int inputs, int between, int outputs) {
  constexpr int k = composed_taps;
  const int length = inputs * k;
  std::vector<S> lines(static_cast<std::size_t>(outputs) * length);  // of each o, w of one s
  run.parallel.run(outputs, [&](int o, int) {
    S *line = lines.data() + static_cast<ptrdiff_t>(o) * length,
      *to = w + static_cast<ptrdiff_t>(o) * length * k;
    for (int s = 0; s < k; s++) {
      weighted_sum(line, row, between, length, [&](int m) { return column[(o * between + m) * k + s]; });
      for (int c = 0; c < inputs; c++) std::copy_n(line + c * k, k, to + (c * k + s) * k);
    }
  });
}

// Scalars of scratch of decompose_gradient.
inline std::size_t decompose_scratch(const Unit& u) {
  return static_cast<std::size_t>(composed_weights(u)) + u.first_weights() + u.dense_weights(0);
}

// The factors' gradients from their product's, overwritten; null: not wanted.
template <class S>
void decompose_gradient(const Run& run, S* d_row, S* d_column, const S* dw, const S* row, const S* column,
                        const Unit& u, S* scratch) {
  constexpr int k = composed_taps;
  const int between = u.between(), length = u.in * k;
  S *turned = scratch,                             // dw (O, 3 rows, C, 3 columns)
      *row_turned = turned + composed_weights(u),  // (C, 3, M)
          *sums = row_turned + u.first_weights();  // d_column (O, 3, M)
  const auto line_of = [&](S* of, int line, int pitch) {
    return of + static_cast<std::size_t>(line) * pitch;
  };
  for (int line = 0; line < u.out * k; line++) {
    const S* from = dw + (line / k * length + line % k) * k;
    S* to = line_of(turned, line, length);
    for (int c = 0; c < u.in; c++, to += k, from += k * k) std::copy_n(from, k, to);
  }
  for (int m = 0; m < between; m++)
    for (int i = 0; i < length; i++) line_of(row_turned, i, between)[m] = row[m * length + i];
  if (d_row) {
    run.parallel.run(between, [&](int m, int) {
      weighted_sum(line_of(d_row, m, length), turned, u.out * k, length,
                   [&](int line) { return column[(line / k * between + m) * k + line % k]; });
    });
  }
  if (!d_column) return;
  run.parallel.run(u.out * k, [&](int line, int) {
    S* sum = line_of(sums, line, between);
    const S* factors = line_of(turned, line, length);
    weighted_sum(sum, row_turned, length, between, [&](int i) { return factors[i]; });
    for (int m = 0; m < between; m++) d_column[(line / k * between + m) * k + line % k] = sum[m];
  });
}

}  // namespace nasp::NASP_ISA
