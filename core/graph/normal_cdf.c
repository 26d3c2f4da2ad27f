// SPDX-License-Identifier: MIT
// y = Phi(x) = erfc(-x / sqrt 2) / 2, the distribution function of N(0, 1); y' = exp(-x^2 / 2) / sqrt(2 pi).
// Through libm's erfc, which keeps its relative accuracy far to the left.
#include <math.h>

#include "graph/engine/op.h"

static void run(const flt_step *s) {
    const flt_real *x = s->in[0];
    const flt_real c = (flt_real)-0.70710678118654752440;
    for (size_t i = 0; i < s->n[0]; i++)
#ifdef FLTX_DOUBLE
        s->out[i] = 0.5 * erfc(c * x[i]);
#else
        s->out[i] = 0.5f * erfcf(c * x[i]);
#endif
}

static void plan(const flt_op_use *u, flt_step *s) {
    s->n[0] = u->out->count;
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    return flt_mul(g, at->dy, flt_normal_pdf(g, at->in[0]));
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_normal_cdf(g, in[0]);
}
static const flt_op_example examples[] = {
    {.label = "vector", .n = 1, .in = {{.rank = 1, .dim = {19}, .low = -2, .high = 2}}, .build = build},
    {.label = "scalar", .n = 1, .in = {{.rank = 0, .low = -2, .high = 2}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_normal_cdf = {
    .kind =
        {
            .name = "normal_cdf",
            .summary = "normal distribution function",
            .formula = "y = erfc(-x / sqrt 2) / 2",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .in_place = 1,
    .shape = flt_shape_first,
    .plan = plan,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_normal_cdf(flt_graph *g, flt_node a) {
    return flt_op_unary(g, &flt_op_kind_normal_cdf, a);
}
