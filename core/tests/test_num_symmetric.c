// SPDX-License-Identifier: MIT
// Eigenvectors of symmetric matrices and orthonormal rows: residual, orthogonality, order, degenerate and hopeless inputs.
#include "num_support.h"

#include <float.h>

static double *doubles(size_t n) {
    double *x = NULL;
    cr_assert(eq(int, flt_alloc(n, sizeof *x, &x), FLTE_OK));
    return x;
}

typedef struct trial {
    const char *name;
    size_t n, rank; // of the matrix: sum of `rank` squares
    double scale;
} trial;

static const trial trials[] = {{"one", 1, 1, 3},    {"two", 2, 2, 1},        {"three", 3, 3, 1e-150},
                               {"full", 17, 17, 1}, {"wide", 40, 40, 1e150}, {"large", 97, 97, 1},
                               {"rank 1", 9, 1, 1}, {"rank 3", 30, 3, 1e-8}, {"zero", 6, 0, 1}};

static void sum_of_squares(const trial *c, double *a) {
    const flt_rng rng = flt_rng_make(3, c->name, 0);
    double *x = doubles(c->n);
    memset(a, 0, c->n * c->n * sizeof *a);
    for (size_t k = 0; k < c->rank; k++) {
        flt_rng_normal_double(rng, k * c->n, c->n, x);
        for (size_t i = 0; i < c->n; i++)
            for (size_t j = 0; j < c->n; j++) a[i * c->n + j] += (k % 3 == 2 ? -1 : 1) * c->scale * x[i] * x[j];
    }
    flt_free(x);
}

static double inner(size_t n, const double *x, const double *y) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static double norm(size_t n, const double *x) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
    if (most == 0) return 0;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] / most * (x[i] / most);
    return most * sqrt(sum);
}

static void check_orthonormal(const char *name, size_t n, const double *v) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            const double ratio = fabs(inner(n, v + i * n, v + j * n) - (i == j)) / (DBL_EPSILON * (double)n);
            cr_assert(le(dbl, ratio, PASS), "%s: rows %zu and %zu: ratio %g", name, i, j, ratio);
        }
}

Test(num_symmetric, eigenvectors) {
    for (size_t c = 0; c < sizeof trials / sizeof *trials; c++) {
        const trial *t = &trials[c];
        const size_t n = t->n;
        double *a = doubles(n * n), *keep = doubles(n * n), *v = doubles(n * n), *w = doubles(n), *work = doubles(3 * n);
        sum_of_squares(t, a);
        memcpy(keep, a, n * n * sizeof *a);
        const double size = norm(n * n, keep);
        cr_assert(flt_eigen_symmetric(n, a, w, v, work), "%s", t->name);
        check_orthonormal(t->name, n, v);
        for (size_t i = 0; i < n; i++) { // A v = w v
            if (i > 0) cr_assert(w[i - 1] <= w[i], "%s: eigenvalue %zu", t->name, i);
            double most = 0;
            for (size_t j = 0; j < n; j++) most = fmax(most, fabs(inner(n, keep + j * n, v + i * n) - w[i] * v[i * n + j]));
            const double ratio = size == 0 ? most : most / (DBL_EPSILON * (double)n * size);
            cr_assert(le(dbl, ratio, PASS), "%s: pair %zu: ratio %g", t->name, i, ratio);
        }
        flt_free(a);
        flt_free(keep);
        flt_free(v);
        flt_free(w);
        flt_free(work);
    }
}

// Rows of x = L Q: row i of x has no part along the rows of Q behind i, and a part along row i that is not negative.
Test(num_symmetric, orthonormal_rows) {
    for (size_t c = 0; c < sizeof trials / sizeof *trials; c++) {
        const trial *t = &trials[c];
        const size_t n = t->n;
        double *x = doubles(n * n), *keep = doubles(n * n), *work = doubles(3 * n);
        sum_of_squares(t, x);
        memcpy(keep, x, n * n * sizeof *x);
        flt_orthonormal_rows(n, x, work);
        check_orthonormal(t->name, n, x);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i; j < n; j++) {
                const double size = norm(n, keep + i * n), part = inner(n, keep + i * n, x + j * n);
                const double ratio = size == 0 ? part : (j > i ? fabs(part) : -part) / (DBL_EPSILON * (double)n * size);
                cr_assert(le(dbl, ratio, PASS), "%s: row %zu along %zu: ratio %g", t->name, i, j, ratio);
            }
        flt_free(x);
        flt_free(keep);
        flt_free(work);
    }
}

Test(num_symmetric, refuses_what_is_not_finite) {
    double a[4] = {1, NAN, NAN, 1}, w[2], v[4], work[6];
    cr_assert_not(flt_eigen_symmetric(2, a, w, v, work));
    a[1] = a[2] = INFINITY;
    cr_assert_not(flt_eigen_symmetric(2, a, w, v, work));
}
