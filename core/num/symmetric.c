// SPDX-License-Identifier: MIT
// Eigenvectors of a symmetric matrix, and an orthonormal basis of the rows of a square one. In double, in a fixed order of
// operations: the same bits on one machine for any number of threads.
//
//   A = V^T diag(w) V:  Householder reflections to tridiagonal form T = Q A Q^T, then implicit QL steps with Wilkinson's shift on
//   T, each rotation applied to two rows of V, which are contiguous.      rows of X = L Q:  Householder reflections on the rows
//
// Reference: Golub and Van Loan, Matrix Computations, 4th ed., sections 5.2, 8.3; Bowdler, Martin, Reinsch, Wilkinson, Numer.
// Math. 11 (1968) on the QL algorithm. Cost about 9 n^3 and 8/3 n^3 flops. Limits: no blocking, for matrices up to about 1,000.
#include "flt/num.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { MOST_STEPS = 60 }; // QL steps per eigenvalue: 2 are usual

static double dot(size_t n, const double *x, const double *y) {
    double part[4] = {0, 0, 0, 0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++) part[k] += x[i + k] * y[i + k];
    for (; i < n; i++) part[0] += x[i] * y[i];
    return (part[0] + part[1]) + (part[2] + part[3]);
}

static void axpy(size_t n, double a, const double *restrict x, double *restrict y) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

// Makes of x [n] the vector v of the reflection I - beta v v^T that takes x to alpha e_0; returns beta, 0 where x is 0 behind
// x[0].
static double reflector(size_t n, double *x, double *alpha) {
    double largest = 0, rest = 0;
    for (size_t i = 1; i < n; i++) largest = fmax(largest, fabs(x[i]));
    *alpha = x[0];
    if (!(largest > 0)) return 0;
    largest = fmax(largest, fabs(x[0])); // squares neither overflow nor vanish
    for (size_t i = 0; i < n; i++) x[i] /= largest;
    rest = dot(n, x, x);
    const double norm = x[0] > 0 ? -sqrt(rest) : sqrt(rest);
    x[0] -= norm;
    *alpha = norm * largest;
    return -1 / (norm * x[0]);
}

// a -> T with diagonal d, e[i] between i and i + 1. The reflection that clears row i lies in a's row i behind the diagonal, its
// beta in beta[i]. work [n].
static void tridiagonalise(size_t n, double *a, double *d, double *e, double *beta, double *work) {
    for (size_t i = 0; i + 1 < n; i++) {
        const size_t rest = n - i - 1;
        double *v = a + i * n + i + 1;
        d[i] = a[i * n + i];
        beta[i] = reflector(rest, v, &e[i]);
        if (beta[i] == 0) continue;
        for (size_t j = 0; j < rest; j++) work[j] = beta[i] * dot(rest, a + (i + 1 + j) * n + i + 1, v);
        const double half = beta[i] * dot(rest, work, v) / 2;
        axpy(rest, -half, v, work);
        for (size_t j = 0; j < rest; j++) { // A -= v w^T + w v^T
            double *row = a + (i + 1 + j) * n + i + 1;
            axpy(rest, -v[j], work, row);
            axpy(rest, -work[j], v, row);
        }
    }
    d[n - 1] = a[n * n - 1];
}

// The product of the reflections as rows of q; a holds the vectors, work [n].
static void accumulate(size_t n, const double *a, const double *beta, double *q, double *work) {
    memset(q, 0, n * n * sizeof *q);
    for (size_t i = 0; i < n; i++) q[i * n + i] = 1;
    for (size_t i = n < 2 ? 0 : n - 1; i-- > 0;) {
        const size_t rest = n - i - 1;
        const double *v = a + i * n + i + 1;
        if (beta[i] == 0) continue;
        memset(work, 0, rest * sizeof *work);
        for (size_t j = 0; j < rest; j++) axpy(rest, v[j], q + (i + 1 + j) * n + i + 1, work);
        for (size_t j = 0; j < rest; j++) axpy(rest, -beta[i] * v[j], work, q + (i + 1 + j) * n + i + 1);
    }
}

static void transpose(size_t n, double *a) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            const double x = a[i * n + j];
            a[i * n + j] = a[j * n + i];
            a[j * n + i] = x;
        }
}

static void rotate(size_t n, double c, double s, double *restrict x, double *restrict y) {
    for (size_t k = 0; k < n; k++) {
        const double old = y[k];
        y[k] = s * x[k] + c * old;
        x[k] = c * x[k] - s * old;
    }
}

// One implicit QL step on the block first .. last; false where it fell apart on the way, which the caller sees in e.
static void ql_step(size_t n, size_t first, size_t last, double *d, double *e, double *v) {
    const double p = (d[first + 1] - d[first]) / (2 * e[first]), root = hypot(p, 1);
    double g = d[last] - d[first] + e[first] / (p + (p >= 0 ? root : -root)), s = 1, c = 1, shift = 0;
    for (size_t i = last; i-- > first;) {
        const double f = s * e[i], b = c * e[i], r = hypot(f, g);
        e[i + 1] = r;
        if (r == 0) {
            d[i + 1] -= shift;
            e[last] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - shift;
        const double t = (d[i] - g) * s + 2 * c * b;
        shift = s * t;
        d[i + 1] = g + shift;
        g = c * t - b;
        rotate(n, c, s, v + i * n, v + (i + 1) * n);
    }
    d[first] -= shift;
    e[first] = g;
    e[last] = 0;
}

static void sort(size_t n, double *w, double *v) {
    for (size_t i = 0; i + 1 < n; i++) {
        size_t least = i;
        for (size_t j = i + 1; j < n; j++)
            if (w[j] < w[least]) least = j;
        if (least == i) continue;
        const double x = w[i];
        w[i] = w[least];
        w[least] = x;
        for (size_t k = 0; k < n; k++) {
            const double y = v[i * n + k];
            v[i * n + k] = v[least * n + k];
            v[least * n + k] = y;
        }
    }
}

bool flt_eigen_symmetric(size_t n, double *a, double *w, double *v, double *work) {
    double *e = work, *beta = work + n, *scratch = work + 2 * n;
    memset(work, 0, 3 * n * sizeof *work);
    for (size_t i = 0; i < n * n; i++)
        if (!isfinite(a[i])) return false;
    tridiagonalise(n, a, w, e, beta, scratch);
    accumulate(n, a, beta, v, scratch);
    transpose(n, v);
    e[n - 1] = 0;
    for (size_t first = 0; first < n; first++)
        for (int steps = 0;; steps++) {
            size_t last = first;
            while (last + 1 < n && fabs(e[last]) > DBL_EPSILON * (fabs(w[last]) + fabs(w[last + 1])) + DBL_MIN) last++;
            if (last == first) break;
            if (steps == MOST_STEPS) return false;
            ql_step(n, first, last, w, e, v);
        }
    sort(n, w, v);
    return true;
}

void flt_orthonormal_rows(size_t n, double *x, double *work) {
    double *beta = work, *scratch = work + n, alpha = 0;
    for (size_t i = 0; i < n; i++) { // row i becomes (.., v): what the reflection leaves of it is not needed
        double *v = x + i * n + i;
        beta[i] = reflector(n - i, v, &alpha);
        scratch[i] = alpha < 0 ? -1 : 1;
        for (size_t j = i + 1; j < n && beta[i] != 0; j++) {
            double *row = x + j * n + i;
            axpy(n - i, -beta[i] * dot(n - i, row, v), v, row);
        }
    }
    // rows of Q = H_0 H_1 .. applied to unit vectors, last first: row i of the result is e_i H_i .. H_0
    for (size_t i = n; i-- > 0;) {
        double *v = x + i * n + i, *own = scratch + n;
        memcpy(own, v, (n - i) * sizeof *own);
        memset(x + i * n, 0, n * sizeof *x);
        x[i * n + i] = 1;
        for (size_t j = i; j < n && beta[i] != 0; j++) {
            double *row = x + j * n + i;
            axpy(n - i, -beta[i] * dot(n - i, row, own), own, row);
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n && scratch[i] < 0; k++) x[i * n + k] = -x[i * n + k];
}
