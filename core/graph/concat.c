// SPDX-License-Identifier: MIT
// y = the parts one after the other along an axis; their other lengths are equal. Gradient of a part: its slice of dy.
#include <string.h>

#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_concat;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const size_t axis = u->attr->axis;
    flt_shape s = *u->in[0];
    if (axis >= s.rank)
        return flt_fail(FLTE_SHAPE, u->name, "axis %zu of %s; allowed: 0 .. rank - 1", axis, flt_shape_text(&s).text);
    for (size_t k = 1; k < u->n; k++) {
        flt_shape part = *u->in[k];
        const size_t length = part.rank == s.rank ? part.dim[axis] : 0;
        part.dim[axis] = s.dim[axis];
        if (!flt_shape_equal(&part, &s))
            return flt_fail(FLTE_SHAPE, u->name, "part %zu is %s, part 0 is %s; allowed: shapes equal outside of axis %zu", k,
                            flt_shape_text(u->in[k]).text, flt_shape_text(u->in[0]).text, axis);
        s.dim[axis] += length;
        part.dim[axis] = s.dim[axis];
    }
    return flt_shape_set(u->name, s.rank, s.dim, out);
}

// n[0] rows of y, each made of one row of every part.
static void run(const flt_step *s) {
    flt_real *y = s->out;
    for (size_t r = 0; r < s->n[0]; r++)
        for (size_t k = 0; k < s->n[1]; k++) {
            const size_t width = s->count[k] / s->n[0];
            memcpy(y, s->in[k] + r * width, width * sizeof *y);
            y += width;
        }
}

static void plan(const flt_op_use *u, flt_step *s) {
    s->n[0] = flt_shape_product(u->out, 0, u->attr->axis);
    s->n[1] = u->n;
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    const size_t axis = at->attr->axis;
    size_t start = 0;
    for (size_t i = 0; i < k; i++) start += flt_node_dim(g, at->in[i])[axis];
    return flt_slice(g, at->dy, axis, start, flt_node_dim(g, at->in[k])[axis]);
}

static flt_node simplify(flt_graph *g, const flt_op_site *at) {
    (void)g;
    return at->n == 1 ? at->in[0] : flt_none;
}

static flt_node first(flt_graph *g, const flt_node *in) {
    return flt_concat(g, 3, in, 0);
}
static flt_node last(flt_graph *g, const flt_node *in) {
    return flt_concat(g, 2, in, 1);
}
static flt_node twice(flt_graph *g, const flt_node *in) {
    return flt_concat(g, 3, (const flt_node[]){in[0], in[1], in[0]}, 1);
}

#define PART(r, ...)                                                                                                             \
    { .rank = r, .dim = {__VA_ARGS__}, .low = -1, .high = 1 }
static const flt_op_example examples[] = {
    {.label = "first axis", .n = 3, .in = {PART(2, 1, 3), PART(2, 2, 3), PART(2, 1, 3)}, .build = first},
    {.label = "last axis", .n = 2, .in = {PART(2, 3, 1), PART(2, 3, 2)}, .build = last},
    {.label = "middle axis", .n = 2, .in = {PART(3, 2, 1, 2), PART(3, 2, 2, 2)}, .build = last},
    {.label = "a part twice", .n = 2, .in = {PART(2, 3, 1), PART(2, 3, 2)}, .build = twice},
    {0},
};

const flt_op_kind flt_op_kind_concat = {
    .kind =
        {
            .name = "concat",
            .summary = "parts one after the other along an axis",
            .formula = "y = [x_1, x_2, ..]",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 0,
    .shape = shape,
    .flags = FLTX_OP_MOVES,
    .plan = plan,
    .gradient = gradient,
    .simplify = simplify,
    .examples = examples,
};

flt_node flt_concat(flt_graph *g, size_t n, const flt_node *parts, size_t axis) {
    return flt_op_apply(g, &flt_op_kind_concat, n, parts, &(flt_op_attr){.axis = axis});
}
