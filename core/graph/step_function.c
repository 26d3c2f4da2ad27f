// SPDX-License-Identifier: MIT
// y = 1 where x > 0, else 0; the derivative is taken as 0 everywhere.
#include "graph/engine/op.h"

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_unary(u, s, flt_kernels()->step, 0);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_step_function(g, in[0]);
}
static const flt_op_example examples[] = {
    {.label = "vector", .n = 1, .in = {{.rank = 1, .dim = {19}, .low = -1, .high = 1, .kink = 0.1}}, .build = build},
    {.label = "scalar", .n = 1, .in = {{.rank = 0, .low = -1, .high = 1, .kink = 0.1}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_step_function = {
    .kind =
        {
            .name = "step_function",
            .summary = "unit step",
            .formula = "y = x > 0 ? 1 : 0",
            .cost = "time and memory O(n)",
        },
    .inputs = 1,
    .in_place = 1,
    .shape = flt_shape_first,
    .plan = plan,
    .examples = examples,
};

flt_node flt_step_function(flt_graph *g, flt_node a) {
    return flt_op_unary(g, &flt_op_kind_step_function, a);
}
