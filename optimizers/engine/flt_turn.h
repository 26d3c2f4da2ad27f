// SPDX-License-Identifier: MIT
// basis=eigen of the flt optimizer: matrices are stepped in the eigenbasis of their gradients' second moments, as SOAP does it.
#ifndef FLTX_OPTIMIZERS_FLT_TURN_H
#define FLTX_OPTIMIZERS_FLT_TURN_H

#include "engine/basis.h"

typedef struct flt_turn { // of one tensor
    flt_matrix d;
    size_t n[2]; // sides that turn: d.r or 0, d.c or 0
} flt_turn;

// A side turns unless it is longer than 1,024 or than 8 times the other: S and B then add at most 17 words per parameter.
flt_turn flt_turn_of(const flt_tensor_spec *t);

static inline bool flt_turn_any(const flt_turn *p) {
    return p->n[0] > 0 || p->n[1] > 0;
}
static inline size_t flt_turn_words(const flt_turn *p) {
    return 2 * (p->n[0] * p->n[0] + p->n[1] * p->n[1]);
}

// state [flt_turn_words], zero before the first step
void flt_turn_sides(const flt_turn *p, flt_real *state, flt_side side[2]);
// Takes the gradient of step t into S = 0.95 S + 0.05 G G^T / |G|^2; the first one also gives B. True where B is to be iterated
// now, at every `every`-th step; the caller turns what it keeps in this basis.
bool flt_turn_gradient(const flt_turn *p, const flt_basis *b, uint64_t t, uint64_t every, const flt_real *g,
                       const flt_side side[2]);

#endif
