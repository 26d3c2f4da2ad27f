// SPDX-License-Identifier: MIT
// The test functions: their minima, curvature and noise are what their files state.
#include "support.h"

Test(rosenbrock, is_zero_at_ones_and_known_at_the_start) {
    for (size_t n = 2; n <= 9; n++) {
        char spec[64];
        snprintf(spec, sizeof spec, "rosenbrock:dimension=%zu,spread=0", n);
        flt_objective *o = make(spec);
        flt_real *x = initial(o, 1), *g = vector(n);
        cr_assert(fabs((double)x[0] + 1.2) < FLTX_EPS * 2 && x[1] == 1, "%s", spec);
        const double start = (double)o->gradient(o->self, (flt_batch){0}, x, g);
        const double want = (double)((n - 1 + 1) / 2) * 24.2 + (double)((n - 1) / 2) * 484.0; // from -1.2 to 1, from 1 to -1.2
        cr_assert(fabs(start - want) <= 30 * FLTX_EPS * want * 10, "%s: %.9g, not %.9g", spec, start, want);
        cr_assert(fabs(o->normaliser - want) <= 1e-12 * want, "%s: %.9g", spec, o->normaliser);
        for (size_t i = 0; i < n; i++) x[i] = 1;
        cr_assert(o->gradient(o->self, (flt_batch){0}, x, g) == 0 && norm(n, g) == 0.0, "%s", spec);
        cr_assert(evaluate(o, 1, FLTX_VALID, x, NULL) == 0.0, "%s", spec);
        free(x);
        free(g);
        flt_objective_destroy(o);
    }
}

// ---- quadratic

static double eigenvalue(size_t n, double conditioning, size_t i) {
    return n == 1 ? 1.0 : pow(conditioning, -(double)i / (double)(n - 1));
}

// A / n [n, n], column by column.
static double *hessian(const flt_objective *o, uint64_t seed) {
    const size_t n = o->layout.total;
    double *a = calloc(n * n, sizeof *a);
    flt_real *theta = initial(o, 0), *e = vector(n), *column = vector(n);
    for (size_t j = 0; j < n; j++) {
        e[j] = 1;
        o->hessian_vector(o->self, (flt_batch){seed, FLTX_TRAIN, j}, theta, e, column);
        e[j] = 0;
        for (size_t i = 0; i < n; i++) a[i * n + j] = (double)column[i];
    }
    free(theta);
    free(e);
    free(column);
    return a;
}

// Traces of A and of A^2, and the share of A off its diagonal: invariants that a rotation of the stated spectrum keeps.
Test(quadratic, has_the_stated_spectrum) {
    static const struct {
        size_t n;
        double conditioning;
    } cases[] = {{1, 100}, {2, 10}, {5, 1}, {20, 100}, {33, 1e4}, {70, 1e6}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const size_t n = cases[c].n;
        double trace = 0.0, squares = 0.0, off = 0.0, want = 0.0, want2 = 0.0;
        char spec[96];
        snprintf(spec, sizeof spec, "quadratic:dimension=%zu,conditioning=%g", n, cases[c].conditioning);
        flt_objective *o = make(spec);
        double *a = hessian(o, 3);
        for (size_t i = 0; i < n; i++) {
            trace += a[i * n + i] * (double)n;
            want += eigenvalue(n, cases[c].conditioning, i);
            want2 += pow(eigenvalue(n, cases[c].conditioning, i), 2);
            for (size_t j = 0; j < n; j++) {
                squares += pow(a[i * n + j] * (double)n, 2);
                if (i != j) off += pow(a[i * n + j] * (double)n, 2);
            }
        }
        cr_assert(fabs(trace - want) <= 30 * FLTX_EPS * want * sqrt((double)n), "%s: trace %.9g, not %.9g", spec, trace, want);
        cr_assert(fabs(squares - want2) <= 30 * FLTX_EPS * want2 * sqrt((double)n), "%s: %.9g, not %.9g", spec, squares, want2);
        if (n > 4 && cases[c].conditioning > 1)
            cr_assert(off > 0.2 * squares, "%s is hardly rotated: %g of %g", spec, off, squares);
        free(a);
        flt_objective_destroy(o);
    }
}

// Gradient descent with the inverse of the largest curvature: error halves at least every two steps for conditioning 4.
static flt_real *minimise(const flt_objective *o, uint64_t seed) {
    const size_t n = o->layout.total;
    flt_real *x = initial(o, seed), *g = vector(n);
    for (uint64_t k = 0; k < 400; k++) {
        o->gradient(o->self, (flt_batch){seed, FLTX_TRAIN, k}, x, g);
        for (size_t i = 0; i < n; i++) x[i] -= (flt_real)n * g[i];
    }
    free(g);
    return x;
}

Test(quadratic, reaches_its_minimum) {
    flt_objective *o = make("quadratic:dimension=12,conditioning=4,noise=0");
    for (uint64_t seed = 0; seed < 5; seed++) {
        flt_real *x = minimise(o, seed);
        const double loss = evaluate(o, seed, FLTX_TEST, x, NULL);
        cr_assert(loss >= 0.0 && loss <= pow(30 * FLTX_EPS, 2), "seed %d: %g", (int)seed, loss);
        free(x);
    }
    flt_objective_destroy(o);
}

// At x* the losses of minibatches average noise^2 tr(A) / (2 n), those of evaluation are 0.
Test(quadratic, has_the_stated_noise) {
    enum { N = 8, STEPS = 20000 };
    const double noise = 0.5;
    flt_objective *exact = make("quadratic:dimension=8,conditioning=4,noise=0,instance=2");
    flt_objective *o = make("quadratic:dimension=8,conditioning=4,noise=0.5,instance=2");
    flt_real *x = minimise(exact, 1);
    double sum = 0.0, squares = 0.0, want = 0.0;
    for (uint64_t k = 0; k < STEPS; k++) {
        const double loss = (double)o->gradient(o->self, (flt_batch){1, FLTX_TRAIN, k}, x, NULL);
        sum += loss;
        squares += loss * loss;
    }
    for (size_t i = 0; i < N; i++) want += 0.5 * noise * noise * eigenvalue(N, 4, i) / N;
    const double mean = sum / STEPS, error = sqrt((squares / STEPS - mean * mean) / STEPS);
    cr_assert(fabs(mean - want) < 5 * error, "%g +- %g, not %g", mean, error, want);
    cr_assert(evaluate(o, 1, FLTX_VALID, x, NULL) <= pow(30 * FLTX_EPS, 2));
    free(x);
    flt_objective_destroy(exact);
    flt_objective_destroy(o);
}

static double difference(const char *spec, uint64_t seed, uint64_t other) {
    flt_objective *o = make(spec);
    const size_t n = o->layout.total;
    double *a = hessian(o, seed), *b = hessian(o, other), sum = 0.0;
    for (size_t i = 0; i < n * n; i++) sum += fabs(a[i] - b[i]);
    free(a);
    free(b);
    flt_objective_destroy(o);
    return sum;
}

Test(quadratic, is_another_problem_for_another_seed_or_instance) {
    cr_assert(difference("quadratic", 1, 1) == 0.0);
    cr_assert(difference("quadratic", 1, 2) > 0.1);
    cr_assert(difference("quadratic:instance=4", 1, 2) == 0.0);
    flt_objective *a = make("quadratic:instance=4"), *b = make("quadratic:instance=5");
    flt_real *theta = initial(a, 1);
    cr_assert(evaluate(a, 1, FLTX_TRAIN, theta, NULL) != evaluate(b, 1, FLTX_TRAIN, theta, NULL));
    free(theta);
    flt_objective_destroy(a);
    flt_objective_destroy(b);
}
