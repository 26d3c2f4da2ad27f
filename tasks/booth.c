// SPDX-License-Identifier: MIT
// Booth's function: a convex quadratic of condition 9, turned by 45 degrees.
//
//   f(x, y) = (x + 2 y - 7)^2 + (2 x + y - 5)^2,   minimum 0 at (1, 3)
//
// Start: uniform in [-10, 10]^2, as the L2O-Scale suite has it (O. Wichrowska et al., ICML 2017). Deterministic.
#include "engine/landscape.h"
#include "flt/tasks.h"

static void init(void *self, uint64_t seed, flt_real *theta) {
    (void)self;
    flt_start_uniform("booth.start", seed, 2, -10.0, 10.0, theta);
}

static void build(void *self, flt_task_model *m) {
    (void)self;
    flt_graph *g = m->graph;
    const flt_node xy = flt_variables(m, 2), x = flt_coordinate(g, xy, 0), y = flt_coordinate(g, xy, 1);
    const flt_node first = flt_square(g, flt_offset(g, flt_add_scaled(g, x, y, 2.0), -7.0));
    const flt_node second = flt_square(g, flt_offset(g, flt_add_scaled(g, y, x, 2.0), -5.0));
    m->loss = flt_sum_all(g, flt_add(g, first, second));
    m->normaliser = 2.0 * 5.0 * 100.0 / 3.0 + 7.0 * 7.0 + 5.0 * 5.0;
    m->has_minimum = true;
}

static const flt_graph_task task = {.build = build, .init = init};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_booth = {
    .kind = {.name = "booth",
             .summary = "Booth's turned quadratic",
             .formula = "(x + 2 y - 7)^2 + (2 x + y - 5)^2",
             .cost = "two variables",
             .citation = "O. Wichrowska et al., Learned Optimizers that Scale and Generalize, ICML 2017 (its test suite)",
             .caps = FLTX_TASK_MINIMUM},
    .create = create,
};
