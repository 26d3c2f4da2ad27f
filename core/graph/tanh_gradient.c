// SPDX-License-Identifier: MIT
// z = d (1 - y^2): the gradient of y = tanh x in one pass. dz/dd = 1 - y^2, dz/dy = -2 d y.
#include "graph/engine/op.h"

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_binary(u, s, flt_kernels()->tanh_gradient);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    const flt_node d = at->in[0], y = at->in[1];
    if (k == 0) return flt_sum_like(g, flt_tanh_gradient(g, at->dy, y), d);
    return flt_sum_like(g, flt_scale(g, flt_mul(g, at->dy, flt_mul(g, d, y)), -2), y);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_tanh_gradient(g, in[0], in[1]);
}
static const flt_op_example examples[] = {
    {.label = "equal shapes",
     .n = 2,
     .in = {{.rank = 2, .dim = {2, 3}, .low = -1, .high = 1}, {.rank = 2, .dim = {2, 3}, .low = -1, .high = 1}},
     .build = build},
    {.label = "row",
     .n = 2,
     .in = {{.rank = 1, .dim = {4}, .low = -1, .high = 1}, {.rank = 2, .dim = {2, 4}, .low = -1, .high = 1}},
     .build = build},
    {0},
};

const flt_op_kind flt_op_kind_tanh_gradient = {
    .kind =
        {
            .name = "tanh_gradient",
            .summary = "gradient of tanh from its result",
            .formula = "z = d (1 - y^2)",
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

flt_node flt_tanh_gradient(flt_graph *g, flt_node dy, flt_node y) {
    return flt_op_binary(g, &flt_op_kind_tanh_gradient, dy, y);
}
