// SPDX-License-Identifier: MIT
// y = x^2.
#include "graph/engine/op.h"

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_unary(u, s, flt_kernels()->square, 0);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    return flt_scale(g, flt_mul(g, at->dy, at->in[0]), 2);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_square(g, in[0]);
}
static const flt_op_example examples[] = {
    {.label = "vector", .n = 1, .in = {{.rank = 1, .dim = {19}, .low = -1, .high = 1}}, .build = build},
    {.label = "scalar", .n = 1, .in = {{.rank = 0, .low = -1, .high = 1}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_square = {
    .kind =
        {
            .name = "square",
            .summary = "square",
            .formula = "y = x^2",
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

flt_node flt_square(flt_graph *g, flt_node a) {
    return flt_op_unary(g, &flt_op_kind_square, a);
}
