// SPDX-License-Identifier: MIT
// Ackley's function: a funnel, flat far out, under regular ripples.
//
//   f(x) = -20 exp(-0.2 sqrt(mean x_i^2)) - exp(mean cos 2 pi x_i) + 20 + e,   minimum 0 at 0
//
// Start: uniform in [-32.768, 32.768]^n, as the L2O-Scale suite has it for n = 2 (O. Wichrowska et al., ICML 2017; its
// problem_generator.py). D. H. Ackley, A Connectionist Machine for Genetic Hillclimbing, 1987. Deterministic. At 0 itself the
// function has a kink; 1e-30 under the root keeps the gradient finite there.
#include "engine/landscape.h"
#include "flt/tasks.h"

#include <math.h>

static const flt_param_spec params[] = {
    {"dimension", FLTX_INT, "2", 1, 100000, NULL, "number of variables"},
    {0},
};

typedef struct ackley {
    size_t n;
} ackley;

static flt_err open(void *self, const flt_params *p) {
    ackley *s = self;
    s->n = flt_params_size(p, "dimension");
    return FLTE_OK;
}

static void init(void *self, uint64_t seed, flt_real *theta) {
    const ackley *s = self;
    flt_start_uniform("ackley.start", seed, s->n, -32.768, 32.768, theta);
}

static void build(void *self, flt_task_model *m) {
    const ackley *s = self;
    flt_graph *g = m->graph;
    const flt_node x = flt_variables(m, s->n);
    const flt_node radius = flt_sqrt(g, flt_offset(g, flt_mean_all(g, flt_square(g, x)), 1e-30));
    const flt_node ripples = flt_exp(g, flt_mean_all(g, flt_cos(g, flt_scale(g, x, 2.0 * M_PI))));
    const flt_node funnel = flt_scale(g, flt_exp(g, flt_scale(g, radius, -0.2)), 20.0);
    m->loss = flt_neg(g, flt_add(g, flt_offset(g, funnel, -20.0), flt_offset(g, ripples, -exp(1.0))));
    m->normaliser = 21.0; // the mean over the start: 18.3, 20.2, 21.2 for n = 1, 2, 20
    m->has_minimum = true;
}

static const flt_graph_task task = {.size = sizeof(ackley), .open = open, .build = build, .init = init};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_ackley = {
    .kind = {.name = "ackley",
             .summary = "Ackley's funnel under ripples",
             .formula = "20 + e - 20 exp(-0.2 sqrt(mean x_i^2)) - exp(mean cos 2 pi x_i)",
             .cost = "time and memory O(n)",
             .citation = "D. H. Ackley, A Connectionist Machine for Genetic Hillclimbing, 1987",
             .caps = FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
