// SPDX-License-Identifier: MIT
// The direct way through attention with a factor a lag; see lagged.h. Private to core/attention.
#ifndef FLTX_ATTENTION_LAGGED_DIRECT_H
#define FLTX_ATTENTION_LAGGED_DIRECT_H

#include "lagged.h"

typedef struct flt_att_span { // keys from .. to - 1; from: at the start of a tile
    size_t from, to;
} flt_att_span;

// All that rows up to `last` may see.
static inline flt_att_span flt_att_keys(const flt_att_lagged *a, size_t from, size_t last) {
    return (flt_att_span){from, a->causal ? last + 1 : a->N};
}

// Features of keys from the log features in the slot: before a head's first tile.
void flt_att_lagged_prepare(const flt_att_lagged *a, flt_att_lagged_slot *w);
// Adds keys to rows first .. first + count - 1 (at most a tile); causal: only those that a row may see. out is not
// yet divided. v NULL: sums alone.
void flt_att_lagged_direct(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, size_t first, size_t count,
                           flt_att_span keys, const flt_real *v, flt_real *out);
void flt_att_lagged_clear(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t first, size_t count, flt_real *out);

// ---- a tile of rows along its keys; also for the backward pass
typedef struct flt_att_lagged_rows {
    const flt_att_lagged *a;
    flt_att_lagged_slot *w;
    const flt_real *lags; // of the head
    size_t first, n;
    flt_real level;                                                // logarithm of the scale of the lags' factors, a whole number
    flt_real high[FLTX_LAGGED_TILE], factor[2 * FLTX_LAGGED_TILE]; // logarithms of the scales of phi; factors of the tile's lags
    flt_real low[FLTX_LAGGED_TILE], part[FLTX_LAGGED_TILE];        // of each row: smallest product, sum of weights
    bool fine[FLTX_LAGGED_TILE];                                   // these are good
} flt_att_lagged_rows;

void flt_att_lagged_rows_begin(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, size_t first, size_t n,
                               flt_att_lagged_rows *r);
// From the products s [n, cols] of phi, whose scales are r->high, with keys j..: tops and sums in the slot, w->keep, and the
// weights. to: w->s, which may be s, or NULL where no weights are wanted; then w->s loses what it holds.
void flt_att_lagged_weigh(flt_att_lagged_rows *r, size_t j, size_t cols, const flt_real *s, flt_real *to);

// log sum_f exp(lq_f + lk_f) by itself, for weights that leave the range of a product.
double flt_att_lagged_log_weight(size_t m, const flt_real *lq, const flt_real *lk);
// phi [n, m] = exp(lq + scale - high), high [n]: their largest of the row, rounded up to a whole number.
void flt_att_lagged_scale_queries(size_t n, size_t m, const flt_real *lq, const flt_real *scale, flt_real *phi, flt_real *high);

#endif
