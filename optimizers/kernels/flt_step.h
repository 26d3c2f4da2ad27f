// SPDX-License-Identifier: MIT
// The passes of the fused flt step over one tensor, one table per instruction set.
//
// A tensor is seen as [outer, rows, cols]: cols is its largest axis, rows the second largest, outer all others; tensors of rank
// below 2 are [1, 1, count]. Coordinates that are neighbours along cols travel together, FLTX_BLOCK of them in a block, fewer in
// the last block of a line. Blocks lie in the order [outer, groups, rows], groups = ceil(cols / FLTX_BLOCK). Scratch pads them to
// FLTX_BLOCK; in the state they are as wide as they are, so that it has as many words per coordinate whatever the shape.
#ifndef FLTX_KERNELS_FLT_STEP_H
#define FLTX_KERNELS_FLT_STEP_H

#include "flt/isa.h"
#include "flt/real.h"

enum {
    FLTX_BLOCK = 64 / sizeof(flt_real), // coordinates of a block: a 64-byte line, whatever the instruction set
    FLTX_STEP_DECAYS = 3,               // of momentum and factored moments: 0.9, 0.99, 0.999
    FLTX_STEP_OWN = 18,                 // features that differ from coordinate to coordinate
    FLTX_STEP_LINE = 6,                 // features that a row or a column shares: moments 3, (moments + 1e-8)^-1/2 3
    FLTX_STEP_RAW = 6,                  // own features with raw inputs: no momenta, no rows and columns
    FLTX_STEP_MAX_LAYERS = 9,
};

// Own features, in this order: g; clip(g, +-0.1); p; m 3; v; m rs 3; rs; fac_g 3; g rs; fac_m 3. Raw ones: g; clip(g); p; v; rs;
// g rs. With raw inputs every tensor is [1, 1, count] and has no row and column moments.

typedef struct flt_step_sizes {
    size_t heads, m, dk, dv;
    size_t window;                          // tokens a head keeps and attends to exactly; 0: kernel features instead
    bool raw, gram;                         // raw inputs; |k|^2 in the log key is k^T gram k
    size_t n_out;                           // columns of the first product: per head q [dk], k [dk], u [dv]; then the first layer
    size_t n_layers;                        // of the network, the last one included
    size_t width[FLTX_STEP_MAX_LAYERS + 1]; // width[i + 1]: outputs of layer i
} flt_step_sizes;

typedef struct flt_step_tensor {
    size_t outer, rows, cols, groups;
    bool factored;                 // rank 2 and more: row and column moments; else `col` holds the moments of each coordinate
    size_t row_stride, col_stride; // in the caller's tensor
    const size_t *outer_offset;    // [outer]
} flt_step_tensor;

typedef struct flt_step_args {
    const flt_step_sizes *sizes;
    flt_step_tensor tensor;
    // state
    flt_real *row;    // [3, outer, rows]
    flt_real *col;    // [outer, groups, 3, width]
    flt_real *blocks; // [outer, groups, rows, words, width]: m 3, v (raw: v), then per head c, z [m], S [m, dv], or with a
                      // window [window, k [dk], u [dv]]; flt_step_place finds a block
    // scratch
    flt_real *g, *p;      // [outer, groups, rows, FLTX_BLOCK]; g becomes the direction
    flt_real *row_factor; // [outer, rows, 3]
    flt_real *row_out;    // [outer, rows, n_out]
    flt_real *lanes;      // flt_step_lanes(sizes, rows) blocks
    // weights, the features' normalisers folded in
    const flt_real *own_w; // [FLTX_STEP_OWN, n_out]
    const flt_real *row_w; // [FLTX_STEP_LINE, n_out]
    const flt_real *col_w; // [FLTX_STEP_LINE, n_out]
    const flt_real *bias;  // [n_out]
    // weights as they are
    const flt_real *omega_q, *omega_k; // [heads, dk, m]
    const flt_real *gram;              // [heads, dk, dk], where sizes.gram
    const flt_real *query;             // [heads, m]: the snippet of this step times omega
    const flt_real *key;               // [heads, m]
    const flt_real *logits;            // [heads, window]: what each slot's age adds to its logit
    size_t slot, filled;               // of the window: where this token goes, slots in use with it
    const flt_real *tau;               // [heads]
    const flt_real *read_w;            // [heads dv, width[1]]: the first layer's rows for what attention read
    const flt_real *w[FLTX_STEP_MAX_LAYERS], *b[FLTX_STEP_MAX_LAYERS]; // from 1 on
} flt_step_args;

static inline size_t flt_step_words(const flt_step_sizes *s) {
    const size_t head = s->window > 0 ? s->window * (s->dk + s->dv) : 1 + s->m * (1 + s->dv);
    return (s->raw ? 1 : FLTX_STEP_DECAYS + 1) + s->heads * head;
}

// Coordinates of the blocks of a group.
static inline size_t flt_step_width(const flt_step_tensor *t, size_t group) {
    const size_t left = t->cols - group * FLTX_BLOCK;
    return left < FLTX_BLOCK ? left : FLTX_BLOCK;
}

static inline size_t flt_step_aligned(size_t n) {
    return (n + FLTX_BLOCK - 1) / FLTX_BLOCK * FLTX_BLOCK;
}

// Where the block of row 0 lies in `blocks`; that of row r flt_step_words width r behind it. Whole blocks are aligned.
static inline size_t flt_step_place(const flt_step_tensor *t, size_t words, size_t outer, size_t group) {
    return outer * flt_step_aligned(t->rows * words * t->cols) + t->rows * words * group * FLTX_BLOCK;
}

static inline size_t flt_step_widest(const flt_step_sizes *s) {
    size_t widest = 0;
    for (size_t i = 1; i <= s->n_layers; i++) widest = s->width[i] > widest ? s->width[i] : widest;
    return widest;
}

// Blocks of scratch that `factor` and `update` need.
static inline size_t flt_step_lanes(const flt_step_sizes *s, size_t rows) {
    const size_t update = 2 * (s->n_out + s->m + flt_step_widest(s)) + (s->heads + 1) * s->dv + s->window + flt_step_words(s);
    return update > rows ? update : rows;
}

// Sums of squares of the features: own over all coordinates, row over [outer, rows], col over [outer, cols]. cross: the sum of
// (m rs) (g rs), m of the first decay; 0 with raw inputs.
typedef struct flt_step_squares {
    double own[FLTX_STEP_OWN], cross, row[FLTX_STEP_LINE], col[FLTX_STEP_LINE];
} flt_step_squares;

typedef struct flt_step {
    // Gathers a tensor into blocks, zeros behind each line.
    void (*pack)(const flt_step_tensor *t, const flt_real *tensor, flt_real *blocks);
    // tensor -= factor blocks
    void (*subtract)(const flt_step_tensor *t, flt_real factor, const flt_real *blocks, flt_real *tensor);
    // Row and column moments of g^2, and row_factor.
    void (*factor)(const flt_step_args *a);
    // m and v, and the sums of squares of all features.
    void (*moments)(const flt_step_args *a, flt_step_squares *sums);
    // row_out = bias + row features times row_w
    void (*rows)(const flt_step_args *a);
    // Features, attention, network: leaves the direction in g; sums of its squares and of the gains.
    void (*update)(const flt_step_args *a, double *squares, double *gains);
} flt_step;

FLTX_ISA_DECLARE(flt_step);

#endif
