// SPDX-License-Identifier: MIT
// Random features: orthogonality within blocks, norms, uniform directions, prefixes, errors.
#include "num_support.h"

static const flt_rng stream = {12345, 678};

static double inner(size_t d, const flt_real *x, const flt_real *y) {
    double sum = 0;
    for (size_t l = 0; l < d; l++) sum += (double)x[l] * y[l];
    return sum;
}

Test(num_orthogonal, rows_of_a_block) {
    static const size_t cases[][2] = {{1, 1}, {5, 1}, {3, 8}, {8, 8}, {20, 8}, {7, 3}, {64, 64}, {100, 64}, {40, 17}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const size_t m = cases[c][0], d = cases[c][1];
        flt_real *omega = reals(m * d);
        cr_assert(eq(int, flt_orthogonal_gaussian(stream, m, d, omega), FLTE_OK));
        for (size_t i = 0; i < m; i++)
            for (size_t j = i / d * d; j < i; j++) {
                const flt_real *x = omega + i * d, *y = omega + j * d;
                const double ratio = ratio_of(inner(d, x, y), 0, 1, sqrt(inner(d, x, x) * inner(d, y, y)));
                cr_assert(le(dbl, ratio, PASS), "m=%zu d=%zu rows %zu and %zu: ratio %g", m, d, i, j, ratio);
            }
        flt_free(omega);
    }
}

// |omega_i|^2 is chi^2 with d degrees of freedom: mean d, variance 2 d; and norms of a block are independent of each other.
Test(num_orthogonal, norms_are_chi) {
    enum { D = 8, M = 8000 };
    flt_real *omega = reals(M * D);
    double mean = 0, variance = 0, together = 0;
    cr_assert(eq(int, flt_orthogonal_gaussian(stream, M, D, omega), FLTE_OK));
    for (size_t i = 0; i < M; i++) {
        const double square = inner(D, omega + i * D, omega + i * D) - D;
        mean += square / M;
        variance += square * square / M;
        if (i % 2) together += square * (inner(D, omega + (i - 1) * D, omega + (i - 1) * D) - D) / (M / 2.0);
    }
    // five standard errors: sqrt(2 D/M) of the mean; the variance's is sqrt((12 + 48/D)/M) times 2 D; the covariance's 2
    // D/sqrt(M/2)
    cr_assert(le(dbl, fabs(mean), 5 * sqrt(2.0 * D / M)), "mean %g", mean);
    cr_assert(le(dbl, fabs(variance - 2 * D), 5 * 2 * D * sqrt((12 + 48.0 / D) / M)), "variance %g", variance);
    cr_assert(le(dbl, fabs(together), 5 * 2 * D / sqrt(M / 2.0)), "covariance %g", together);
    flt_free(omega);
}

// Without the sign of diag R the first coordinates would lean to one side (Householder) or off the diagonal: over many blocks
// every entry of Q has mean 0 and variance 1/d.
Test(num_orthogonal, directions_are_uniform) {
    enum { D = 4, BLOCKS = 4000 };
    flt_real *omega = reals(BLOCKS * D * D);
    double mean[D][D] = {{0}}, square[D][D] = {{0}};
    cr_assert(eq(int, flt_orthogonal_gaussian(stream, BLOCKS * D, D, omega), FLTE_OK));
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t i = 0; i < D; i++) {
            const flt_real *row = omega + (b * D + i) * D;
            const double scale = 1 / sqrt(inner(D, row, row));
            for (size_t l = 0; l < D; l++) {
                mean[i][l] += row[l] * scale / BLOCKS;
                square[i][l] += row[l] * scale * row[l] * scale / BLOCKS;
            }
        }
    for (size_t i = 0; i < D; i++)
        for (size_t l = 0; l < D; l++) {
            // five standard errors; the variance of a squared coordinate of a unit vector is 2 (d - 1)/(d^2 (d + 2))
            cr_expect(le(dbl, fabs(mean[i][l]), 5 / sqrt((double)D * BLOCKS)), "row %zu, coordinate %zu: mean %g", i, l,
                      mean[i][l]);
            cr_expect(le(dbl, fabs(square[i][l] - 1.0 / D), 5 * sqrt(2.0 * (D - 1) / (D * D * (D + 2.0)) / BLOCKS)),
                      "row %zu, coordinate %zu: mean square %g", i, l, square[i][l]);
        }
    flt_free(omega);
}

Test(num_orthogonal, fewer_rows_are_the_first_rows) {
    enum { D = 5, M = 23 };
    flt_real all[M * D], few[M * D];
    cr_assert(eq(int, flt_orthogonal_gaussian(stream, M, D, all), FLTE_OK));
    for (size_t m = 0; m <= M; m++) {
        cr_assert(eq(int, flt_orthogonal_gaussian(stream, m, D, few), FLTE_OK));
        cr_assert(eq(int, memcmp(few, all, m * D * sizeof *all), 0), "m=%zu", m);
    }
}

Test(num_orthogonal, gaussian_rows) {
    enum { D = 8, M = 2000 };
    flt_real *omega = reals(M * D), *want = reals(M * D);
    flt_gaussian(stream, M, D, omega);
    flt_rng_normal(stream, 0, M * D, want);
    cr_assert(eq(int, memcmp(omega, want, M * D * sizeof *want), 0));
    flt_free(omega);
    flt_free(want);
}

Test(num_orthogonal, errors) {
    flt_real omega[4];
    const size_t live = flt_live_blocks();
    cr_assert(eq(int, flt_orthogonal_gaussian(stream, 2, 0, omega), FLTE_RANGE));
    cr_assert(eq(int, flt_orthogonal_gaussian(stream, 1, SIZE_MAX / 2, omega), FLTE_RANGE));
    flt_fail_alloc_after(0);
    cr_assert(eq(int, flt_orthogonal_gaussian(stream, 2, 2, omega), FLTE_NOMEM));
    flt_fail_alloc_after(-1);
    cr_assert(eq(sz, flt_live_blocks(), live));
}
