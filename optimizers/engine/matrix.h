// SPDX-License-Identifier: MIT
// What the optimizers that treat a tensor as a matrix share: its shape, second moments of rows and columns, their eigenvectors.
#ifndef FLTX_OPTIMIZERS_MATRIX_H
#define FLTX_OPTIMIZERS_MATRIX_H

#include "engine/basis.h"
#include "engine/hand.h"

// Adam's rates of step n = t + 1 at the rate `lr`, decoupled weight decay `decay`, formed in double.
adam_rates flt_adam_rates(uint64_t t, double lr, double beta1, double beta2, double eps, double decay);

// ---- preconditioners on both sides (shampoo, soap)

// A kind's own struct begins with it; its parameter table holds FLTX_SIDES_PARAMS.
typedef struct flt_sides {
    flt_hand base;
    double beta1, beta2, eps;
    uint64_t every;  // steps between two decompositions
    size_t most;     // axes up to this length have a preconditioner
    size_t longest;  // the longest axis of all that have one
    size_t largest;  // coordinates of the largest matrix
    flt_real *x[3];  // [largest] each
    flt_basis basis; // room for the longest preconditioned axis
} flt_sides;

#define FLTX_SIDES_PARAMS                                                                                                        \
    {"frequency", FLTX_INT, "10", 1, 1e15, NULL, "steps between two decompositions of the preconditioners"}, {                   \
        "max_dim", FLTX_INT, "1024", 1, 16384, NULL, "longer axes have no preconditioner"                                        \
    }

// State of a matrix: two moments [r, c], then for each side that has one (rows, then columns) two matrices [n, n], S the mean of
// G G^T or G^T G and B what is made of it; of another tensor: two moments. *self: a zeroed struct of `size` bytes with its
// flt_sides filled. FLTE_RANGE, FLTE_NOMEM.
flt_err flt_sides_create(const flt_params *p, const flt_layout *layout, size_t size, void *self);
void flt_sides_destroy(void *self); // NULL is fine

static inline size_t flt_sides_words(size_t most, const flt_tensor_spec *a) {
    if (!flt_is_matrix(a)) return 2 * a->count;
    const flt_matrix d = flt_matrix_of(a);
    return 2 * a->count + (d.r <= most ? 2 * d.r * d.r : 0) + (d.c <= most ? 2 * d.c * d.c : 0);
}

// side[0]: rows, side[1]: columns; state: of this tensor.
void flt_sides_at(const flt_sides *s, const flt_tensor_spec *a, flt_real *state, flt_side side[2]);
// S = beta2 S + (1 - beta2) G G^T, or G^T G for side 1.
void flt_sides_update(const flt_sides *s, int which, flt_matrix d, const flt_real *g, const flt_side *side);
// B_0^T X B_1 (back: B_0 X B_1^T) in s->x[2]; x is another array than s->x[1].
const flt_real *flt_sides_apply(const flt_sides *s, flt_matrix d, bool back, const flt_side side[2], const flt_real *x);

#endif
