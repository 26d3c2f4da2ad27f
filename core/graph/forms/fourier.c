// SPDX-License-Identifier: MIT
// Fourier Transformer in primitive ops: y = S' softmax(S q (S k)' / sqrt d) S v, S = D_K' (D_N)[0 .. K-1] a constant matrix
// [K, N] of two orthonormal cosine transforms. Time O(N K d), memory O(N K).
#include "graph/engine/form.h"

#include "flt/memory.h"

#include <math.h>

// K, as the mechanism reads it: the argument or parameter keep, or ceil(ratio N), cut to N.
static size_t rows_kept(const flt_attend_spec *s) {
    const double ratio = flt_params_real(s->params, "ratio");
    flt_attention_arg keep;
    if (flt_form_values(s, "keep", &keep)) return (size_t)keep.data[0];
    const size_t K = ratio > 0 ? (size_t)ceil(ratio * (double)s->N - 1e-9) : flt_params_size(s->params, "keep");
    return K > s->N ? s->N : K < 1 ? 1 : K;
}

// Entry of the orthonormal DCT-II of length n.
static double cosine(size_t n, size_t k, size_t i) {
    return sqrt((k == 0 ? 1.0 : 2.0) / (double)n) * cos(FLTX_TWO_PI / 4 * (double)((2 * i + 1) * k) / (double)n);
}

static flt_node shortening(flt_graph *g, size_t N, size_t K) {
    double *S = NULL;
    const flt_err err = flt_alloc(K, N * sizeof *S, &S);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t a = 0; a < K; a++)
        for (size_t i = 0; i < N; i++)
            for (size_t k = 0; k < K; k++) S[a * N + i] += cosine(K, k, a) * cosine(N, k, i);
    const flt_node node = flt_form_constant(g, 2, (size_t[]){K, N}, S);
    flt_free(S);
    return node;
}

static flt_node build(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const flt_node S = shortening(g, s->N, rows_kept(s));
    flt_node cut[3];
    for (size_t i = 0; i < 3; i++) cut[i] = flt_matmul(g, S, in[i], false, false);
    return flt_matmul(g, S, flt_form_softmax(g, s, cut, flt_none), true, false);
}

static const char *const learned[] = {NULL};

const flt_form_kind flt_form_kind_fourier = {
    .kind = {.name = "fourier",
             .summary = "exact attention between two constant matrices",
             .formula = "y = S' softmax(S q (S k)' / sqrt d) S v"},
    .learned = learned,
    .build = build,
};
