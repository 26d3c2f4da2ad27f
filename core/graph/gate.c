// SPDX-License-Identifier: MIT
// y = a where x > 0, else 0, equal shapes: the gradient of relu. Linear in a; its derivative in x is taken as 0.
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_gate;

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_binary(u, s, flt_kernels()->gate);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    return k == 0 ? flt_sum_like(g, flt_gate(g, at->dy, at->in[1]), at->in[0]) : flt_none;
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_gate(g, in[0], in[1]);
}
static const flt_op_example examples[] = {
    {.label = "equal shapes",
     .n = 2,
     .in = {{.rank = 2, .dim = {2, 3}, .low = -1, .high = 1}, {.rank = 2, .dim = {2, 3}, .low = -1, .high = 1, .kink = 0.1}},
     .build = build},
    {.label = "column",
     .n = 2,
     .in = {{.rank = 2, .dim = {3, 1}, .low = -1, .high = 1}, {.rank = 2, .dim = {3, 4}, .low = -1, .high = 1, .kink = 0.1}},
     .build = build},
    {0},
};

const flt_op_kind flt_op_kind_gate = {
    .kind =
        {
            .name = "gate",
            .summary = "first operand where the second is positive",
            .formula = "y = x > 0 ? a : 0",
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

flt_node flt_gate(flt_graph *g, flt_node a, flt_node x) {
    return flt_op_binary(g, &flt_op_kind_gate, a, x);
}
