// SPDX-License-Identifier: MIT
// y = x with zeros before and after along one axis: the gradient of slice. Gradient: the slice of dy.
#include <string.h>

#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_pad;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_op_attr *a = u->attr;
    flt_shape s = *u->in[0];
    size_t length = 0;
    if (a->axis >= s.rank)
        return flt_fail(FLTE_SHAPE, u->name, "axis %zu of %s; allowed: 0 .. rank - 1", a->axis, flt_shape_text(&s).text);
    if (__builtin_add_overflow(a->start, a->length, &length) || __builtin_add_overflow(s.dim[a->axis], length, &length))
        return flt_fail(FLTE_SHAPE, u->name, "%zu zeros before and %zu after %s; allowed: a length that fits in size_t", a->start,
                        a->length, flt_shape_text(&s).text);
    s.dim[a->axis] = length;
    return flt_shape_set(u->name, s.rank, s.dim, out);
}

// n[0] rows of n[1] elements, n[3] into rows of n[2].
static void run(const flt_step *s) {
    const size_t rows = s->n[0], width = s->n[1], whole = s->n[2], before = s->n[3];
    flt_real *y = s->out;
    for (size_t r = 0; r < rows; r++, y += whole) {
        memset(y, 0, before * sizeof *y);
        memcpy(y + before, s->in[0] + r * width, width * sizeof *y);
        memset(y + before + width, 0, (whole - before - width) * sizeof *y);
    }
}

static void plan(const flt_op_use *u, flt_step *s) {
    const size_t inner = flt_shape_product(u->out, u->attr->axis + 1, u->out->rank);
    s->n[0] = flt_shape_product(u->out, 0, u->attr->axis);
    s->n[1] = u->in[0]->dim[u->attr->axis] * inner;
    s->n[2] = u->out->dim[u->attr->axis] * inner;
    s->n[3] = u->attr->start * inner;
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    return flt_slice(g, at->dy, at->attr->axis, at->attr->start, flt_node_dim(g, at->in[k])[at->attr->axis]);
}

static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    (void)g;
    return at->attr->start == 0 && at->attr->length == 0 ? at->in[0] : flt_none;
}

static flt_node first(flt_graph *g, const flt_node *in) {
    return flt_pad(g, in[0], 0, 1, 2);
}
static flt_node second(flt_graph *g, const flt_node *in) {
    return flt_pad(g, in[0], 1, 2, 0);
}

#define X(r, ...)                                                                                                                \
    {                                                                                                                            \
        { .rank = r, .dim = {__VA_ARGS__}, .low = -1, .high = 1 }                                                                \
    }
static const flt_op_example examples[] = {
    {.label = "first axis", .n = 1, .in = X(2, 2, 3), .build = first},
    {.label = "last axis", .n = 1, .in = X(2, 3, 2), .build = second},
    {.label = "middle axis", .n = 1, .in = X(3, 2, 3, 2), .build = second},
    {0},
};

const flt_op_kind flt_op_kind_pad = {
    .kind =
        {
            .name = "pad",
            .summary = "zeros around one axis",
            .formula = "y[before + i] = x[i]",
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

flt_node flt_pad(flt_graph *g, flt_node a, size_t axis, size_t before, size_t after) {
    return flt_op_apply(g, &flt_op_kind_pad, 1, &a, &(flt_op_attr){.axis = axis, .start = before, .length = after});
}
