// SPDX-License-Identifier: MIT
// Random convex quadratics with a noisy minimiser.
//
//   f(x; xi) = 1/(2 n) |B (x - x* - noise xi)|^2,   B = diag(sqrt lambda) Q',   lambda_i = conditioning^(-i / (n - 1))
//
// A = B'B has eigenvalues evenly spaced in the logarithm from 1 to 1 / conditioning; Q is a product of min(n, 32) random
// reflections; x* ~ N(0, I), start ~ N(0, I), xi ~ N(0, I) anew for each (seed, split, step). Losses are never negative, so that
// their logarithm can be used, and the gradient's noise has covariance (noise A / n)^2: small where the curvature is
// (T. Schaul, S. Zhang, Y. LeCun, No More Pesky Learning Rates, ICML 2013). Evaluation leaves the noise out: minimum 0 at x*.
// Q and x* follow the seed of the minibatch, so that each run meets a problem of its own; instance >= 0 fixes them for all seeds.
// A minibatch costs O(n^2), the first of a seed O(n^2 min(n, 32)).
#include "engine/graph_task.h"
#include "flt/memory.h"
#include "flt/random.h"
#include "flt/tasks.h"

#include <math.h>
#include <string.h>

enum { MAX_REFLECTIONS = 32 };

typedef struct quadratic {
    size_t n;
    double conditioning, noise;
    long long instance;
    bool made; // the problem of `seed` is in the arrays below
    uint64_t seed;
    double *b;         // [n, n]
    double *v, *w;     // [n]: a reflection, B v
    flt_real *factor;  // [n, n]: b in the working precision
    flt_real *minimum; // [n]: x*
} quadratic;

static const flt_param_spec params[] = {
    {"dimension", FLTX_INT, "20", 1, 2048, NULL, "number of variables"},
    {"conditioning", FLTX_REAL, "100", 1, 1e12, NULL, "largest over smallest curvature"},
    {"noise", FLTX_REAL, "0.1", 0, 100, NULL, "standard deviation of the minimiser from minibatch to minibatch"},
    {"instance", FLTX_INT, "-1", -1, 9007199254740992.0, NULL, "which problem; -1: the seed decides"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    quadratic *s = self;
    const size_t n = s->n = flt_params_size(p, "dimension");
    s->conditioning = flt_params_real(p, "conditioning");
    s->noise = flt_params_real(p, "noise");
    s->instance = flt_params_int(p, "instance");
    FLTX_TRY(flt_alloc(n * n, sizeof *s->b, &s->b));
    FLTX_TRY(flt_alloc(n, sizeof *s->v, &s->v));
    FLTX_TRY(flt_alloc(n, sizeof *s->w, &s->w));
    FLTX_TRY(flt_alloc(n * n, sizeof *s->factor, &s->factor));
    return flt_alloc(n, sizeof *s->minimum, &s->minimum);
}

static void close(void *self) {
    quadratic *s = self;
    flt_free(s->b);
    flt_free(s->v);
    flt_free(s->w);
    flt_free(s->factor);
    flt_free(s->minimum);
}

static double eigenvalue(const quadratic *s, size_t i) {
    return s->n == 1 ? 1.0 : pow(s->conditioning, -(double)i / (double)(s->n - 1));
}

// B <- B (I - 2 v v' / v'v)
static void reflect(quadratic *s) {
    const size_t n = s->n;
    double norm = 0.0;
    for (size_t j = 0; j < n; j++) norm += s->v[j] * s->v[j];
    for (size_t i = 0; i < n; i++) {
        double dot = 0.0;
        for (size_t j = 0; j < n; j++) dot += s->b[i * n + j] * s->v[j];
        s->w[i] = 2.0 * dot / norm;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) s->b[i * n + j] -= s->w[i] * s->v[j];
}

static void make_problem(quadratic *s, uint64_t seed) {
    const size_t n = s->n;
    const flt_rng r =
        s->instance >= 0 ? flt_rng_make((uint64_t)s->instance, "quadratic.instance", 0) : flt_rng_make(seed, "quadratic.seed", 0);
    if (s->made && (s->instance >= 0 || s->seed == seed)) return;
    memset(s->b, 0, n * n * sizeof *s->b);
    for (size_t i = 0; i < n; i++) s->b[i * n + i] = sqrt(eigenvalue(s, i));
    for (size_t k = 0; k < n && k < MAX_REFLECTIONS; k++) {
        flt_rng_normal_double(flt_rng_child(r, "reflection", k), 0, n, s->v);
        reflect(s);
    }
    for (size_t i = 0; i < n * n; i++) s->factor[i] = (flt_real)s->b[i];
    flt_rng_normal(flt_rng_child(r, "minimum", 0), 0, n, s->minimum);
    s->seed = seed;
    s->made = true;
}

static void build(void *self, flt_task_model *m) {
    const quadratic *s = self;
    const size_t n = s->n;
    flt_graph *g = m->graph;
    double trace = 0.0;
    const flt_node factor = flt_task_input(m, "factor", 2, (size_t[]){n, n});
    const flt_node target = flt_task_input(m, "target", 1, &n);
    const flt_node x = flt_task_tensor(m, "x", 1, &n, (flt_task_init){.std = 1.0});
    const flt_node error = flt_reshape(g, flt_sub(g, x, target), 2, (size_t[]){n, 1});
    m->loss = flt_scale(g, flt_sum_all(g, flt_square(g, flt_matmul(g, factor, error, false, false))), 0.5 / (double)n);
    for (size_t i = 0; i < n; i++) trace += eigenvalue(s, i);
    m->normaliser = trace / (double)n * (1.0 + 0.5 * s->noise * s->noise); // start and minimiser: a variance of 2 together
    m->has_minimum = true;
}

static void examples(void *self, flt_task_rows which, flt_real *const *in) {
    quadratic *s = self;
    make_problem(s, which.seed);
    memcpy(in[0], s->factor, s->n * s->n * sizeof *s->factor);
    memcpy(in[1], s->minimum, s->n * sizeof *s->minimum);
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    quadratic *s = self;
    const flt_rng r = flt_rng_make(which.seed, "quadratic.noise", (uint64_t)which.split);
    examples(s, (flt_task_rows){which.seed, which.split, 0, rows}, in);
    if (s->noise == 0.0) return;
    flt_rng_normal_double(flt_rng_child(r, "step", which.step), 0, s->n, s->v);
    for (size_t i = 0; i < s->n; i++) in[1][i] += (flt_real)(s->noise * s->v[i]);
}

static size_t split_rows(void *self, flt_split split) {
    (void)self;
    (void)split;
    return 1; // the loss without noise
}

static const flt_graph_task task = {
    .size = sizeof(quadratic),
    .open = open,
    .close = close,
    .build = build,
    .batch = batch,
    .split_rows = split_rows,
    .examples = examples,
};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_quadratic = {
    .kind = {.name = "quadratic",
             .summary = "random convex quadratics: dimension, conditioning, noise",
             .formula = "1/(2n) |diag(sqrt lambda) Q' (x - x* - noise xi)|^2",
             .cost = "time and memory O(n^2)",
             .citation = "T. Schaul, S. Zhang, Y. LeCun, No More Pesky Learning Rates, ICML 2013 (the noise)",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
