// SPDX-License-Identifier: MIT
// Features and network of the per-coordinate learned optimizers, one table per instruction set.
//
// A tensor is seen as `runs` stretches of `run` coordinates along its last axis; the moments of g^2 over its two largest axes are
// arrays of `rows` and `cols` numbers, in which a stretch starts at row_at, col_at and advances by row_step, col_step (0 or 1).
#ifndef FLTX_KERNELS_LOPT_H
#define FLTX_KERNELS_LOPT_H

#include "flt/isa.h"
#include "flt/real.h"

enum { FLTX_LOPT_DECAYS = 3, FLTX_LOPT_LINE = 3 };

typedef struct flt_lopt_shape {
    size_t n, run, runs; // n = runs run
    size_t rows, cols;
    size_t row_step, col_step;
    const size_t *row_at, *col_at; // [runs]
} flt_lopt_shape;

// Outputs of `own`: [.., ld] each, in the order of the features: g, (clipped g), p, m 3, v, m rs 3, rs = rsqrt(v + eps), and for
// celo2, behind a gap of three, g rs.
typedef struct flt_lopt_own {
    size_t n, ld, stride;
    bool celo2, update; // update: the state, by g, first
    flt_real keep_v, write_v, eps;
    const flt_real *g, *p;
    flt_real *m, *v; // state: [3, stride], [n]
} flt_lopt_own;

// What a line (a row or a column) multiplies: its moment, rsqrt(moment + 1e-8), and its share in the factors of g and of m.
typedef struct flt_lopt_line {
    const flt_real *moment, *rsqrt, *on_g, *on_m;
} flt_lopt_line;

// Rows of features [n] of one decay.
typedef struct flt_lopt_factored {
    flt_real *g, *row, *col, *row_rsqrt, *col_rsqrt, *m;
} flt_lopt_factored;

typedef struct flt_lopt_net {
    size_t n_layers, outputs; // outputs stored, at most the last width
    size_t ld, out_ld;        // of inputs: n rounded up to whole vectors; of outputs
    size_t width[10];
    const flt_real *w[9], *b[9];
} flt_lopt_net;

typedef struct flt_lopt {
    // m[k] = keep[k] m[k] + (1 - keep[k]) g for k < decays, g [n], m [decays, stride]
    void (*means)(size_t n, size_t decays, const double *keep, const flt_real *g, size_t stride, flt_real *m);
    void (*own)(const flt_lopt_own *a, flt_real *f);
    // Adds g^2 + 1e-30 of each coordinate to its row and column.
    void (*sum_lines)(const flt_lopt_shape *s, const flt_real *g, flt_real *rows, flt_real *cols);
    void (*factored)(const flt_lopt_shape *s, const flt_real *g, const flt_real *m, const flt_lopt_line *row,
                     const flt_lopt_line *col, const flt_lopt_factored *out);
    // out = max(x + add, least)^-1/2
    void (*rsqrt)(size_t n, const flt_real *x, flt_real add, flt_real least, flt_real *out);
    // out [rows]: sums of squares of f [rows, ld], n numbers each
    void (*squares)(size_t n, size_t ld, size_t rows, const flt_real *f, double *out);
    // f [width[0], ld] -> out [outputs, out_ld]; hidden layers of equal width
    void (*network)(const flt_lopt_net *net, const flt_real *f, flt_real *out);
} flt_lopt;

FLTX_ISA_DECLARE(flt_lopt);

#endif
