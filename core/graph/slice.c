// SPDX-License-Identifier: MIT
// y = x from `start` on, `length` long, along one axis. Gradient: dy padded with zeros.
#include <string.h>

#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_slice;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_op_attr *a = u->attr;
    flt_shape s = *u->in[0];
    if (a->axis >= s.rank)
        return flt_fail(FLTE_SHAPE, u->name, "axis %zu of %s; allowed: 0 .. rank - 1", a->axis, flt_shape_text(&s).text);
    if (a->start > s.dim[a->axis] || a->length > s.dim[a->axis] - a->start)
        return flt_fail(FLTE_SHAPE, u->name, "elements %zu to %zu of axis %zu of %s; allowed: 0 to %zu", a->start,
                        a->start + a->length, a->axis, flt_shape_text(&s).text, s.dim[a->axis]);
    s.dim[a->axis] = a->length;
    return flt_shape_set(u->name, s.rank, s.dim, out);
}

// n[0] rows of n[1] elements out of rows of n[2], n[3] into them.
static void run(const flt_step *s) {
    for (size_t r = 0; r < s->n[0]; r++) memcpy(s->out + r * s->n[1], s->in[0] + r * s->n[2] + s->n[3], s->n[1] * sizeof *s->out);
}

static void plan(const flt_op_use *u, flt_step *s) {
    const size_t inner = flt_shape_product(u->out, u->attr->axis + 1, u->out->rank);
    s->n[0] = flt_shape_product(u->out, 0, u->attr->axis);
    s->n[1] = u->attr->length * inner;
    s->n[2] = u->in[0]->dim[u->attr->axis] * inner;
    s->n[3] = u->attr->start * inner;
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    const flt_op_attr *a = at->attr;
    const size_t whole = flt_node_dim(g, at->in[k])[a->axis];
    return flt_pad(g, at->dy, a->axis, a->start, whole - a->start - a->length);
}

static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    return at->attr->length == flt_node_dim(g, at->in[0])[at->attr->axis] ? at->in[0] : flt_none;
}

static flt_node first(flt_graph *g, const flt_node *in) {
    return flt_slice(g, in[0], 0, 1, 2);
}
static flt_node second(flt_graph *g, const flt_node *in) {
    return flt_slice(g, in[0], 1, 0, 2);
}

#define X(r, ...)                                                                                                                \
    {                                                                                                                            \
        { .rank = r, .dim = {__VA_ARGS__}, .low = -1, .high = 1 }                                                                \
    }
static const flt_op_example examples[] = {
    {.label = "first axis", .n = 1, .in = X(2, 4, 3), .build = first},
    {.label = "last axis", .n = 1, .in = X(2, 3, 4), .build = second},
    {.label = "middle axis", .n = 1, .in = X(3, 2, 3, 2), .build = second},
    {.label = "whole axis", .n = 1, .in = X(2, 3, 2), .build = second},
    {0},
};

const flt_op_kind flt_op_kind_slice = {
    .kind =
        {
            .name = "slice",
            .summary = "a stretch of one axis",
            .formula = "y[i] = x[start + i]",
            .cost = "time and memory O(n) of the result",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .shape = shape,
    .flags = FLTX_OP_MOVES,
    .plan = plan,
    .gradient = gradient,
    .simplify = simplify,
    .examples = examples,
};

flt_node flt_slice(flt_graph *g, flt_node a, size_t axis, size_t start, size_t length) {
    return flt_op_apply(g, &flt_op_kind_slice, 1, &a, &(flt_op_attr){.axis = axis, .start = start, .length = length});
}
