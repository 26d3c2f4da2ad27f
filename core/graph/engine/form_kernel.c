// SPDX-License-Identifier: MIT
// Forms of softmax attention and of its random features; see form.h. What the features are: core/attention/engine/features.h.
//
//     log phi(q) = B p(q), log phi(k) = B p(k) - |k|^2 / (2 sqrt d) + 2 A |omega|^2,   p = omega [x / d^(1/4), snippet]
//     hyperbolic: B p and -B p; relu: phi = max(p / sqrt m, 0) + 1e-3 of both sides; favor++: A, B of the mean of |q + k|^2,
//     and 0, 1 elsewhere; centred: p(k) of k and snippet less c, + <c, k>, c = the means of both sides
#include "graph/engine/form.h"

#include "flt/memory.h"

#include <math.h>

// ---- softmax

// `seen` where j <= i, else `hidden`: [N, N].
static flt_node causal_mask(flt_graph *g, const flt_attend_spec *s, double seen, double hidden) {
    const size_t N = s->N;
    double *mask = NULL;
    const flt_err err = flt_alloc(N, N * sizeof *mask, &mask);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < N * N; i++) mask[i] = i % N <= i / N ? seen : hidden;
    const flt_node node = flt_form_constant(g, 2, (size_t[]){N, N}, mask);
    flt_free(mask);
    return node;
}

flt_node flt_form_softmax(flt_graph *g, const flt_attend_spec *s, const flt_node qkv[3], flt_node bias) {
    if (qkv[0].id < 0) return flt_bad;
    const double scale = 1 / sqrt((double)flt_node_dim(g, qkv[0])[3]);
    flt_node scores = flt_scale(g, flt_matmul(g, qkv[0], qkv[1], false, true), scale);
    if (bias.id != flt_none.id) scores = flt_add(g, scores, bias);
    if (s->causal) scores = flt_add(g, scores, causal_mask(g, s, 0, -1e30));
    return flt_matmul(g, flt_softmax(g, scores), qkv[2], false, false);
}

flt_node flt_form_weigh(flt_graph *g, const flt_attend_spec *s, flt_node a, flt_node v) {
    if (s->causal) a = flt_mul(g, a, causal_mask(g, s, 1, 0));
    return flt_div(g, flt_matmul(g, a, v, false, false), flt_reduce_sum(g, a, 1u << 3, true));
}

// ---- random features

flt_node flt_form_over_batch(flt_graph *g, const flt_attend_spec *s, flt_node x) {
    if (x.id < 0) return x;
    const size_t *d = flt_node_dim(g, x);
    return flt_broadcast(g, x, 4, (size_t[]){s->B, d[0], d[1], d[2]});
}

flt_node flt_form_dots(flt_graph *g, flt_node a, flt_node b) {
    if (a.id < 0 || b.id < 0) return flt_bad;
    return flt_reduce_sum(g, flt_mul(g, a, b), 1u << (flt_node_rank(g, a) - 1), true);
}

typedef struct kernel {
    flt_graph *g;
    const flt_attend_spec *s;
    flt_node q, k, a, b;     // rows [B, H, N, w] and their snippets [H, N, 2r], flt_none: none
    flt_node mq, mk, ma, mb; // means [B, H, 1, w], [H, 1, 2r]
    flt_node omega;          // [H, m, w + 2r]
    size_t w, more, m;       // more: 2r
    bool snippets, relu, centred;
} kernel;

// The mean of |q + k|^2 / sqrt w over all pairs, snippets included, [B, H, 1, 1]: |q|^2 + |k|^2 + 2 <q, k> on average.
static flt_node spread(const kernel *f) {
    flt_graph *g = f->g;
    const unsigned rows = 1u << 2;
    flt_node all = flt_add(g, flt_reduce_mean(g, flt_form_dots(g, f->q, f->q), rows, true),
                           flt_reduce_mean(g, flt_form_dots(g, f->k, f->k), rows, true));
    all = f->centred ? flt_sub(g, all, flt_add(g, flt_form_dots(g, f->mq, f->mq), flt_form_dots(g, f->mk, f->mk)))
                     : flt_add(g, all, flt_scale(g, flt_form_dots(g, f->mq, f->mk), 2));
    all = flt_scale(g, all, 1 / sqrt((double)f->w));
    if (!f->snippets) return all;
    flt_node own = flt_add(g, flt_reduce_mean(g, flt_form_dots(g, f->a, f->a), 1u << 1, true),
                           flt_reduce_mean(g, flt_form_dots(g, f->b, f->b), 1u << 1, true));
    own = f->centred ? flt_sub(g, own, flt_add(g, flt_form_dots(g, f->ma, f->ma), flt_form_dots(g, f->mb, f->mb)))
                     : flt_add(g, own, flt_scale(g, flt_form_dots(g, f->ma, f->mb), 2));
    return flt_add(g, all, own);
}

// A of least variance at this spread: 1/8 - (sqrt(b^2 + 8 spread D) + b) / 16 D, b = 2 spread + D, D = w + 2r.
static flt_node least_variance(const kernel *f) {
    flt_graph *g = f->g;
    const double D = (double)(f->w + f->more), given = flt_params_real(f->s->params, "spread");
    const bool measured = given == 0 && !f->s->causal;
    const flt_node S = measured ? spread(f) : flt_scalar(g, given == 0 ? 2 * sqrt((double)f->w) : given);
    const flt_node b = flt_offset(g, flt_scale(g, S, 2), D);
    const flt_node root = flt_sqrt(g, flt_add(g, flt_square(g, b), flt_scale(g, S, 8 * D)));
    return flt_offset(g, flt_scale(g, flt_add(g, root, b), -1 / (16 * D)), 0.125);
}

// p = omega [x / w^(1/4), snippet], [B, H, N, m]
static flt_node project(const kernel *f, flt_node x, flt_node snippet) {
    flt_graph *g = f->g;
    const double unit = f->relu ? 1 / sqrt((double)f->m) : 1, root = sqrt(sqrt((double)f->w));
    const flt_node own = flt_scale(g, flt_slice(g, f->omega, 2, 0, f->w), unit / root);
    const flt_node p = flt_matmul(g, x, flt_form_over_batch(g, f->s, own), false, true);
    if (!f->snippets) return p;
    const flt_node rest = flt_scale(g, flt_slice(g, f->omega, 2, f->w, f->more), unit);
    return flt_add(g, p, flt_matmul(g, snippet, rest, false, true));
}

// |k|^2 / (2 sqrt w), less <c, k> / sqrt w and what the snippets give when centred: [B, H, N, 1]
static flt_node key_halves(const kernel *f) {
    flt_graph *g = f->g;
    const double scale = 1 / sqrt((double)f->w);
    flt_node half = flt_scale(g, flt_form_dots(g, f->k, f->k), 0.5 * scale);
    if (!f->centred) return half;
    half = flt_sub(g, half, flt_scale(g, flt_form_dots(g, f->k, flt_add(g, f->mq, f->mk)), scale));
    if (!f->snippets) return half;
    return flt_sub(g, half, flt_form_dots(g, f->b, flt_add(g, f->ma, f->mb)));
}

// exp of p - half, or of both p and -p less it.
static flt_node exponentials(const kernel *f, flt_node p, flt_node half) {
    flt_graph *g = f->g;
    const bool shifted = half.id != flt_none.id;
    const flt_node up = flt_exp(g, shifted ? flt_sub(g, p, half) : p);
    if (!flt_form_chosen(f->s, "features", "hyperbolic")) return up;
    const flt_node minus = flt_neg(g, p), down = flt_exp(g, shifted ? flt_sub(g, minus, half) : minus);
    return flt_concat(g, 2, (flt_node[]){up, down}, 3);
}

static void measure(kernel *f) {
    flt_graph *g = f->g;
    f->mq = flt_reduce_mean(g, f->q, 1u << 2, true);
    f->mk = flt_reduce_mean(g, f->k, 1u << 2, true);
    if (!f->snippets) return;
    f->ma = flt_reduce_mean(g, f->a, 1u << 1, true);
    f->mb = flt_reduce_mean(g, f->b, 1u << 1, true);
}

static flt_node weights(const kernel *f) {
    flt_graph *g = f->g;
    const bool best = flt_form_chosen(f->s, "features", "favor++");
    const flt_node key = f->centred ? flt_sub(g, f->k, flt_add(g, f->mq, f->mk)) : f->k;
    const flt_node snippet = f->centred && f->snippets ? flt_sub(g, f->b, flt_add(g, f->ma, f->mb)) : f->b;
    flt_node p = project(f, f->q, f->a), r = project(f, key, snippet), half = flt_none;
    if (f->relu) {
        p = flt_offset(g, flt_relu(g, p), 1e-3), r = flt_offset(g, flt_relu(g, r), 1e-3);
        return flt_matmul(g, p, r, false, true);
    }
    half = key_halves(f);
    if (best) {
        const flt_node A = least_variance(f), B = flt_sqrt(g, flt_offset(g, flt_scale(g, A, -4), 1));
        const flt_node squares = flt_transpose(g, flt_form_dots(g, f->omega, f->omega), (size_t[]){0, 2, 1}); // [H, 1, m]
        p = flt_mul(g, p, B);
        r = flt_add(g, flt_mul(g, r, B), flt_mul(g, flt_scale(g, A, 2), squares));
    }
    return flt_matmul(g, exponentials(f, p, flt_none), exponentials(f, r, half), false, true);
}

flt_node flt_form_features(flt_graph *g, const flt_attend_spec *s, const flt_node qkv[3], flt_node omega,
                           const flt_node snippets[2]) {
    const bool none = snippets[0].id == flt_none.id;
    kernel f = {.g = g, .s = s, .q = qkv[0], .k = qkv[1], .a = snippets[0], .b = snippets[1]};
    if (qkv[0].id < 0 || omega.id < 0 || (!none && snippets[0].id < 0)) return flt_bad;
    f.omega = flt_form_heads(g, s, omega, 2);
    f.m = flt_node_dim(g, f.omega)[1];
    f.w = flt_node_dim(g, qkv[0])[3], f.more = none ? 0 : flt_node_dim(g, snippets[0])[2];
    f.snippets = !none;
    f.relu = flt_form_chosen(s, "features", "relu");
    f.centred = flt_form_chosen(s, "centre", "mean");
    measure(&f);
    return flt_form_weigh(g, s, weights(&f), qkv[2]);
}
