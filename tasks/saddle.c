// SPDX-License-Identifier: MIT
// A saddle point to escape from: the first half of the variables (rounded up) is stable, the others are not.
//
//   f(x) = sum_{stable} x_i^2 + sum_{unstable} q x_i^4 - x_i^2 + 1 / (4 q)
//        = sum_{stable} x_i^2 + sum_{unstable} q (x_i^2 - 1 / (2 q))^2,   minimum 0 at x_stable = 0, x_unstable = +-1 / sqrt(2 q)
//
// L2O-Scale (O. Wichrowska et al., ICML 2017) has x^2 - y^2, unbounded below, which makes losses incomparable: here the quartic
// term q ends the descent; near 0 both are the same. Start: N(0, spread^2) around the saddle. Deterministic.
#include "engine/landscape.h"
#include "flt/tasks.h"

typedef struct saddle {
    size_t n;
    double quartic, spread;
} saddle;

static const flt_param_spec params[] = {
    {"dimension", FLTX_INT, "2", 2, 100000, NULL, "number of variables"},
    {"quartic", FLTX_REAL, "0.25", 1e-6, 1e6, NULL, "q: the minima lie at 1 / sqrt(2 q)"},
    {"spread", FLTX_REAL, "0.1", 0, 10, NULL, "standard deviation of the start around the saddle"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    saddle *s = self;
    s->n = flt_params_size(p, "dimension");
    s->quartic = flt_params_real(p, "quartic");
    s->spread = flt_params_real(p, "spread");
    return FLTE_OK;
}

static void build(void *self, flt_task_model *m) {
    const saddle *s = self;
    const size_t stable = (s->n + 1) / 2, unstable = s->n / 2;
    const double variance = s->spread * s->spread, q = s->quartic;
    flt_graph *g = m->graph;
    const flt_node x = flt_task_tensor(m, "x", 1, &s->n, (flt_task_init){.std = s->spread});
    const flt_node squares = flt_square(g, x);
    const flt_node wells = flt_square(g, flt_offset(g, flt_slice(g, squares, 0, stable, unstable), -0.5 / q));
    m->loss = flt_add_scaled(g, flt_sum_all(g, flt_slice(g, squares, 0, 0, stable)), flt_sum_all(g, wells), q);
    m->normaliser = (double)stable * variance + (double)unstable * (0.25 / q - variance + 3.0 * q * variance * variance);
    m->has_minimum = true;
}

static const flt_graph_task task = {.size = sizeof(saddle), .open = open, .build = build};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_saddle = {
    .kind = {.name = "saddle",
             .summary = "escape from a saddle point",
             .formula = "sum_stable x_i^2 + sum_unstable q (x_i^2 - 1 / (2 q))^2",
             .cost = "time and memory O(n)",
             .citation = "O. Wichrowska et al., Learned Optimizers that Scale and Generalize, ICML 2017 (bounded here)",
             .caps = FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
