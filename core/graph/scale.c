// SPDX-License-Identifier: MIT
// y = c x, c fixed in the graph.
#include "graph/engine/op.h"

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_unary(u, s, flt_kernels()->scale, u->attr->value);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    return flt_scale(g, at->dy, at->attr->value);
}

// 1 x = x; c (d x) = (c d) x.
static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    const double c = at->attr->value;
    if (c == 1) return at->in[0];
    if (!flt_node_is(g, at->in[0], &flt_op_kind_scale)) return flt_none;
    return flt_scale(g, flt_node_input(g, at->in[0], 0), c * flt_node_attr(g, at->in[0])->value);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_scale(g, in[0], -1.75);
}
static const flt_op_example examples[] = {
    {.label = "vector", .n = 1, .in = {{.rank = 1, .dim = {19}, .low = -1, .high = 1}}, .build = build},
    {.label = "scalar", .n = 1, .in = {{.rank = 0, .low = -1, .high = 1}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_scale = {
    .kind =
        {
            .name = "scale",
            .summary = "product with a fixed number",
            .formula = "y = c x",
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

flt_node flt_scale(flt_graph *g, flt_node a, double factor) {
    return flt_op_apply(g, &flt_op_kind_scale, 1, &a, &(flt_op_attr){.value = factor});
}
