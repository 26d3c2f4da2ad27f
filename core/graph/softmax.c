// SPDX-License-Identifier: MIT
// y = exp(x - max x) / sum exp(x - max x) over the last axis. Gradient: dx = y (dy - sum dy y), of the row.
// Never in place: reading a short row just behind the masked store of the row before stalls (6 times slower, measured).
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_softmax;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    *out = *u->in[0];
    return out->rank > 0 ? FLTE_OK : flt_fail(FLTE_SHAPE, u->name, "[], rank 0; allowed: rank 1 or more");
}

static void run(const flt_step *s) {
    s->f.column(s->n[0], s->n[1], s->in[0], s->out);
}

static void plan(const flt_op_use *u, flt_step *s) {
    s->n[1] = u->out->dim[u->out->rank - 1];
    s->n[0] = u->out->count / s->n[1];
    s->f.column = FLTX_ISA_PICK(flt_softmax_kernels)->softmax;
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    const flt_node product = flt_mul(g, at->dy, at->y);
    const flt_node sum = flt_reduce_sum(g, product, 1u << (flt_node_rank(g, at->y) - 1), true);
    return flt_sub(g, product, flt_mul(g, at->y, sum));
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_softmax(g, in[0]);
}

#define X(r, ...)                                                                                                                \
    {                                                                                                                            \
        { .rank = r, .dim = {__VA_ARGS__}, .low = -1, .high = 1 }                                                                \
    }
static const flt_op_example examples[] = {
    {.label = "rows", .n = 1, .in = X(2, 3, 4), .build = build},
    {.label = "vector", .n = 1, .in = X(1, 5), .build = build},
    {.label = "three axes", .n = 1, .in = X(3, 2, 2, 3), .build = build},
    {0},
};

const flt_op_kind flt_op_kind_softmax = {
    .kind =
        {
            .name = "softmax",
            .summary = "softmax over the last axis",
            .formula = "y = exp(x) / sum exp(x)",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .shape = shape,
    .plan = plan,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_softmax(flt_graph *g, flt_node a) {
    return flt_op_unary(g, &flt_op_kind_softmax, a);
}
