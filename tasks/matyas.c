// SPDX-License-Identifier: MIT
// Matyas' function: a convex quadratic of condition 25, turned by 45 degrees.
//
//   f(x, y) = 0.26 (x^2 + y^2) - 0.48 x y = 0.01 (x + y)^2 + 0.25 (x - y)^2,   minimum 0 at 0
//
// computed in the second form, which is never negative. Start: uniform in [-10, 10]^2, as the L2O-Scale suite has it
// (O. Wichrowska et al., ICML 2017). J. Matyas, Random Optimization, Automation and Remote Control 26 (1965). Deterministic.
#include "engine/landscape.h"
#include "flt/tasks.h"

static void init(void *self, uint64_t seed, flt_real *theta) {
    (void)self;
    flt_start_uniform("matyas.start", seed, 2, -10.0, 10.0, theta);
}

static void build(void *self, flt_task_model *m) {
    (void)self;
    flt_graph *g = m->graph;
    const flt_node xy = flt_variables(m, 2), x = flt_coordinate(g, xy, 0), y = flt_coordinate(g, xy, 1);
    const flt_node along = flt_square(g, flt_add(g, x, y)), across = flt_square(g, flt_sub(g, x, y));
    m->loss = flt_sum_all(g, flt_add_scaled(g, flt_scale(g, along, 0.01), across, 0.25));
    m->normaliser = 0.26 * 2.0 * 100.0 / 3.0;
    m->has_minimum = true;
}

static const flt_graph_task task = {.build = build, .init = init};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_matyas = {
    .kind = {.name = "matyas",
             .summary = "Matyas' narrow quadratic",
             .formula = "0.26 (x^2 + y^2) - 0.48 x y",
             .cost = "two variables",
             .citation = "J. Matyas, Automation and Remote Control 26 (1965)",
             .caps = FLTX_TASK_MINIMUM},
    .create = create,
};
