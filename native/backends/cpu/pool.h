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

// Calls body.template operator()<K, S, Max>() with the kernel and stride of a search space's pool, or K = 0 for any other:
// then they are the unit's.
template <class Body>
inline void with_pool(const Unit& unit, const Body& body) {
  const auto typed = [&]<bool Max>() {
    const auto strided = [&]<int K>() {
      if (unit.stride == 1)
        body.template operator()<K, 1, Max>();
      else
        body.template operator()<K, 2, Max>();
    };
    if (unit.stride > 2) return body.template operator()<0, 0, Max>();
    if (unit.kernel == 3) return strided.template operator()<3>();
    if (unit.kernel == 5) return strided.template operator()<5>();
    if (unit.kernel == 7) return strided.template operator()<7>();
    body.template operator()<0, 0, Max>();
  };
  if (unit.kind == UnitKind::max_pool)
    typed.template operator()<true>();
  else
    typed.template operator()<false>();
}

// Rows [row0, row1) of y from a band loaded as is, padded with -inf (max) or 0 (avg). `line` holds a padded row.
template <int K, int Stride, bool Max, class L, class Epilogue>
void pool_rows(const Unit& unit, const Band<L>& x, int height, int row0, int row1, typename L::scalar* line,
               const Epilogue& epilogue) {
  using S = typename L::scalar;
  const int k = K ? K : unit.kernel, s = K ? Stride : unit.stride, pad = (k - 1) / 2;
  const int out_width = unit.out_width(x.width), columns = x.width + 2 * pad;
  const auto both = [](L a, L b) NASP_LAMBDA_INLINE { return Max ? larger(a, b) : a + b; };
  for (int row = row0; row < row1; row++) {
    const int top = row * s - pad;
    const S rows_in = static_cast<S>(inside(top, k, height));
    for (int c = 0; c < unit.in; c++) {
      const S* from = x.at(top, c, -pad);
      for (int w = 0; w < columns; w++, from += L::count) {
        L value = L::load(from);
        NASP_UNROLL for (int q = 1; q < k; q++) value = both(value, L::load(from + q * x.row_pitch));
        value.store(line + static_cast<ptrdiff_t>(w) * L::count);
      }
      for (int p = 0; p < out_width; p += tile_pixels) {
        const L start = epilogue.start(c);  // known after the first tile
        const int n = smaller(tile_pixels, out_width - p);
        L pixels[tile_pixels];
        NASP_UNROLL for (int j = 0; j < tile_pixels; j++) {
          const int left = smaller(p + j, out_width - 1) * s;
          const S* at = line + static_cast<ptrdiff_t>(left) * L::count;
          L value = L::load(at);
          NASP_UNROLL for (int t = 1; t < k; t++) value = both(value, L::load(at + t * L::count));
          if (!Max) value = L::splat(1 / (rows_in * static_cast<S>(inside(left - pad, k, x.width)))) * value;
          pixels[j] = value + start;
        }
        finish(pixels, epilogue, c, row, p, n);
      }
    }
  }
}

template <class L, class Epilogue>
void pool_forward(const Unit& unit, const Band<L>& x, int height, int row0, int row1,
                  typename L::scalar* line, const Epilogue& epilogue) {
  with_pool(unit, [&]<int K, int Stride, bool Max>() {
    pool_rows<K, Stride, Max>(unit, x, height, row0, row1, line, epilogue);
  });
}

// Lines of windows, one vector each, with room for the windows that a pixel beside the image would belong to.
template <class L>
struct WindowLines {
  using S = typename L::scalar;
  S* data;
  int margin;
  ptrdiff_t pitch;

  static std::size_t size(const Unit& unit, int lines, int out_width) {
    return static_cast<std::size_t>(lines) * (out_width + 2 * unit.kernel) * L::count;
  }
  WindowLines(const Unit& unit, S* memory, int out_width)
      : data(memory), margin(unit.kernel), pitch(static_cast<ptrdiff_t>(out_width + 2 * margin) * L::count) {}
  S* at(int line) const { return data + line * pitch + static_cast<ptrdiff_t>(margin) * L::count; }
};

// Scalars of scratch that pool_backward needs for `rows` input rows.
template <class L>
std::size_t pool_backward_scratch(const Unit& unit, int rows, int width) {
  return WindowLines<L>::size(unit, 3 * (rows + 4 * unit.pad() + 2) + 1, unit.out_width(width));
}

// Where the first maximum of every window lies: `column` of every input row's windows, from row first * stride - pad
// on, and then `row` of the windows of output rows [first, last], a later one only where it is strictly larger.
template <int K, int Stride, class L>
void first_maxima(const Unit& unit, const Band<L>& x, int c, int first, int last, int out_width,
                  const WindowLines<L>& value, const WindowLines<L>& column, const WindowLines<L>& row) {
  using S = typename L::scalar;
  const int k = K ? K : unit.kernel, s = K ? Stride : unit.stride, pad = (k - 1) / 2, top = first * s - pad,
            rows = (last - first) * s + k;
  const ptrdiff_t end = static_cast<ptrdiff_t>(out_width) * L::count;
  const auto take = [](L& best, L& at, L next, S there) NASP_LAMBDA_INLINE {
    const auto more = next.v > best.v;
    best.v = more ? next.v : best.v;
    at.v = more ? L::splat(there).v : at.v;
  };
  for (int q = 0; q < rows; q++) {
    const S* from = x.at(top + q, c, -pad);
    S *values = value.at(q), *columns = column.at(q);
    for (ptrdiff_t p = 0; p < end; p += L::count, from += s * L::count) {
      L best = L::load(from), at = L::zero();
      NASP_UNROLL for (int t = 1; t < k; t++) take(best, at, L::load(from + t * L::count), S(t));
      best.store(values + p);
      at.store(columns + p);
    }
  }
  for (int i = 0; i <= last - first; i++) {
    const S* from = value.at(i * s);
    S* rows_of = row.at(i);
    for (ptrdiff_t p = 0; p < end; p += L::count, from += L::count) {
      L best = L::load(from), at = L::zero();
      NASP_UNROLL for (int q = 1; q < k; q++) take(best, at, L::load(from + q * value.pitch), S(q));
      at.store(rows_of + p);
    }
  }
}

// Rows [row0, row1) of dx from dy rows that reach them and, for max, from x (padded with -inf). A window's gradient goes
// to its winning row first (avg: to all of them), and there to the winning column: 2 k steps a pixel instead of k * k.
template <int K, int Stride, bool Max, class L, class Epilogue>
void pool_backward_rows(const Unit& unit, const Band<L>& x, const Band<L>& dy, int height, int row0, int row1,
                        typename L::scalar* scratch, const Epilogue& epilogue) {
  using S = typename L::scalar;
  typedef typename L::vector Vector;
  const int k = K ? K : unit.kernel, s = K ? Stride : unit.stride, pad = (k - 1) / 2,
            width = epilogue.dx.width;
  const int out_width = unit.out_width(width), out_height = unit.out_height(height);
  const int first = ceil_div(larger(0, row0 + pad - k + 1), s),
            last = smaller(out_height - 1, (row1 - 1 + pad) / s);
  const int rows = (last - first) * s + k;
  const WindowLines<L> gathered(unit, scratch, out_width),
      value(unit, gathered.data + gathered.pitch, out_width),
      won_column(unit, value.data + rows * value.pitch, out_width),
      won_row(unit, won_column.data + rows * value.pitch, out_width);
  fill_vectors<L>(gathered.data, static_cast<int>(gathered.pitch / L::count), L::zero());
  // where(a, t, gradient): gradient where a holds t
  const auto where = [](const S* at, int t, L gradient) NASP_LAMBDA_INLINE {
    return L{L::load(at).v == L::splat(S(t)).v ? gradient.v : Vector{}};
  };
  for (int c = 0; c < unit.in; c++) {
    if (Max) first_maxima<K, Stride>(unit, x, c, first, last, out_width, value, won_column, won_row);
    for (int row = row0; row < row1; row++) {
      S* to = gathered.at(0);
      bool begun = false;
      for (int t = (row + pad) % s; t < k; t += s) {
        const int i = (row + pad - t) / s;
        if (row + pad - t < 0 || i >= out_height) continue;
        const S *gradient = dy.at(i, c, 0), *won = Max ? won_row.at(i - first) : nullptr;
        const L share = L::splat(1 / static_cast<S>(inside(i * s - pad, k, height)));
        for (ptrdiff_t j = 0; j < out_width * L::count; j += L::count) {
          const L part = Max ? where(won + j, t, L::load(gradient + j)) : share * L::load(gradient + j);
          (begun ? L::load(to + j) + part : part).store(to + j);
        }
        begun = true;
      }
      if (!begun) fill_vectors<L>(to, out_width, L::zero());
      if (!Max) {
        for (int j = 0; j < out_width; j++, to += L::count)
          (L::splat(1 / static_cast<S>(inside(j * s - pad, k, width))) * L::load(to)).store(to);
      }
      const S *column = won_column.at(row - (first * s - pad)), *sums = gathered.at(0);
      for (int w = 0; w < width; w += tile_pixels) {
        L pixels[tile_pixels];
        NASP_UNROLL for (int n = 0; n < tile_pixels; n++) {
          L sum = L::zero();
          // windows whose column t the pixel is; a tile begins at an even pixel, and strides are 1 or 2
          NASP_UNROLL for (int t = (n + pad) % s; t < k; t += s) {
            const ptrdiff_t at = static_cast<ptrdiff_t>((w + n + pad - t) / s) * L::count;
            sum += Max ? where(column + at, t, L::load(sums + at)) : L::load(sums + at);
          }
          pixels[n] = sum;
        }
        finish(pixels, epilogue, c, row, w, width - w);
      }
    }
  }
}

template <class L, class Epilogue>
void pool_backward(const Unit& unit, const Band<L>& x, const Band<L>& dy, int height, int row0, int row1,
                   typename L::scalar* scratch, const Epilogue& epilogue) {
  with_pool(unit, [&]<int K, int Stride, bool Max>() {
    pool_backward_rows<K, Stride, Max>(unit, x, dy, height, row0, row1, scratch, epilogue);
  });
}

}  // namespace nasp::NASP_ISA
