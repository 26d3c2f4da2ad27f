// SPDX-License-Identifier: MIT
// The element-wise work on tiles between the matrix products of attention, once per instruction set. Private to core/attention.
#ifndef FLTX_ATTENTION_TILES_H
#define FLTX_ATTENTION_TILES_H

#include "base/size.h"
#include "flt/isa.h"
#include "flt/real.h"

// A key's log feature may exceed the scale of the running state by this much before the scale moves: e^30 = 1e13 leaves single
// precision 25 decades above for sums and values, and what underflows below it is 1e-25 of a denominator that is at least one.
#define FLTX_ATT_CAP 30

// A logit may exceed the scale of its row's running sum by this much before the scale moves.
#define FLTX_ATT_SLACK 8

// Logits of a tile on their way through online softmax: s [n, cols] becomes exp(s + bias - top), top [n] the scale of each row,
// at most SLACK below its running maximum (-inf at first), sum [n] its running sum; keep [n] receives the factor for what the row
// has gathered so far.
typedef struct flt_att_softmax_tile {
    size_t n, cols; // s is packed
    flt_real *s;
    const flt_real *bias; // row i at bias + i * ldb; NULL: none
    ptrdiff_t ldb;
    bool causal;
    ptrdiff_t valid; // causal: columns that row 0 may see, one more each row (may be < 0); the others become 0
    flt_real *top, *sum, *keep;
} flt_att_softmax_tile;

// Products s [n, cols] >= 0 under a factor a lag: to [n, cols] = s o factor, sum [n] its row sums, low [n] the smallest product
// of each row (NaN aside, which the sum shows). What a causal row may not see is zero in `to` and counts for nothing.
typedef struct flt_att_lag_tile {
    size_t n, cols; // s and to are packed
    const flt_real *s;
    flt_real *to;           // s: in place; NULL: sums alone
    const flt_real *factor; // row i at factor - i
    bool causal;
    ptrdiff_t valid; // as above
    flt_real *low, *sum;
} flt_att_lag_tile;

typedef struct flt_att_tiles {
    // u [n, F] = table [n, F] - shift [n]; NULL counts as zeros
    void (*start)(size_t n, size_t features, const flt_real *table, const flt_real *shift, flt_real *u);
    // Half of n rows, rounded up, are behind the middle: u [n, F] = even + odd there, even - odd before it, from the inside out
    void (*unfold)(size_t n, size_t features, const flt_real *even, const flt_real *odd, flt_real *u);
    // top [F] = max over the rows of u [n, F]
    void (*column_max)(size_t n, size_t features, const flt_real *u, flt_real *top);
    // z [F] += column sums of phi [n, F], which are formed by themselves first
    void (*column_sum)(size_t n, size_t features, const flt_real *phi, flt_real *z);
    // z [F] += column sums of x [n] o phi [n, F], rows of phi ldphi apart; x NULL: ones
    void (*weighted_sum)(size_t n, size_t features, const flt_real *x, const flt_real *phi, size_t ldphi, flt_real *z);
    // du [n, F] = phi o (du + x [n] z [F]), likewise
    void (*weigh)(size_t n, size_t features, const flt_real *phi, size_t ldphi, const flt_real *x, const flt_real *z,
                  flt_real *du);
    // sums [n] of the rows of x [n, cols]
    void (*row_sums)(size_t n, size_t cols, const flt_real *x, flt_real *sums);
    // g [n, cols] = dout / den [n], e [n] = -g.out
    void (*divide_gradients)(size_t n, size_t cols, const flt_real *dout, const flt_real *out, const flt_real *den, flt_real *g,
                             flt_real *e);
    // phi [n, F] = exp(min(u - c, CAP)); phi may be u
    void (*key_features)(size_t n, size_t features, const flt_real *u, const flt_real *c, flt_real *phi);
    // phi [n, F] = exp(u - c), rows ldphi apart, and sum [F] = its column sums. Returns whether some u - c exceeds CAP; such
    // features, and sums over them, are worth nothing.
    bool (*key_sums)(size_t n, size_t features, const flt_real *u, const flt_real *c, flt_real *phi, size_t ldphi, flt_real *sum);
    // phi [n, F] = exp(u + c - max_f (u + c)), den [n] = phi . z; phi may be u
    void (*query_features)(size_t n, size_t features, const flt_real *u, const flt_real *c, const flt_real *z, flt_real *phi,
                           flt_real *den);
    // the same with rows of phi ldphi apart
    void (*query_features_far)(size_t n, size_t features, const flt_real *u, const flt_real *c, const flt_real *z, flt_real *phi,
                               size_t ldphi, flt_real *den);
    // zeroes a [n, n] above the diagonal and adds the row sums of the rest to den [n]
    void (*mask)(size_t n, flt_real *a, flt_real *den);
    // rows of x [n, cols] times f [n]; rows whose factor is 1 are left alone
    void (*scale_rows)(size_t n, size_t cols, flt_real *x, const flt_real *f);
    void (*softmax)(const flt_att_softmax_tile *t);
    void (*lag_weights)(const flt_att_lag_tile *t);
    // ds [n, cols] = s o (ds - term [n])
    void (*softmax_back)(size_t n, size_t cols, const flt_real *s, const flt_real *term, flt_real *ds);
    // whether every number of x [n] exceeds `least`
    bool (*all_above)(size_t n, const flt_real *x, flt_real least);
    // with e = exp(bias + base [n]), at most e^80 where it counts, row i of bias at bias - i: ds [n, cols] = e o (ds - term [n]),
    // dl [n, cols] = s o ds unless NULL, s [n, cols] = s o e
    void (*weigh_lags)(size_t n, size_t cols, const flt_real *bias, const flt_real *base, const flt_real *term, flt_real *s,
                       flt_real *ds, flt_real *dl);
    // sums [n + cols - 1] += the sums over diagonals of x [n, cols], the one of its lower left corner first
    void (*add_diagonals)(size_t n, size_t cols, const flt_real *x, double *sums);
} flt_att_tiles;

FLTX_ISA_DECLARE(flt_att_tiles);

#endif
