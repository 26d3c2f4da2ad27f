// SPDX-License-Identifier: MIT
// y = a / b, element by element, broadcast. dy/da = 1 / b, dy/db = -y / b. No guard at b = 0: infinity or NaN, as IEEE has it.
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_div;

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_binary(u, s, flt_kernels()->div);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    const flt_node quotient = flt_div(g, at->dy, at->in[1]);
    if (k == 0) return flt_sum_like(g, quotient, at->in[0]);
    return flt_sum_like(g, flt_neg(g, flt_mul(g, quotient, at->y)), at->in[1]);
}

static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    double c;
    if (flt_node_uniform(g, at->in[1], &c) && c == 1 && flt_stretches_to(g, at->in[0], at->in[1])) return at->in[0];
    return flt_unstretched(g, &flt_op_kind_div, at);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_div(g, in[0], in[1]);
}
static const flt_op_example examples[] = {
    {.label = "equal shapes",
     .n = 2,
     .in = {{.rank = 2, .dim = {2, 3}, .low = -1, .high = 1}, {.rank = 2, .dim = {2, 3}, .low = 0.8, .high = 2}},
     .build = build},
    {.label = "row",
     .n = 2,
     .in = {{.rank = 2, .dim = {3, 4}, .low = -1, .high = 1}, {.rank = 1, .dim = {4}, .low = 0.8, .high = 2}},
     .build = build},
    {.label = "column",
     .n = 2,
     .in = {{.rank = 2, .dim = {3, 4}, .low = -1, .high = 1}, {.rank = 2, .dim = {3, 1}, .low = 0.8, .high = 2}},
     .build = build},
    {.label = "scalar on the left",
     .n = 2,
     .in = {{.rank = 0, .low = -1, .high = 1}, {.rank = 2, .dim = {2, 3}, .low = 0.8, .high = 2}},
     .build = build},
    {.label = "outer",
     .n = 2,
     .in = {{.rank = 2, .dim = {3, 1}, .low = -1, .high = 1}, {.rank = 2, .dim = {1, 4}, .low = 0.8, .high = 2}},
     .build = build},
    {.label = "middle axis",
     .n = 2,
     .in = {{.rank = 3, .dim = {2, 1, 3}, .low = -1, .high = 1}, {.rank = 3, .dim = {2, 2, 3}, .low = 0.8, .high = 2}},
     .build = build},
    {.label = "four axes",
     .n = 2,
     .in = {{.rank = 4, .dim = {2, 1, 2, 1}, .low = -1, .high = 1}, {.rank = 4, .dim = {1, 3, 1, 2}, .low = 0.8, .high = 2}},
     .build = build},
    {0},
};

const flt_op_kind flt_op_kind_div = {
    .kind =
        {
            .name = "div",
            .summary = "quotient of elements",
            .formula = "y = a / b",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 2,
    .in_place = 3,
    .shape = flt_shape_broadcast,
    .plan = plan,
    .gradient = gradient,
    .simplify = simplify,
    .examples = examples,
};

flt_node flt_div(flt_graph *g, flt_node a, flt_node b) {
    return flt_op_binary(g, &flt_op_kind_div, a, b);
}
