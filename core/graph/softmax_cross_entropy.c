// SPDX-License-Identifier: MIT
// y = mean over the batch of -log softmax(x)[label] = mean(log sum exp(x - max) - (x[label] - max)); x [batch, classes], labels
// [batch], whole numbers; NaN where a label is no class. Gradient: the op softmax_cross_entropy_gradient, itself differentiable.
// Rows are added up in double.
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_softmax_cross_entropy;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *x = u->in[0], *label = u->in[1];
    if (x->rank != 2 || label->rank != 1 || label->dim[0] != x->dim[0])
        return flt_fail(FLTE_SHAPE, u->name, "logits %s, labels %s; allowed: [batch, classes] and [batch]",
                        flt_shape_text(x).text, flt_shape_text(label).text);
    return flt_shape_set(u->name, 0, NULL, out);
}

static void run(const flt_step *s) {
    const double sum = FLTX_ISA_PICK(flt_softmax_kernels)->loss(s->n[0], s->n[1], s->in[1], s->in[0]);
    *s->out = (flt_real)(sum / (double)s->n[0]);
}

static void plan(const flt_op_use *u, flt_step *s) {
    s->n[0] = u->in[0]->dim[0];
    s->n[1] = u->in[0]->dim[1];
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    return k == 0 ? flt_softmax_cross_entropy_gradient(g, at->in[0], at->in[1], at->dy) : flt_none;
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_softmax_cross_entropy(g, in[0], in[1]);
}

static const flt_op_example examples[] = {
    {.label = "[4, 3]",
     .n = 2,
     .in = {{.rank = 2, .dim = {4, 3}, .low = -1, .high = 1}, {.rank = 1, .dim = {4}, .index = 3}},
     .build = build},
    {0},
};

const flt_op_kind flt_op_kind_softmax_cross_entropy = {
    .kind =
        {
            .name = "softmax_cross_entropy",
            .summary = "mean negative log-likelihood of labels under softmax",
            .formula = "y = mean(log sum exp(x) - x[label])",
            .cost = "time O(n)",
            .caps = FLTX_OP_SMOOTH | FLTX_OP_INDEX,
        },
    .inputs = 2,
    .shape = shape,
    .plan = plan,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_softmax_cross_entropy(flt_graph *g, flt_node logits, flt_node labels) {
    return flt_op_binary(g, &flt_op_kind_softmax_cross_entropy, logits, labels);
}
