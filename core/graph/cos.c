// SPDX-License-Identifier: MIT
// y = cos x, in radians.
#include "flt/num.h"
#include "graph/engine/op.h"

enum { TILE = 256 };

// sine and cosine come together; the one that is not wanted goes to the stack
static void run(const flt_step *s) {
    flt_real unwanted[TILE];
    for (size_t i = 0; i < s->n[0]; i += TILE)
        flt_vsincos(s->n[0] - i < TILE ? s->n[0] - i : TILE, s->in[0] + i, unwanted, s->out + i);
}

static void plan(const flt_op_use *u, flt_step *s) {
    s->n[0] = u->out->count;
    s->run = run;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    (void)k;
    return flt_neg(g, flt_mul(g, at->dy, flt_sin(g, at->in[0])));
}

static flt_node build(flt_graph *g, const flt_node *in) {
    return flt_cos(g, in[0]);
}
static const flt_op_example examples[] = {
    {.label = "vector", .n = 1, .in = {{.rank = 1, .dim = {19}, .low = -3, .high = 3}}, .build = build},
    {.label = "scalar", .n = 1, .in = {{.rank = 0, .low = -3, .high = 3}}, .build = build},
    {0},
};

const flt_op_kind flt_op_kind_cos = {
    .kind =
        {
            .name = "cos",
            .summary = "cosine",
            .formula = "y = cos x",
            .cost = "time and memory O(n)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 1,
    .in_place = 1,
    .shape = flt_shape_first,
    .plan = plan,
    .gradient = gradient,
    .examples = examples,
};

flt_node flt_cos(flt_graph *g, flt_node a) {
    return flt_op_unary(g, &flt_op_kind_cos, a);
}
