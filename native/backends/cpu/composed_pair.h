// A 1x3 convolution followed by a 3x1 one is a 3x3 convolution: nothing but a sum over channels lies between them, and rows
// outside the image are zero either way. By Winograd's filtering it costs fewer products than the two (36 C^2 for 16 pixels
// instead of 96 C^2), and no result in between:
//
//   w[o][c][s][t] = sum over m of  column[o][m][s] * row[m][c][t]
//
// So where Winograd's 3x3 applies the pair runs as its product, and the product's gradient is taken to both factors.
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
  part.pad_h = part.pad_w = composed_taps / 2;
  return part;
}
inline bool composes(const Unit& u) {
  return u.paired() && keeps_size(u.row, 1, composed_taps) && keeps_size(u.dense[0], composed_taps, 1) &&
         winograd_of(composed_part(u), u.in) != Winograd::none;
}
inline int composed_weights(const Unit& u) { return u.out * u.in * composed_taps * composed_taps; }
inline bool runs_composed(const Unit& u, int height, int width) {
  return composes(u) && winograd_size(height, width);
}

template <class S>
void add_scaled(S* sum, S factor, const S* values, int count) {
  for (int i = 0; i < count; i++) sum[i] += factor * values[i];
}

// w from its factors, overwritten.
template <class S>
void compose(S* w, const S* row, const S* column, int inputs, int between, int outputs) {
  constexpr int k = composed_taps;
  const int length = inputs * k;
  std::vector<S> line(static_cast<std::size_t>(length));  // w of one o and s
  for (int o = 0; o < outputs; o++, w += length * k) {
    for (int s = 0; s < k; s++) {
      std::fill(line.begin(), line.end(), S(0));
      for (int m = 0; m < between; m++)
        add_scaled(line.data(), column[(o * between + m) * k + s], row + m * length, length);
      for (int i = 0; i < length; i++) w[(i / k * k + s) * k + i % k] = line[static_cast<std::size_t>(i)];
    }
  }
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
  for (int line = 0; line < u.out * k; line++)
    for (int i = 0; i < length; i++)
      line_of(turned, line, length)[i] = dw[(line / k * length + i / k * k + line % k) * k + i % k];
  for (int m = 0; m < between; m++)
    for (int i = 0; i < length; i++) line_of(row_turned, i, between)[m] = row[m * length + i];
  if (d_row) {
    run.parallel.run(between, [&](int m, int) {
      S* sum = line_of(d_row, m, length);
      std::fill_n(sum, length, S(0));
      for (int line = 0; line < u.out * k; line++)
        add_scaled(sum, column[(line / k * between + m) * k + line % k], line_of(turned, line, length),
                   length);
    });
  }
  if (!d_column) return;
  run.parallel.run(u.out * k, [&](int line, int) {
    S* sum = line_of(sums, line, between);
    std::fill_n(sum, between, S(0));
    for (int i = 0; i < length; i++)
      add_scaled(sum, line_of(turned, line, length)[i], line_of(row_turned, i, between), between);
    for (int m = 0; m < between; m++) d_column[(line / k * between + m) * k + line % k] = sum[m];
  });
}

}  // namespace nasp::NASP_ISA
