// SPDX-License-Identifier: MIT
// The adjoint of patches: y[b, i, j] = sum over the surroundings that pixel (i, j) is in; x [images, height, width, 9 channels],
// y [images, height, width, channels]. Added in the order of the places in the surroundings. Gradient: patches.
#include "graph/engine/op.h"

extern const flt_op_kind flt_op_kind_patches_sum;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_shape *x = u->in[0];
    if (x->rank != 4 || x->dim[3] % 9 != 0)
        return flt_fail(FLTE_SHAPE, u->name, "%s; allowed: [images, height, width, 9 channels]", flt_shape_text(x).text);
    return flt_shape_set(u->name, 4, (size_t[]){x->dim[0], x->dim[1], x->dim[2], x->dim[3] / 9}, out);
}

static void run(const flt_step *s) {
    const flt_patches p = {s->n[0], s->n[1], s->n[2], s->n[3]};
    FLTX_ISA_PICK(flt_patch_kernels)->sum(&p, s->in[0], s->out);
}

static void plan(const flt_op_use *u, flt_step *s) {
    for (size_t i = 0; i < 4; i++) s->n[i] = u->out->dim[i];
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    return flt_patches_of(g, at->dy);
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_patches_sum(g, in[0]);
}

static const flt_op_example examples[] = {
    {.label = "[1, 2, 2, 9]", .n = 1, .in = {{.rank = 4, .dim = {1, 2, 2, 9}, .low = -1, .high = 1}}, .build = build},
    {.label = "[1, 1, 3, 18]", .n = 1, .in = {{.rank = 4, .dim = {1, 1, 3, 18}, .low = -1, .high = 1}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_patches_sum = {
    .kind =
        {
            .name = "patches_sum",
            .summary = "adds 3 x 3 surroundings back into their pixels",
            .formula = "y[b, i, j] = sum over p, q of x[b, i - p + 1, j - q + 1, (p, q)]",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .shape = shape,
    .plan = plan,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_patches_sum(flt_graph *g, flt_node a) {
    return flt_op_unary(g, &flt_op_kind_patches_sum, a);
}
