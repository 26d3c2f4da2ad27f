// SPDX-License-Identifier: MIT
// Normalised linear attention over positive features given by their logarithms. Private to core/attention.
//
//     out_i = sum_j A_ij v_j / sum_j A_ij,     A_ij = sum_f exp(lq_if + lk_jf)
//
// Each feature has its own scale c_f for the keys, and each query its own over the features:
//     A_ij = e^{M_i} sum_f exp(lq_if + c_f - M_i) exp(lk_jf - c_f),     M_i = max_f (lq_if + c_f)
// which is the same number whatever c is, so nothing is approximated and no epsilon is needed. c_f is the log feature of the
// first key, and moves up to that of a later key only when that exceeds it by more than CAP. Hence sum_j exp(lk_jf - c_f) >= 1
// for every f, every denominator is at least 1, nothing overflows, and in the causal form no number depends on the future.
// (One scale for all features, as in the public codes, underflows where a query's best feature is no key's best.)
#ifndef FLTX_ATTENTION_LINEAR_H
#define FLTX_ATTENTION_LINEAR_H

#include "flt/attention.h"
#include "flt/memory.h"

enum { FLTX_ATT_MAX_TILE = 64 }; // rows of a tile never exceed this

// Rows first .. first + count - 1 of a head, at work on one thread; beyond N in a stream.
typedef struct flt_att_rows {
    size_t head, first, count, thread;
} flt_att_rows;

// A feature map: u [count, F] = log features of x [count, d]. A query's row may leave out what is constant along it; keys may
// leave out what is constant over all keys and features.
typedef struct flt_att_map {
    size_t features;
    const void *self;
    void (*queries)(const void *self, flt_att_rows rows, const flt_real *x, flt_real *u);
    void (*keys)(const void *self, flt_att_rows rows, const flt_real *x, flt_real *u);
    // What a map measures on all of q, k [count, d] before the first tile of a head; NULL: nothing. Not called by streams.
    void (*prepare)(const void *self, flt_att_rows all, const flt_real *q, const flt_real *k);
    // Both for one token of a stream, where that is cheaper than one after the other; NULL: it is not.
    void (*token)(const void *self, flt_att_rows row, const flt_real *q, const flt_real *k, flt_real *uq, flt_real *uk);
} flt_att_map;

// Rows of n numbers this far apart, an odd number of cache lines, do not push each other out of the cache.
static inline size_t flt_att_spread(size_t n) {
    return ((n + 15) / 16 | 1) * 16;
}

typedef struct flt_att_linear flt_att_linear;

flt_err flt_att_linear_create(const flt_attention_desc *desc, flt_att_map map, flt_att_linear **out);
void flt_att_linear_destroy(flt_att_linear *a);
void flt_att_linear_forward(flt_att_linear *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out);
void flt_att_linear_begin(flt_att_linear *a);
void flt_att_linear_step(flt_att_linear *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out);
size_t flt_att_linear_workspace(const flt_att_linear *a);
// Rows whose denominator was no positive number, which takes inputs that overflow or are not numbers.
size_t flt_att_linear_flagged(const flt_att_linear *a);

#endif
