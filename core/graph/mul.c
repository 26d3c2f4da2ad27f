// SPDX-License-Identifier: MIT
// y = a b, element by element, broadcast. dy/da = b, dy/db = a.
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_mul;

static void plan(const flt_op_use *u, flt_step *s) {
    flt_plan_binary(u, s, flt_kernels()->mul);
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    return flt_sum_like(g, flt_mul(g, at->dy, at->in[1 - k]), at->in[k]);
}

// A constant factor, 1 included. 0 stays a factor: 0 times infinity is to be seen.
static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    double c;
    for (size_t i = 0; i < 2; i++) {
        const flt_node a = at->in[i], b = at->in[1 - i];
        if (flt_node_uniform(g, b, &c) && flt_stretches_to(g, a, b)) return flt_scale(g, a, c);
    }
    return flt_unstretched(g, &flt_op_kind_mul, at);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_mul(g, in[0], in[1]);
}
static const flt_op_example examples[] = {
    FLTX_BROADCAST_EXAMPLES(build){0},
};

const flt_op_kind flt_op_kind_mul = {
    .kind =
        {
            .name = "mul",
            .summary = "product of elements",
            .formula = "y = a b",
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

flt_node flt_mul(flt_graph *g, flt_node a, flt_node b) {
    return flt_op_binary(g, &flt_op_kind_mul, a, b);
}
