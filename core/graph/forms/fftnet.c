// SPDX-License-Identifier: MIT
// FFTNet in primitive ops, its transforms as products with constant matrices [N/2 + 1, N].
//
//   (re, im) = filter o (C x, S x);   y = C' (c o gate o re) + S' (c o gate o im);   gate = max(|z| + bias, 0) / max(|z|, eps)
//   C = cos(2 pi k n / N) / sqrt N, S = -sin(2 pi k n / N) / sqrt N; c = 1 at k = 0 and N/2, else 2
//   filter = base_filter + modulation; form=context: tanh(w2 gelu(w0 mean x + b0) + b2) for it; form=layer: norm(x + y) as well
//
// Time O(N^2 d), memory O(N^2).
#include "graph/engine/form.h"

#include "flt/memory.h"

#include <math.h>

// ---- the transforms

static flt_node matrix(flt_graph *g, size_t N, bool sine) {
    const size_t pairs = N / 2 + 1;
    const double root = sqrt((double)N);
    double *x = NULL;
    const flt_err err = flt_alloc(pairs, N * sizeof *x, &x);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < pairs * N; i++) {
        const double angle = FLTX_TWO_PI * (double)(i / N * (i % N) % N) / (double)N;
        x[i] = (sine ? -sin(angle) : cos(angle)) / root;
    }
    const flt_node node = flt_form_constant(g, 2, (size_t[]){pairs, N}, x);
    flt_free(x);
    return node;
}

// How often each frequency counts, [N/2 + 1, 1].
static flt_node counts(flt_graph *g, size_t N) {
    const size_t pairs = N / 2 + 1;
    double *x = NULL;
    const flt_err err = flt_alloc(pairs, sizeof *x, &x);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t k = 0; k < pairs; k++) x[k] = k == 0 || 2 * k == N ? 1 : 2;
    const flt_node node = flt_form_constant(g, 2, (size_t[]){pairs, 1}, x);
    flt_free(x);
    return node;
}

// ---- the filter

// A table of the frequencies [H, N/2 + 1, 1].
static flt_node column(flt_graph *g, const flt_attend_spec *s, flt_node x) {
    return flt_reshape(g, flt_form_heads(g, s, x, 1), 3, (size_t[]){s->H, s->N / 2 + 1, 1});
}

// tanh(w2 gelu(w0 m + b0) + b2), [B, H, N/2 + 1, 1]
static flt_node context(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    static const char *const names[] = {"w0", "b0", "w2", "b2"};
    const flt_node mean = flt_reduce_mean(g, in[0], 1u << 2, false);
    flt_node w[4], x = flt_reshape(g, mean, 2, (size_t[]){s->B, s->H * s->d});
    for (size_t i = 0; i < 4; i++) w[i] = flt_form_argument(g, s, in, names[i]);
    x = flt_gelu(g, flt_add(g, flt_matmul(g, x, w[0], false, true), w[1]));
    x = flt_tanh(g, flt_add(g, flt_matmul(g, x, w[2], false, true), w[3]));
    return flt_reshape(g, x, 4, (size_t[]){s->B, s->H, s->N / 2 + 1, 1});
}

// sqrt(re^2 + im^2), 0 with a zero derivative where both are 0.
static flt_node magnitude(flt_graph *g, flt_node re, flt_node im) {
    const flt_node squares = flt_add(g, flt_square(g, re), flt_square(g, im));
    const flt_node zero = flt_offset(g, flt_neg(g, flt_step_function(g, squares)), 1);
    return flt_sub(g, flt_sqrt(g, flt_add(g, squares, zero)), zero);
}

static flt_node mix(flt_graph *g, const flt_attend_spec *s, const flt_node *in, flt_node filter) {
    const double eps = flt_params_real(s->params, "eps");
    const flt_node C = matrix(g, s->N, false), S = matrix(g, s->N, true), bias = flt_form_argument(g, s, in, "bias");
    const flt_node re = flt_mul(g, flt_matmul(g, C, in[0], false, false), filter);
    const flt_node im = flt_mul(g, flt_matmul(g, S, in[0], false, false), filter);
    const flt_node size = magnitude(g, re, im), kept = flt_relu(g, flt_add(g, size, column(g, s, bias)));
    const flt_node low = flt_offset(g, flt_relu(g, flt_offset(g, size, -eps)), eps);
    const flt_node gate = flt_mul(g, flt_div(g, kept, low), counts(g, s->N));
    return flt_add(g, flt_matmul(g, C, flt_mul(g, gate, re), true, false), flt_matmul(g, S, flt_mul(g, gate, im), true, false));
}

// ---- the layer

// gain (x - mean x) / sqrt(var x + 1e-5) + offset over the H d numbers of a token; x [B, H, N, d]
static flt_node norm(flt_graph *g, const flt_attend_spec *s, const flt_node *in, flt_node x) {
    const size_t apart[] = {s->B, s->N, s->H, s->d}, whole[] = {s->B, s->N, s->H * s->d}, axes[] = {0, 2, 1, 3};
    x = flt_reshape(g, flt_transpose(g, x, axes), 3, whole);
    x = flt_sub(g, x, flt_reduce_mean(g, x, 1u << 2, true));
    const flt_node variance = flt_reduce_mean(g, flt_square(g, x), 1u << 2, true);
    x = flt_div(g, x, flt_sqrt(g, flt_offset(g, variance, 1e-5)));
    x = flt_add(g, flt_mul(g, x, flt_form_argument(g, s, in, "gain")), flt_form_argument(g, s, in, "offset"));
    return flt_transpose(g, flt_reshape(g, x, 4, apart), axes);
}

static flt_node build(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const bool mixing = flt_form_chosen(s, "form", "mixing");
    const flt_node by = mixing ? column(g, s, flt_form_argument(g, s, in, "modulation")) : context(g, s, in);
    const flt_node y = mix(g, s, in, flt_add(g, column(g, s, flt_form_argument(g, s, in, "base_filter")), by));
    return flt_form_chosen(s, "form", "layer") ? norm(g, s, in, flt_add(g, in[0], y)) : y;
}

static const char *const learned[] = {"base_filter", "modulation", "bias", "w0", "b0", "w2", "b2", "gain", "offset", NULL};

const flt_form_kind flt_form_kind_fftnet = {
    .kind = {.name = "fftnet",
             .summary = "a filter and a gate between two constant matrices",
             .formula = "see flt_attention_kind"},
    .learned = learned,
    .build = build,
};
