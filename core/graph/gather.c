// SPDX-License-Identifier: MIT
// y[i] = table[index[i]], table [n, ..], index [k], y [k, ..]. Gradient in the table: scatter_add; none in the index.
// Indices are whole numbers held as flt_real: exact below 2^24 in float. A row whose index is not in 0 .. n - 1 is NaN.
#include <math.h>
#include <string.h>

#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_gather;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *table = u->in[0], *index = u->in[1];
    if (table->rank < 1 || index->rank != 1)
        return flt_fail(FLTE_SHAPE, u->name, "table %s, index %s; allowed: [n, ..] and [k]", flt_shape_text(table).text,
                        flt_shape_text(index).text);
    flt_shape s = *table;
    s.dim[0] = index->dim[0];
    return flt_shape_set(u->name, s.rank, s.dim, out);
}

// n[0] rows of n[1] elements out of n[2] rows.
static void run(const flt_step *s) {
    const size_t width = s->n[1];
    flt_real *y = s->out;
    for (size_t r = 0; r < s->n[0]; r++, y += width) {
        const flt_real i = s->in[1][r];
        if (i >= 0 && i < (flt_real)s->n[2])
            memcpy(y, s->in[0] + (size_t)i * width, width * sizeof *y);
        else
            for (size_t c = 0; c < width; c++) y[c] = (flt_real)NAN;
    }
}

static void plan(const flt_op_use *u, flt_step *s) {
    s->n[0] = u->in[1]->count;
    s->n[1] = u->in[0]->count / u->in[0]->dim[0];
    s->n[2] = u->in[0]->dim[0];
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    return k == 0 ? flt_scatter_add(g, at->dy, at->in[1], flt_node_dim(g, at->in[0])[0]) : flt_none;
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_gather(g, in[0], in[1]);
}

static const flt_op_example examples[] = {
    {.label = "rows",
     .n = 2,
     .in = {{.rank = 2, .dim = {4, 3}, .low = -1, .high = 1}, {.rank = 1, .dim = {6}, .index = 4}},
     .build = build},
    {.label = "elements",
     .n = 2,
     .in = {{.rank = 1, .dim = {5}, .low = -1, .high = 1}, {.rank = 1, .dim = {3}, .index = 5}},
     .build = build},
    {0},
};

const flt_op_kind flt_op_kind_gather = {
    .kind =
        {
            .name = "gather",
            .summary = "rows of a table by index",
            .formula = "y[i] = table[index[i]]",
            .cost = "time and memory O(n) of the result",
            .caps = FLTX_OP_SMOOTH | FLTX_OP_INDEX,
        },
    .inputs = 2,
    .shape = shape,
    .flags = FLTX_OP_MOVES,
    .plan = plan,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_gather(flt_graph *g, flt_node table, flt_node index) {
    return flt_op_binary(g, &flt_op_kind_gather, table, index);
}
