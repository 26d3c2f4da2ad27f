// SPDX-License-Identifier: MIT
// y = a + b, broadcast. dy/da = dy/db = 1, summed over stretched axes.
#include "graph/engine/op.h"

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_binary(u, s, flt_kernels()->add);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    return flt_sum_like(g, at->dy, at->in[k]);
}

// a + 0 = a; a + constant; a + (-1) b = a - b.
static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    double c;
    for (size_t i = 0; i < 2; i++) {
        const flt_node a = at->in[i], b = at->in[1 - i];
        if (flt_node_uniform(g, b, &c) && flt_stretches_to(g, a, b)) return flt_offset(g, a, c);
        if (flt_node_is(g, b, &flt_op_kind_scale) && flt_node_attr(g, b)->value == -1)
            return flt_sub(g, a, flt_node_input(g, b, 0));
    }
    return flt_unstretched(g, &flt_op_kind_add, at);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_add(g, in[0], in[1]);
}
static const flt_op_example examples[] = {
    FLTX_BROADCAST_EXAMPLES(build){0},
};

const flt_op_kind flt_op_kind_add = {
    .kind =
        {
            .name = "add",
            .summary = "sum",
            .formula = "y = a + b",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 2,
    .in_place = 3,
    .shape = flt_shape_broadcast,
    .plan = plan,
    .flags = FLTX_OP_COMMUTES,
    .gradient = gradient,
    .simplify = simplify,
    .examples = examples,
};

flt_node flt_add(flt_graph *g, flt_node a, flt_node b) {
    return flt_op_binary(g, &flt_op_kind_add, a, b);
}
