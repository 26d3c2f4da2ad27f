// SPDX-License-Identifier: MIT
// A winding path out to infinity, seen through random masks; the length of the best step stays the same along it.
//
//   f(x; D) = mean over rows d of D of  d_0 / (|x| + 1e-6) + sum_{j > 0} (d_j (x_j - pi cos x_{j-1}))^2,   D in {0, 1}, even
//   chances
//
// from L2O-Scale (O. Wichrowska et al., Learned Optimizers that Scale and Generalize, ICML 2017), which adds the rows up instead
// of averaging them and draws its rows from a finite table. The infimum 0 is approached along x_0 to infinity, each further
// variable pi cos of the one before; it is not reached. Start: N(0, 1).
#include "engine/landscape.h"
#include "flt/random.h"
#include "flt/tasks.h"

#include <math.h>

typedef struct snake {
    size_t n;
} snake;

static const flt_param_spec params[] = {
    {"dimension", FLTX_INT, "20", 2, 4096, NULL, "number of variables"},
    {"batch", FLTX_INT, "64", 1, 65536, NULL, "masks in a minibatch"},
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    snake *s = self;
    s->n = flt_params_size(p, "dimension");
    return FLTE_OK;
}

// Means over N(0, 1): |x| by its first moments, (x - pi cos x')^2 exactly.
static double mean_at_start(size_t n) {
    const double inverse_radius = 1.0 / sqrt((double)n - 0.5), bend = 1.0 + 0.5 * M_PI * M_PI * (1.0 + exp(-2.0));
    return 0.5 * (inverse_radius + (double)(n - 1) * bend);
}

static void build(void *self, flt_task_model *m) {
    const snake *s = self;
    const size_t n = s->n;
    flt_graph *g = m->graph;
    const flt_node masks = flt_task_input(m, "masks", 2, (size_t[]){m->rows, n});
    const flt_node x = flt_variables(m, n), share = flt_reduce_mean(g, masks, 1u << 0, false); // a mask is its own square
    const flt_node radius = flt_offset(g, flt_sqrt(g, flt_sum_all(g, flt_square(g, x))), 1e-6);
    const flt_node path = flt_scale(g, flt_cos(g, flt_slice(g, x, 0, 0, n - 1)), M_PI);
    const flt_node off = flt_square(g, flt_sub(g, flt_slice(g, x, 0, 1, n - 1), path));
    const flt_node out = flt_sum_all(g, flt_div(g, flt_coordinate(g, share, 0), radius));
    m->loss = flt_add(g, out, flt_sum_all(g, flt_mul(g, flt_slice(g, share, 0, 1, n - 1), off)));
    m->normaliser = mean_at_start(n);
    m->has_minimum = true;
}

static void batch(void *self, flt_batch which, size_t rows, flt_real *const *in) {
    const snake *s = self;
    const flt_rng r = flt_rng_child(flt_rng_make(which.seed, "outward_snake", (uint64_t)which.split), "step", which.step);
    const size_t count = rows * s->n;
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++, bits >>= 1) {
        if (i % 64 == 0) bits = flt_rng_bits(r, i / 64);
        in[0][i] = (flt_real)(bits & 1);
    }
}

static const flt_graph_task task = {.size = sizeof(snake), .open = open, .build = build, .batch = batch};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_outward_snake = {
    .kind = {.name = "outward_snake",
             .summary = "a winding path out to infinity, through random masks",
             .formula = "mean_d d_0 / (|x| + 1e-6) + sum_{j > 0} (d_j (x_j - pi cos x_{j-1}))^2",
             .cost = "time and memory O(batch n)",
             .citation = "O. Wichrowska et al., Learned Optimizers that Scale and Generalize, ICML 2017",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_MINIMUM,
             .params = params},
    .create = create,
};
