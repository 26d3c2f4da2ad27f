// SPDX-License-Identifier: MIT
// y = max(x, 0), NaN stays NaN. The derivative at 0 is 0. The gradient reads y, not x (y > 0 where x > 0), so that x may be
// overwritten.
#include "graph/engine/op.h"

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_unary(u, s, flt_kernels()->relu, 0);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    return flt_gate(g, at->dy, at->y);
}

// The usual layer end relu(x w + b) becomes one pass.
static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    if (!flt_node_is(g, at->in[0], &flt_op_kind_add)) return flt_none;
    return flt_add_relu(g, flt_node_input(g, at->in[0], 0), flt_node_input(g, at->in[0], 1));
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_relu(g, in[0]);
}
static const flt_op_example examples[] = {
    {.label = "vector", .n = 1, .in = {{.rank = 1, .dim = {19}, .low = -1, .high = 1, .kink = 0.1}}, .build = build},
    {.label = "scalar", .n = 1, .in = {{.rank = 0, .low = -1, .high = 1, .kink = 0.1}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_relu = {
    .kind =
        {
            .name = "relu",
            .summary = "rectifier",
            .formula = "y = max(x, 0)",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .in_place = 1,
    .shape = flt_shape_first,
    .plan = plan,
    .gradient = gradient,
    .simplify = simplify,
    .examples = examples,
};

flt_node flt_relu(flt_graph *g, flt_node a) {
    return flt_op_unary(g, &flt_op_kind_relu, a);
}
