// SPDX-License-Identifier: MIT
// y[b, i, j] = the 3 x 3 surroundings of pixel (i, j) of image b, row by row, zeros beyond the edges: x [images, height, width,
// channels], y [images, height, width, 9 channels]. A convolution that keeps the size is this and one product.
// Gradient: patches_sum.
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_patches;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *x = u->in[0];
    if (x->rank != 4)
        return flt_fail(FLTE_SHAPE, u->name, "%s; allowed: [images, height, width, channels]", flt_shape_text(x).text);
    return flt_shape_set(u->name, 4, (size_t[]){x->dim[0], x->dim[1], x->dim[2], 9 * x->dim[3]}, out);
}

static void run(const flt_step *s) {
    const flt_patches p = {s->n[0], s->n[1], s->n[2], s->n[3]};
    FLTX_ISA_PICK(flt_patch_kernels)->gather(&p, s->in[0], s->out);
}

static void plan(const flt_op_use *u, flt_step *s) {
    for (size_t i = 0; i < 4; i++) s->n[i] = u->in[0]->dim[i];
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    return flt_patches_sum(g, at->dy);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_patches_of(g, in[0]);
}

static const flt_op_example examples[] = {
    {.label = "[2, 1, 3, 1]", .n = 1, .in = {{.rank = 4, .dim = {2, 1, 3, 1}, .low = -1, .high = 1}}, .build = build},
    {.label = "[1, 3, 1, 2]", .n = 1, .in = {{.rank = 4, .dim = {1, 3, 1, 2}, .low = -1, .high = 1}}, .build = build},
    {.label = "[1, 2, 3, 1]", .n = 1, .in = {{.rank = 4, .dim = {1, 2, 3, 1}, .low = -1, .high = 1}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_patches = {
    .kind =
        {
            .name = "patches",
            .summary = "3 x 3 surroundings of every pixel",
            .formula = "y[b, i, j, (p, q)] = x[b, i + p - 1, j + q - 1]",
            .cost = "time and memory O(n), 9 times the input's",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .shape = shape,
    .flags = FLTX_OP_MOVES,
    .plan = plan,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_patches_of(flt_graph *g, flt_node a) {
    return flt_op_unary(g, &flt_op_kind_patches, a);
}
