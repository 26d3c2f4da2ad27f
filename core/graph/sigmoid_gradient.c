// SPDX-License-Identifier: MIT
// z = d y (1 - y): the gradient of y = sigmoid x in one pass. dz/dd = y (1 - y), dz/dy = d (1 - 2 y).
#include "graph/engine/op.h"

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_binary(u, s, flt_kernels()->sigmoid_gradient);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    const flt_node d = at->in[0], y = at->in[1];
    if (k == 0) return flt_sum_like(g, flt_sigmoid_gradient(g, at->dy, y), d);
    const flt_node slope = flt_offset(g, flt_scale(g, y, -2), 1);
    return flt_sum_like(g, flt_mul(g, at->dy, flt_mul(g, d, slope)), y);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_sigmoid_gradient(g, in[0], in[1]);
}
static const flt_op_example examples[] = {
    {.label = "equal shapes",
     .n = 2,
     .in = {{.rank = 2, .dim = {2, 3}, .low = -1, .high = 1}, {.rank = 2, .dim = {2, 3}, .low = 0, .high = 1}},
     .build = build},
    {.label = "row",
     .n = 2,
     .in = {{.rank = 1, .dim = {4}, .low = -1, .high = 1}, {.rank = 2, .dim = {2, 4}, .low = 0, .high = 1}},
     .build = build},
    {0},
};

const flt_op_kind flt_op_kind_sigmoid_gradient = {
    .kind =
        {
            .name = "sigmoid_gradient",
            .summary = "gradient of sigmoid from its result",
            .formula = "z = d y (1 - y)",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 2,
    .in_place = 3,
    .shape = flt_shape_broadcast,
    .plan = plan,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_sigmoid_gradient(flt_graph *g, flt_node dy, flt_node y) {
    return flt_op_binary(g, &flt_op_kind_sigmoid_gradient, dy, y);
}
