// SPDX-License-Identifier: MIT
// y[index[i]] += rows[i] from zeros, rows [k, ..], index [k], y [n, ..]: the gradient of gather. Gradient in the rows: gather.
// Added in the order of i. Rows whose index is not in 0 .. n - 1 are left out.
#include <string.h>

#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_scatter_add;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *rows = u->in[0], *index = u->in[1];
    if (rows->rank < 1 || index->rank != 1 || index->dim[0] != rows->dim[0])
        return flt_fail(FLTE_SHAPE, u->name, "rows %s, index %s; allowed: [k, ..] and [k]", flt_shape_text(rows).text,
                        flt_shape_text(index).text);
    flt_shape s = *rows;
    s.dim[0] = u->attr->length;
    return flt_shape_set(u->name, s.rank, s.dim, out);
}

// n[0] rows of n[1] elements into n[2] rows.
static void run(const flt_step *s) {
    const size_t width = s->n[1];
    const flt_real *x = s->in[0];
    memset(s->out, 0, s->n[2] * width * sizeof *s->out);
    for (size_t r = 0; r < s->n[0]; r++, x += width) {
        const flt_real i = s->in[1][r];
        if (i >= 0 && i < (flt_real)s->n[2]) s->f.column(1, width, x, s->out + (size_t)i * width);
    }
}

static void plan(const flt_op_use *u, flt_step *s) {
    s->n[0] = u->in[1]->count;
    s->n[1] = u->in[0]->count / u->in[0]->dim[0];
    s->n[2] = u->attr->length;
    s->f.column = flt_kernels()->column_add;
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    return k == 0 ? flt_gather(g, at->dy, at->in[1]) : flt_none;
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_scatter_add(g, in[0], in[1], 4);
}

static const flt_op_example examples[] = {
    {.label = "rows",
     .n = 2,
     .in = {{.rank = 2, .dim = {6, 2}, .low = -1, .high = 1}, {.rank = 1, .dim = {6}, .index = 4}},
     .build = build},
    {.label = "elements",
     .n = 2,
     .in = {{.rank = 1, .dim = {3}, .low = -1, .high = 1}, {.rank = 1, .dim = {3}, .index = 4}},
     .build = build},
    {0},
};

const flt_op_kind flt_op_kind_scatter_add = {
    .kind =
        {
            .name = "scatter_add",
            .summary = "adds rows into a table by index",
            .formula = "y[index[i]] += rows[i]",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH | FLTX_OP_INDEX,
        },
    .inputs = 2,
    .shape = shape,
    .plan = plan,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_scatter_add(flt_graph *g, flt_node rows, flt_node index, size_t n) {
    return flt_op_apply(g, &flt_op_kind_scatter_add, 2, (flt_node[]){rows, index}, &(flt_op_attr){.length = n});
}
