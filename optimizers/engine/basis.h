// SPDX-License-Identifier: MIT
// Matrices with a basis for each side that follows the eigenvectors of the averaged gradients' second moments.
#ifndef FLTX_OPTIMIZERS_BASIS_H
#define FLTX_OPTIMIZERS_BASIS_H

#include "flt/error.h"
#include "flt/optimizer.h"
#include "flt/real.h"

// A tensor of rank 2 and more as [first axis, the rest]; vectors, scalars and empty tensors are none.
typedef struct flt_matrix {
    size_t r, c;
} flt_matrix;

static inline bool flt_is_matrix(const flt_tensor_spec *a) {
    return a->rank >= 2 && a->count > 0;
}

static inline flt_matrix flt_matrix_of(const flt_tensor_spec *a) {
    return (flt_matrix){a->dim[0], a->count / a->dim[0]};
}

typedef struct flt_side {
    size_t n;        // 0: this side keeps its own basis
    flt_real *S, *B; // [n, n]: the mean of G G^T (rows) or G^T G (columns); what is made of it
} flt_side;

// S = keep S + write G G^T (which = 0, the rows), or G^T G (1, the columns).
void flt_side_update(flt_real keep, flt_real write, int which, flt_matrix d, const flt_real *g, const flt_side *side);
// out = B_0^T X B_1 (back: B_0 X B_1^T); a side of n = 0 is the identity. x, half and out [r, c] are different.
void flt_sides_turn(flt_matrix d, bool back, const flt_side side[2], const flt_real *x, flt_real *half, flt_real *out);

// Room for decompositions of sides up to `longest`.
typedef struct flt_basis {
    double *a, *v; // [longest^2] each
    double *w;     // [4 longest]: eigenvalues, work
    flt_real *y;   // [longest^2]
} flt_basis;

flt_err flt_basis_create(size_t longest, flt_basis *out); // FLTE_NOMEM
void flt_basis_drop(flt_basis *b);                        // of a zeroed one: fine
// B = the eigenvectors of S in columns, largest first; the identity where S is not finite.
void flt_basis_start(const flt_basis *b, const flt_side *side);
// One step of orthogonal iteration, B = qr(S B) with the diagonal of R positive. With `order` [n] the columns of B are sorted
// first by decreasing q^T S q: column j of the new B was order[j]. False, and nothing done, where a number is not finite.
bool flt_basis_iterate(const flt_basis *b, const flt_side *side, size_t *order);

#endif
