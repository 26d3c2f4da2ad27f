// SPDX-License-Identifier: MIT
// y = x stretched to a shape as NumPy does: trailing axes aligned, length 1 repeated. Gradient: the sum over the stretched axes.
// Element-wise ops that would stretch the operand themselves read x instead (flt_unstretched).
#include <string.h>

#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_broadcast;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *x = u->in[0];
    flt_shape both;
    FLTX_TRY(flt_shape_set(u->name, u->attr->rank, u->attr->dim, out));
    const flt_op_use pair = {.name = u->name, .n = 2, .in = (const flt_shape *[]){x, out}};
    FLTX_TRY(flt_shape_broadcast(&pair, &both));
    if (flt_shape_equal(&both, out)) return FLTE_OK;
    return flt_fail(FLTE_SHAPE, u->name, "%s to %s; allowed: every axis, aligned at the last, has the wanted length or length 1",
                    flt_shape_text(x).text, flt_shape_text(out).text);
}

static void fill(size_t n, flt_real value, flt_real *y) {
    for (size_t i = 0; i < n; i++) y[i] = value;
}

static void run(const flt_step *s) {
    const size_t cols = s->grid.cols;
    size_t index[FLTX_MAX_RANK] = {0}, a = 0, b = 0;
    flt_real *y = s->out;
    do {
        const flt_real *x = s->in[0] + a;
        for (size_t r = 0; r < s->grid.rows; r++, x += s->grid.a_row, y += cols) {
            if (s->grid.a_fixed)
                fill(cols, *x, y);
            else
                memcpy(y, x, cols * sizeof *y);
        }
    } while (flt_loop_next(&s->loop, index, &a, &b));
}

static void plan(const flt_op_use *u, flt_step *s) {
    flt_walk_broadcast(u->out, u->in[0], u->in[0], &s->grid, &s->loop);
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    return flt_sum_like(g, at->dy, at->in[k]);
}

// To its own shape; a stretch of a stretch.
static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    const flt_shape *x = flt_node_shape(g, at->in[0]);
    flt_shape out;
    if (flt_shape_set("broadcast", at->attr->rank, at->attr->dim, &out) != FLTE_OK) return flt_none;
    if (flt_shape_equal(x, &out)) return at->in[0];
    if (!flt_node_is(g, at->in[0], &flt_op_kind_broadcast)) return flt_none;
    return flt_broadcast(g, flt_node_input(g, at->in[0], 0), out.rank, out.dim);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_broadcast(g, in[0], 3, (const size_t[]){2, 3, 2});
}

#define X(r, ...)                                                                                                                \
    {                                                                                                                            \
        { .rank = r, .dim = {__VA_ARGS__}, .low = -1, .high = 1 }                                                                \
    }
static const flt_op_example examples[] = {
    {.label = "scalar", .n = 1, .in = X(0, 0), .build = build},
    {.label = "row", .n = 1, .in = X(1, 2), .build = build},
    {.label = "column", .n = 1, .in = X(2, 3, 1), .build = build},
    {.label = "middle axis", .n = 1, .in = X(3, 2, 1, 2), .build = build},
    {.label = "outer axes", .n = 1, .in = X(3, 1, 3, 1), .build = build},
    {.label = "nothing to stretch", .n = 1, .in = X(3, 2, 3, 2), .build = build},
    {0},
};

const flt_op_kind flt_op_kind_broadcast = {
    .kind =
        {
            .name = "broadcast",
            .summary = "stretches axes of length 1",
            .formula = "y[i, j] = x[j]",
            .cost = "time and memory O(n) of the result",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .flags = FLTX_OP_LAZY | FLTX_OP_MOVES,
    .shape = shape,
    .plan = plan,
    .gradient = gradient,
    .simplify = simplify,
    .examples = examples,
};

flt_node flt_broadcast(flt_graph *g, flt_node a, size_t rank, const size_t *dim) {
    flt_op_attr attr = {.rank = rank};
    if (rank > 0 && dim == NULL) return flt_graph_lacks(g, "broadcast", "dim");
    for (size_t i = 0; i < rank && i < FLTX_MAX_RANK; i++) attr.dim[i] = dim[i];
    return flt_op_apply(g, &flt_op_kind_broadcast, 1, &a, &attr);
}
