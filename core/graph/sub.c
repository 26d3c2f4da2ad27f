// SPDX-License-Identifier: MIT
// y = a - b, broadcast.
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_sub;

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_binary(u, s, flt_kernels()->sub);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    const flt_node sum = flt_sum_like(g, at->dy, at->in[k]);
    return k == 0 ? sum : flt_neg(g, sum);
}

// a - constant; 0 - b; a - (-1) b.
static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    const flt_node a = at->in[0], b = at->in[1];
    double c;
    if (flt_node_uniform(g, b, &c) && flt_stretches_to(g, a, b)) return flt_offset(g, a, -c);
    if (flt_node_uniform(g, a, &c) && c == 0 && flt_stretches_to(g, b, a)) return flt_neg(g, b);
    if (flt_node_is(g, b, &flt_op_kind_scale) && flt_node_attr(g, b)->value == -1) return flt_add(g, a, flt_node_input(g, b, 0));
    return flt_unstretched(g, &flt_op_kind_sub, at);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_sub(g, in[0], in[1]);
}
static const flt_op_example examples[] = {
    FLTX_BROADCAST_EXAMPLES(build){0},
};

const flt_op_kind flt_op_kind_sub = {
    .kind =
        {
            .name = "sub",
            .summary = "difference",
            .formula = "y = a - b",
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

flt_node flt_sub(flt_graph *g, flt_node a, flt_node b) {
    return flt_op_binary(g, &flt_op_kind_sub, a, b);
}
