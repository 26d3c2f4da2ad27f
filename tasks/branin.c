// SPDX-License-Identifier: MIT
// Branin's function: a curved valley with three minima of one depth.
//
//   f(x, y) = (y - 5.1 / (4 pi^2) x^2 + 5 / pi x - 6)^2 + 10 (1 - 1 / (8 pi)) (1 + cos x) + 10 / (8 pi)
//   minimum 5 / (4 pi) = 0.397887 at (-pi, 12.275), (pi, 2.275), (3 pi, 2.475)
//
// (the usual form has + 10 at the end and no 1 + before the cosine: the same). Start: uniform in [-5, 10] x [0, 15], as the
// L2O-Scale suite has it (O. Wichrowska et al., ICML 2017). F. H. Branin, IBM Journal of Research and Development 16 (1972).
// Deterministic.
#include "engine/landscape.h"
#include "flt/tasks.h"

#include <math.h>

static void init(void *self, uint64_t seed, flt_real *theta) {
    (void)self;
    flt_start_uniform("branin.start", seed, 2, 0.0, 15.0, theta);
    theta[0] -= 5;
}

static void build(void *self, flt_task_model *m) {
    const double bend = 5.1 / (4.0 * M_PI * M_PI), slope = 5.0 / M_PI, share = 1.0 / (8.0 * M_PI);
    (void)self;
    flt_graph *g = m->graph;
    const flt_node xy = flt_variables(m, 2), x = flt_coordinate(g, xy, 0), y = flt_coordinate(g, xy, 1);
    const flt_node line = flt_offset(g, flt_add_scaled(g, y, x, slope), -6.0);
    const flt_node valley = flt_square(g, flt_add_scaled(g, line, flt_square(g, x), -bend));
    const flt_node waves = flt_offset(g, flt_cos(g, x), 1.0);
    m->loss = flt_sum_all(g, flt_offset(g, flt_add_scaled(g, valley, waves, 10.0 * (1.0 - share)), 10.0 * share));
    m->normaliser = 54.30684; // the mean over the start
    m->has_minimum = true;
    m->minimum = 10.0 * share;
}

static const flt_graph_task task = {.build = build, .init = init};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_branin = {
    .kind = {.name = "branin",
             .summary = "Branin's valley with three equal minima",
             .formula = "(y - 5.1 x^2 / (4 pi^2) + 5 x / pi - 6)^2 + 10 (1 - 1 / (8 pi)) cos x + 10",
             .cost = "two variables",
             .citation = "F. H. Branin, IBM Journal of Research and Development 16 (1972)",
             .caps = FLTX_TASK_MINIMUM},
    .create = create,
};
