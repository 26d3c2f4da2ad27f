// SPDX-License-Identifier: MIT
// Rastrigin's function: a bowl with about 10^n local minima.
//
//   f(x) = sum_i x_i^2 + 10 (1 - cos 2 pi x_i),   minimum 0 at 0
//
// Start: uniform in [-5.12, 5.12]^n. L. A. Rastrigin, Systems of Extremal Control, 1974. Deterministic.
#include "engine/landscape.h"
#include "flt/tasks.h"

#include <math.h>

#define BOX 5.12

static const flt_param_spec params[] = {
    {"dimension", FLTX_INT, "2", 1, 100000, NULL, "number of variables"},
    {0},
};

typedef struct rastrigin {
    size_t n;
} rastrigin;

static flt_err open(void *self, const flt_params *p) {
    rastrigin *s = self;
    s->n = flt_params_size(p, "dimension");
    return FLTE_OK;
}

static void init(void *self, uint64_t seed, flt_real *theta) {
    const rastrigin *s = self;
    flt_start_uniform("rastrigin.start", seed, s->n, -BOX, BOX, theta);
}

static void build(void *self, flt_task_model *m) {
    const rastrigin *s = self;
    flt_graph *g = m->graph;
    const flt_node x = flt_variables(m, s->n);
    const flt_node ripples = flt_offset(g, flt_neg(g, flt_cos(g, flt_scale(g, x, 2.0 * M_PI))), 1.0);
    m->loss = flt_sum_all(g, flt_add_scaled(g, flt_square(g, x), ripples, 10.0));
    m->normaliser = (double)s->n * (BOX * BOX / 3.0 + 10.0 * (1.0 - sin(2.0 * M_PI * BOX) / (2.0 * M_PI * BOX)));
    m->has_minimum = true;
}

static const flt_graph_task task = {.size = sizeof(rastrigin), .open = open, .build = build, .init = init};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_rastrigin = {
    .kind = {.name = "rastrigin",
             .summary = "Rastrigin's bowl of local minima",
             .formula = "sum_i x_i^2 + 10 (1 - cos 2 pi x_i)",
             .cost = "time and memory O(n)",
             .citation = "L. A. Rastrigin, Systems of Extremal Control, 1974",
             .caps = FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
