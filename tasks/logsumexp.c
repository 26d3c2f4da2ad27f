// SPDX-License-Identifier: MIT
// The logarithm of a sum of four exponentials: smooth, convex, nearly piecewise linear far out.
//
//   f(x, y) = log(exp(x + 3 y - 0.1) + exp(x - 3 y - 0.1) + exp(-x - 0.1) + 1)
//   minimum log(1 + 2 sqrt 2 exp(-0.1)) = 1.269555 at (-log 2 / 2, 0)
//
// from L2O-Scale (O. Wichrowska et al., ICML 2017), which takes the sum without the 1 from S. Boyd, L. Vandenberghe, Convex
// Optimization, 2004, equation 9.20. It is the cross-entropy of the logits (0, x + 3 y - 0.1, ..) with label 0, and computed as
// such: it does not overflow. Start: N(0, 1). Deterministic.
#include "engine/landscape.h"
#include "flt/tasks.h"

#include <math.h>

static void build(void *self, flt_task_model *m) {
    static const flt_real slopes[] = {0, 1, 1, -1, 0, 3, -3, 0}, heights[] = {0, (flt_real)-0.1, (flt_real)-0.1, (flt_real)-0.1};
    (void)self;
    flt_graph *g = m->graph;
    const flt_node x = flt_reshape(g, flt_variables(m, 2), 2, (size_t[]){1, 2});
    const flt_node slope = flt_constant(g, 2, (size_t[]){2, 4}, slopes);
    const flt_node height = flt_constant(g, 1, (size_t[]){4}, heights);
    const flt_node label = flt_constant(g, 1, (size_t[]){1}, slopes); // 0
    m->loss = flt_softmax_cross_entropy(g, flt_add(g, flt_matmul(g, x, slope, false, false), height), label);
    m->normaliser = 2.888; // the mean over the start
    m->has_minimum = true;
    m->minimum = log(1.0 + 2.0 * sqrt(2.0) * exp(-0.1));
}

static const flt_graph_task task = {.build = build};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_logsumexp = {
    .kind = {.name = "logsumexp",
             .summary = "logarithm of a sum of four exponentials, convex",
             .formula = "log(exp(x + 3 y - 0.1) + exp(x - 3 y - 0.1) + exp(-x - 0.1) + 1)",
             .cost = "two variables",
             .citation = "S. Boyd, L. Vandenberghe, Convex Optimization, 2004, equation 9.20; Wichrowska et al., ICML 2017",
             .caps = FLTX_TASK_MINIMUM},
    .create = create,
};
