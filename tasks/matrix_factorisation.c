// SPDX-License-Identifier: MIT
// Completes a matrix of low rank from entries seen at random.
//
//   loss = mean over the entries (i, j) of the minibatch of (u_i . v_j - M_ij - noise xi)^2,   M = A B' / sqrt(rank)
//
// A [rows, rank], B [columns, rank] ~ N(0, 1), so that entries have variance 1; u [rows, factors], v [columns, factors] start
// small, their products with variance 0.01: the origin is a saddle point. Entries are drawn with replacement; evaluation covers
// the whole matrix without noise: minimum 0 where factors >= rank. The matrix follows the seed of the minibatch; instance >= 0
// fixes it for all. Y. Koren, R. Bell, C. Volinsky, Matrix Factorization Techniques for Recommender Systems, Computer 42 (2009).
// Cost: O(batch factors
// + (rows + columns) factors) a step.
#include "engine/graph_task.h"
#include "engine/noise.h"
#include "flt/memory.h"
#include "flt/tasks.h"

#include <math.h>

typedef struct factorisation {
    size_t rows, columns, rank, factors;
    double noise;
    long long instance;
    bool made; // the matrix of `seed` is in `matrix`
    uint64_t seed;
    double *a, *b;    // [rows, rank], [columns, rank]
    flt_real *matrix; // [rows, columns]
    float *normal;    // [batch]
    flt_real *grain;  // [batch]
} factorisation;

static const flt_param_spec params[] = {
    {"rows", FLTX_INT, "32", 1, 4096, NULL, "rows of the matrix"},
    {"columns", FLTX_INT, "32", 1, 4096, NULL, "columns of the matrix"},
    {"rank", FLTX_INT, "4", 1, 256, NULL, "its rank"},
    {"factors", FLTX_INT, "4", 1, 256, NULL, "factors that are fitted"},
    {"noise", FLTX_REAL, "0.1", 0, 100, NULL, "standard deviation of what is seen"},
    {"instance", FLTX_INT, "-1", -1, 9007199254740992.0, NULL, "which matrix; -1: the seed decides"},
    {"batch", FLTX_INT, "128", 1, 65536, NULL, "entries in a minibatch"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    factorisation *s = self;
    *s = (factorisation){.rows = flt_params_size(p, "rows"), .columns = flt_params_size(p, "columns")};
    s->rank = flt_params_size(p, "rank");
    s->factors = flt_params_size(p, "factors");
    s->noise = flt_params_real(p, "noise");
    s->instance = flt_params_int(p, "instance");
    FLTX_TRY(flt_alloc(s->rows * s->rank, sizeof *s->a, &s->a));
    FLTX_TRY(flt_alloc(s->columns * s->rank, sizeof *s->b, &s->b));
    FLTX_TRY(flt_alloc(flt_params_size(p, "batch"), sizeof *s->normal, &s->normal));
    FLTX_TRY(flt_alloc(flt_params_size(p, "batch"), sizeof *s->grain, &s->grain));
    return flt_alloc(s->rows * s->columns, sizeof *s->matrix, &s->matrix);
}

static void close(void *self) {
    factorisation *s = self;
    flt_free(s->a);
    flt_free(s->b);
    flt_free(s->matrix);
    flt_free(s->normal);
    flt_free(s->grain);
}

static void make_matrix(factorisation *s, uint64_t seed) {
    const flt_rng r = s->instance >= 0 ? flt_rng_make((uint64_t)s->instance, "factorisation.instance", 0)
                                       : flt_rng_make(seed, "factorisation.seed", 0);
    if (s->made && (s->instance >= 0 || s->seed == seed)) return;
    flt_rng_normal_double(flt_rng_child(r, "a", 0), 0, s->rows * s->rank, s->a);
    flt_rng_normal_double(flt_rng_child(r, "b", 0), 0, s->columns * s->rank, s->b);
    for (size_t i = 0; i < s->rows; i++)
        for (size_t j = 0; j < s->columns; j++) {
            double sum = 0.0;
            for (size_t k = 0; k < s->rank; k++) sum += s->a[i * s->rank + k] * s->b[j * s->rank + k];
            s->matrix[i * s->columns + j] = (flt_real)(sum / sqrt((double)s->rank));
        }
    s->seed = seed;
    s->made = true;
}

static void build(void *self, flt_task_model *m) {
    const factorisation *s = self;
    const flt_task_init small = {.std = pow(0.01 / (double)s->factors, 0.25)};
    flt_graph *g = m->graph;
    const flt_node row = flt_task_input(m, "row", 1, &m->rows), column = flt_task_input(m, "column", 1, &m->rows);
    const flt_node wanted = flt_task_input(m, "entry", 1, &m->rows);
    const flt_node u = flt_task_tensor(m, "u", 2, (size_t[]){s->rows, s->factors}, small);
    const flt_node v = flt_task_tensor(m, "v", 2, (size_t[]){s->columns, s->factors}, small);
    const flt_node products = flt_mul(g, flt_gather(g, u, row), flt_gather(g, v, column));
    const flt_node got = flt_reduce_sum(g, products, 1u << 1, false);
    m->loss = flt_mean_all(g, flt_square(g, flt_sub(g, got, wanted)));
    m->normaliser = 1.01 + s->noise * s->noise;
    m->has_minimum = s->factors >= s->rank;
}

static void put(const factorisation *s, size_t entry, size_t i, flt_real *const *in) {
    in[0][i] = (flt_real)(entry / s->columns);
    in[1][i] = (flt_real)(entry % s->columns);
    in[2][i] = s->matrix[entry];
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    factorisation *s = self;
    const flt_rng r = flt_rng_child(flt_rng_make(which.seed, "factorisation", (uint64_t)which.split), "step", which.step);
    const flt_rng entry = flt_rng_child(r, "entry", 0), noise = flt_rng_child(r, "noise", 0);
    make_matrix(s, which.seed);
    flt_noise(noise, rows, s->normal, s->grain);
    for (size_t i = 0; i < rows; i++) {
        put(s, (size_t)flt_rng_below(entry, i, s->rows * s->columns), i, in);
        in[2][i] += (flt_real)s->noise * s->grain[i];
    }
}

static size_t split_rows(void *self, flt_split split) {
    const factorisation *s = self;
    (void)split;
    return s->rows * s->columns; // the whole matrix
}

static void examples(void *self, flt_task_rows which, flt_real *const *in) {
    factorisation *s = self;
    make_matrix(s, which.seed);
    for (size_t i = 0; i < which.rows; i++) put(s, which.first + i, i, in);
}

static const flt_graph_task task = {
    .size = sizeof(factorisation),
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

const flt_task_kind flt_task_kind_matrix_factorisation = {
    .kind = {.name = "matrix_factorisation",
             .summary = "completes a matrix of low rank from random entries",
             .formula = "mean over entries (i, j) of (u_i . v_j - M_ij - noise xi)^2",
             .cost = "time and memory O((batch + rows + columns) factors)",
             .citation = "Y. Koren, R. Bell, C. Volinsky, Computer 42 (2009)",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
