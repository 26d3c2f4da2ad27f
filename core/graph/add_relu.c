// SPDX-License-Identifier: MIT
// y = max(a + b, 0), broadcast: the end of a dense layer in one pass. Executors put it in the place of relu(add(a, b)).
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_add_relu;

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_binary(u, s, flt_kernels()->add_relu);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    return flt_sum_like(g, flt_gate(g, at->dy, at->y), at->in[k]);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_add_relu(g, in[0], in[1]);
}
// |a| in [1, 2], |b| < 0.9: the sum stays away from 0
static const flt_op_example examples[] = {
    {.label = "equal shapes",
     .n = 2,
     .in = {{.rank = 2, .dim = {2, 3}, .low = -2, .high = 2, .kink = 1}, {.rank = 2, .dim = {2, 3}, .low = -0.9, .high = 0.9}},
     .build = build},
    {.label = "row",
     .n = 2,
     .in = {{.rank = 2, .dim = {3, 4}, .low = -2, .high = 2, .kink = 1}, {.rank = 1, .dim = {4}, .low = -0.9, .high = 0.9}},
     .build = build},
    {0},
};

const flt_op_kind flt_op_kind_add_relu = {
    .kind =
        {
            .name = "add_relu",
            .summary = "rectified sum",
            .formula = "y = max(a + b, 0)",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 2,
    .in_place = 3,
    .shape = flt_shape_broadcast,
    .plan = plan,
    .flags = FLTX_OP_COMMUTES,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_add_relu(flt_graph *g, flt_node a, flt_node b) {
    return flt_op_binary(g, &flt_op_kind_add_relu, a, b);
}
