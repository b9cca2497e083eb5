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
        finish(pixels, epilogue, c, row, p, n);
      }
    }
  }
}

// Scalars of scratch that pool_backward needs for `rows` input rows.
template <class L>
std::size_t pool_backward_scratch(const Unit& unit, int rows, int width) {
  return static_cast<std::size_t>(3 * (rows + 4 * unit.pad() + 2)) * unit.out_width(width) * L::count;
}

// For every window of output rows [first, last] of channel c, which of its k * k pixels is its first maximum: the
// columns of every input row first, then the rows, a later one only where it is strictly larger.
template <class L>
void first_maxima(const Unit& unit, const Band<L>& x, int c, int first, int last, int out_width,
                  typename L::scalar* scratch, typename L::scalar* winner) {
  using S = typename L::scalar;
  const int k = unit.kernel, s = unit.stride, pad = unit.pad(), top = first * s - pad,
            rows = (last - first) * s + k;
  const ptrdiff_t line = static_cast<ptrdiff_t>(out_width) * L::count;
  S *value = scratch, *column = scratch + rows * line;
  for (int q = 0; q < rows; q++) {
    for (int p = 0; p < out_width; p++) {
      const S* from = x.at(top + q, c, p * s - pad);
      L best = L::load(from), at = L::zero();
      for (int t = 1; t < k; t++) {
        const L next = L::load(from + t * L::count);
        const auto more = next.v > best.v;
        best.v = more ? next.v : best.v;
        at.v = more ? L::splat(S(t)).v : at.v;
      }
      best.store(value + q * line + static_cast<ptrdiff_t>(p) * L::count);
      at.store(column + q * line + static_cast<ptrdiff_t>(p) * L::count);
    }
  }
  for (int row = first; row <= last; row++) {
    for (int p = 0; p < out_width; p++) {
      const ptrdiff_t start =
          static_cast<ptrdiff_t>(row - first) * s * line + static_cast<ptrdiff_t>(p) * L::count;
      L best = L::load(value + start), at = L::load(column + start);
      for (int q = 1; q < k; q++) {
        const L next = L::load(value + start + q * line),
                there = L::splat(S(q * k)) + L::load(column + start + q * line);
        const auto more = next.v > best.v;
        best.v = more ? next.v : best.v;
        at.v = more ? there.v : at.v;
      }
      at.store(winner + (row - first) * line + static_cast<ptrdiff_t>(p) * L::count);
    }
  }
}

// Rows [row0, row1) of dx from dy rows that reach them (a band padded with zeros) and, for max, from x (padded with
// -inf): every input pixel gathers from the windows that it lies in.
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
  const ptrdiff_t line = static_cast<ptrdiff_t>(out_width) * L::count;
  S* winner = scratch + 2 * ((last - first) * s + k) * line;
  for (int c = 0; c < unit.in; c++) {
    if (max) first_maxima(unit, x, c, first, last, out_width, scratch, winner);
    for (int row = row0; row < row1; row++) {
      const int i0 = ceil_div(larger(0, row + pad - k + 1), s), i1 = smaller(out_height - 1, (row + pad) / s);
      for (int w = 0; w < width; w += tile_pixels) {
        L pixels[tile_pixels];
        for (int n = 0; n < tile_pixels; n++) {
          L sum = L::zero();
          const int column = w + n, j0 = ceil_div(larger(0, column + pad - k + 1), s),
                    j1 = smaller(out_width - 1, (column + pad) / s);
          for (int i = i0; i <= i1; i++) {
            for (int j = j0; j <= j1; j++) {
              const L gradient = L::load(dy.at(i, c, j));
              if (max) {
                const L mine = L::splat(S((row + pad - i * s) * k + column + pad - j * s));
                const L won = L::load(winner + (i - first) * line + static_cast<ptrdiff_t>(j) * L::count);
                sum.v += won.v == mine.v ? gradient.v : Vector{};
              } else {
                sum += L::splat(S(1) / (inside(i * s - pad, k, height) * inside(j * s - pad, k, width))) *
                       gradient;
              }
            }
          }
          pixels[n] = sum;
        }
        finish(pixels, epilogue, c, row, w, width - w);
      }
    }
  }
}

}  // namespace nasp::NASP_ISA
