// SPDX-License-Identifier: MIT
// What all encodings share: the snippets that stand beside q and k, the Gaussian ratio, the encoding of a sequence.
#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"
#include "flt/rpe.h"

#include <math.h>

void flt_rpe_gaussian_ratio(const flt_rpe_kind *kind, const flt_rpe_args *a, size_t r, const double *xi, double *rho) {
    const double norm = pow(FLTX_TWO_PI, 0.5 * (double)a->l);
    kind->spectrum(a, r, xi, rho);
    for (size_t m = 0; m < r; m++) {
        double x2 = 0.0;
        for (size_t k = 0; k < a->l; k++) x2 += xi[m * a->l + k] * xi[m * a->l + k];
        rho[m] *= norm * exp(0.5 * x2);
    }
}

// One block of at most BLOCK frequencies of one position: the phases stay on the stack.
enum { BLOCK = 64 };

// t less whole turns: whatever rounding takes off is a whole number, beyond 2^51 not always the nearest.
static double in_turn(double t) {
    return t - ((t + 0x1.8p52) - 0x1.8p52);
}

static void snippet_block(size_t l, const double *pos, size_t r, const double *xi, flt_real *cosine, flt_real *sine) {
    double turns[BLOCK];
    for (size_t m = 0; l == 1 && m < r; m++) // by vectors
        turns[m] = in_turn(FLTX_BUG(SINGLE_PHASE) ? (double)(float)(xi[m] * pos[0]) : xi[m] * pos[0]);
    for (size_t m = 0; l > 1 && m < r; m++) {
        double sum = 0.0;
        for (size_t k = 0; k < l; k++) {
            const double t = FLTX_BUG(SINGLE_PHASE) ? (double)(float)(xi[m * l + k] * pos[k]) : xi[m * l + k] * pos[k];
            sum += in_turn(t); // each term reduced by itself, so that large terms do not bury small ones
        }
        turns[m] = sum;
    }
    flt_turns(r, turns, cosine, sine);
}

static void scale_snippet(size_t r, const double *rho, flt_real *a, flt_real *b) {
    const flt_real unit = (flt_real)(1.0 / sqrt((double)r));
    flt_real *from = b != NULL ? b : a;
    for (size_t m = 0; m < 2 * r; m++) from[m] *= unit;
    if (a == NULL) return;
    for (size_t m = 0; m < r; m++) {
        const flt_real c = from[m], s = from[r + m], by = (flt_real)rho[m];
        a[m] = by * (FLTX_BUG(SWAPPED_SNIPPET) ? s : c);
        a[r + m] = by * (FLTX_BUG(SWAPPED_SNIPPET) ? c : s);
    }
}

void flt_rpe_snippets(size_t n, size_t l, const double *pos, size_t r, const double *xi, const double *rho, size_t ld,
                      flt_real *a, flt_real *b) {
    for (size_t i = 0; i < n; i++) {
        flt_real *row_a = a != NULL ? a + i * ld : NULL, *row_b = b != NULL ? b + i * ld : NULL;
        flt_real *to = row_b != NULL ? row_b : row_a;
        if (to == NULL) return;
        for (size_t m = 0; m < r; m += BLOCK) {
            const size_t count = r - m < BLOCK ? r - m : BLOCK;
            snippet_block(l, pos + i * l, count, xi + m * l, to + m, to + r + m);
        }
        scale_snippet(r, rho, row_a, row_b);
    }
}

flt_err flt_rpe_lag_bias(const flt_rpe_kind *kind, const flt_rpe_args *a, size_t n, flt_real *bias) {
    FLTX_GIVEN(kind, a, bias);
    double *z = NULL;
    FLTX_TRY(kind->check(a));
    if (a->l != 1)
        return flt_fail(FLTE_SHAPE, kind->kind.name, "the encoding has position dimension l = %zu; a sequence has l = 1", a->l);
    if (n == 0) return flt_fail(FLTE_RANGE, kind->kind.name, "a sequence of 0 positions was asked for; at least 1 is needed");
    FLTX_TRY(flt_alloc(2 * n - 1, 2 * sizeof *z, &z));
    double *f = z + 2 * n - 1;
    for (size_t i = 0; i < 2 * n - 1; i++) z[i] = (double)(n - 1) - (double)i;
    kind->closed_form(a, 2 * n - 1, z, f);
    for (size_t i = 0; i < 2 * n - 1; i++) bias[i] = (flt_real)f[i];
    flt_free(z);
    return FLTE_OK;
}
