// SPDX-License-Identifier: MIT
// Kernels of the graph, compiled once per instruction set. Results may overwrite an operand of their own shape.
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
typedef void flt_vector_fn(size_t n, const flt_real *x, flt_real *y);
typedef void flt_column_fn(size_t rows, size_t cols, const flt_real *x /* [rows, cols] */, flt_real *y);

typedef struct flt_graph_kernels {
    flt_binary_fn *add, *sub, *mul, *div;
    flt_binary_fn *add_relu;                   // max(a + b, 0)
    flt_binary_fn *gate;                       // a where b > 0, else 0
    flt_binary_fn *tanh_gradient;              // a (1 - b^2)
    flt_binary_fn *sigmoid_gradient;           // a b (1 - b)
    flt_unary_fn *scale, *offset;              // c x, c + x
    flt_unary_fn *square, *root, *relu, *step; // c unused
    flt_column_fn *column_add;                 // y += sum of the rows of x
} flt_graph_kernels;

FLTX_ISA_DECLARE(flt_graph_kernels);

typedef struct flt_special_kernels {
    flt_vector_fn *sigmoid, *normal_cdf, *normal_pdf;
} flt_special_kernels;
FLTX_ISA_DECLARE(flt_special_kernels);

// x [rows, cols], label [rows]; a label that is no class gives NaN.
typedef struct flt_softmax_kernels {
    flt_column_fn *softmax;                                                             // y [rows, cols]
    double (*loss)(size_t rows, size_t cols, const flt_real *label, const flt_real *x); // sum of -log softmax(x)[label]
    // y [rows, cols] = c (softmax(x) - onehot(label))
    void (*error)(size_t rows, size_t cols, flt_real c, const flt_real *label, const flt_real *x, flt_real *y);
} flt_softmax_kernels;
FLTX_ISA_DECLARE(flt_softmax_kernels);

// Surroundings of 3 x 3 pixels, with zeros beyond the edges.
typedef struct flt_patches {
    size_t images, height, width, channels;
} flt_patches;

typedef struct flt_patch_kernels {
    void (*gather)(const flt_patches *p, const flt_real *x, flt_real *y); // y [images, height, width, 9, channels]
    void (*sum)(const flt_patches *p, const flt_real *x, flt_real *y);    // its adjoint
} flt_patch_kernels;
FLTX_ISA_DECLARE(flt_patch_kernels);

static inline const flt_graph_kernels *flt_kernels(void) {
    return FLTX_ISA_PICK(flt_graph_kernels);
}

#endif
