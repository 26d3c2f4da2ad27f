// SPDX-License-Identifier: MIT
// y = Phi(x) = erfc(-x / sqrt 2) / 2, the distribution function of N(0, 1); y' = exp(-x^2 / 2) / sqrt(2 pi). Far to the left it
// keeps its relative accuracy (kernels/special.c).
#include "graph/engine/op.h"

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_vector(u, s, FLTX_ISA_PICK(flt_special_kernels)->normal_cdf);
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
