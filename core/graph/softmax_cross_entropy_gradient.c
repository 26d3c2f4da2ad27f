// SPDX-License-Identifier: MIT
// y = c / batch (softmax(x) - onehot(label)), x [batch, classes], labels [batch], c of rank 0: the gradient of
// softmax_cross_entropy in one pass. NaN rows where a label is no class.
// Gradient in x: c / batch p (u - sum u p), p = softmax(x), u = dy; in c: <u, y at c = 1>.
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_softmax_cross_entropy_gradient;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *x = u->in[0], *label = u->in[1], *c = u->in[2];
    *out = *x;
    if (x->rank == 2 && label->rank == 1 && label->dim[0] == x->dim[0] && c->rank == 0) return FLTE_OK;
    return flt_fail(FLTE_SHAPE, u->name, "logits %s, labels %s, scale %s; allowed: [batch, classes], [batch] and []",
                    flt_shape_text(x).text, flt_shape_text(label).text, flt_shape_text(c).text);
}

static void run(const flt_step *s) {
    const flt_real c = *s->in[2] / (flt_real)s->n[0];
    FLTX_ISA_PICK(flt_softmax_kernels)->error(s->n[0], s->n[1], c, s->in[1], s->in[0], s->out);
}

static void plan(const flt_op_use *u, flt_step *s) {
    s->n[0] = u->out->dim[0];
    s->n[1] = u->out->dim[1];
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    const flt_node x = at->in[0], label = at->in[1], c = at->in[2];
    if (k == 1) return flt_none;
    if (k == 2) return flt_sum_all(g, flt_mul(g, at->dy, flt_softmax_cross_entropy_gradient(g, x, label, flt_scalar(g, 1))));
    const flt_node p = flt_softmax(g, x), product = flt_mul(g, p, at->dy);
    const flt_node row = flt_sub(g, product, flt_mul(g, p, flt_reduce_sum(g, product, 2, true)));
    return flt_mul(g, flt_scale(g, row, 1.0 / (double)flt_node_dim(g, x)[0]), c);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_softmax_cross_entropy_gradient(g, in[0], in[1], in[2]);
}

static const flt_op_example examples[] = {
    {.label = "[4, 3]",
     .n = 3,
     .in = {{.rank = 2, .dim = {4, 3}, .low = -1, .high = 1},
            {.rank = 1, .dim = {4}, .index = 3},
            {.rank = 0, .low = 0.5, .high = 2}},
     .build = build},
    {0},
};

const flt_op_kind flt_op_kind_softmax_cross_entropy_gradient = {
    .kind =
        {
            .name = "softmax_cross_entropy_gradient",
            .summary = "gradient of softmax_cross_entropy in the logits",
            .formula = "y = c / batch (softmax(x) - onehot(label))",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH | FLTX_OP_INDEX,
        },
    .inputs = 3,
    .shape = shape,
    .plan = plan,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_softmax_cross_entropy_gradient(flt_graph *g, flt_node logits, flt_node labels, flt_node scale) {
    return flt_op_apply(g, &flt_op_kind_softmax_cross_entropy_gradient, 3, (flt_node[]){logits, labels, scale}, NULL);
}
