// SPDX-License-Identifier: MIT
// Attention: y [B, H, N, dv] of q, k [B, H, N, d], v [B, H, N, dv] by any mechanism of core/attention, in its own kernels, and of
// those of its arguments that are nodes (flt/attend.h). Gradient: the mechanism's backward pass, as the op attention_backward.
// An executor makes one plan for the forward and the backward op of an attention, and gives it new values of the arguments when
// they change.
#include "graph/engine/attend.h"

extern const flt_op_kind flt_op_kind_attention;

static flt_err shape(const flt_op_use *u, flt_shape *out) {
    const flt_attend_spec *s = u->attr->spec;
    return flt_shape_set(u->name, 4, (size_t[]){s->B, s->H, s->N, s->dv}, out);
}

static double flops(const flt_op_use *u) {
    return flt_attend_flops(u->attr->spec, false);
}

static void plan(const flt_op_use *u, flt_step *s) {
    (void)u;
    s->run = flt_attend_forward;
}

static flt_node gradient(flt_graph *g, const flt_op_site *at, size_t k) {
    const flt_attend_spec *s = at->attr->spec;
    size_t start = 0, end = 0, rank = 0, dim[FLTX_MAX_RANK], unused[FLTX_MAX_RANK];
    if (s->mixing && (k == 1 || k == 2)) return flt_none;
    const flt_node all = flt_attention_gradients(g, s, at->n, at->in, at->y, at->dy);
    flt_attend_part(s, k + 1, &end, &rank, unused);
    flt_attend_part(s, k, &start, &rank, dim);
    return flt_reshape(g, flt_slice(g, all, 0, start, end - start), rank, dim);
}

// q, k, v of one shape, causal where asked.
static flt_node attend(flt_graph *g, const flt_node *in, flt_attend_desc desc) {
    return flt_attend(g, &desc, (flt_node[]){in[0], in[1], in[2]}, NULL);
}
static flt_node exact(flt_graph *g, const flt_node *in) {
    return attend(g, in, (flt_attend_desc){.mechanism = "exact"});
}
static flt_node exact_causal(flt_graph *g, const flt_node *in) {
    return attend(g, in, (flt_attend_desc){.mechanism = "exact", .causal = true});
}
static flt_node performer(flt_graph *g, const flt_node *in) {
    return attend(g, in, (flt_attend_desc){.mechanism = "performer", .settings = "m=6", .causal = true, .seed = 3});
}
static flt_node hyperbolic(flt_graph *g, const flt_node *in) {
    return attend(g, in, (flt_attend_desc){.mechanism = "performer", .settings = "m=4,features=hyperbolic", .seed = 5});
}
static flt_node spectrum(flt_graph *g, const flt_node *in) {
    return attend(g, in, (flt_attend_desc){.mechanism = "flt", .settings = "m=6,r=2", .causal = true, .seed = 3});
}

#define TOKENS(b, h, n, d)                                                                                                       \
    { .rank = 4, .dim = {b, h, n, d}, .low = -1, .high = 1 }
static const flt_op_example examples[] = {
    {.label = "exact", .n = 3, .in = {TOKENS(2, 1, 3, 2), TOKENS(2, 1, 3, 2), TOKENS(2, 1, 3, 3)}, .build = exact},
    {.label = "exact, causal", .n = 3, .in = {TOKENS(1, 2, 4, 3), TOKENS(1, 2, 4, 3), TOKENS(1, 2, 4, 1)}, .build = exact_causal},
    {.label = "performer", .n = 3, .in = {TOKENS(2, 2, 3, 2), TOKENS(2, 2, 3, 2), TOKENS(2, 2, 3, 2)}, .build = performer},
    {.label = "hyperbolic", .n = 3, .in = {TOKENS(1, 1, 4, 2), TOKENS(1, 1, 4, 2), TOKENS(1, 1, 4, 3)}, .build = hyperbolic},
    {.label = "flt", .n = 3, .in = {TOKENS(2, 2, 3, 2), TOKENS(2, 2, 3, 2), TOKENS(2, 2, 3, 2)}, .build = spectrum},
    {0},
};

const flt_op_kind flt_op_kind_attention = {
    .kind =
        {
            .name = "attention",
            .summary = "attention by any mechanism; its arguments may be nodes",
            .formula = "y = mechanism(q, k, v; arguments)",
            .cost = "the mechanism's; second derivatives O(N^2)",
            .caps = FLTX_OP_SMOOTH,
        },
    .inputs = 0,
    .flags = FLTX_OP_LAZY,
    .shape = shape,
    .plan = plan,
    .flops = flops,
    .gradient = gradient,
    .examples = examples,
    .engine = &flt_attend_engine,
    .use = FLTX_ATTEND_FORWARD,
};
