// SPDX-License-Identifier: MIT
// Beale's function: a flat valley between steep corners.
//
//   f(x, y) = (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2,   minimum 0 at (3, 0.5)
//
// Start: uniform in [-4.5, 4.5]^2, as the L2O-Scale suite has it (O. Wichrowska et al., ICML 2017). E. M. L. Beale, On an
// Iterative Method of Finding a Local Minimum of a Function of More than One Variable, 1958. Deterministic.
#include "engine/landscape.h"
#include "flt/tasks.h"

static void init(void *self, uint64_t seed, flt_real *theta) {
    (void)self;
    flt_start_uniform("beale.start", seed, 2, -4.5, 4.5, theta);
}

static void build(void *self, flt_task_model *m) {
    static const double wanted[] = {1.5, 2.25, 2.625};
    (void)self;
    flt_graph *g = m->graph;
    const flt_node xy = flt_variables(m, 2), x = flt_coordinate(g, xy, 0), y = flt_coordinate(g, xy, 1);
    flt_node sum = flt_scalar(g, 0.0), power = x;
    for (size_t i = 0; i < 3; i++) {
        power = flt_mul(g, power, y);
        sum = flt_add(g, sum, flt_square(g, flt_offset(g, flt_sub(g, power, x), wanted[i])));
    }
    m->loss = flt_sum_all(g, sum);
    m->normaliser = 8549.263; // the mean over the start
    m->has_minimum = true;
}

static const flt_graph_task task = {.build = build, .init = init};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_beale = {
    .kind = {.name = "beale",
             .summary = "Beale's flat valley between steep corners",
             .formula = "(1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2",
             .cost = "two variables",
             .citation = "E. M. L. Beale, Princeton Statistical Techniques Research Group Report 25 (1958)",
             .caps = FLTX_TASK_MINIMUM},
    .create = create,
};
