// SPDX-License-Identifier: MIT
// What the simplifications of arithmetic share, and ops that are short compositions of others.
#include "graph/engine/op.h"

// An operand that was stretched in advance is read unstretched where the other operand gives the shape anyway.
flt_node flt_unstretched(flt_graph *g, const flt_op_kind *k, const flt_op_site *at) {
    for (size_t i = 0; i < 2; i++) {
        if (!flt_node_is(g, at->in[i], &flt_op_kind_broadcast)) continue;
        const flt_node inner = flt_node_input(g, at->in[i], 0), other = at->in[1 - i];
        const flt_shape *before[2] = {flt_node_shape(g, at->in[i]), flt_node_shape(g, other)};
        const flt_shape *after[2] = {flt_node_shape(g, inner), before[1]};
        flt_shape want, got;
        const flt_op_use old = {.name = k->kind.name, .n = 2, .in = before}, new = {.name = k->kind.name, .n = 2, .in = after};
        if (flt_shape_broadcast(&old, &want) != FLTE_OK || flt_shape_broadcast(&new, &got) != FLTE_OK) continue;
        if (flt_shape_equal(&want, &got)) return i == 0 ? flt_op_binary(g, k, inner, other) : flt_op_binary(g, k, other, inner);
    }
    return flt_none;
}

bool flt_stretches_to(const flt_graph *g, flt_node a, flt_node b) {
    const flt_shape *in[2] = {flt_node_shape(g, a), flt_node_shape(g, b)};
    flt_shape out;
    const flt_op_use use = {.name = "broadcast", .n = 2, .in = in};
    return flt_shape_broadcast(&use, &out) == FLTE_OK && flt_shape_equal(&out, in[0]);
}

flt_node flt_neg(flt_graph *g, flt_node a) {
    return flt_scale(g, a, -1);
}

// a Phi(a): Phi is kept for the gradient Phi(a) + a phi(a).
flt_node flt_gelu(flt_graph *g, flt_node a) {
    return flt_mul(g, a, flt_normal_cdf(g, a));
}

flt_node flt_reduce_mean(flt_graph *g, flt_node a, unsigned axes, bool keep) {
    const flt_node sum = flt_reduce_sum(g, a, axes, keep);
    if (!flt_node_ok(g, sum)) return sum;
    return flt_scale(g, sum, (double)flt_node_count(g, sum) / (double)flt_node_count(g, a));
}

flt_node flt_sum_all(flt_graph *g, flt_node a) {
    return flt_reduce_sum(g, a, (1u << flt_node_rank(g, a)) - 1, false);
}
flt_node flt_mean_all(flt_graph *g, flt_node a) {
    return flt_reduce_mean(g, a, (1u << flt_node_rank(g, a)) - 1, false);
}
