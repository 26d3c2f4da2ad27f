// SPDX-License-Identifier: MIT
// Attention written in primitive ops, with the draws of the plan: the function that second derivatives of attention are taken of.
//
//     exact       softmax(q k' / sqrt d + bias [+ mask]) v
//     others      A = phi(q) phi(k)' [o mask],  y = A v / (A 1);  log phi(q) = p, log phi(k) = p - |k|^2 / (2 sqrt d),
//                 p = omega [x / d^(1/4), snippet]; hyperbolic: p and -p; linear: elu + 1 or relu + 1e-3 of x itself
//
// O(N^2) time and memory. Exponents are taken as they are, without the moving scales of the kernels: meant for q and k of
// moderate size (|p| below 40 in float).
#include "graph/engine/attend.h"

#include "flt/memory.h"

#include <math.h>
#include <string.h>

typedef struct form {
    const char *name;
    flt_node (*build)(flt_graph *g, const flt_attend_spec *s, const flt_node *in);
} form;

enum { MOST_DRAWS = 32 };

// ---- arguments as nodes

static flt_node constant(flt_graph *g, size_t rank, const size_t *dim, const double *data) {
    flt_real *copy = NULL;
    size_t n = 1;
    for (size_t i = 0; i < rank; i++) n *= dim[i];
    const flt_err err = flt_alloc(n, sizeof *copy, &copy);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < n; i++) copy[i] = (flt_real)data[i];
    const flt_node node = flt_constant(g, rank, dim, copy);
    flt_free(copy);
    return node;
}

// The argument of this name: a learned node, what was given, or what the plan drew; flt_none: it has none.
static flt_node argument(flt_graph *g, const flt_attend_spec *s, const flt_node *in, const char *name) {
    flt_attention_arg drawn[MOST_DRAWS];
    for (size_t i = 0; i < s->n_fixed + s->n_learned; i++) {
        const flt_attend_value *v = &s->value[i];
        if (strcmp(v->name, name) != 0) continue;
        return i < s->n_fixed ? constant(g, v->rank, v->dim, v->data) : in[3 + i - s->n_fixed];
    }
    const size_t n = flt_attention_draws(s->probe, MOST_DRAWS, drawn);
    for (size_t i = 0; i < n; i++)
        if (strcmp(drawn[i].name, name) == 0) return constant(g, drawn[i].rank, drawn[i].dim, drawn[i].data);
    return flt_none;
}

// With a leading axis of heads: x of `rank` axes a head becomes [H, ..].
static flt_node per_head(flt_graph *g, const flt_attend_spec *s, flt_node x, size_t rank) {
    size_t dim[FLTX_MAX_RANK] = {s->H};
    if (x.id < 0 || flt_node_rank(g, x) == rank + 1) return x;
    memcpy(dim + 1, flt_node_dim(g, x), rank * sizeof *dim);
    return flt_broadcast(g, x, rank + 1, dim);
}

static flt_node over_batch(flt_graph *g, const flt_attend_spec *s, flt_node x /* [H, a, b] */) {
    if (x.id < 0) return x;
    const size_t *d = flt_node_dim(g, x);
    return flt_broadcast(g, x, 4, (size_t[]){s->B, d[0], d[1], d[2]});
}

// FLTE_UNSUPPORTED when a learned argument is none of `names` (ends with NULL), or a setting none of `settings` of "key=value".
static flt_err only(const flt_attend_spec *s, const char *const *names) {
    for (size_t i = 0; i < s->n_learned; i++) {
        const char *name = s->value[s->n_fixed + i].name;
        size_t k = 0;
        while (names[k] != NULL && strcmp(names[k], name) != 0) k++;
        if (names[k] == NULL)
            return flt_fail(FLTE_UNSUPPORTED, s->kind->kind.name,
                            "no second derivative in the argument '%s'; exact has it in bias and lag_bias, flt in xi and rho",
                            name);
    }
    return FLTE_OK;
}

static bool chosen(const flt_attend_spec *s, const char *setting, const char *value) {
    return strcmp(flt_params_text(s->params, setting), value) == 0;
}

static flt_node unsupported(flt_graph *g, const flt_attend_spec *s, const char *setting, const char *allowed) {
    return flt_graph_fail(g, flt_fail(FLTE_UNSUPPORTED, s->kind->kind.name, "no second derivative with %s=%s; it has one with %s",
                                      setting, flt_params_text(s->params, setting), allowed));
}

// `seen` where j <= i, else `hidden`: [N, N].
static flt_node causal_mask(flt_graph *g, const flt_attend_spec *s, double seen, double hidden) {
    const size_t N = s->N;
    double *mask = NULL;
    const flt_err err = flt_alloc(N, N * sizeof *mask, &mask);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < N * N; i++) mask[i] = i % N <= i / N ? seen : hidden;
    const flt_node node = constant(g, 2, (size_t[]){N, N}, mask);
    flt_free(mask);
    return node;
}

// ---- exact

// [H, N, N] from lag_bias [H, 2N - 1]: b_{j-i} at (j - i) + N - 1.
static flt_node unfold_lags(flt_graph *g, const flt_attend_spec *s, flt_node lags) {
    const size_t N = s->N;
    double *index = NULL;
    const flt_err err = flt_alloc(N, N * sizeof *index, &index);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < N * N; i++) index[i] = (double)(i % N + N - 1 - i / N);
    const flt_node at = constant(g, 1, (size_t[]){N * N}, index);
    flt_free(index);
    const flt_node rows = flt_gather(g, flt_transpose(g, lags, (size_t[]){1, 0}), at); // [N N, H]
    return flt_reshape(g, flt_transpose(g, rows, (size_t[]){1, 0}), 3, (size_t[]){s->H, N, N});
}

static flt_node exact(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const flt_err err = only(s, (const char *const[]){"bias", "lag_bias", NULL});
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    const flt_node bias = argument(g, s, in, "bias"), lags = argument(g, s, in, "lag_bias");
    if (!chosen(s, "rpe", "auto") && !chosen(s, "rpe", "none")) return unsupported(g, s, "rpe", "an encoding given as bias");
    flt_node scores = flt_scale(g, flt_matmul(g, in[0], in[1], false, true), 1 / sqrt((double)s->d));
    if (bias.id != flt_none.id) scores = flt_add(g, scores, bias);
    if (lags.id != flt_none.id) scores = flt_add(g, scores, unfold_lags(g, s, per_head(g, s, lags, 1)));
    if (s->causal) scores = flt_add(g, scores, causal_mask(g, s, 0, -1e30));
    return flt_matmul(g, flt_softmax(g, scores), in[2], false, false);
}

// ---- kernels

static flt_node weigh(flt_graph *g, const flt_attend_spec *s, flt_node a /* [B, H, N, N] */, flt_node v) {
    if (s->causal) a = flt_mul(g, a, causal_mask(g, s, 1, 0));
    return flt_div(g, flt_matmul(g, a, v, false, false), flt_reduce_sum(g, a, 1u << 3, true));
}

static flt_node elu(flt_graph *g, flt_node x) {
    return flt_add(g, flt_relu(g, x), flt_exp(g, flt_neg(g, flt_relu(g, flt_neg(g, x)))));
}

static flt_node shifted_relu(flt_graph *g, flt_node x) {
    return flt_offset(g, flt_relu(g, x), 1e-3);
}

static flt_node linear(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    flt_node (*phi)(flt_graph *, flt_node) = chosen(s, "features", "relu") ? shifted_relu : elu;
    return weigh(g, s, flt_matmul(g, phi(g, in[0]), phi(g, in[1]), false, true), in[2]);
}

// exp of p - shift, or of both p and -p less the shift, [B, H, N, F].
static flt_node features(flt_graph *g, const flt_attend_spec *s, flt_node p, flt_node shift) {
    const bool both = chosen(s, "features", "hyperbolic"), shifted = shift.id != flt_none.id;
    const flt_node up = flt_exp(g, shifted ? flt_sub(g, p, shift) : p);
    if (!both) return up;
    const flt_node minus = flt_neg(g, p), down = flt_exp(g, shifted ? flt_sub(g, minus, shift) : minus);
    return flt_concat(g, 2, (flt_node[]){up, down}, 3);
}

// omega [H, m, d + ..]; tables [H, N, m] of positions, or flt_none
static flt_node softmax_kernel(flt_graph *g, const flt_attend_spec *s, const flt_node *in, flt_node omega, flt_node tq,
                               flt_node tk) {
    const double root = sqrt((double)s->d);
    const flt_node w = over_batch(g, s, flt_scale(g, flt_slice(g, omega, 2, 0, s->d), 1 / sqrt(root)));
    flt_node p = flt_matmul(g, in[0], w, false, true), r = flt_matmul(g, in[1], w, false, true);
    if (tq.id != flt_none.id) p = flt_add(g, p, tq);
    if (tk.id != flt_none.id) r = flt_add(g, r, tk);
    const flt_node half = flt_scale(g, flt_reduce_sum(g, flt_square(g, in[1]), 1u << 3, true), 0.5 / root);
    const flt_node a = flt_matmul(g, features(g, s, p, flt_none), features(g, s, r, half), false, true);
    return weigh(g, s, a, in[2]);
}

static bool plain_features(const flt_attend_spec *s) {
    return chosen(s, "features", "positive") || chosen(s, "features", "hyperbolic");
}

static flt_node performer(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    if (!plain_features(s)) return unsupported(g, s, "features", "positive or hyperbolic");
    if (!chosen(s, "centre", "none")) return unsupported(g, s, "centre", "none");
    const flt_err err = only(s, (const char *const[]){"omega", NULL});
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    return softmax_kernel(g, s, in, per_head(g, s, argument(g, s, in, "omega"), 2), flt_none, flt_none);
}

// Positions 0 .. N - 1 where none were given: [N, l].
static flt_node positions(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    const flt_node given = argument(g, s, in, "pos");
    double *pos = NULL;
    if (given.id != flt_none.id) return given;
    const flt_err err = flt_alloc(s->N, sizeof *pos, &pos);
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    for (size_t i = 0; i < s->N; i++) pos[i] = (double)i;
    const flt_node node = constant(g, 2, (size_t[]){s->N, 1}, pos);
    flt_free(pos);
    return node;
}

static flt_node flt(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    if (!plain_features(s)) return unsupported(g, s, "features", "positive or hyperbolic");
    if (!chosen(s, "split", "one_sided")) return unsupported(g, s, "split", "one_sided");
    const flt_err err = only(s, (const char *const[]){"omega", "xi", "rho", NULL});
    if (err != FLTE_OK) return flt_graph_fail(g, err);
    const flt_node xi = per_head(g, s, argument(g, s, in, "xi"), 2), rho = per_head(g, s, argument(g, s, in, "rho"), 1);
    const flt_node omega = per_head(g, s, argument(g, s, in, "omega"), 2);
    if (xi.id < 0 || rho.id < 0 || omega.id < 0) return flt_bad;
    const size_t r = flt_node_dim(g, xi)[1];
    const flt_node turns = flt_matmul(g, positions(g, s, in), xi, false, true); // [H, N, r]
    const flt_node phase = flt_scale(g, turns, FLTX_TWO_PI), wave[2] = {flt_cos(g, phase), flt_sin(g, phase)};
    const flt_node ratio = flt_reshape(g, rho, 3, (size_t[]){s->H, 1, r});
    const flt_node a = flt_concat(g, 2, (flt_node[]){flt_mul(g, wave[0], ratio), flt_mul(g, wave[1], ratio)}, 2);
    const flt_node w = flt_scale(g, flt_slice(g, omega, 2, s->d, 2 * r), 1 / sqrt((double)r));
    return softmax_kernel(g, s, in, omega, flt_matmul(g, a, w, false, true),
                          flt_matmul(g, flt_concat(g, 2, wave, 2), w, false, true));
}

static const form forms[] = {{"exact", exact}, {"flt", flt}, {"linear", linear}, {"performer", performer}};

flt_node flt_attention_form(flt_graph *g, const flt_attend_spec *s, const flt_node *in) {
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].name, s->kind->kind.name) == 0) return forms[i].build(g, s, in);
    return flt_graph_fail(g, flt_fail(FLTE_UNSUPPORTED, s->kind->kind.name,
                                      "it has no second derivatives; these mechanisms have them: exact, flt, linear, performer"));
}
