// SPDX-License-Identifier: MIT
// basis=eigen in plain loops, for the reference of the flt optimizer.
#ifndef FLTX_OPTIMIZERS_FLT_REFERENCE_TURN_H
#define FLTX_OPTIMIZERS_FLT_REFERENCE_TURN_H

#include "engine/flt_turn.h"
#include "flt/memory.h"

typedef struct flt_reference_turn { // of one tensor
    flt_turn turn;
    long double *S[2], *B[2]; // [n, n] of rows and of columns
    long double *half;        // [r, c]
    long double *column;      // [longer side]
    double *a, *v, *w;        // [n, n] twice, [4 n] of the longer side
} flt_reference_turn;

void flt_reference_turn_bind(flt_ws *ws, flt_reference_turn *p);
// The gradient of step t goes into S; true where the basis is then to be iterated.
bool flt_reference_turn_gradient(flt_reference_turn *p, uint64_t t, uint64_t every, const double *g);
void flt_reference_turn_iterate(flt_reference_turn *p);
// x [r, c] -> B_0^T X B_1, or back
void flt_reference_turn_apply(const flt_reference_turn *p, bool back, long double *x);

#endif
