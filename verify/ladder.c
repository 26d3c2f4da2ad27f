// SPDX-License-Identifier: MIT
// The error ladder: how far random-feature attention is from exact attention with the closed-form mask, and which step of the
// ladder it is lost on. Relative Frobenius norms of one head:
//     total    mechanism against softmax(q k^T / sqrt(d) + f)
//     mask     exact softmax with the estimated mask (1/r) sum rho cos(..) in place of f
//     kernel   exact mask exp(f) times the feature kernel of q and k (omega's first d columns)
// over N, m, r and seeds, with times and workspace of both sides. Each cell is a row. That the errors fall as m^-1/2 and r^-1/2
// is the check `convergence`, which has the draws that such a claim needs.
#include "engine/oracle.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 16 };

typedef struct cell {
    size_t n, m, r;
    uint64_t seed;
    const char *encoding; // NULL: a mixture on random positions, where the mechanism takes any
    double total, mask, kernel, seconds, seconds_exact;
    size_t bytes, bytes_exact;
} cell;

// Arrays of one case, [N, N] and [N, dv].
typedef struct scratch {
    long double *logits, *bias, *mask, *want, *got, *lq, *lk, *x;
} scratch;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Least of several runs: the others were disturbed.
static double time_forward(const flt_problem *p, flt_attention *plan) {
    double best = INFINITY;
    for (int i = 0; i < 3; i++) {
        const double start = now();
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        best = fmin(best, now() - start);
    }
    return best;
}

static double relative_error(size_t n, const long double *got, const long double *want) {
    long double error = 0.0L, scale = 0.0L;
    for (size_t i = 0; i < n; i++) {
        error += (got[i] - want[i]) * (got[i] - want[i]);
        scale += want[i] * want[i];
    }
    return (double)sqrtl(error / scale);
}

static flt_err allocate(const flt_problem *p, scratch *s) {
    const size_t nn = p->N * p->N;
    FLTX_TRY(flt_alloc(nn, sizeof *s->logits, &s->logits));
    FLTX_TRY(flt_alloc(nn, sizeof *s->bias, &s->bias));
    FLTX_TRY(flt_alloc(nn, sizeof *s->mask, &s->mask));
    FLTX_TRY(flt_alloc(p->N * p->dv, sizeof *s->want, &s->want));
    FLTX_TRY(flt_alloc(p->N * p->dv, sizeof *s->got, &s->got));
    FLTX_TRY(flt_alloc(p->N * p->m, sizeof *s->lq, &s->lq));
    FLTX_TRY(flt_alloc(p->N * p->m, sizeof *s->lk, &s->lk));
    return flt_alloc(p->N * p->d, sizeof *s->x, &s->x);
}

static void release(scratch *s) {
    flt_free(s->logits);
    flt_free(s->bias);
    flt_free(s->mask);
    flt_free(s->want);
    flt_free(s->got);
    flt_free(s->lq);
    flt_free(s->lk);
    flt_free(s->x);
}

static void head_features(const flt_problem *p, const flt_real *x, const double *omega, size_t width, scratch *s,
                          long double *out) {
    const long double shrink = powl((long double)p->d, -0.25L);
    for (size_t i = 0; i < p->N * p->d; i++) s->x[i] = (long double)x[i] * shrink;
    flt_oracle_log_features(p->N, p->d, p->m, s->x, omega, width, out);
}

// bias [N, N] += f of the problem's encoding.
static flt_err add_encoding(const flt_problem *p, long double *bias) {
    double *lags = NULL;
    if (p->encoding == NULL) return flt_oracle_mixture(p, bias), FLTE_OK;
    FLTX_TRY(flt_alloc(2 * p->N - 1, sizeof *lags, &lags));
    flt_encoding_case_lags(p->encoding, p->N, lags);
    for (size_t i = 0; i < p->N; i++)
        for (size_t j = 0; j < p->N; j++) bias[i * p->N + j] += (long double)lags[i + p->N - 1 - j];
    flt_free(lags);
    return FLTE_OK;
}

// The three errors; out of the plan under test is in p->out.
static flt_err errors(const flt_problem *p, const flt_attention *plan, bool encoded, scratch *s, cell *c) {
    const size_t nn = p->N * p->N, out = p->N * p->dv;
    size_t dim[2] = {0}, freq[2] = {0};
    const double *omega = flt_oracle_draw(plan, "omega", 2, 0, dim), *xi = flt_oracle_draw(plan, "xi", 2, 0, freq);
    const double *rho = flt_oracle_draw(plan, "rho", 1, 0, freq + 1);
    if (omega == NULL) return flt_fail(FLTE_INTERNAL, "ladder", "%s reports no omega", flt_attention_kind_of(plan)->kind.name);
    flt_oracle_logits(p, p->q, p->k, s->logits);
    if (encoded) FLTX_TRY(add_encoding(p, s->bias));
    for (size_t i = 0; i < nn; i++) s->mask[i] = s->logits[i] + s->bias[i];
    flt_oracle_rows(p, s->mask, p->v, s->want);
    for (size_t i = 0; i < out; i++) s->got[i] = (long double)p->out[i];
    c->total = relative_error(out, s->got, s->want);
    c->mask = 0.0;
    if (encoded && xi != NULL && rho != NULL) {
        memcpy(s->mask, s->logits, nn * sizeof *s->mask);
        flt_oracle_estimate(p, freq[0], xi, rho, s->mask);
        flt_oracle_rows(p, s->mask, p->v, s->got);
        c->mask = relative_error(out, s->got, s->want);
    }
    head_features(p, p->q, omega, dim[1], s, s->lq);
    head_features(p, p->k, omega, dim[1], s, s->lk);
    flt_oracle_kernel(p, p->m, s->lq, s->lk, s->mask);
    for (size_t i = 0; i < nn; i++) s->mask[i] += s->bias[i];
    flt_oracle_rows(p, s->mask, p->v, s->got);
    c->kernel = relative_error(out, s->got, s->want);
    return FLTE_OK;
}

static flt_err record(flt_check_context *ctx, const flt_attention_kind *kind, bool encoded, const cell *c) {
    const flt_field fields[] = {flt_text_field("mechanism", kind->kind.name),
                                flt_text_field("encoding", !encoded              ? "none"
                                                           : c->encoding == NULL ? "gaussian_mixture"
                                                                                 : c->encoding),
                                flt_num_field("n", (double)c->n),
                                flt_num_field("d", WIDTH),
                                flt_num_field("m", (double)c->m),
                                flt_num_field("r", (double)c->r),
                                flt_num_field("seed", (double)c->seed),
                                flt_num_field("causal", 0.0),
                                flt_num_field("error_total", c->total),
                                flt_num_field("error_mask", c->mask),
                                flt_num_field("error_kernel", c->kernel),
                                flt_num_field("seconds", c->seconds),
                                flt_num_field("seconds_exact", c->seconds_exact),
                                flt_num_field("bytes", (double)c->bytes),
                                flt_num_field("bytes_exact", (double)c->bytes_exact)};
    return flt_sink_record(ctx->sink, "ladder", sizeof fields / sizeof *fields, fields);
}

static flt_err time_exact(const flt_problem *p, cell *c) {
    const flt_attention_kind *exact = NULL;
    flt_attention *plan = NULL;
    FLTX_TRY(flt_attention_find("exact", &exact));
    FLTX_TRY(flt_problem_plan(p, exact, 1, 0, NULL, &plan));
    c->seconds_exact = time_forward(p, plan);
    c->bytes_exact = flt_attention_workspace(plan);
    flt_attention_destroy(plan);
    return FLTE_OK;
}

static flt_err compare(flt_check_context *ctx, const flt_attention_kind *kind, flt_problem *p, flt_attention *plan, cell *c) {
    const bool encoded = (kind->kind.caps & FLTX_ATT_RPE) != 0;
    scratch s = {0};
    flt_err err = time_exact(p, c);
    if (err == FLTE_OK) err = allocate(p, &s);
    if (err == FLTE_OK) {
        c->seconds = time_forward(p, plan);
        c->bytes = flt_attention_workspace(plan);
        err = errors(p, plan, encoded, &s, c);
    }
    if (err == FLTE_OK) err = record(ctx, kind, encoded, c);
    release(&s);
    return err;
}

static flt_err measure(flt_check_context *ctx, const flt_attention_kind *kind, cell *c) {
    flt_problem shape = {
        .B = 1, .H = 1, .N = c->n, .d = WIDTH, .dv = WIDTH, .l = 1, .m = c->m, .r = c->r, .scale = 0.5, .seed = c->seed};
    flt_encoding_case *encoding = NULL;
    flt_problem *p = NULL;
    flt_attention *plan = NULL;
    flt_err err = c->encoding == NULL ? FLTE_OK : flt_encoding_case_create(c->encoding, c->n, &encoding);
    shape.encoding = encoding;
    shape.plain = (kind->kind.caps & FLTX_ATT_RPE) == 0;
    if (err == FLTE_OK) err = flt_problem_create(&shape, &p);
    if (err == FLTE_OK) err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) err = compare(ctx, kind, p, plan, c);
    flt_attention_destroy(plan);
    flt_problem_destroy(p);
    flt_encoding_case_destroy(encoding);
    return err;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(size_t n, double *x) {
    qsort(x, n, sizeof *x, by_value);
    return n % 2 == 1 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

// Medians over the seeds at one (N, m, r).
static flt_err medians(flt_check_context *ctx, const flt_attention_kind *kind, cell c, size_t seeds, cell *out) {
    double total[FLTX_LADDER_SEEDS], mask[FLTX_LADDER_SEEDS], kernel[FLTX_LADDER_SEEDS];
    for (size_t s = 0; s < seeds; s++) {
        c.seed = ctx->config->seed + s;
        FLTX_TRY(measure(ctx, kind, &c));
        total[s] = c.total;
        mask[s] = c.mask;
        kernel[s] = c.kernel;
    }
    *out = c;
    out->total = median(seeds, total);
    out->mask = median(seeds, mask);
    out->kernel = median(seeds, kernel);
    return FLTE_OK;
}

typedef struct grid {
    size_t n_n, n_m, n_r, seeds;
    const size_t *n, *m, *r;
} grid;

static grid grid_of(const flt_verify_config *c) {
    static const size_t quick_n[] = {64, 192}, quick_m[] = {32, 256}, quick_r[] = {8, 64};
    static const size_t full_n[] = {64, 128, 256}, full_m[] = {16, 64, 256, 1024}, full_r[] = {8, 32, 128};
    grid g = c->full ? (grid){3, 4, 3, 5, full_n, full_m, full_r} : (grid){2, 2, 2, 3, quick_n, quick_m, quick_r};
    if (c->n_n > 0) g.n_n = c->n_n, g.n = c->n;
    if (c->n_m > 0) g.n_m = c->n_m, g.m = c->m;
    if (c->n_r > 0) g.n_r = c->n_r, g.r = c->r;
    if (c->seeds > 0) g.seeds = c->seeds;
    return g;
}

// What can be claimed of single cells.
static flt_err claim_finite(flt_check_context *ctx, const flt_attention_kind *kind, const cell *c) {
    char label[96];
    const double sum = c->total + c->mask + c->kernel;
    snprintf(label, sizeof label, "errors are finite, N=%zu m=%zu r=%zu (medians over seeds)", c->n, c->m, c->r);
    return flt_check_claim(ctx, kind->kind.name, label, isfinite(sum) != 0, sum);
}

static flt_err on_cells(flt_check_context *ctx, const flt_attention_kind *kind, const char *encoding) {
    const grid g = grid_of(ctx->config);
    const bool encoded = (kind->kind.caps & FLTX_ATT_RPE) != 0;
    for (size_t a = 0; a < g.n_n; a++) {
        cell middle = {0};
        for (size_t b = 0; b < g.n_m; b++) {
            for (size_t e = 0; e < (encoded ? g.n_r : 1); e++) {
                if (flt_sink_stopped(ctx->sink)) return flt_fail(FLTE_INTERRUPTED, "ladder", "stopped on request");
                const cell c = {.n = g.n[a], .m = g.m[b], .r = encoded ? g.r[e] : 0, .encoding = encoding};
                FLTX_TRY(medians(ctx, kind, c, g.seeds, &middle));
                FLTX_TRY(claim_finite(ctx, kind, &middle));
            }
        }
    }
    return FLTE_OK;
}

// An encoding that the mechanism cannot use, having no spectrum, is left out with a record.
static flt_err with_encoding(flt_check_context *ctx, const flt_attention_kind *kind, const char *encoding) {
    char text[256];
    const flt_err err = on_cells(ctx, kind, encoding);
    if (err != FLTE_UNSUPPORTED) return err;
    snprintf(text, sizeof text, "ladder: %s on %s left out: %.150s", kind->kind.name, encoding, flt_error());
    flt_error_clear();
    const flt_field fields[] = {flt_text_field("level", "info"), flt_text_field("message", text)};
    return flt_sink_record(ctx->sink, "event", 2, fields);
}

static flt_err on_mechanism(flt_check_context *ctx, const flt_attention_kind *kind) {
    const bool encoded = (kind->kind.caps & FLTX_ATT_RPE) != 0;
    const flt_verify_config *c = ctx->config;
    if (!encoded || c->n_encodings == 0) return on_cells(ctx, kind, NULL);
    for (size_t i = 0; i < c->n_encodings; i++) FLTX_TRY(with_encoding(ctx, kind, c->encodings[i]));
    return FLTE_OK;
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, FLTX_ATT_RANDOM, on_mechanism);
}

const flt_check_kind flt_check_kind_ladder = {
    .kind = {.name = "ladder",
             .summary = "distance from exact attention, split into mask and kernel, over N, m, r and seeds",
             .formula = "|out - exact|_F / |exact|_F",
             .citation = "arXiv 2302.01925; arXiv 2009.14794",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
