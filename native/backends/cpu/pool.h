// Max and average pooling on batch lanes, stride 1 or 2, padding (k - 1) / 2: odd windows, and the 2 x 2 one that halves a map,
// which reaches one pixel to the right and down.
//
//   max    pads with -inf; on ties the gradient goes to the first maximum in row-major order (as PyTorch); a NaN is above all
//          numbers, the last of several
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

// Of an average's columns: 1 / pixels inside the image, a vector each.
template <class L>
void column_shares(typename L::scalar* to, int kernel, int stride, int width, int out_width) {
  for (int p = 0; p < out_width; p++, to += L::count)
    L::splat(1 / static_cast<typename L::scalar>(inside(p * stride - (kernel - 1) / 2, kernel, width)))
        .store(to);
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

// Columns of a row that windows reach.
inline int pooled_columns(const Unit& unit, int width) { return width + unit.pad() + unit.window_reach(); }

// Scalars of scratch that a pool, or the identity, needs forward.
template <class L>
std::size_t pool_scratch(const Unit& unit, int width) {
  return (static_cast<std::size_t>(pooled_columns(unit, width)) + 2 * unit.out_width(width)) * L::count;
}

// Rows [row0, row1) of y from a band loaded as is, padded with -inf (max) or 0 (avg). `scratch` holds a padded row, a
// row of y, and the share of a column's pixels in the mean.
template <int K, int Stride, bool Max, class L, class Epilogue>
void pool_rows(const Unit& unit, const Band<L>& x, int height, int row0, int row1,
               typename L::scalar* scratch, const Epilogue& epilogue) {
  using S = typename L::scalar;
  const int k = K ? K : unit.kernel, s = K ? Stride : unit.stride, pad = (k - 1) / 2;
  const int out_width = unit.out_width(x.width), columns = pooled_columns(unit, x.width);
  S *line = scratch, *y = line + static_cast<ptrdiff_t>(columns) * L::count,
    *share = y + static_cast<ptrdiff_t>(out_width) * L::count;
  if (!Max) column_shares<L>(share, k, s, x.width, out_width);
  const auto both = [](L a, L b) NASP_LAMBDA_INLINE { return Max ? maximum(a, b) : a + b; };
  for (int row = row0; row < row1; row++) {
    const int top = row * s - pad;
    const L row_share = L::splat(1 / static_cast<S>(inside(top, k, height)));
    for (int c = 0; c < unit.in; c++) {
      const S* from = x.at(top, c, -pad);
      for (int w = 0; w < columns; w++, from += L::count) {
        L value = L::load(from);
        NASP_UNROLL for (int q = 1; q < k; q++) value = both(value, L::load(from + q * x.row_pitch));
        value.store(line + static_cast<ptrdiff_t>(w) * L::count);
      }
      for (int p = 0; p < out_width; p++) {
        const S* at = line + static_cast<ptrdiff_t>(p) * s * L::count;
        L value = L::load(at);
        NASP_UNROLL for (int t = 1; t < k; t++) value = both(value, L::load(at + t * L::count));
        if (!Max) value = row_share * L::load(share + static_cast<ptrdiff_t>(p) * L::count) * value;
        value.store(y + static_cast<ptrdiff_t>(p) * L::count);
      }
      epilogue.segment(c, row, 0, out_width, y);
    }
  }
}

template <class L, class Epilogue>
void pool_forward(const Unit& unit, const Band<L>& x, int height, int row0, int row1,
                  typename L::scalar* scratch, const Epilogue& epilogue) {
  with_pool(unit, [&]<int K, int Stride, bool Max>() {
    pool_rows<K, Stride, Max>(unit, x, height, row0, row1, scratch, epilogue);
  });
}

// Lines of windows, one vector each, the last `slots` of them, with room for the windows that a pixel beside the image would
// belong to.
template <class L>
struct WindowLines {
  using S = typename L::scalar;
  S* data;
  int margin, slots;
  ptrdiff_t pitch;

  static int columns(const Unit& unit, int out_width) { return (out_width + 2 * unit.kernel) | 1; }
  WindowLines(const Unit& unit, S* memory, int out_width, int slots)
      : data(memory),
        margin(unit.kernel),
        slots(slots),
        pitch(static_cast<ptrdiff_t>(columns(unit, out_width)) * L::count) {}
  S* at(int line) const { return data + line % slots * pitch + static_cast<ptrdiff_t>(margin) * L::count; }
  S* end() const { return data + slots * pitch; }
  void fill(L value) const { fill_vectors(data, static_cast<int>(end() - data) / L::count, value); }
};

// Scalars of scratch that pool_backward needs.
template <class L>
std::size_t pool_backward_scratch(const Unit& unit, int width) {
  return static_cast<std::size_t>(3 * unit.kernel + 4) * L::count *
             WindowLines<L>::columns(unit, unit.out_width(width)) +
         static_cast<std::size_t>(width + 1) * L::count;
}

// The first maximum of `count` candidates a pixel, in `best` with its index in `at`; candidate i of pixel p lies at
// from(i) + p * step.
template <int Count, class L, class From>
NASP_INLINE void first_maxima(typename L::scalar* best, typename L::scalar* at, int pixels, int count,
                              int step, const From& from) {
  using S = typename L::scalar;
  const int n = Count ? Count : count;
  for (ptrdiff_t p = 0; p < pixels; p++) {
    L largest = L::load(from(0) + p * step * L::count), index = L::zero();
    NASP_UNROLL for (int i = 1; i < n; i++) {
      const L next = L::load(from(i) + p * step * L::count);
      const auto more = (next.v > largest.v) | (next.v != next.v);
      largest.v = more ? next.v : largest.v;
      index.v = more ? L::splat(S(i)).v : index.v;
    }
    if (best) largest.store(best + p * L::count);
    index.store(at + p * L::count);
  }
}

// dx of whole images from dy and, for max, from x (padded with -inf at the sides), a row of windows at a time. A window's
// gradient goes to its winning row first (avg: to all of them), and there to the winning column: 2 k steps a pixel
// instead of k * k.
template <int K, int Stride, bool Max, class L, class Epilogue>
void pool_backward_rows(const Unit& unit, const Band<L>& x, const Band<L>& dy, int height,
                        typename L::scalar* scratch, const Epilogue& epilogue) {
  using S = typename L::scalar;
  typedef typename L::vector Vector;
  constexpr int most = K ? K : 64;
  const int k = K ? K : unit.kernel, s = K ? Stride : unit.stride, pad = (k - 1) / 2,
            width = epilogue.dx.width, windows = (k - 1) / s + 1;  // rows of windows that reach a row
  const int out_width = unit.out_width(width), out_height = unit.out_height(height);
  const WindowLines<L> gathered(unit, scratch, out_width, 1), zeros(unit, gathered.end(), out_width, 1),
      outside(unit, zeros.end(), out_width, 1), column_share(unit, outside.end(), out_width, 1),
      value(unit, column_share.end(), out_width, k), won_column(unit, value.end(), out_width, k),
      won_row(unit, won_column.end(), out_width, windows);
  S* pixels = won_row.end();  // a row of dx
  gathered.fill(L::zero());
  zeros.fill(L::zero());
  outside.fill(lowest<L>());
  column_shares<L>(column_share.at(0), k, s, width, out_width);
  // gradient where a holds t
  const auto where = [](const S* a, L t, L gradient)
                         NASP_LAMBDA_INLINE { return L{L::load(a).v == t.v ? gradient.v : Vector{}}; };
  for (int c = 0; c < unit.in; c++) {
    for (int i = 0, loaded = 0, row = 0; i < out_height; i++) {
      const int top = i * s - pad, bottom = smaller(height, top + k);
      if (Max) {
        for (; loaded < bottom; loaded++) {
          const S* from = x.at(loaded, c, -pad);
          first_maxima<K, L>(value.at(loaded), won_column.at(loaded), out_width, k, s,
                             [&](int t) NASP_LAMBDA_INLINE { return from + t * L::count; });
        }
        const S* lines[most];
        for (int t = 0; t < k; t++)
          lines[t] = top + t >= 0 && top + t < height ? value.at(top + t) : outside.at(0);
        first_maxima<K, L>(static_cast<S*>(nullptr), won_row.at(i), out_width, k, 1,
                           [&](int t) NASP_LAMBDA_INLINE { return lines[t]; });
      }
      // rows that no further window reaches
      for (const int end = i + 1 < out_height ? larger(0, smaller(height, top + s)) : height; row < end;
           row++) {
        const S *gradient[most], *won[most];
        S part[most];  // the row's place in the window; of avg: its share
        for (int n = 0; n < windows; n++) {
          const int t = (row + pad) % s + n * s, of = (row + pad - t) / s;
          const bool there = t < k && row + pad - t >= 0 && of < out_height;
          gradient[n] = there ? dy.at(of, c, 0) : zeros.at(0);
          won[n] = there && Max ? won_row.at(of) : zeros.at(0);
          part[n] = Max ? S(t) : there ? 1 / static_cast<S>(inside(of * s - pad, k, height)) : S(0);
        }
        S* to = gathered.at(0);
        for (ptrdiff_t j = 0; j < out_width * L::count; j += L::count) {
          L sum = L::zero();
          NASP_UNROLL for (int n = 0; n < windows; n++) {
            const L g = L::load(gradient[n] + j);
            sum += Max ? where(won[n] + j, L::splat(part[n]), g) : L::splat(part[n]) * g;
          }
          (Max ? sum : L::load(column_share.at(0) + j) * sum).store(to + j);
        }
        const S* column = Max ? won_column.at(row) : nullptr;
        for (int w = 0; w < width; w += 2) {
          NASP_UNROLL for (int n = 0; n < 2; n++) {
            L sum = L::zero();
            // windows whose column t the pixel is; w is even, and strides are 1 or 2
            NASP_UNROLL for (int t = (n + pad) % s; t < k; t += s) {
              const ptrdiff_t at = static_cast<ptrdiff_t>((w + n + pad - t) / s) * L::count;
              sum += Max ? where(column + at, L::splat(S(t)), L::load(to + at)) : L::load(to + at);
            }
            sum.store(pixels + static_cast<ptrdiff_t>(w + n) * L::count);
          }
        }
        epilogue.segment(c, row, 0, width, pixels);
      }
    }
  }
}

template <class L, class Epilogue>
void pool_backward(const Unit& unit, const Band<L>& x, const Band<L>& dy, int height,
                   typename L::scalar* scratch, const Epilogue& epilogue) {
  with_pool(unit, [&]<int K, int Stride, bool Max>() {
    pool_backward_rows<K, Stride, Max>(unit, x, dy, height, scratch, epilogue);
  });
}

}  // namespace nasp::NASP_ISA
