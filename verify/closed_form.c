// SPDX-License-Identifier: MIT
// Every encoding is what its definition says, and exact attention adds it to the logits: out = softmax(q k^T / sqrt d + f) v.
//
// f against formulas in long double, written by themselves; then exact attention over positions in a row and over scattered ones
// (two code paths), and over a sum of two encodings. It would fail for the sign of a lag, for a bucket off by one, for a length
// scale that is squared once too often, for a key ahead that is taken for one behind.
#include "engine/encoding_sample.h"
#include "engine/oracle.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 33, WIDTH = 5 };

// Offsets of every size, and the edges of the local ones; whole where the encoding wants that.
static flt_err values(flt_check_context *c, const flt_encoding_sample *e) {
    enum { OFFSETS = 61 };
    const flt_rpe_args args = flt_encoding_sample_values(e);
    double worst = 0.0, top = 0.0, z[3], f = 0.0;
    char label[96];
    for (int i = 0; i < OFFSETS; i++) {
        const double step = flt_encoding_whole(e->kind) ? 1.0 : 0.0625;
        for (size_t a = 0; a < e->l; a++) z[a] = step * (double)(i - OFFSETS / 2) * (a == 0 ? 1.0 : a == 1 ? 0.5 : -0.25);
        e->kind->closed_form(&args, 1, z, &f);
        const double want = (double)flt_encoding_oracle(e, z), off = fabs(f - want);
        if (!(off <= worst)) worst = off;
        top = fmax(top, fabs(want));
    }
    snprintf(label, sizeof label, "%s l=%zu: f by its definition", e->kind->kind.name, e->l);
    return flt_check_case(c, "encoding", label, top == 0.0 ? worst : worst / (2.2e-16 * 16.0 * top));
}

// ---- exact attention

typedef struct setting {
    const flt_encoding_sample *e, *and; // and: the second of a sum, or NULL
    bool row, causal;
} setting;

static void place(const setting *s, flt_problem *p) {
    const bool whole = flt_encoding_whole(s->e->kind);
    for (size_t i = 0; i < N * p->l; i++) {
        const double step = whole ? 1.0 : 0.125;
        if (s->row)
            p->pos[i] = step * (double)i;
        else if (whole) // in an order of its own, with gaps
            p->pos[i] = (double)(i * 7 % N + i * 7 % N / 5);
    }
}

static flt_err make_plan(const setting *s, const flt_problem *p, flt_attention **out) {
    const flt_attention_kind *kind = NULL;
    flt_attention_arg args[1 + 2 * FLTX_SAMPLE_MAX_ARGS] = {{"pos", 2, {N, p->l}, p->pos}};
    flt_params *params = NULL;
    char name[64];
    size_t n = 1 + flt_encoding_sample_args(s->e, args + 1);
    if (s->and != NULL) n += flt_encoding_sample_args(s->and, args + n);
    snprintf(name, sizeof name, "%s%s%s", s->e->kind->kind.name, s->and == NULL ? "" : "+",
             s->and == NULL ? "" : s->and->kind->kind.name);
    FLTX_TRY(flt_attention_find("exact", &kind));
    FLTX_TRY(flt_params_create("exact", kind->kind.params, &params));
    flt_err err = flt_params_set(params, "rpe", name);
    const flt_attention_desc desc = {.mechanism = "exact",
                                     .B = 1,
                                     .H = 1,
                                     .N = N,
                                     .d = WIDTH,
                                     .dv = WIDTH,
                                     .causal = s->causal,
                                     .n_args = n,
                                     .args = args,
                                     .params = params,
                                     .threads = 1};
    if (err == FLTE_OK) err = flt_attention_create(&desc, out);
    flt_params_destroy(params);
    return err;
}

static flt_err oracle(const setting *s, const flt_problem *p, flt_real *want, double *exponent) {
    long double *x = NULL;
    double z[3];
    FLTX_TRY(flt_alloc(N * (N + WIDTH), sizeof *x, &x));
    long double *out = x + N * N;
    flt_oracle_logits(p, p->q, p->k, x);
    for (size_t i = 0; i < N * N; i++) {
        for (size_t a = 0; a < p->l; a++) z[a] = p->pos[i / N * p->l + a] - p->pos[i % N * p->l + a];
        x[i] += flt_encoding_oracle(s->e, z);
        if (s->and != NULL) x[i] += flt_encoding_oracle(s->and, z);
    }
    *exponent = flt_oracle_rows(p, x, p->v, out);
    for (size_t i = 0; i < N * WIDTH; i++) want[i] = (flt_real)out[i];
    flt_free(x);
    return FLTE_OK;
}

static flt_err attend(flt_check_context *c, const setting *s) {
    const flt_problem shape = {
        .B = 1, .H = 1, .N = N, .d = WIDTH, .dv = WIDTH, .l = s->e->l, .causal = s->causal, .seed = c->config->seed};
    flt_problem *p = NULL;
    flt_attention *plan = NULL;
    flt_real want[N * WIDTH];
    double exponent = 0.0;
    char label[128];
    FLTX_TRY(flt_problem_create(&shape, &p));
    place(s, p);
    flt_err err = make_plan(s, p, &plan);
    if (err == FLTE_OK) err = oracle(s, p, want, &exponent);
    if (err == FLTE_OK) {
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        snprintf(label, sizeof label, "%s%s%s l=%zu %s%s", s->e->kind->kind.name, s->and == NULL ? "" : "+",
                 s->and == NULL ? "" : s->and->kind->kind.name, p->l, s->row ? "in a row" : "scattered",
                 s->causal ? " causal" : "");
        err = flt_check_case(c, "exact", label, flt_output_ratio(p, p->out, want, exponent));
    }
    flt_attention_destroy(plan);
    flt_problem_destroy(p);
    return err;
}

// ---- all of them

static flt_err on_encoding(flt_check_context *c, const flt_rpe_kind *kind) {
    const double origin[3] = {0};
    for (size_t l = 1; l <= flt_encoding_dimensions(kind); l++) {
        const flt_encoding_sample e = flt_encoding_sample_of(kind, l, false);
        if (isnan((double)flt_encoding_oracle(&e, origin)))
            return flt_fail(FLTE_UNSUPPORTED, "closed_form",
                            "nobody has written the oracle of '%s'; its definition belongs into "
                            "verify/engine/encoding_sample.c",
                            kind->kind.name);
        FLTX_TRY(values(c, &e));
        for (int way = 0; way < 4; way++) {
            const setting s = {.e = &e, .row = way % 2 == 0, .causal = way / 2 == 1};
            if (s.row && l > 1) continue;
            FLTX_TRY(attend(c, &s));
        }
    }
    return FLTE_OK;
}

static flt_err sum(flt_check_context *c) {
    const flt_rpe_kind *mixture = NULL, *alibi = NULL;
    FLTX_TRY(flt_rpe_find("gaussian_mixture", &mixture));
    FLTX_TRY(flt_rpe_find("alibi", &alibi));
    for (int row = 0; row < 2; row++) {
        const flt_encoding_sample a = flt_encoding_sample_of(mixture, 1, false), b = flt_encoding_sample_of(alibi, 1, false);
        const setting s = {.e = &a, .and = &b, .row = row == 1};
        FLTX_TRY(attend(c, &s));
    }
    return FLTE_OK;
}

static flt_err on_exact(flt_check_context *c, const flt_attention_kind *kind) {
    const flt_registry *r = flt_rpe_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++)
        FLTX_TRY(flt_check_unable(c, kind->kind.name, on_encoding(c, (const flt_rpe_kind *)r->kinds[i])));
    return sum(c);
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, FLTX_ATT_EXACT, on_exact);
}

const flt_check_kind flt_check_kind_closed_form = {
    .kind = {.name = "closed_form",
             .summary = "every encoding is what its definition says, and exact attention adds it to the logits",
             .formula = "out = softmax(q k^T / sqrt d + f(r_i - r_j)) v",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
