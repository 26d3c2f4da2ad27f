// SPDX-License-Identifier: MIT
// Rosenbrock's valley, chained to n dimensions:
//
//   f(x) = sum_{i < n-1} 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2,   minimum 0 at (1, .., 1)
//
// Start: the usual (-1.2, 1, -1.2, 1, ..) plus spread N(0, 1), by seed. For 4 <= n <= 7 there is a second minimum near (-1, 1,
// .., 1). H. H. Rosenbrock, The Computer Journal 3 (1960). Deterministic: minibatches do not differ.
#include "engine/graph_task.h"
#include "flt/random.h"
#include "flt/tasks.h"

typedef struct rosenbrock {
    size_t n;
    double spread;
} rosenbrock;

static const flt_param_spec params[] = {
    {"dimension", FLTX_INT, "2", 2, 100000, NULL, "number of variables"},
    {"spread", FLTX_REAL, "0.1", 0, 10, NULL, "standard deviation of the start around the usual one"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    rosenbrock *s = self;
    s->n = flt_params_size(p, "dimension");
    s->spread = flt_params_real(p, "spread");
    return FLTE_OK;
}

static double usual_start(size_t i) {
    return i % 2 == 0 ? -1.2 : 1.0;
}

static double loss_at_start(size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i + 1 < n; i++) {
        const double x = usual_start(i), valley = usual_start(i + 1) - x * x;
        sum += 100.0 * valley * valley + (1.0 - x) * (1.0 - x);
    }
    return sum;
}

static void init(void *self, uint64_t seed, flt_real *theta) {
    const rosenbrock *s = self;
    flt_rng_normal(flt_rng_make(seed, "rosenbrock.start", 0), 0, s->n, theta);
    for (size_t i = 0; i < s->n; i++) theta[i] = (flt_real)(usual_start(i) + s->spread * (double)theta[i]);
}

static void build(void *self, flt_task_model *m) {
    const rosenbrock *s = self;
    flt_graph *g = m->graph;
    const flt_node x = flt_task_tensor(m, "x", 1, &s->n, (flt_task_init){0});
    const flt_node here = flt_slice(g, x, 0, 0, s->n - 1), next = flt_slice(g, x, 0, 1, s->n - 1);
    const flt_node valley = flt_square(g, flt_sub(g, next, flt_square(g, here)));
    const flt_node slope = flt_square(g, flt_offset(g, flt_neg(g, here), 1.0));
    m->loss = flt_sum_all(g, flt_add(g, flt_scale(g, valley, 100.0), slope));
    m->normaliser = loss_at_start(s->n);
    m->has_minimum = true;
}

static const flt_graph_task task = {.size = sizeof(rosenbrock), .open = open, .build = build, .init = init};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_rosenbrock = {
    .kind = {.name = "rosenbrock",
             .summary = "Rosenbrock's curved valley",
             .formula = "sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2",
             .cost = "time and memory O(n)",
             .citation = "H. H. Rosenbrock, The Computer Journal 3 (1960)",
             .caps = FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
