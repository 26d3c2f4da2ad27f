// SPDX-License-Identifier: MIT
// Variables that can only be brought to 0 in order: each is held up by the one before.
//
//   f(x) = x_0^2 + sum_{0 < i < n} x_i^2 / (x_{i-1}^2 + epsilon),   minimum 0 at 0
//
// from L2O-Scale (O. Wichrowska et al., Learned Optimizers that Scale and Generalize, ICML 2017; epsilon = 1e-6 there, start N(0,
// 1)). As x_{i-1} falls the curvature of x_i grows up to 2 / epsilon: the variables leave 0 again unless steps shrink with it.
// Start: magnitudes uniform in [0.5, 1.5), signs by chance: from N(0, 1) a single small x_i makes the loss as large as 1 /
// epsilon. Deterministic.
#include "engine/landscape.h"
#include "flt/tasks.h"

#include <math.h>

#define LOW  0.5
#define HIGH 1.5

typedef struct chain {
    size_t n;
    double epsilon;
} chain;

static const flt_param_spec params[] = {
    {"dimension", FLTX_INT, "20", 2, 100000, NULL, "number of variables"},
    {"epsilon", FLTX_REAL, "1e-6", 1e-12, 1, NULL, "added to the square that divides"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    chain *s = self;
    s->n = flt_params_size(p, "dimension");
    s->epsilon = flt_params_real(p, "epsilon");
    return FLTE_OK;
}

static void init(void *self, uint64_t seed, flt_real *theta) {
    const chain *s = self;
    flt_start_shell("dependency_chain.start", seed, s->n, LOW, HIGH, theta);
}

// The mean of f over the start: variables are independent, the mean of 1 / (x^2 + e^2) over [LOW, HIGH] is an arc tangent.
static double mean_at_start(const chain *s) {
    const double e = sqrt(s->epsilon), square = (HIGH * HIGH * HIGH - LOW * LOW * LOW) / 3.0;
    const double inverse = (atan(HIGH / e) - atan(LOW / e)) / e;
    return square * (1.0 + (double)(s->n - 1) * inverse);
}

static void build(void *self, flt_task_model *m) {
    const chain *s = self;
    flt_graph *g = m->graph;
    const flt_node squares = flt_square(g, flt_variables(m, s->n));
    const flt_node before = flt_slice(g, squares, 0, 0, s->n - 1), after = flt_slice(g, squares, 0, 1, s->n - 1);
    const flt_node links = flt_sum_all(g, flt_div(g, after, flt_offset(g, before, s->epsilon)));
    m->loss = flt_add(g, flt_sum_all(g, flt_coordinate(g, squares, 0)), links);
    m->normaliser = mean_at_start(s);
    m->has_minimum = true;
}

static const flt_graph_task task = {.size = sizeof(chain), .open = open, .build = build, .init = init};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_dependency_chain = {
    .kind = {.name = "dependency_chain",
             .summary = "variables that must be optimised in order",
             .formula = "x_0^2 + sum_{i > 0} x_i^2 / (x_{i-1}^2 + epsilon)",
             .cost = "time and memory O(n)",
             .citation = "O. Wichrowska et al., Learned Optimizers that Scale and Generalize, ICML 2017",
             .caps = FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
