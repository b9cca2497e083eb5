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
inline int inside(int first, int kernel, int size) {
  return smaller(first + kernel, size) - larger(first, 0);
}

// Rows [row0, row1) of y from a band loaded as is, padded with -inf (max) or 0 (avg). `line` holds a padded row.
template <class L, class Epilogue>
void pool_forward(const Unit& unit, const Band<L>& x, int height, int row0, int row1,
                  typename L::scalar* line, const Epilogue& epilogue) {
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
        const L start = epilogue.start(c);
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
          if (!max) value = L::splat(S(1) / (rows_in * inside(left - pad, k, x.width))) * value;
          pixels[j] = value + start;
        }
        finish(pixels, epilogue, c, row, p, n);
      }
    }
  }
}

// Scalars of scratch that pool_backward needs for `rows` input rows.
template <class L>
std::size_t pool_backward_scratch(const Unit& unit, int rows, int width) {
  return static_cast<std::size_t>(3 * (rows + 4 * unit.pad() + 2) + 1) * unit.out_width(width) * L::count;
}

// Where the first maximum of every window lies: `column` of every input row's windows, from row first * stride - pad
// on, and then `row` of the windows of output rows [first, last], a later one only where it is strictly larger.
template <class L>
void first_maxima(const Unit& unit, const Band<L>& x, int c, int first, int last, int out_width,
                  typename L::scalar* value, typename L::scalar* column, typename L::scalar* row) {
  using S = typename L::scalar;
  const int k = unit.kernel, s = unit.stride, pad = unit.pad(), top = first * s - pad,
            rows = (last - first) * s + k;
  const ptrdiff_t line = static_cast<ptrdiff_t>(out_width) * L::count;
  const auto take = [](L& best, L& at, L next, S there) {
    const auto more = next.v > best.v;
    best.v = more ? next.v : best.v;
    at.v = more ? L::splat(there).v : at.v;
  };
  for (int q = 0; q < rows; q++) {
    const S* from = x.at(top + q, c, -pad);
    for (ptrdiff_t p = 0; p < line; p += L::count, from += s * L::count) {
      L best = L::load(from), at = L::zero();
      for (int t = 1; t < k; t++) take(best, at, L::load(from + t * L::count), S(t));
      best.store(value + q * line + p);
      at.store(column + q * line + p);
    }
  }
  for (int i = 0; i <= last - first; i++) {
    for (ptrdiff_t p = 0; p < line; p += L::count) {
      const S* from = value + i * s * line + p;
      L best = L::load(from), at = L::zero();
      for (int q = 1; q < k; q++) take(best, at, L::load(from + q * line), S(q));
      at.store(row + i * line + p);
    }
  }
}

// Rows [row0, row1) of dx from dy rows that reach them (a band padded with zeros) and, for max, from x (padded with
// -inf). A window's gradient goes to its winning row first (avg: to all of them), and there to the winning column: 2 k
// steps a pixel instead of k * k.
template <class L, class Epilogue>
void pool_backward(const Unit& unit, const Band<L>& x, const Band<L>& dy, int height, int row0, int row1,
                   typename L::scalar* scratch, const Epilogue& epilogue) {
  using S = typename L::scalar;
  typedef typename L::vector Vector;
  const bool max = unit.kind == UnitKind::max_pool;
  const int k = unit.kernel, s = unit.stride, pad = unit.pad(), width = epilogue.dx.width;
  const int out_width = unit.out_width(width), out_height = unit.out_height(height);
  const int first = ceil_div(larger(0, row0 + pad - k + 1), s),
            last = smaller(out_height - 1, (row1 - 1 + pad) / s);
  const ptrdiff_t line = static_cast<ptrdiff_t>(out_width) * L::count, rows = (last - first) * s + k;
  S *won_column = scratch + rows * line, *won_row = won_column + rows * line,
    *gathered = won_row + (last - first + 1) * line;
  for (int c = 0; c < unit.in; c++) {
    if (max) first_maxima(unit, x, c, first, last, out_width, scratch, won_column, won_row);
    for (int row = row0; row < row1; row++) {
      const int i0 = ceil_div(larger(0, row + pad - k + 1), s), i1 = smaller(out_height - 1, (row + pad) / s);
      for (int j = 0; j < out_width; j++) {
        L sum = L::zero();
        for (int i = i0; i <= i1; i++) {
          const L gradient = L::load(dy.at(i, c, j));
          if (max) {
            const L won = L::load(won_row + (i - first) * line + static_cast<ptrdiff_t>(j) * L::count);
            sum.v += won.v == L::splat(S(row + pad - i * s)).v ? gradient.v : Vector{};
          } else {
            sum +=
                L::splat(S(1) / (inside(i * s - pad, k, height) * inside(j * s - pad, k, width))) * gradient;
          }
        }
        sum.store(gathered + static_cast<ptrdiff_t>(j) * L::count);
      }
      const S* column = won_column + (row - (first * s - pad)) * line;
      for (int w = 0; w < width; w += tile_pixels) {
        L pixels[tile_pixels];
        for (int n = 0; n < tile_pixels; n++) {
          L sum = L::zero();
          const int j0 = ceil_div(larger(0, w + n + pad - k + 1), s),
                    j1 = smaller(out_width - 1, (w + n + pad) / s);
          for (int j = j0; j <= j1; j++) {
            const ptrdiff_t at = static_cast<ptrdiff_t>(j) * L::count;
            const L gradient = L::load(gathered + at);
            if (max)
              sum.v += L::load(column + at).v == L::splat(S(w + n + pad - j * s)).v ? gradient.v : Vector{};
            else
              sum += gradient;
          }
          pixels[n] = sum;
        }
        finish(pixels, epilogue, c, row, w, width - w);
      }
    }
  }
}

}  // namespace nasp::NASP_ISA
