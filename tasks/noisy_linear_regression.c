// SPDX-License-Identifier: MIT
// Linear regression from a stream of noisy examples with correlated scales.
//
//   loss = 1/2 mean_batch (x . w - x . w* - noise xi)^2,   x_j ~ N(0, lambda_j),   lambda_j = conditioning^(-j / (n - 1))
//
// w* ~ N(0, I), start N(0, I). Unlike `quadratic`, the curvature itself is seen through a minibatch, and the noise does not
// vanish where the curvature does. The least expected loss is noise^2 / 2; a minibatch may fall below, so no minimum is stated.
// w* follows the seed of the minibatch; instance >= 0 fixes it for all. Evaluation averages 16 fresh minibatches. B. Widrow, M.
// E. Hoff, Adaptive Switching Circuits, 1960 (the setting of LMS). Cost of a step: O(batch n).
#include "engine/graph_task.h"
#include "engine/noise.h"
#include "flt/memory.h"
#include "flt/tasks.h"

#include <math.h>

typedef struct regression {
    size_t n;
    double conditioning, noise;
    long long instance;
    float *normal;   // [batch, n]
    flt_real *scale; // [n]: sqrt lambda
} regression;

static const flt_param_spec params[] = {
    {"dimension", FLTX_INT, "20", 1, 4096, NULL, "weights"},
    {"conditioning", FLTX_REAL, "10", 1, 1e12, NULL, "largest over smallest variance of the inputs"},
    {"noise", FLTX_REAL, "0.5", 0, 100, NULL, "standard deviation of the answers"},
    {"instance", FLTX_INT, "-1", -1, 9007199254740992.0, NULL, "which weights; -1: the seed decides"},
    {"batch", FLTX_INT, "16", 1, 65536, NULL, "examples in a minibatch"},
    {0},
};

static double variance(const regression *s, size_t j) {
    return s->n == 1 ? 1.0 : pow(s->conditioning, -(double)j / (double)(s->n - 1));
}

static flt_err open(void *self, const flt_params *p) {
    regression *s = self;
    const size_t n = flt_params_size(p, "dimension"), batch = flt_params_size(p, "batch");
    *s = (regression){.n = n, .conditioning = flt_params_real(p, "conditioning"), .noise = flt_params_real(p, "noise")};
    s->instance = flt_params_int(p, "instance");
    FLTX_TRY(flt_alloc(batch * n, sizeof *s->normal, &s->normal));
    FLTX_TRY(flt_alloc(n, sizeof *s->scale, &s->scale));
    for (size_t j = 0; j < n; j++) s->scale[j] = (flt_real)sqrt(variance(s, j));
    return FLTE_OK;
}

static void close(void *self) {
    regression *s = self;
    flt_free(s->normal);
    flt_free(s->scale);
}

static void build(void *self, flt_task_model *m) {
    const regression *s = self;
    flt_graph *g = m->graph;
    double trace = 0.0;
    const flt_node x = flt_task_input(m, "x", 2, (size_t[]){m->rows, s->n});
    const flt_node noise = flt_task_input(m, "noise", 2, (size_t[]){m->rows, 1});
    const flt_node best = flt_task_input(m, "best", 1, &s->n);
    const flt_node w = flt_task_tensor(m, "w", 1, &s->n, (flt_task_init){.std = 1.0});
    const flt_node off = flt_reshape(g, flt_sub(g, w, best), 2, (size_t[]){s->n, 1});
    const flt_node error = flt_sub(g, flt_matmul(g, x, off, false, false), noise);
    m->loss = flt_scale(g, flt_mean_all(g, flt_square(g, error)), 0.5);
    for (size_t j = 0; j < s->n; j++) trace += variance(s, j);
    m->normaliser = trace + 0.5 * s->noise * s->noise; // start and w*: a variance of 2 together
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    const regression *s = self;
    const flt_rng r = flt_rng_child(flt_rng_make(which.seed, "regression", (uint64_t)which.split), "step", which.step);
    const flt_rng problem = s->instance >= 0 ? flt_rng_make((uint64_t)s->instance, "regression.instance", 0)
                                             : flt_rng_make(which.seed, "regression.seed", 0);
    flt_noise(flt_rng_child(r, "x", 0), rows * s->n, s->normal, in[0]);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < s->n; j++) in[0][i * s->n + j] *= s->scale[j];
    flt_noise(flt_rng_child(r, "noise", 0), rows, s->normal, in[1]);
    for (size_t i = 0; i < rows; i++) in[1][i] *= (flt_real)s->noise;
    flt_noise(problem, s->n, s->normal, in[2]);
}

static const flt_graph_task task = {.size = sizeof(regression), .open = open, .close = close, .build = build, .batch = batch};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_noisy_linear_regression = {
    .kind = {.name = "noisy_linear_regression",
             .summary = "linear regression from a stream of noisy examples",
             .formula = "1/2 mean over the batch of (x . (w - w*) - noise xi)^2",
             .cost = "time and memory O(batch n)",
             .citation = "B. Widrow, M. E. Hoff, Adaptive Switching Circuits, 1960",
             .caps = FLTX_TASK_STOCHASTIC,
             .params = params},
    .create = create,
};
