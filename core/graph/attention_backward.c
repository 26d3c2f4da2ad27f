// SPDX-License-Identifier: MIT
// The backward pass of attention: from q, k, v, y, dy and the learned arguments one vector, dq, dk, dv and the arguments'
// gradients in a row, by the mechanism's own kernels.
//
// Its own gradient (Hessian-vector products) is taken of the same estimator, with the same draws, written in primitive ops: the
// mechanism's file in core/graph/forms. That costs O(N^2) time and memory whatever the mechanism; one without a file refuses with
// a sentence. y counts as what q, k, v make it: no gradient goes through it.
#include "graph/engine/form.h"
#include "graph/engine/graph.h"

#include "flt/memory.h"

extern const flt_op_kind flt_op_kind_attention_backward;

enum { Y = 3, DY = 4, ARGS = 5 };

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_attend_spec *s = u->attr->spec;
    size_t total = 0, rank = 0, dim[FLTX_MAX_RANK];
    flt_attend_part(s, flt_attend_parts(s), &total, &rank, dim);
    return flt_shape_set(u->name, 1, &total, out);
}

static double flops(const flt_op_use *u) {
    return flt_attend_flops(u->attr->spec, true);
}

static void plan(const flt_op_use *u, flt_step *s) {
    (void)u;
    s->run = flt_attend_backward;
}

// ---- the gradient of the gradient, in a graph of its own

typedef struct twice {
    flt_graph *g;
    const flt_attend_spec *s;
    size_t n;         // inputs of the op
    flt_node *in;     // [n + 1]: leaves in their place, and for what comes back
    flt_node *x, *dx; // [3 + learned]: what is differentiated, and first derivatives
} twice;

static void twice_end(twice *t) {
    flt_graph_destroy(t->g);
    flt_free(t->in);
    flt_free(t->x);
    flt_free(t->dx);
}

static flt_err twice_begin(const flt_graph *from, const flt_op_site *at, twice *t) {
    *t = (twice){.s = at->attr->spec, .n = at->n};
    FLTX_TRY(flt_graph_create(&t->g));
    FLTX_TRY(flt_alloc(t->n + 1, sizeof *t->in, &t->in));
    FLTX_TRY(flt_alloc(t->n, sizeof *t->x, &t->x));
    FLTX_TRY(flt_alloc(t->n, sizeof *t->dx, &t->dx));
    for (size_t i = 0; i <= t->n; i++) {
        const flt_shape *s = flt_node_shape(from, i < t->n ? at->in[i] : at->dy);
        t->in[i] = flt_input(t->g, "x", s->rank, s->dim);
    }
    for (size_t i = 0; i + 2 < t->n; i++) t->x[i] = t->in[i < Y ? i : i + 2];
    return flt_graph_status(t->g);
}

// <first derivatives, what comes back>
static flt_node slope(const twice *t) {
    flt_node sum = flt_scalar(t->g, 0);
    for (size_t i = 0; i + 2 < t->n; i++) {
        size_t start = 0, end = 0, rank = 0, dim[FLTX_MAX_RANK], unused[FLTX_MAX_RANK];
        flt_attend_part(t->s, i + 1, &end, &rank, unused);
        flt_attend_part(t->s, i, &start, &rank, dim);
        if (t->s->mixing && (i == 1 || i == 2)) continue;
        const flt_node back = flt_reshape(t->g, flt_slice(t->g, t->in[t->n], 0, start, end - start), rank, dim);
        sum = flt_add(t->g, sum, flt_sum_all(t->g, flt_mul(t->g, t->dx[i], back)));
    }
    return sum;
}

static flt_err differentiate(twice *t, size_t k, flt_node *out) {
    const flt_node y = flt_form_build(t->g, t->s, t->x);
    const flt_node product = flt_sum_all(t->g, flt_mul(t->g, y, t->in[DY]));
    FLTX_TRY(flt_graph_status(t->g));
    FLTX_TRY(flt_gradient(t->g, product, t->n - 2, t->x, t->dx));
    return flt_gradient(t->g, slope(t), 1, &t->in[k], out);
}

static flt_err splice(flt_graph *g, const twice *t, const flt_op_site *at, flt_node *out) {
    flt_node *put = NULL;
    FLTX_TRY(flt_alloc(t->n + 1, sizeof *put, &put));
    for (size_t i = 0; i <= t->n; i++) put[i] = i < t->n ? at->in[i] : at->dy;
    const flt_node wanted = *out;
    const flt_splice s = {.from = t->g, .n_inputs = t->n + 1, .take = t->in, .put = put, .n = 1, .outputs = &wanted};
    const flt_err err = flt_graph_splice(g, &s, out);
    flt_free(put);
    return err;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    flt_node out = flt_bad;
    twice t;
    if (k == Y) return flt_none;
    flt_err err = twice_begin(g, at, &t);
    if (err == FLTE_OK) err = differentiate(&t, k, &out);
    if (err == FLTE_OK) err = splice(g, &t, at, &out);
    twice_end(&t);
    return err == FLTE_OK ? out : flt_graph_fail(g, err);
}

// ---- the op

static flt_node backward_of(flt_graph *g, const flt_node *in, const flt_attend_desc *desc) {
    const flt_node y = flt_attend(g, desc, (flt_node[]){in[0], in[1], in[1]}, NULL);
    const flt_op_attr *attr = flt_node_attr(g, y);
    return y.id < 0 ? y : flt_attention_gradients(g, attr->spec, 3, (flt_node[]){in[0], in[1], in[1]}, y, in[2]);
}
static flt_node exact(flt_graph *g, const flt_node *in) {
    return backward_of(g, in, &(flt_attend_desc){.mechanism = "exact", .causal = true});
}
static flt_node performer(flt_graph *g, const flt_node *in) {
    return backward_of(g, in, &(flt_attend_desc){.mechanism = "performer", .settings = "m=5", .seed = 2});
}

#define TOKENS(b, h, n, d)                                                                                                       \
    { .rank = 4, .dim = {b, h, n, d}, .low = -1, .high = 1 }
static const flt_op_example examples[] = {
    {.label = "exact", .n = 3, .in = {TOKENS(1, 2, 3, 2), TOKENS(1, 2, 3, 2), TOKENS(1, 2, 3, 2)}, .build = exact},
    {.label = "performer", .n = 3, .in = {TOKENS(2, 1, 3, 2), TOKENS(2, 1, 3, 2), TOKENS(2, 1, 3, 2)}, .build = performer},
    {0},
};

const flt_op_kind flt_op_kind_attention_backward = {
    .kind =
        {
            .name = "attention_backward",
            .summary = "gradients of attention in q, k, v and learned arguments, in a row",
            .formula = "y = d sum(attention o dy) / d(q, k, v, arguments)",
            .cost = "the mechanism's backward pass; its own gradient O(N^2)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 0,
    .flags = FLTX_OP_LAZY,
    .shape = shape,
    .plan = plan,
    .flops = flops,
    .gradient = gradient,
    .examples = examples,
    .engine = &flt_attend_engine,
    .use = FLTX_ATTEND_BACKWARD,
};

flt_node flt_attention_gradients(flt_graph *g, const flt_attend_spec *s, size_t n, const flt_node *in, flt_node y, flt_node dy) {
    flt_node *all = NULL;
    flt_err err = flt_attend_differentiable(s);
    if (err == FLTE_OK) err = flt_alloc(n + 2, sizeof *all, &all);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < n + 2; i++) all[i] = i < Y ? in[i] : i == Y ? y : i == DY ? dy : in[i - 2];
    const flt_node out = flt_op_apply(g, &flt_op_kind_attention_backward, n + 2, all, &(flt_op_attr){.spec = s});
    flt_free(all);
    return out;
}
