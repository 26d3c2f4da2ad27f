// SPDX-License-Identifier: MIT
// y = x under another shape with as many elements, row-major order kept. Executors copy nothing: y is x's memory.
#include <string.h>

#include "graph/engine/op.h"

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    FLTX_TRY(flt_shape_set(u->name, u->attr->rank, u->attr->dim, out));
    if (out->count == u->in[0]->count) return FLTE_OK;
    return flt_fail(FLTE_SHAPE, u->name, "%s to %s: %zu and %zu elements; allowed: equal numbers", flt_shape_text(u->in[0]).text,
                    flt_shape_text(out).text, u->in[0]->count, out->count);
}

static void run(const flt_step *s) {
    memcpy(s->out, s->in[0], s->n[0] * sizeof *s->out);
}

static void plan(const flt_op_use *u, flt_step *s) {
    s->n[0] = u->out->count;
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    const flt_shape *x = flt_node_shape(g, at->in[k]);
    return flt_reshape(g, at->dy, x->rank, x->dim);
}

// To its own shape; of a reshape.
static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    const flt_shape *x = flt_node_shape(g, at->in[0]);
    if (x->rank == at->attr->rank && memcmp(x->dim, at->attr->dim, x->rank * sizeof *x->dim) == 0) return at->in[0];
    if (!flt_node_is(g, at->in[0], &flt_op_kind_reshape)) return flt_none;
    return flt_reshape(g, flt_node_input(g, at->in[0], 0), at->attr->rank, at->attr->dim);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_reshape(g, in[0], 3, (const size_t[]){2, 1, 6});
}

static const flt_op_example examples[] = {
    {.label = "[3, 4] to [2, 1, 6]", .n = 1, .in = {{.rank = 2, .dim = {3, 4}, .low = -1, .high = 1}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_reshape = {
    .kind =
        {
            .name = "reshape",
            .summary = "the same elements under another shape",
            .formula = "y = x",
            .cost = "nothing",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .flags = FLTX_OP_ALIAS,
    .shape = shape,
    .plan = plan,
    .gradient = gradient,
    .simplify = simplify,
    .examples = examples,
};

flt_node flt_reshape(flt_graph *g, flt_node a, size_t rank, const size_t *dim) {
    flt_op_attr attr = {.rank = rank};
    if (rank > 0 && dim == NULL) return flt_graph_lacks(g, "reshape", "dim");
    for (size_t i = 0; i < rank && i < FLTX_MAX_RANK; i++) attr.dim[i] = dim[i];
    return flt_op_apply(g, &flt_op_kind_reshape, 1, &a, &attr);
}
