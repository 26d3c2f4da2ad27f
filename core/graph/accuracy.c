// SPDX-License-Identifier: MIT
// y = share of the rows of x [batch, classes] whose largest element is at the label; the first of equal ones counts, a row with a
// NaN does not. labels [batch]. No gradient.
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_accuracy;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *x = u->in[0], *label = u->in[1];
    if (x->rank != 2 || label->rank != 1 || label->dim[0] != x->dim[0])
        return flt_fail(FLTE_SHAPE, u->name, "logits %s, labels %s; allowed: [batch, classes] and [batch]",
                        flt_shape_text(x).text, flt_shape_text(label).text);
    return flt_shape_set(u->name, 0, NULL, out);
}

static bool hit(size_t n, const flt_real *x, flt_real label) {
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != x[i]) return false;
        if (x[i] > x[best]) best = i;
    }
    return (flt_real)best == label;
}

static void run(const flt_step *s) {
    size_t hits = 0;
    for (size_t r = 0; r < s->n[0]; r++) hits += hit(s->n[1], s->in[0] + r * s->n[1], s->in[1][r]);
    *s->out = (flt_real)((double)hits / (double)s->n[0]);
}

static void plan(const flt_op_use *u, flt_step *s) {
    s->n[0] = u->in[0]->dim[0];
    s->n[1] = u->in[0]->dim[1];
    s->run = run;
}

const flt_op_kind flt_op_kind_accuracy = {
    .kind =
        {
            .name = "accuracy",
            .summary = "share of rows whose largest logit is at the label",
            .formula = "y = mean(argmax x = label)",
            .cost = "time O(n)",
            .caps = FLTX_OP_INDEX,
        },
    .inputs = 2,
    .shape = shape,
    .plan = plan,
};

flt_node flt_accuracy(flt_graph *g, flt_node logits, flt_node labels) {
    return flt_op_binary(g, &flt_op_kind_accuracy, logits, labels);
}
