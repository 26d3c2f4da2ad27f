// SPDX-License-Identifier: MIT
// What all coordinates share in a step of the flt optimizer: the relative encoding, or whatever stands in its place.
#ifndef FLTX_OPTIMIZERS_FLT_SHARED_H
#define FLTX_OPTIMIZERS_FLT_SHARED_H

#include "engine/flt_net.h"
#include "flt/memory.h"
#include "kernels/flt_step.h"

typedef struct flt_shared {
    flt_real *omega_q, *omega_k; // [heads, dk, m]: one array, but for the codes of spe_sine
    flt_real *gram;              // [heads, dk, dk]
    flt_real *query, *key;       // [heads, m]
    flt_real *logits;            // [heads, window]
    double *wave;                // [2 r]
    double *code[2];             // [dk, R] of queries and keys
} flt_shared;

void flt_shared_bind_ws(const flt_net *n, flt_ws *ws, flt_shared *s);
// full: theta with what is fixed behind it.
void flt_shared_bind(const flt_net *n, const flt_real *full, flt_shared *s);
void flt_shared_step(const flt_net *n, const flt_real *full, uint64_t t, flt_shared *s);
// Fills in what `a` takes from here.
void flt_shared_args(const flt_net *n, const flt_shared *s, uint64_t t, flt_step_args *a);

#endif
