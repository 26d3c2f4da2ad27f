// SPDX-License-Identifier: MIT
// Pools chunks of a sequence: bidirectional linear attention within each chunk, then the mean of what its tokens read.
//
//   token e: q = x Wq, k = x Wk [dk], u = x Wv [dv];  lq = omega [q, a_e], lk = omega [k, b_e] - |k|^2 / 2  [m]
//   chunk:   z = sum_e e^lk,  S = sum_e e^lk u^T,  out = mean_e (e^lq S / (e^lq z))
// a_e = rho [cos, sin](2 pi xi . r_e) / sqrt(r), b_e without rho, at the 2-D position r_e; parts of the logs that all features of
// a token share cancel.
#ifndef FLTX_KERNELS_POOL_H
#define FLTX_KERNELS_POOL_H

#include "flt/isa.h"
#include "flt/real.h"

enum {
    FLTX_POOL_ALIGN = 16,
    FLTX_POOL_WIDTH = 64,
    FLTX_POOL_INPUTS = 64
}; // chunks start at multiples; most of m, dk, dv, r; inputs

typedef struct flt_pool_args {
    size_t n, ld, chunk; // tokens; row length of x and position; tokens of a chunk, a multiple of FLTX_POOL_ALIGN
    size_t inputs, dk, dv, m, r;
    const flt_real *x;        // [inputs, ld]
    const flt_real *position; // [2, ld]
    const flt_real *w;        // [inputs, 2 dk + dv]: Wq, Wk, Wv, scaled
    const flt_real *omega;    // [dk, m]
    const flt_real *xi;       // [2, r]
    const flt_real *on_query; // [2 r, m]: omega's rows for the encoding, times rho / sqrt(r)
    const flt_real *on_key;   // [2 r, m]: the same times 1 / sqrt(r)
    flt_real *scratch;        // flt_pool_scratch()
} flt_pool_args;

// Of a chunk (or of n tokens in one) of that length.
static inline size_t flt_pool_scratch(size_t dv, size_t m, size_t longest) {
    return (longest + FLTX_POOL_ALIGN) * (2 * m + dv);
}

typedef struct flt_pool {
    void (*pool)(const flt_pool_args *a, flt_real *out, size_t out_ld); // out [dv, out_ld]: column c is chunk c
} flt_pool;

FLTX_ISA_DECLARE(flt_pool);

#endif
