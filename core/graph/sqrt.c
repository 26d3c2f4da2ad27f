// SPDX-License-Identifier: MIT
// y = sqrt x; y' = 1 / (2 y): infinite at 0.
#include "graph/engine/op.h"

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_unary(u, s, flt_kernels()->root, 0);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    return flt_scale(g, flt_div(g, at->dy, at->y), 0.5);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_sqrt(g, in[0]);
}
static const flt_op_example examples[] = {
    {.label = "vector", .n = 1, .in = {{.rank = 1, .dim = {19}, .low = 0.8, .high = 2}}, .build = build},
    {.label = "scalar", .n = 1, .in = {{.rank = 0, .low = 0.8, .high = 2}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_sqrt = {
    .kind =
        {
            .name = "sqrt",
            .summary = "square root",
            .formula = "y = sqrt x",
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

flt_node flt_sqrt(flt_graph *g, flt_node a) {
    return flt_op_unary(g, &flt_op_kind_sqrt, a);
}
