// The unit: what every candidate operation is a chain of.
//
//   load [as is | ReLU] -> depthwise k x k or row 1 x k (optional) -> dense kh x kw, in one or two parts -> y, BatchNorm
//   follows
//
// What lies between the first convolution and the dense one is never stored: backward computes it again. Two dense parts
// write two halves of y (factorized reduce). Pools and the identity are units too, without weights.
// Sizes only: the kernels are the backends'.
#pragma once
#include <cstddef>

namespace nasp {

// Of a unit that is run: kernels count them in an int.
constexpr std::size_t most_weights = std::size_t{1} << 30;

// Rows or columns that a stride leaves of so many.
constexpr int strided(int size, int stride) { return (size + stride - 1) / stride; }

enum class UnitKind { convolve, max_pool, avg_pool, identity };

struct DensePart {
  int out = 0;  // output channels of this part
  int kernel_h = 1, kernel_w = 1;
  int stride_h = 1, stride_w = 1;
  int pad_h = 0, pad_w = 0;  // negative: the window starts inside (second half of factorized reduce)
  int taps() const { return kernel_h * kernel_w; }
  bool operator==(const DensePart&) const = default;
};

struct Unit {
  UnitKind kind = UnitKind::convolve;
  bool relu = false;                         // ReLU on load
  bool norm = false;                         // BatchNorm on y
  int in = 0, out = 0;                       // channels
  int kernel = 0, dilation = 1, stride = 1;  // of the depthwise convolution or the pool; kernel 0: none
  DensePart row;                             // 1 x k, ahead of a k x 1; out 0: none
  int parts = 0;  // dense parts; with a depthwise convolution: one, 1 x 1, stride 1; with a row: one, k x 1
  DensePart dense[2];

  bool operator==(const Unit&) const = default;
  bool depthwise() const { return kind == UnitKind::convolve && kernel > 0; }
  bool paired() const { return row.out > 0; }
  int between() const { return paired() ? row.out : in; }  // channels that the dense parts read
  bool window() const { return kernel > 0; }
  int pad() const { return (kernel - 1) / 2 * dilation; }
  int stride_h() const { return window() ? stride : parts ? dense[0].stride_h : 1; }
  int stride_w() const { return window() ? stride : paired() ? row.stride_w : parts ? dense[0].stride_w : 1; }
  int out_height(int h) const { return strided(h, stride_h()); }
  int out_width(int w) const { return strided(w, stride_w()); }
  // Rows that the load reaches above and below an input row, columns left and right. An even window reaches further on.
  int window_reach() const { return window() ? (kernel - 1) * dilation - pad() : 0; }
  int reach_h() const {
    int reach = window_reach();
    for (int i = 0; !window() && i < parts; i++) {
      const int below = dense[i].kernel_h - 1 - dense[i].pad_h;
      reach = reach > dense[i].pad_h ? reach : dense[i].pad_h;
      reach = reach > below ? reach : below;
    }
    return reach;
  }
  int reach_w() const {
    int reach = window_reach();
    for (int i = 0; !window() && i < parts; i++) {
      const int right = dense[i].kernel_w - 1 - dense[i].pad_w;
      reach = reach > dense[i].pad_w ? reach : dense[i].pad_w;
      reach = reach > right ? reach : right;
    }
    return paired() ? row.pad_w : reach;
  }
  // Weights of the first convolution (depthwise or row), and of a dense part.
  std::size_t first_weights() const {
    const std::size_t inputs = static_cast<std::size_t>(in);
    return depthwise() ? inputs * kernel * kernel : paired() ? inputs * row.out * row.taps() : 0;
  }
  std::size_t dense_weights(int part) const {
    return static_cast<std::size_t>(dense[part].out) * between() * dense[part].taps();
  }
  std::size_t weights() const {  // all of them
    std::size_t n = first_weights();
    for (int i = 0; i < parts; i++) n += dense_weights(i);
    return n;
  }
  // Multiply-adds of one image of height x width.
  double multiply_adds(int height, int width) const {
    const double pixels = static_cast<double>(out_height(height)) * out_width(width);
    double n = static_cast<double>(first_weights()) *
               (paired() ? static_cast<double>(height) * out_width(width) : pixels);
    for (int i = 0; i < parts; i++) n += static_cast<double>(dense_weights(i)) * pixels;
    return n;
  }
};

}  // namespace nasp
