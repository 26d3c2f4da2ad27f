// SPDX-License-Identifier: MIT
// The function of Styblinski and Tang: two wells along each axis, one deeper.
//
//   f(x) = 39.16617 n + 1/2 sum_i x_i^4 - 16 x_i^2 + 5 x_i,   minimum 0 at (a, .., a), a = -2.903534
//        = 1/2 sum_i (x_i - a)^2 ((x_i + a)^2 + 2 a^2 - 16)
//
// computed in the second form, a sum of terms that are never negative; a is the least root of 4 x^3 - 32 x + 5. The usual form
// has no constant; L2O-Scale (O. Wichrowska et al., ICML 2017) adds 80 for n = 2. Start: uniform in [-5, 5]^n, as there. M. A.
// Styblinski, T.-S. Tang, Neural Networks 3 (1990). Deterministic.
#include "engine/landscape.h"
#include "flt/tasks.h"

static const double a = -2.903534027771177, depth = 39.16616570377142;

static const flt_param_spec params[] = {
    {"dimension", FLTX_INT, "2", 1, 100000, NULL, "number of variables"},
    {0},
};

typedef struct styblinski_tang {
    size_t n;
} styblinski_tang;

static flt_err open(void *self, const flt_params *p) {
    styblinski_tang *s = self;
    s->n = flt_params_size(p, "dimension");
    return FLTE_OK;
}

static void init(void *self, uint64_t seed, flt_real *theta) {
    const styblinski_tang *s = self;
    flt_start_uniform("styblinski_tang.start", seed, s->n, -5.0, 5.0, theta);
}

static void build(void *self, flt_task_model *m) {
    const styblinski_tang *s = self;
    flt_graph *g = m->graph;
    const flt_node x = flt_variables(m, s->n);
    const flt_node near = flt_square(g, flt_offset(g, x, -a));
    const flt_node far = flt_offset(g, flt_square(g, flt_offset(g, x, a)), 2.0 * a * a - 16.0);
    m->loss = flt_scale(g, flt_sum_all(g, flt_mul(g, near, far)), 0.5);
    m->normaliser = (double)s->n * (depth + 0.5 * (125.0 - 16.0 * 25.0 / 3.0));
    m->has_minimum = true;
}

static const flt_graph_task task = {.size = sizeof(styblinski_tang), .open = open, .build = build, .init = init};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_styblinski_tang = {
    .kind = {.name = "styblinski_tang",
             .summary = "two wells along each axis",
             .formula = "39.16617 n + 1/2 sum_i x_i^4 - 16 x_i^2 + 5 x_i",
             .cost = "time and memory O(n)",
             .citation = "M. A. Styblinski, T.-S. Tang, Neural Networks 3 (1990)",
             .caps = FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
