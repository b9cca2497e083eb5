// What a piece of a unit's backward works on: a band of input rows of a block of images. It writes their dx, and sums the
// weight gradients over the output rows that belong to them.
#pragma once
#include "unit_forward.h"

namespace nasp::NASP_ISA {

// Rows [first, last] of the output that reach the input rows [row0, row1); some lie outside the output, as zeros.
struct OutputRows {
  int first, last;
  OutputRows(int row0, int row1, int kernel_span, int stride, int pad)
      : first(floor_div(row0 + pad - kernel_span + stride - 1, stride)),
        last(floor_div(row1 - 1 + pad, stride)) {}
};

// dx or dw null: not wanted.
template <class L>
struct BackwardPiece {
  using S = typename L::scalar;
  const BackwardUnit<S>& step;
  const Unit& unit;
  const S* packed;
  int block, height, width, out_width;
  L live;
  int row0, row1, out0, out1;  // its input rows, and the output rows that belong to them
  DataGradient<L> to_dx;
  bool want_dx;
  S* dw;  // first convolution's, then the dense parts'; zeros at first
};

// All rows that a piece needs, loaded at once, and scratch behind them.
template <class L>
struct LoadedPiece {
  using S = typename L::scalar;
  Band<L> x, dy;
  S* scratch;

  // Scalars of memory: x, dy.
  struct Plan {
    int x_first, x_rows, x_pad, dy_first, dy_rows, dy_pad;
    std::size_t x_size, dy_size;
    Plan(const Unit& u, int width, int row0, int row1, bool want_dw) {
      const int reach_h = u.reach_h(), reach_w = u.reach_w(), stride = u.stride_h();
      const int out0 = strided(row0, stride), out1 = strided(row1, stride);
      x_first = row0 - reach_h, x_rows = row1 - row0 + 2 * reach_h, x_pad = reach_w;
      // dy: the rows that dx needs, and those of the piece's own weight gradients
      const OutputRows reach(row0, row1, 2 * reach_h, stride, reach_h);
      dy_first = smaller(reach.first, out0), dy_rows = larger(reach.last, out1 - 1) + 1 - dy_first;
      dy_pad = reach_w;
      x_size = want_dw ? Band<L>::size(u.in, width, x_rows, x_pad) : 0;
      dy_size = Band<L>::size(u.out, u.out_width(width), dy_rows, dy_pad);
    }
  };

  LoadedPiece(const BackwardPiece<L>& p, const Plan& plan, S* memory)
      : x(memory, p.unit.in, p.width, plan.x_first, plan.x_rows, plan.x_pad),
        dy(memory + plan.x_size, p.unit.out, p.out_width, plan.dy_first, plan.dy_rows, plan.dy_pad),
        scratch(memory + plan.x_size + plan.dy_size) {
    if (plan.x_size) fill_activation(x, p.step.x, p.block, p.unit.relu, S(0));
    fill_gradient(dy, p.step.dy, p.block, p.live);
  }
};

}  // namespace nasp::NASP_ISA
