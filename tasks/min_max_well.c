// SPDX-License-Identifier: MIT
// Only the largest and the smallest variable have a gradient; all others have zero, as dead units of networks do.
//
//   f(x) = max_i x_i^2 + 1 / min_i x_i^2 - 2,   minimum 0 where every |x_i| = 1
//
// from L2O-Scale (O. Wichrowska et al., Learned Optimizers that Scale and Generalize, ICML 2017; start N(0, 1) there). At a tie
// the gradient is that of one of the tied. Start: magnitudes uniform in [0.25, 2), signs by chance: from N(0, 1) the loss has no
// mean. The extremes are found by halving: log2 n comparisons of slices that overlap where a length is odd. Deterministic.
#include "engine/landscape.h"
#include "flt/tasks.h"

#define LOW  0.25
#define HIGH 2.0

typedef struct well {
    size_t n;
} well;

static const flt_param_spec params[] = {
    {"dimension", FLTX_INT, "20", 2, 100000, NULL, "number of variables"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    well *s = self;
    s->n = flt_params_size(p, "dimension");
    return FLTE_OK;
}

static void init(void *self, uint64_t seed, flt_real *theta) {
    const well *s = self;
    flt_start_shell("min_max_well.start", seed, s->n, LOW, HIGH, theta);
}

// The largest (sign 1) or the smallest (sign -1) of x [n], length 1. Chosen, not computed: exact.
static flt_node extreme(flt_graph *g, flt_node x, size_t n, double sign) {
    while (n > 1) {
        const size_t half = (n + 1) / 2;
        const flt_node a = flt_slice(g, x, 0, 0, half), b = flt_slice(g, x, 0, n - half, half);
        const flt_node take_b = flt_step_function(g, flt_scale(g, flt_sub(g, b, a), sign));
        const flt_node take_a = flt_offset(g, flt_neg(g, take_b), 1.0);
        x = flt_add(g, flt_mul(g, take_a, a), flt_mul(g, take_b, b));
        n = half;
    }
    return x;
}

// Means over the start of the squares of order statistics of n uniform magnitudes are near these integrals for every n.
static double mean_at_start(size_t n) {
    const double width = HIGH - LOW, k = (double)n;
    const double smallest = LOW + width / (k + 1.0), largest = HIGH - width / (k + 1.0);
    return largest * largest + 1.0 / (smallest * LOW) - 2.0;
}

static void build(void *self, flt_task_model *m) {
    const well *s = self;
    flt_graph *g = m->graph;
    const flt_node squares = flt_square(g, flt_variables(m, s->n)), one = flt_scalar(g, 1.0);
    const flt_node most = extreme(g, squares, s->n, 1.0), least = extreme(g, squares, s->n, -1.0);
    m->loss = flt_sum_all(g, flt_offset(g, flt_add(g, most, flt_div(g, one, least)), -2.0));
    m->normaliser = mean_at_start(s->n);
    m->has_minimum = true;
}

static const flt_graph_task task = {.size = sizeof(well), .open = open, .build = build, .init = init};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_min_max_well = {
    .kind = {.name = "min_max_well",
             .summary = "only the largest and the smallest variable have a gradient",
             .formula = "max_i x_i^2 + 1 / min_i x_i^2 - 2",
             .cost = "time and memory O(n)",
             .citation = "O. Wichrowska et al., Learned Optimizers that Scale and Generalize, ICML 2017",
             .caps = FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
