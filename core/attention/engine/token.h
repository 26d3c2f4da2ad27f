// SPDX-License-Identifier: MIT
// One token's products in a stream of linear attention, once per instruction set. Private to core/attention.
//
// A token reads every number of the projection and of the state once, so these run at the speed of the cache that holds them:
// each array is swept once, in the order in which it lies there.
#ifndef FLTX_ATTENTION_TOKEN_H
#define FLTX_ATTENTION_TOKEN_H

#include "flt/isa.h"
#include "flt/real.h"

// Two rows at once: to[i] [F] += gain x[i] [d] times a matrix [d, F].
typedef struct flt_att_pair {
    const flt_real *x[2];
    flt_real *to[2];
} flt_att_pair;

typedef struct flt_att_token {
    void (*project)(size_t d, size_t features, flt_real gain, const flt_real *w, flt_att_pair rows);
    // whether any u [F] exceeds its c [F] by more than CAP
    bool (*above)(size_t features, const flt_real *u, const flt_real *c);
    // y [n] = x [n, cols] times p [cols]
    void (*dots)(size_t n, size_t cols, const flt_real *x, const flt_real *p, flt_real *y);
    // out [cols] += p [n] times x [n, cols]
    void (*combine)(size_t n, size_t cols, const flt_real *p, const flt_real *x, flt_real *out);
} flt_att_token;

FLTX_ISA_DECLARE(flt_att_token);

#endif
