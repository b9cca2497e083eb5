// Max and average pooling on batch lanes, odd windows, stride 1 or 2, padding (k - 1) / 2.
//
//   max    pads with -inf; on ties the gradient goes to the first maximum in row-major order (as PyTorch)
//   avg    count_include_pad = false: the mean over the window's pixels inside the image
//
// Forward takes the window's columns of rows together first, then the window's columns: 2 (k - 1) steps a pixel.
#pragma once
#include "epilogue.h"

namespace nasp::NASP_ISA {

template <class L>
L lowest() {
  return L::splat(-__builtin_inf());
}

// Pixels inside the image of a window that starts at `first`.
inline int inside(int first, int kernel, int size) { return smaller(first + kernel, size) - larger(first, 0); }

// Rows [row0, row1) of y from a band loaded as is, padded with -inf (max) or 0 (avg). `line` holds a padded row.
template <class L, class Epilogue>
void pool_forward(const Unit& unit, const Band<L>& x, int height, int row0, int row1, typename L::scalar* line,
                  const Epilogue& epilogue) {
  using S = typename L::scalar;
  const bool max = unit.kind == UnitKind::max_pool;
  const int k = unit.kernel, s = unit.stride, pad = unit.pad(), out_width = unit.out_width(x.width);
  const int columns = x.width + 2 * pad;
  for (int row = row0; row < row1; row++) {
    const int top = row * s - pad, rows_in = inside(top, k, height);
    for (int c = 0; c < unit.in; c++) {
      for (int w = 0; w < columns; w++) {
        L value = L::load(x.at(top, c, w - pad));
        for (int q = 1; q < k; q++) {
          const L next = L::load(x.at(top + q, c, w - pad));
          value = max ? larger(value, next) : value + next;
        }
        value.store(line + static_cast<ptrdiff_t>(w) * L::count);
      }
      for (int p = 0; p < out_width; p += tile_pixels) {
        L pixels[tile_pixels];
        const int n = smaller(tile_pixels, out_width - p);
        for (int j = 0; j < tile_pixels; j++) pixels[j] = L::zero();
        for (int j = 0; j < n; j++) {
          const int left = (p + j) * s;
          L value = L::load(line + static_cast<ptrdiff_t>(left) * L::count);
          for (int t = 1; t < k; t++) {
            const L next = L::load(line + static_cast<ptrdiff_t>(left + t) * L::count);
            value = max ? larger(value, next) : value + next;
          }
          pixels[j] = max ? value : L::splat(S(1) / (rows_in * inside(left - pad, k, x.width))) * value;
        }
        epilogue(pixels, c, row, p, n);
      }
    }
  }
}

// Rows [row0, row1) of dx from dy rows that reach them (a band padded with zeros) and, for max, from x (padded with
// -inf). `scratch` holds row1 - row0 padded rows.
template <class L, class Epilogue>
void pool_backward(const Unit& unit, const Band<L>& x, const Band<L>& dy, int height, int row0, int row1,
                   typename L::scalar* scratch, const Epilogue& epilogue) {
  using S = typename L::scalar;
  typedef typename L::vector Vector;
  const bool max = unit.kind == UnitKind::max_pool;
  const int k = unit.kernel, s = unit.stride, pad = unit.pad();
  const int width = epilogue.dx.width, columns = width + 2 * pad, out_width = unit.out_width(width), out_height = unit.out_height(height);
  const int first = larger(0, ceil_div(larger(0, row0 + pad - k + 1), s)), last = smaller(out_height - 1, (row1 - 1 + pad) / s);
  const auto at = [&](int row, int column) { return scratch + (static_cast<ptrdiff_t>(row - row0) * columns + column + pad) * L::count; };
  for (int c = 0; c < unit.in; c++) {
    fill_vectors<L>(scratch, (row1 - row0) * columns, L::zero());
    for (int row = first; row <= last; row++) {
      const int top = row * s - pad;
      for (int p = 0; p < out_width; p++) {
        const int left = p * s - pad;
        const L gradient = L::load(dy.at(row, c, p));
        if (!max) {
          const L share = L::splat(S(1) / (inside(top, k, height) * inside(left, k, width))) * gradient;
          for (int q = larger(top, row0); q < smaller(top + k, row1); q++) {
            for (int t = 0; t < k; t++) (L::load(at(q, left + t)) + share).store(at(q, left + t));
          }
          continue;
        }
        L largest = lowest<L>();
        for (int q = 0; q < k; q++) {
          for (int t = 0; t < k; t++) largest = larger(largest, L::load(x.at(top + q, c, left + t)));
        }
        auto open = largest.v == largest.v;  // lanes whose maximum has not been met yet
        for (int q = 0; q < k; q++) {
          for (int t = 0; t < k; t++) {
            const auto here = (L::load(x.at(top + q, c, left + t)).v == largest.v) & open;
            open &= ~here;
            if (top + q < row0 || top + q >= row1) continue;
            auto* to = at(top + q, left + t);
            (L::load(to) + L{here ? gradient.v : Vector{}}).store(to);
          }
        }
      }
    }
    for (int row = row0; row < row1; row++) {
      for (int w = 0; w < width; w += tile_pixels) {
        L pixels[tile_pixels];
        const int n = smaller(tile_pixels, width - w);
        for (int j = 0; j < tile_pixels; j++) pixels[j] = j < n ? L::load(at(row, w + j)) : L::zero();
        epilogue(pixels, c, row, w, n);
      }
    }
  }
}

}  // namespace nasp::NASP_ISA
