// SPDX-License-Identifier: MIT
// Element-wise kernels of the graph, compiled once per instruction set. Results may overwrite an operand of their own shape.
#ifndef FLTX_GRAPH_KERNELS_H
#define FLTX_GRAPH_KERNELS_H

#include "flt/isa.h"
#include "flt/real.h"

// y [rows, cols], row-major. An operand moves by *_row elements per row (0: the row repeats), and along a row by 1 element, or by
// none where *_fixed (a column of scalars).
typedef struct flt_grid {
    size_t rows, cols, a_row, b_row;
    bool a_fixed, b_fixed;
} flt_grid;

typedef void flt_binary_fn(const flt_grid *g, const flt_real *a, const flt_real *b, flt_real *y);
typedef void flt_unary_fn(size_t n, flt_real c, const flt_real *x, flt_real *y);
typedef void flt_column_fn(size_t rows, size_t cols, const flt_real *x /* [rows, cols] */, flt_real *y /* [cols] */);

typedef struct flt_graph_kernels {
    flt_binary_fn *add, *sub, *mul, *div;
    flt_binary_fn *add_relu;                   // max(a + b, 0)
    flt_binary_fn *gate;                       // a where b > 0, else 0
    flt_binary_fn *tanh_gradient;              // a (1 - b^2)
    flt_binary_fn *sigmoid_gradient;           // a b (1 - b)
    flt_unary_fn *scale, *offset;              // c x, c + x
    flt_unary_fn *square, *root, *relu, *step; // c unused
    flt_unary_fn *logistic;                    // 1 / (1 + x): the last pass of sigmoid
    flt_column_fn *column_add;                 // y += sum of the rows of x
    flt_column_fn *row_shift;                  // y [rows, cols] = x - largest of its row
    flt_column_fn *row_sum;                    // y [rows] = sum of each row
    flt_column_fn *row_normalise;              // y [rows, cols] = x / sum of its row
    // y [rows, cols] = (x / sum of its row - onehot(label)) c, for softmax cross-entropy; NaN where a label is no class
    void (*row_error)(size_t rows, size_t cols, flt_real c, const flt_real *label, const flt_real *x, flt_real *y);
} flt_graph_kernels;

FLTX_ISA_DECLARE(flt_graph_kernels);

static inline const flt_graph_kernels *flt_kernels(void) {
    return FLTX_ISA_PICK(flt_graph_kernels);
}

#endif
