// SPDX-License-Identifier: MIT
// Second moments on both sides of a matrix and their eigenvectors, found once and then followed by orthogonal iteration.
//     S = keep S + write G G^T,   B = eigenvectors of S,   later B = qr(S B);   X' = B_0^T X B_1
// G, X [r, c]; S, B [r, r] of the rows, [c, c] of the columns. Reference: Vyas et al., arXiv 2409.11321 (SOAP). Cost: 2 n r c
// flops for an update or a turn of the side of length n; about 9 n^3 for the first eigenvectors, 14/3 n^3 for an iteration, in
// double.
#include "engine/basis.h"
#include "flt/memory.h"
#include "flt/num.h"

#include <string.h>

void flt_side_update(flt_real keep, flt_real write, int which, flt_matrix d, const flt_real *g, const flt_side *side) {
    if (side->n == 0) return;
    if (which == 0)
        flt_gemm(false, true, d.r, d.r, d.c, write, g, d.c, g, d.c, keep, side->S, d.r);
    else
        flt_gemm(true, false, d.c, d.c, d.r, write, g, d.c, g, d.c, keep, side->S, d.c);
}

void flt_sides_turn(flt_matrix d, bool back, const flt_side side[2], const flt_real *x, flt_real *half, flt_real *out) {
    const bool both = side[0].n > 0 && side[1].n > 0;
    flt_real *first = both ? half : out;
    if (side[0].n > 0) flt_gemm(!back, false, d.r, d.c, d.r, 1, side[0].B, d.r, x, d.c, 0, first, d.c);
    if (side[1].n > 0) flt_gemm(false, back, d.r, d.c, d.c, 1, both ? half : x, d.c, side[1].B, d.c, 0, out, d.c);
    if (side[0].n == 0 && side[1].n == 0) memcpy(out, x, d.r * d.c * sizeof *out);
}

flt_err flt_basis_create(size_t longest, flt_basis *out) {
    const size_t square = longest * longest + 1;
    flt_basis b = {0};
    flt_num_init();
    FLTX_TRY(flt_alloc(2 * square + 4 * longest, sizeof *b.a, &b.a));
    const flt_err err = flt_alloc(square, sizeof *b.y, &b.y);
    if (err != FLTE_OK) {
        flt_basis_drop(&b);
        return err;
    }
    b.v = b.a + square;
    b.w = b.v + square;
    *out = b;
    return FLTE_OK;
}

void flt_basis_drop(flt_basis *b) {
    flt_free(b->a);
    flt_free(b->y);
    *b = (flt_basis){0};
}

void flt_basis_start(const flt_basis *b, const flt_side *side) {
    const size_t n = side->n;
    for (size_t i = 0; i < n * n; i++) b->a[i] = (double)side->S[i];
    const bool found = n > 0 && flt_eigen_symmetric(n, b->a, b->w, b->v, b->w + n);
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < n; i++) side->B[i * n + j] = found ? (flt_real)b->v[(n - 1 - j) * n + i] : (flt_real)(i == j);
}

// order: the columns of B by decreasing q^T S q; y holds S B.
static void sort_columns(const flt_basis *b, const flt_side *side, size_t *order) {
    const size_t n = side->n;
    for (size_t j = 0; j < n; j++) {
        b->w[j] = 0;
        for (size_t i = 0; i < n; i++) b->w[j] += (double)side->B[i * n + j] * (double)b->y[i * n + j];
    }
    for (size_t j = 0; j < n; j++) {
        size_t at = j;
        for (; at > 0 && b->w[order[at - 1]] < b->w[j]; at--) order[at] = order[at - 1];
        order[at] = j;
    }
}

bool flt_basis_iterate(const flt_basis *b, const flt_side *side, size_t *order) {
    const size_t n = side->n;
    if (n == 0 || !flt_all_finite(n * n, side->S, NULL) || !flt_all_finite(n * n, side->B, NULL)) return false;
    flt_gemm(false, false, n, n, n, 1, side->S, n, side->B, n, 0, b->y, n);
    if (order != NULL) sort_columns(b, side, order);
    for (size_t j = 0; j < n; j++) // the columns of S B become rows of a
        for (size_t i = 0; i < n; i++) b->a[j * n + i] = (double)b->y[i * n + (order != NULL ? order[j] : j)];
    flt_orthonormal_rows(n, b->a, b->w);
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < n; i++) side->B[i * n + j] = (flt_real)b->a[j * n + i];
    return true;
}
