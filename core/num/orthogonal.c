// SPDX-License-Identifier: MIT
// Random features: independent Gaussian rows, and Gaussian rows that are orthogonal within blocks.
//
//   block b:  Q of G = R Q by Gram-Schmidt on the rows of G [d, d], G_ij ~ N(0, 1): diag R > 0 makes Q uniform (Haar) on O(d)
//   row i:    omega_i = |h_i| q_i with h_i ~ N(0, I_d) drawn apart, so that every row alone is N(0, I_d)
//
// Reference: Choromanski et al., Rethinking Attention with Performers, ICLR 2021 (ORF); Mezzadri, Notices AMS 54 (2007) on the
// sign. Cost 4 d^2 flops a row. Row i depends on (stream, d, i) alone: fewer rows are the first rows of more. All in double,
// rounded once.
#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>

static double dot(size_t n, const double *x, const double *y) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

// Orthonormalises `rows` rows of q [rows, d] in place. Twice, because a row that is nearly in the span of those before it keeps
// mostly rounding errors the first time.
static void gram_schmidt(size_t rows, size_t d, double *q) {
    for (size_t i = 0; i < rows; i++) {
        double *row = q + i * d;
        for (int pass = 0; pass < 2; pass++)
            for (size_t j = 0; j < i; j++) {
                const double along = dot(d, q + j * d, row);
                for (size_t l = 0; l < d; l++) row[l] -= along * q[j * d + l];
            }
        const double scale = 1 / sqrt(dot(d, row, row));
        for (size_t l = 0; l < d; l++) row[l] *= scale;
    }
}

flt_err flt_orthogonal_gaussian(flt_rng r, size_t m, size_t d, flt_real *omega) {
    if (m > 0) FLTX_GIVEN(omega);
    const flt_rng norms = flt_rng_child(r, "norm", 0);
    size_t count = 0;
    double *q = NULL; // [d, d], and a row behind it
    if (d == 0) return flt_fail(FLTE_RANGE, "orthogonal features", "rows of width 0 were asked; the width is at least 1");
    if (!flt_mul_ok(d, d + 1, &count)) return flt_fail(FLTE_RANGE, "orthogonal features", "width %zu is too large", d);
    FLTX_TRY(flt_alloc(count, sizeof *q, &q));
    for (size_t start = 0; start < m; start += d) {
        const size_t rows = m - start < d ? m - start : d;
        double *h = q + d * d;
        flt_rng_normal_double(flt_rng_child(r, "block", FLTX_BUG(REPEATED_BLOCK) ? 0 : start / d), 0, rows * d, q);
        gram_schmidt(rows, d, q);
        for (size_t i = 0; i < rows; i++) {
            flt_rng_normal_double(norms, (start + i) * d, d, h);
            const double norm = sqrt(FLTX_BUG(OMEGA_LENGTH) ? (double)d : dot(d, h, h));
            for (size_t l = 0; l < d; l++) omega[(start + i) * d + l] = (flt_real)(norm * q[i * d + l]);
        }
    }
    flt_free(q);
    return FLTE_OK;
}

void flt_gaussian(flt_rng r, size_t m, size_t d, flt_real *omega) {
    flt_rng_normal(r, 0, m * d, omega);
    for (size_t i = 16 * d; FLTX_BUG(REPEATED_ROWS) && i < m * d; i++) omega[i] = omega[i % (16 * d)];
}
