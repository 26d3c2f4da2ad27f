// SPDX-License-Identifier: MIT
// The direct part of lagged_backward.h: tiles of rows and keys. Private to core/attention.
#ifndef FLTX_ATTENTION_LAGGED_BACKWARD_DIRECT_H
#define FLTX_ATTENTION_LAGGED_BACKWARD_DIRECT_H

#include "lagged_backward.h"
#include "lagged_fft.h"

// Products of features that a thread keeps between the two walks along its rows, at the most.
enum { FLTX_LAGGED_KEPT = 1 << 20 };

typedef struct flt_att_lagged_back_job { // one head
    flt_att_lagged_back *b;
    const flt_att_lagged *a;
    flt_att_lagged_slot *w;
    flt_att_lagged_back_slot *u;
    const flt_att_lagged_pass *p;
    size_t head;
    double *dlags; // NULL: not wanted
} flt_att_lagged_back_job;

// w->level and w->high of a piece: features of its rows are over the rows' sums, with the scale of the factors.
void flt_att_lagged_back_scales(const flt_att_lagged_back_job *k, flt_att_piece p);
// Rows and keys of a piece by convolutions; its scales are known. Without gradients of lags.
void flt_att_lagged_back_piece(const flt_att_lagged_back_job *k, flt_att_piece p);

// Before the first tile of a head, and behind the last: features of keys, and what tiles have gathered for them into dlk.
void flt_att_lagged_back_open(const flt_att_lagged_back_job *k);
void flt_att_lagged_back_close(const flt_att_lagged_back_job *k);
// Rows i .. i + n - 1, whose norms are known, and keys from .. to - 1; `from` is the start of a tile.
void flt_att_lagged_back_span(const flt_att_lagged_back_job *k, size_t i, size_t n, size_t from, size_t to);
// All rows, and their norms.
void flt_att_lagged_back_direct(const flt_att_lagged_back_job *k);

static inline void flt_att_add_products(size_t n, const flt_real *x, const flt_real *y, flt_real *to) {
    for (size_t i = 0; i < n; i++) to[i] += x[i] * y[i];
}

#endif
