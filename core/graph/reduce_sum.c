// SPDX-License-Identifier: MIT
// y = sum of x over some axes; with `keep` they stay, with length 1. Gradient: dy stretched over the axes.
// Adjacent axes of one fate are merged. Sums along the last axes: flt_sum; sums of rows: four rows at a time, in order. The order
// is fixed, hence the bits.
#include <string.h>

#include "flt/num.h"
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_reduce_sum;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *x = u->in[0];
    size_t dim[FLTX_MAX_RANK] = {0}, rank = 0;
    if (u->attr->axes >> x->rank != 0)
        return flt_fail(FLTE_SHAPE, u->name, "axes %#x of %s; allowed: bits 0 .. rank - 1", u->attr->axes,
                        flt_shape_text(x).text);
    for (size_t i = 0; i < x->rank; i++) {
        if ((u->attr->axes >> i & 1) == 0)
            dim[rank++] = x->dim[i];
        else if ((u->attr->flags & FLTX_REDUCE_KEEP) != 0)
            dim[rank++] = 1;
    }
    return flt_shape_set(u->name, rank, dim, out);
}

// n[0] rows are summed into n[1] columns, or one row of n[1] elements into one, at each place of the loop over outer axes.
static void run_columns(const flt_step *s) {
    size_t index[FLTX_MAX_RANK] = {0}, x = 0, y = 0;
    memset(s->out, 0, s->n[2] * sizeof *s->out);
    do s->f.column(s->n[0], s->n[1], s->in[0] + x, s->out + y);
    while (flt_loop_next(&s->loop, index, &x, &y));
}

static void run_row(const flt_step *s) {
    s->out[0] = flt_sum(s->n[1], s->in[0]);
}

static void run_rows(const flt_step *s) {
    size_t index[FLTX_MAX_RANK] = {0}, x = 0, y = 0;
    memset(s->out, 0, s->n[2] * sizeof *s->out);
    do s->out[y] += flt_sum(s->n[1], s->in[0] + x);
    while (flt_loop_next(&s->loop, index, &x, &y));
}

// Merged axes, innermost first; fate[i]: summed.
static size_t merge(const flt_shape *x, unsigned axes, size_t *length, bool *summed) {
    size_t n = 0;
    for (size_t i = x->rank; i-- > 0;) {
        const bool fate = (axes >> i & 1) != 0;
        if (x->dim[i] == 1) continue;
        if (n > 0 && summed[n - 1] == fate) {
            length[n - 1] *= x->dim[i];
            continue;
        }
        length[n] = x->dim[i];
        summed[n++] = fate;
    }
    return n;
}

static void plan(const flt_op_use *u, flt_step *s) {
    size_t length[FLTX_MAX_RANK] = {0}, in = 1, out = 1;
    bool summed[FLTX_MAX_RANK] = {false};
    const size_t n = merge(u->in[0], u->attr->axes, length, summed);
    const bool row = n > 0 && summed[0];
    const size_t inner = row ? 1 : 2; // merged axes that the inner function covers
    s->n[0] = !row && n > 1 ? length[1] : 1;
    s->n[1] = n > 0 ? length[0] : 1;
    s->n[2] = u->out->count;
    s->f.column = flt_kernels()->column_add;
    flt_loop l = {0};
    for (size_t i = 0; i < n; i++) {
        if (i >= inner) {
            l.dim[l.rank] = length[i];
            l.a[l.rank] = in;
            l.b[l.rank++] = summed[i] ? 0 : out;
        }
        in *= length[i];
        out *= summed[i] ? 1 : length[i];
    }
    s->loop.rank = l.rank;
    for (size_t i = 0; i < l.rank; i++) {
        s->loop.dim[i] = l.dim[l.rank - 1 - i];
        s->loop.a[i] = l.a[l.rank - 1 - i];
        s->loop.b[i] = l.b[l.rank - 1 - i];
    }
    s->run = !row ? run_columns : l.rank == 0 ? run_row : run_rows;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    const flt_shape *x = flt_node_shape(g, at->in[0]);
    flt_shape kept = *x;
    for (size_t i = 0; i < x->rank; i++)
        if ((at->attr->axes >> i & 1) != 0) kept.dim[i] = 1;
    return flt_broadcast(g, flt_reshape(g, at->dy, x->rank, kept.dim), x->rank, x->dim);
}

// Over axes of length 1 nothing is summed.
static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    const flt_shape *x = flt_node_shape(g, at->in[0]);
    flt_shape out = {0};
    for (size_t i = 0; i < x->rank; i++)
        if ((at->attr->axes >> i & 1) != 0 && x->dim[i] != 1) return flt_none;
    const flt_op_use use = {.name = "reduce_sum", .n = 1, .in = &x, .attr = at->attr};
    return shape(&use, &out) != FLTE_OK ? flt_none : flt_reshape(g, at->in[0], out.rank, out.dim);
}

static flt_node all(flt_graph *g, const flt_node *in) {
    return flt_sum_all(g, in[0]);
}
static flt_node first(flt_graph *g, const flt_node *in) {
    return flt_reduce_sum(g, in[0], 1, false);
}
static flt_node last(flt_graph *g, const flt_node *in) {
    return flt_reduce_sum(g, in[0], 1u << (flt_node_rank(g, in[0]) - 1), true);
}
static flt_node middle(flt_graph *g, const flt_node *in) {
    return flt_reduce_sum(g, in[0], 2, true);
}
static flt_node ends(flt_graph *g, const flt_node *in) {
    return flt_reduce_sum(g, in[0], 5, false);
}
static flt_node alternate(flt_graph *g, const flt_node *in) {
    return flt_reduce_sum(g, in[0], 10, false);
}

#define X(r, ...)                                                                                                                \
    {                                                                                                                            \
        { .rank = r, .dim = {__VA_ARGS__}, .low = -1, .high = 1 }                                                                \
    }
static const flt_op_example examples[] = {
    {.label = "all axes", .n = 1, .in = X(2, 3, 4), .build = all},
    {.label = "rank 0", .n = 1, .in = X(0, 0), .build = all},
    {.label = "first of 2 axes", .n = 1, .in = X(2, 6, 3), .build = first},
    {.label = "last of 2 axes, kept", .n = 1, .in = X(2, 3, 4), .build = last},
    {.label = "middle axis, kept", .n = 1, .in = X(3, 2, 3, 2), .build = middle},
    {.label = "first and last of 3 axes", .n = 1, .in = X(3, 2, 3, 2), .build = ends},
    {.label = "second and fourth of 4 axes", .n = 1, .in = X(4, 2, 2, 2, 2), .build = alternate},
    {.label = "first and third of 4 axes", .n = 1, .in = X(4, 2, 2, 2, 2), .build = ends},
    {.label = "axis of length 1", .n = 1, .in = X(2, 1, 3), .build = first},
    {0},
};

const flt_op_kind flt_op_kind_reduce_sum = {
    .kind =
        {
            .name = "reduce_sum",
            .summary = "sum over axes",
            .formula = "y = sum x over the axes",
            .cost = "time O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .shape = shape,
    .plan = plan,
    .gradient = gradient,
    .simplify = simplify,
    .examples = examples,
};

flt_node flt_reduce_sum(flt_graph *g, flt_node a, unsigned axes, bool keep) {
    return flt_op_apply(g, &flt_op_kind_reduce_sum, 1, &a, &(flt_op_attr){.axes = axes, .flags = keep ? FLTX_REDUCE_KEEP : 0});
}
