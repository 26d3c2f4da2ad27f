// SPDX-License-Identifier: MIT
// Inputs that stress exponentials and denominators: outputs stay finite, and averages stay among the values that they average.
//
// Weights that are positive and sum to one cannot leave the range of v, in no column: a denominator that went negative or lost
// its digits does, whatever caused it. Equal keys without positions give plain means. What cannot be computed, an input that is
// not a number, must show: as an output that is none, in a row that is counted (flt_attention_flagged). It would fail for a
// maximum that is not subtracted, for a scale that overflows, for a denominator near zero that is trusted, for a count that is
// not kept.
#include "engine/problem.h"

#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct variant { // of a mechanism's plans
    size_t N;
    const char *options;
    bool lags; // with offsets whose longest differ
} variant;

typedef struct attack {
    const char *label;
    void (*apply)(flt_problem *p);
    bool level; // keys are equal: without positions the output is the mean of v
} attack;

static void scale_all(flt_problem *p, double by) {
    const size_t n = flt_problem_rows(p) * p->d;
    for (size_t i = 0; i < n; i++) p->q[i] *= (flt_real)by, p->k[i] *= (flt_real)by;
}

static void times_three(flt_problem *p) {
    scale_all(p, 3.0);
}
static void times_thirty(flt_problem *p) {
    scale_all(p, 30.0);
}
static void denormal(flt_problem *p) {
    scale_all(p, sizeof(flt_real) == 4 ? 1e-39 : 1e-309);
}
static void zero(flt_problem *p) {
    scale_all(p, 0.0);
}

static void scale_key(flt_problem *p, size_t i, double by) {
    for (size_t row = i; row < flt_problem_rows(p); row += p->N)
        for (size_t c = 0; c < p->d; c++) p->k[row * p->d + c] *= (flt_real)by;
}
static void huge_key(flt_problem *p) {
    times_three(p);
    scale_key(p, p->N / 2, 100.0);
}
static void huge_last_key(flt_problem *p) {
    scale_key(p, p->N - 1, 1e6);
}
static void all_keys_but_one_huge(flt_problem *p) {
    for (size_t i = 1; i < p->N; i++) scale_key(p, i, 300.0);
}

static void equal_keys(flt_problem *p) {
    for (size_t row = 0; row < flt_problem_rows(p); row++)
        memcpy(p->k + row * p->d, p->k + (row - row % p->N) * p->d, p->d * sizeof *p->k);
}

// Every query opposite to every key: exp(q.k) is as small as it gets against exp(-|q|^2 - |k|^2).
static void opposite(flt_problem *p) {
    for (size_t i = 0; i < flt_problem_rows(p) * p->d; i++)
        p->q[i] = (flt_real)0.1 * p->q[i] + 8, p->k[i] = (flt_real)0.1 * p->k[i] - 8;
}

// Keys that see each other across a gap: those of the first half no query is near to.
static void gap(flt_problem *p) {
    for (size_t i = 0; i < flt_problem_rows(p) * p->d; i++) {
        p->q[i] += 6;
        p->k[i] += i / p->d % p->N < p->N / 2 ? -6 : 6;
    }
}

static const attack attacks[] = {{"scale 3", times_three, false},
                                 {"scale 30", times_thirty, false},
                                 {"denormal q and k", denormal, false},
                                 {"q = k = 0", zero, true},
                                 {"scale 3, one key times 100", huge_key, false},
                                 {"the last key times 10^6", huge_last_key, false},
                                 {"all keys but the first times 300", all_keys_but_one_huge, false},
                                 {"equal keys", equal_keys, true},
                                 {"queries opposite to keys", opposite, false},
                                 {"a gap between keys", gap, false}};

// ---- what is claimed

// By how much out leaves the range of the values that its row may see, in units of eps max|v|.
static double outside(const flt_problem *p) {
    double worst = 0.0, top = 0.0;
    for (size_t bh = 0; bh < p->B * p->H; bh++) {
        for (size_t c = 0; c < p->dv; c++) {
            double low = INFINITY, high = -INFINITY;
            const flt_real *v = p->v + bh * p->N * p->dv + c, *out = p->out + bh * p->N * p->dv + c;
            for (size_t i = 0, seen = 0; i < p->N; i++) {
                for (; seen < (p->causal ? i + 1 : p->N); seen++) {
                    low = fmin(low, (double)v[seen * p->dv]);
                    high = fmax(high, (double)v[seen * p->dv]);
                    top = fmax(top, fabs((double)v[seen * p->dv]));
                }
                const double x = (double)out[i * p->dv];
                if (!(x - high <= worst)) worst = x - high;
                if (!(low - x <= worst)) worst = low - x;
            }
        }
    }
    return worst / (FLTX_EPS * top);
}

// Means of v over what each row may see.
static void plain_means(const flt_problem *p, flt_real *out) {
    for (size_t bh = 0; bh < p->B * p->H; bh++) {
        const flt_real *v = p->v + bh * p->N * p->dv;
        for (size_t i = 0; i < p->N * p->dv; i++) {
            const size_t n = p->causal ? i / p->dv + 1 : p->N;
            double sum = 0.0;
            for (size_t j = 0; j < n; j++) sum += (double)v[j * p->dv + i % p->dv];
            out[bh * p->N * p->dv + i] = (flt_real)(sum / (double)n);
        }
    }
}

static bool averages(const flt_attention_kind *kind) { // with positive weights, where `x` is not mixed before
    return (kind->kind.caps & FLTX_ATT_NORMALISED) != 0 && (kind->kind.caps & (FLTX_ATT_X | FLTX_ATT_SIGNED)) == 0;
}

static flt_err judge(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, const attack *a, flt_attention *plan) {
    const bool level = a->level && (kind->kind.caps & FLTX_ATT_PERMUTE) != 0 && (kind->kind.caps & FLTX_ATT_RPE) == 0;
    char label[128];
    size_t first = 0;
    snprintf(label, sizeof label, "%s%s%s", a->label, p->options == NULL ? "" : " ", p->options == NULL ? "" : p->options);
    flt_attention_forward(plan, p->q, p->k, p->v, p->out);
    const bool finite = flt_all_finite(flt_problem_rows(p) * p->dv, p->out, &first);
    FLTX_TRY(flt_check_claim(c, kind->kind.name, flt_problem_label(p, label), finite, finite ? 0.0 : (double)first));
    if (averages(kind) && finite) {
        const double growth = 1.0 + log2(2.0 * (double)p->N);
        snprintf(label + strlen(label), sizeof label - strlen(label), " range of v");
        FLTX_TRY(flt_check_case(c, kind->kind.name, flt_problem_label(p, label), outside(p) / growth));
    }
    if (!level) return FLTE_OK;
    flt_real *want = NULL;
    FLTX_TRY(flt_alloc(flt_problem_rows(p) * p->dv, sizeof *want, &want));
    plain_means(p, want);
    const double ratio = flt_output_ratio(p, p->out, want, 8.0);
    flt_free(want);
    return flt_check_case(c, kind->kind.name, flt_problem_label(p, "plain means of v"), ratio);
}

// One number of one key is none: every row that sees it has to be counted, and the next pass has to be clean again.
static flt_err poison(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, flt_attention *plan) {
    if ((kind->kind.caps & FLTX_ATT_MIXING) != 0) return FLTE_OK; // divides by nothing that can vanish
    const size_t at = p->N / 2, rows = p->causal ? p->N - at : p->N;
    const flt_real kept = p->k[at * p->d];
    p->k[at * p->d] = (flt_real)NAN;
    flt_attention_forward(plan, p->q, p->k, p->v, p->out);
    const size_t flagged = flt_attention_flagged(plan);
    const bool shown = flagged > 0 && flagged <= p->N && (rows == 0 || !flt_all_finite(p->dv, p->out + (p->N - 1) * p->dv, NULL));
    FLTX_TRY(flt_check_claim(c, kind->kind.name, flt_problem_label(p, "NaN in a key: flagged rows"), shown, (double)flagged));
    p->k[at * p->d] = kept;
    flt_attention_forward(plan, p->q, p->k, p->v, p->out);
    const size_t after = flt_attention_flagged(plan);
    return flt_check_claim(c, kind->kind.name, flt_problem_label(p, "clean again: flagged rows"), after == 0, (double)after);
}

// Offsets of nothing, but the longest differ: nprf cannot take sums over far keys in the place of its transforms.
static flt_err lags_plan(const flt_problem *p, const flt_attention_kind *kind, flt_attention **out) {
    const size_t n = 2 * p->N - 1;
    double *lags = NULL;
    FLTX_TRY(flt_alloc(n, sizeof *lags, &lags));
    lags[0] = lags[n - 1] = 1e-30;
    const flt_attention_arg arg = {"lag_bias", 1, {n}, lags};
    const flt_err err = flt_problem_plan(p, kind, 1, 1, &arg, out);
    flt_free(lags);
    return err;
}

static flt_err on_attack(flt_check_context *c, const flt_attention_kind *kind, const flt_problem *shape, bool lags,
                         const attack *a) {
    flt_problem *p = NULL;
    flt_attention *plan = NULL;
    FLTX_TRY(flt_problem_create(shape, &p));
    // values near 1, so that a denominator that is too large shows as one that is too small does
    for (size_t i = 0; i < flt_problem_rows(p) * p->dv; i++) p->v[i] = 1 + (flt_real)0.1 * p->v[i];
    flt_err err = lags ? lags_plan(p, kind, &plan) : flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK && a != NULL) a->apply(p);
    if (err == FLTE_OK) err = a != NULL ? judge(c, kind, p, a, plan) : poison(c, kind, p, plan);
    flt_attention_destroy(plan);
    flt_problem_destroy(p);
    return err;
}

static flt_err with_options(flt_check_context *c, const flt_attention_kind *kind, variant v, bool causal) {
    const flt_problem shape = {.B = 1,
                               .H = 2,
                               .N = v.N,
                               .d = 8,
                               .dv = (kind->kind.caps & FLTX_ATT_MIXING) != 0 ? 8 : 3,
                               .l = 1,
                               .m = 16,
                               .r = 3,
                               .causal = causal,
                               .seed = c->config->seed + v.N,
                               .options = v.options};
    flt_problem single = shape;
    single.H = 1;
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) FLTX_TRY(on_attack(c, kind, &shape, v.lags, &attacks[i]));
    return on_attack(c, kind, &single, v.lags, NULL);
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    // those with offsets, of nprf, take transforms from 64 tokens on, and inputs that are not scaled: denominators do go negative
    static const variant variants[] = {{1, NULL, false},
                                       {2, NULL, false},
                                       {33, NULL, false},
                                       {140, NULL, false},
                                       {200, "crossover=64", true},
                                       {200, "normalise=false,crossover=64", true}};
    const bool nprf = strcmp(kind->kind.name, "nprf") == 0;
    for (int causal = 0; causal <= ((kind->kind.caps & FLTX_ATT_CAUSAL) != 0); causal++) {
        for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
            if (nprf || !variants[i].lags) FLTX_TRY(with_options(c, kind, variants[i], causal != 0));
    }
    return FLTE_OK;
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_adversarial = {
    .kind = {.name = "adversarial",
             .summary =
                 "hard inputs: outputs stay finite and within the range of v; what cannot be computed is flagged and counted",
             .formula = "min_j v_j <= out_i <= max_j v_j",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
