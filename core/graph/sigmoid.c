// SPDX-License-Identifier: MIT
// y = 1 / (1 + e^-x); y' = y (1 - y). Far left, where e^-x overflows, y is 0.
#include "graph/engine/op.h"

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_vector(u, s, FLTX_ISA_PICK(flt_special_kernels)->sigmoid);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    return flt_sigmoid_gradient(g, at->dy, at->y);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_sigmoid(g, in[0]);
}
static const flt_op_example examples[] = {
    {.label = "vector", .n = 1, .in = {{.rank = 1, .dim = {19}, .low = -2, .high = 2}}, .build = build},
    {.label = "scalar", .n = 1, .in = {{.rank = 0, .low = -2, .high = 2}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_sigmoid = {
    .kind =
        {
            .name = "sigmoid",
            .summary = "logistic function",
            .formula = "y = 1 / (1 + e^-x)",
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

flt_node flt_sigmoid(flt_graph *g, flt_node a) {
    return flt_op_unary(g, &flt_op_kind_sigmoid, a);
}
