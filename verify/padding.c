// SPDX-License-Identifier: MIT
// Padding equals removal: tokens that are hidden change nothing for the others.
//
// How a mechanism can hide a key, and what is checked with it:
//   exact                    a bias of -infinity, any set of keys, also inside a causal mask; a row that sees nothing is flagged
//   performer, flt, spe_*    a key so far out that exp(-|k|^2/2) is nothing: behind the sequence; nprf with normalise=false, too
//   linear (elu)             a key of -10^6 in every coordinate, whose elu + 1 is nothing
//   every causal mechanism   tokens behind the sequence are in nobody's past
// relu features keep 1e-3 of every key, nprf normalises keys, fftnet and fourier mix tokens before anything could be hidden:
// these cannot express a mask without causality, and nothing is claimed. The draws are the same with and without the padding. It
// would fail for a key that keeps a rest of weight, for a mask that is applied behind the normalisation, for a state or a scale
// that reads what is hidden, for tables whose entries move with N.
#include "engine/problem.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Rows keep [n] of every batch and head of x [B, H, N, width].
static void gather(const flt_problem *p, size_t n, const size_t *keep, size_t width, const flt_real *x, flt_real *out) {
    for (size_t bh = 0; bh < p->B * p->H; bh++)
        for (size_t i = 0; i < n; i++) memcpy(out + (bh * n + i) * width, x + (bh * p->N + keep[i]) * width, width * sizeof *out);
}

// The problem with these tokens alone.
static flt_err shorten(const flt_problem *p, size_t n, const size_t *keep, flt_problem **out) {
    flt_problem shape = *p;
    shape.N = n;
    FLTX_TRY(flt_problem_create(&shape, out));
    gather(p, n, keep, p->d, p->q, (*out)->q);
    gather(p, n, keep, p->d, p->k, (*out)->k);
    gather(p, n, keep, p->dv, p->v, (*out)->v);
    for (size_t i = 0; i < n; i++) memcpy((*out)->pos + i * p->l, p->pos + keep[i] * p->l, p->l * sizeof *p->pos);
    return FLTE_OK;
}

// Outputs of the long plan's rows `keep` against the short plan's.
static flt_err compare(flt_check_context *c, const flt_attention_kind *kind, const flt_problem *p, flt_problem *small,
                       const size_t *keep, flt_attention *const *plans, const char *what) {
    flt_real *got = NULL;
    FLTX_TRY(flt_alloc(flt_problem_rows(small) * p->dv, sizeof *got, &got));
    flt_attention_forward(plans[0], p->q, p->k, p->v, p->out);
    flt_attention_forward(plans[1], small->q, small->k, small->v, small->out);
    gather(p, small->N, keep, p->dv, p->out, got);
    const double exponent = (kind->kind.caps & FLTX_ATT_EXACT) != 0 ? 8.0 : 40.0;
    const double ratio = flt_output_ratio(small, got, small->out, exponent);
    flt_free(got);
    return flt_check_case(c, kind->kind.name, flt_problem_label(p, what), ratio);
}

// ---- a bias of minus infinity

static bool is_hidden(size_t i) {
    return i % 3 == 1 || i % 7 == 6;
}

static void fill_bias(const flt_problem *p, size_t n, const size_t *keep, double *full, double *kept) {
    flt_rng_normal_double(flt_rng_make(p->seed, "padding", p->N), 0, p->N * p->N, full);
    for (size_t i = 0; i < n * n; i++) kept[i] = full[keep[i / n] * p->N + keep[i % n]];
    for (size_t i = 0; i < p->N * p->N; i++)
        if (is_hidden(i % p->N)) full[i] = -INFINITY;
}

static flt_err exact_plan(const flt_problem *p, const double *bias, flt_attention **out) {
    const flt_attention_arg arg = {"bias", 2, {p->N, p->N}, bias};
    const flt_attention_desc desc = {.mechanism = "exact",
                                     .B = p->B,
                                     .H = p->H,
                                     .N = p->N,
                                     .d = p->d,
                                     .dv = p->dv,
                                     .causal = p->causal,
                                     .n_args = 1,
                                     .args = &arg,
                                     .threads = 1};
    return flt_attention_create(&desc, out);
}

static flt_err minus_infinity(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    flt_problem *small = NULL;
    flt_attention *plan = NULL, *without = NULL;
    size_t *keep = NULL, n = 0;
    double *bias = NULL;
    flt_err err = flt_alloc(p->N, sizeof *keep, &keep);
    if (err == FLTE_OK) err = flt_alloc(2 * p->N * p->N, sizeof *bias, &bias);
    for (size_t i = 0; err == FLTE_OK && i < p->N; i++)
        if (!is_hidden(i)) keep[n++] = i;
    if (err == FLTE_OK) err = shorten(p, n, keep, &small);
    if (err == FLTE_OK) fill_bias(p, n, keep, bias, bias + p->N * p->N);
    if (err == FLTE_OK) err = exact_plan(p, bias, &plan);
    if (err == FLTE_OK) err = exact_plan(small, bias + p->N * p->N, &without);
    if (err == FLTE_OK)
        err = compare(c, kind, p, small, keep, (flt_attention *[]){plan, without}, "bias -infinity on a third of the keys");
    flt_attention_destroy(plan);
    flt_attention_destroy(without);
    flt_problem_destroy(small);
    flt_free(bias);
    flt_free(keep);
    return err;
}

// A row that sees no key has no answer: it is counted, and harmless.
static flt_err blind_row(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    double *bias = NULL;
    flt_attention *plan = NULL;
    flt_err err = flt_alloc(p->N * p->N, sizeof *bias, &bias);
    for (size_t j = 0; err == FLTE_OK && j < p->N; j++) bias[p->N / 2 * p->N + j] = -INFINITY;
    if (err == FLTE_OK) err = exact_plan(p, bias, &plan);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        const size_t flagged = flt_attention_flagged(plan);
        err = flt_check_claim(c, kind->kind.name, flt_problem_label(p, "one row sees nothing: flagged rows"),
                              flagged == p->B * p->H, (double)flagged);
    }
    flt_attention_destroy(plan);
    flt_free(bias);
    return err;
}

// ---- behind the sequence

// The noise of the long plan, which a shorter one may use, too.
static size_t shared_draws(const flt_attention *plan, flt_attention_arg *out) {
    enum { MAX = 32 };
    flt_attention_arg all[MAX];
    size_t n = 0;
    for (size_t i = 0, count = flt_attention_draws(plan, MAX, all); i < count; i++)
        if (strcmp(all[i].name, "noise") == 0) out[n++] = all[i];
    return n;
}

static flt_err behind(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, const char *what) {
    flt_problem *small = NULL;
    flt_attention *plan = NULL, *without = NULL;
    flt_attention_arg draws[1];
    size_t *keep = NULL;
    const size_t n = p->N - (p->N + 2) / 3;
    flt_err err = flt_alloc(p->N, sizeof *keep, &keep);
    for (size_t i = 0; err == FLTE_OK && i < n; i++) keep[i] = i;
    if (err == FLTE_OK) err = shorten(p, n, keep, &small);
    if (err == FLTE_OK) err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = flt_problem_plan(small, kind, 1, shared_draws(plan, draws), draws, &without);
    if (err == FLTE_OK) err = compare(c, kind, p, small, keep, (flt_attention *[]){plan, without}, what);
    flt_attention_destroy(plan);
    flt_attention_destroy(without);
    flt_problem_destroy(small);
    flt_free(keep);
    return err;
}

// Keys behind the sequence go where their features vanish; their values would be seen.
static void push_away(flt_problem *p, double to) {
    const size_t n = p->N - (p->N + 2) / 3;
    for (size_t row = 0; row < flt_problem_rows(p); row++) {
        if (row % p->N < n) continue;
        for (size_t c = 0; c < p->d; c++) p->k[row * p->d + c] = (flt_real)(to * (1.0 + 0.1 * (double)c));
        for (size_t c = 0; c < p->dv; c++) p->v[row * p->dv + c] = 1000;
    }
}

// How far out a key of this mechanism is hidden; 0: nowhere.
static double hidden_at(const flt_attention_kind *kind, const char **options) {
    const char *name = kind->kind.name;
    *options = strcmp(name, "nprf") == 0 ? "normalise=false" : NULL;
    if (strcmp(name, "linear") == 0) return -1e6;
    return strcmp(name, "performer") == 0 || strcmp(name, "flt") == 0 || strcmp(name, "nprf") == 0 ||
                   strncmp(name, "spe_", 4) == 0
               ? 3e3
               : 0.0;
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    if (p->N < 2) return FLTE_OK;
    if ((kind->kind.caps & FLTX_ATT_EXACT) != 0) {
        FLTX_TRY(minus_infinity(c, kind, p));
        FLTX_TRY(blind_row(c, kind, p));
    }
    if (p->causal) return behind(c, kind, p, "tokens behind the sequence");
    const double far = hidden_at(kind, &p->options);
    if (far == 0.0) return FLTE_OK;
    push_away(p, far);
    return behind(c, kind, p, "far keys behind the sequence");
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    return flt_each_problem(c, kind, on_problem);
}
static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_padding = {
    .kind = {.name = "padding",
             .summary = "tokens that are hidden, as each mechanism can hide them, change nothing for the others",
             .formula = "out_i(all, hidden) = out_i(without them)",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
