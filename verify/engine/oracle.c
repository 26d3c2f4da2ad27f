// SPDX-License-Identifier: MIT
// Nothing here is shared with the code under test but the draws.
#include "engine/oracle_heads.h"

#include "flt/memory.h"

#include <math.h>
#include <string.h>

#define TWO_PI_L 6.283185307179586476925286766559005768L

static size_t keys_of(const flt_problem *p, size_t i) {
    return p->causal ? i + 1 : p->N;
}

// out = sum_j exp(x_j - max) v_j / sum_j exp(x_j - max)
static double normalised_row(size_t n, const long double *x, size_t dv, const flt_real *v, long double *out) {
    long double top = -INFINITY, sum = 0.0L, largest = 0.0L;
    for (size_t j = 0; j < n; j++) {
        if (x[j] > top) top = x[j];
        if (isfinite(x[j]) && fabsl(x[j]) > largest) largest = fabsl(x[j]);
    }
    for (size_t c = 0; c < dv; c++) out[c] = 0.0L;
    for (size_t j = 0; j < n; j++) {
        const long double weight = expl(x[j] - top);
        sum += weight;
        for (size_t c = 0; c < dv; c++) out[c] += weight * (long double)v[j * dv + c];
    }
    for (size_t c = 0; c < dv; c++) out[c] /= sum;
    return (double)largest;
}

double flt_oracle_rows(const flt_problem *p, const long double *x, const flt_real *v, long double *out) {
    double largest = 0.0;
    for (size_t i = 0; i < p->N; i++)
        largest = fmax(largest, normalised_row(keys_of(p, i), x + i * p->N, p->dv, v, out + i * p->dv));
    return largest;
}

void flt_oracle_logits(const flt_problem *p, const flt_real *q, const flt_real *k, long double *x) {
    for (size_t i = 0; i < p->N; i++) {
        for (size_t j = 0; j < p->N; j++) {
            long double dot = 0.0L;
            for (size_t c = 0; c < p->d; c++) dot += (long double)q[i * p->d + c] * (long double)k[j * p->d + c];
            x[i * p->N + j] = dot / sqrtl((long double)p->d);
        }
    }
}

void flt_oracle_kernel(const flt_problem *p, size_t m, const long double *lq, const long double *lk, long double *x) {
    for (size_t i = 0; i < p->N; i++) {
        for (size_t j = 0; j < p->N; j++) {
            long double top = -INFINITY, sum = 0.0L;
            for (size_t f = 0; f < m; f++) top = fmaxl(top, lq[i * m + f] + lk[j * m + f]);
            for (size_t f = 0; f < m; f++) sum += expl(lq[i * m + f] + lk[j * m + f] - top);
            x[i * p->N + j] = top + logl(sum);
        }
    }
}

void flt_oracle_log_features(size_t n, size_t D, size_t m, const long double *x, const double *omega, size_t ld_omega,
                             long double *out) {
    for (size_t i = 0; i < n; i++) {
        long double norm = 0.0L;
        for (size_t c = 0; c < D; c++) norm += x[i * D + c] * x[i * D + c];
        for (size_t f = 0; f < m; f++) {
            long double dot = 0.0L;
            for (size_t c = 0; c < D; c++) dot += (long double)omega[f * ld_omega + c] * x[i * D + c];
            out[i * m + f] = dot - norm / 2.0L;
        }
    }
}

void flt_oracle_mixture(const flt_problem *p, long double *bias) {
    const long double pi = TWO_PI_L / 2.0L;
    for (size_t i = 0; i < p->N; i++) {
        for (size_t j = 0; j < p->N; j++) {
            for (size_t t = 0; t < 2; t++) {
                long double z2 = 0.0L, phase = 0.0L;
                for (size_t a = 0; a < p->l; a++) {
                    const long double z = (long double)p->pos[i * p->l + a] - (long double)p->pos[j * p->l + a];
                    z2 += z * z;
                    phase += (long double)p->mu[t * p->l + a] * z;
                }
                const long double s2 = (long double)p->s2[t];
                bias[i * p->N + j] += (long double)p->w[t] * powl(pi * s2, (long double)p->l / 2.0L) * expl(-pi * pi * s2 * z2) *
                                      cosl(TWO_PI_L * phase);
            }
        }
    }
}

void flt_oracle_estimate(const flt_problem *p, size_t r, const double *xi, const double *rho, long double *bias) {
    for (size_t i = 0; i < p->N; i++) {
        for (size_t j = 0; j < p->N; j++) {
            long double sum = 0.0L;
            for (size_t f = 0; f < r; f++) {
                long double phase = 0.0L;
                for (size_t a = 0; a < p->l; a++)
                    phase +=
                        (long double)xi[f * p->l + a] * ((long double)p->pos[i * p->l + a] - (long double)p->pos[j * p->l + a]);
                sum += (long double)rho[f] * cosl(TWO_PI_L * phase);
            }
            bias[i * p->N + j] += sum / (long double)r;
        }
    }
}

const double *flt_oracle_draw(const flt_attention *plan, const char *name, size_t rank, size_t h, size_t *dim) {
    enum { MAX = 32 };
    flt_attention_arg args[MAX];
    const size_t n = flt_attention_draws(plan, MAX, args);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(args[i].name, name) != 0) continue;
        const size_t lead = args[i].rank - rank; // 1 when there is one array per head
        size_t count = 1;
        for (size_t a = 0; a < rank; a++) {
            dim[a] = args[i].dim[lead + a];
            count *= dim[a];
        }
        return args[i].data + (lead == 0 ? 0 : h * count);
    }
    return NULL;
}

// ---- one head of each mechanism

typedef struct scratch {
    long double *x, *qq, *kk, *lq, *lk, *out; // [N, N], [N, D], [N, D], [N, m], [N, m], [N, dv]
} scratch;

static flt_err exact_head(const flt_problem *p, const flt_attention *plan, size_t h, const flt_real *q, const flt_real *k,
                          scratch *s) {
    size_t dim[2];
    flt_oracle_logits(p, q, k, s->x);
    const double *bias = flt_oracle_draw(plan, "bias", 2, h, dim);
    const double *lag = flt_oracle_draw(plan, "lag_bias", 1, h, dim);
    for (size_t i = 0; i < p->N; i++) {
        for (size_t j = 0; j < p->N; j++) {
            if (bias != NULL) s->x[i * p->N + j] += (long double)bias[i * p->N + j];
            if (lag != NULL) s->x[i * p->N + j] += (long double)lag[j + p->N - 1 - i];
        }
    }
    if (flt_oracle_draw(plan, "w", 1, h, dim) != NULL) flt_oracle_mixture(p, s->x);
    return FLTE_OK;
}

// [q / d^(1/4), snippet]: the snippet is absent for performer (r = 0).
static void widen(const flt_problem *p, const flt_real *x, size_t r, const double *xi, const double *rho, long double *out) {
    const size_t D = p->d + 2 * r;
    const long double shrink = powl((long double)p->d, -0.25L);
    for (size_t i = 0; i < p->N; i++) {
        for (size_t c = 0; c < p->d; c++) out[i * D + c] = (long double)x[i * p->d + c] * shrink;
        for (size_t f = 0; f < r; f++) {
            long double phase = 0.0L;
            for (size_t a = 0; a < p->l; a++) phase += (long double)xi[f * p->l + a] * (long double)p->pos[i * p->l + a];
            const long double size = (rho == NULL ? 1.0L : (long double)rho[f]) / sqrtl((long double)r);
            out[i * D + p->d + f] = size * cosl(TWO_PI_L * phase);
            out[i * D + p->d + r + f] = size * sinl(TWO_PI_L * phase);
        }
    }
}

static double largest_of(size_t n, const long double *x) {
    long double top = 0.0L;
    for (size_t i = 0; i < n; i++) top = fmaxl(top, fabsl(x[i]));
    return (double)top;
}

// performer and flt: FAVOR+ features of [q / d^(1/4), a], [k / d^(1/4), b]; m and the width come from omega.
static flt_err feature_head(const flt_problem *p, const flt_attention *plan, size_t h, const flt_real *q, const flt_real *k,
                            scratch *s, double *exponent) {
    size_t dim[2] = {0}, freq[2] = {0};
    const double *omega = flt_oracle_draw(plan, "omega", 2, h, dim);
    const double *xi = flt_oracle_draw(plan, "xi", 2, h, freq);
    size_t unused[2];
    const double *rho = flt_oracle_draw(plan, "rho", 1, h, unused);
    const size_t m = dim[0], r = xi == NULL ? 0 : freq[0], D = p->d + 2 * r;
    if (omega == NULL || dim[1] != D) return flt_fail(FLTE_INTERNAL, "oracle", "omega is %zu wide; expected %zu", dim[1], D);
    flt_free(s->qq);
    flt_free(s->kk);
    flt_free(s->lq);
    flt_free(s->lk);
    s->qq = s->kk = s->lq = s->lk = NULL;
    FLTX_TRY(flt_alloc(p->N * D, sizeof *s->qq, &s->qq));
    FLTX_TRY(flt_alloc(p->N * D, sizeof *s->kk, &s->kk));
    FLTX_TRY(flt_alloc(p->N * m, sizeof *s->lq, &s->lq));
    FLTX_TRY(flt_alloc(p->N * m, sizeof *s->lk, &s->lk));
    widen(p, q, r, xi, rho, s->qq);
    widen(p, k, r, xi, NULL, s->kk);
    flt_oracle_log_features(p->N, D, m, s->qq, omega, D, s->lq);
    flt_oracle_log_features(p->N, D, m, s->kk, omega, D, s->lk);
    *exponent = fmax(*exponent, largest_of(p->N * m, s->lq) + largest_of(p->N * m, s->lk));
    flt_oracle_kernel(p, m, s->lq, s->lk, s->x);
    return FLTE_OK;
}

// Mechanisms whose oracle has a file of its own.
static const struct {
    const char *name;
    flt_err (*run)(const flt_oracle_job *job);
    bool averages; // writes log weights; else the output itself
} others[] = {{"nprf", flt_oracle_nprf, true}};

static flt_err other_head(const char *name, const flt_oracle_job *job) {
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(name, others[i].name) != 0) continue;
        FLTX_TRY(others[i].run(job));
        if (others[i].averages) *job->exponent = fmax(*job->exponent, flt_oracle_rows(job->p, job->x, job->v, job->out));
        return FLTE_OK;
    }
    return flt_fail(FLTE_UNSUPPORTED, "oracle", "nobody has written the oracle of '%s' in verify/engine", name);
}

static flt_err head(const flt_problem *p, const flt_attention *plan, size_t b, size_t h, scratch *s, flt_real *out,
                    double *exponent) {
    const char *name = flt_attention_kind_of(plan)->kind.name;
    const size_t at = (b * p->H + h) * p->N;
    const flt_real *q = p->q + at * p->d, *k = p->k + at * p->d, *v = p->v + at * p->dv;
    const bool exact = strcmp(name, "exact") == 0, features = strcmp(name, "performer") == 0 || strcmp(name, "flt") == 0;
    const flt_oracle_job job = {
        .p = p, .plan = plan, .h = h, .q = q, .k = k, .v = v, .x = s->x, .out = s->out, .exponent = exponent};
    if (exact)
        FLTX_TRY(exact_head(p, plan, h, q, k, s));
    else if (features)
        FLTX_TRY(feature_head(p, plan, h, q, k, s, exponent));
    else
        FLTX_TRY(other_head(name, &job));
    if (exact || features) *exponent = fmax(*exponent, flt_oracle_rows(p, s->x, v, s->out));
    for (size_t i = 0; i < p->N * p->dv; i++) out[at * p->dv + i] = (flt_real)s->out[i];
    return FLTE_OK;
}

flt_err flt_oracle_attention(const flt_problem *p, const flt_attention *plan, flt_real *out, double *exponent) {
    scratch s = {0};
    *exponent = 0.0;
    flt_err err = flt_alloc(p->N * p->N, sizeof *s.x, &s.x);
    if (err == FLTE_OK) err = flt_alloc(p->N * p->dv, sizeof *s.out, &s.out);
    for (size_t b = 0; b < p->B && err == FLTE_OK; b++)
        for (size_t h = 0; h < p->H && err == FLTE_OK; h++) err = head(p, plan, b, h, &s, out, exponent);
    flt_free(s.x);
    flt_free(s.out);
    flt_free(s.qq);
    flt_free(s.kk);
    flt_free(s.lq);
    flt_free(s.lk);
    return err;
}
