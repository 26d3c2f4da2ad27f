// SPDX-License-Identifier: MIT
// Nothing here is shared with the code under test but the draws.
#include "engine/oracle_heads.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
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

// Rows of logarithms become exponentials relative to the row's top.
static void exponentiate(size_t m, long double *row, long double *top) {
    *top = row[0];
    for (size_t f = 1; f < m; f++) *top = fmaxl(*top, row[f]);
    for (size_t f = 0; f < m; f++) row[f] = expl(row[f] - *top);
}

void flt_oracle_kernel(const flt_problem *p, size_t m, long double *lq, long double *lk, long double *x) {
    long double top = 0.0L;
    for (size_t j = 0; j < p->N; j++) { // x holds the tops of the keys until its rows come
        exponentiate(m, lk + j * m, &top);
        for (size_t i = 0; i < p->N; i++) x[i * p->N + j] = top;
    }
    for (size_t i = 0; i < p->N; i++) {
        exponentiate(m, lq + i * m, &top);
        for (size_t j = 0; j < p->N; j++) {
            long double sum = 0.0L;
            for (size_t f = 0; f < m; f++) sum += lq[i * m + f] * lk[j * m + f];
            x[i * p->N + j] += top + logl(sum);
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
    long double amplitude[2];
    for (size_t t = 0; t < 2; t++)
        amplitude[t] = (long double)p->w[t] * powl(pi * (long double)p->s2[t], (long double)p->l / 2.0L);
    for (size_t i = 0; i < p->N; i++) {
        for (size_t j = 0; j < p->N; j++) {
            for (size_t t = 0; t < 2; t++) {
                long double z2 = 0.0L, phase = 0.0L;
                for (size_t a = 0; a < p->l; a++) {
                    const long double z = (long double)p->pos[i * p->l + a] - (long double)p->pos[j * p->l + a];
                    z2 += z * z;
                    phase += (long double)p->mu[t * p->l + a] * z;
                }
                bias[i * p->N + j] += amplitude[t] * expl(-pi * pi * (long double)p->s2[t] * z2) * cosl(TWO_PI_L * phase);
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

bool flt_oracle_option(const flt_problem *p, const char *name, const char *value) {
    char text[64];
    snprintf(text, sizeof text, "%s=%s", name, value);
    return p->options != NULL && strstr(p->options, text) != NULL;
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

// What stands on one side of the product for a ratio rho.
static long double side(const flt_problem *p, bool query, double rho) {
    if (flt_oracle_option(p, "split", "squared")) return (long double)rho;
    if (flt_oracle_option(p, "split", "balanced")) return (query && rho < 0.0 ? -1.0L : 1.0L) * sqrtl(fabsl((long double)rho));
    return query ? (long double)rho : 1.0L;
}

// [q / d^(1/4), snippet]: the snippet is absent for performer (r = 0).
static void widen(const flt_problem *p, bool query, const flt_real *x, size_t r, const double *xi, const double *rho,
                  long double *out) {
    const size_t D = p->d + 2 * r;
    const long double shrink = powl((long double)p->d, -0.25L);
    for (size_t i = 0; i < p->N; i++) {
        for (size_t c = 0; c < p->d; c++) out[i * D + c] = (long double)x[i * p->d + c] * shrink;
        for (size_t f = 0; f < r; f++) {
            long double phase = 0.0L;
            for (size_t a = 0; a < p->l; a++) phase += (long double)xi[f * p->l + a] * (long double)p->pos[i * p->l + a];
            const long double size = side(p, query, rho[f]) / sqrtl((long double)r);
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

// Takes the mean row off x [N, D].
static void centre(size_t n, size_t D, long double *x, long double *mean) {
    for (size_t c = 0; c < D; c++) {
        mean[c] = 0.0L;
        for (size_t i = 0; i < n; i++) mean[c] += x[i * D + c] / (long double)n;
        for (size_t i = 0; i < n; i++) x[i * D + c] -= mean[c];
    }
}

// A of FAVOR++ (Likhosherstov et al. 2022): the root of 2 s rho^2 + (D + 2 s) rho - D = 0, s the mean of |q_i + k_j|^2, A = (1 -
// 1/rho)/8. Causal: the mechanism's stated constant.
static long double favorpp(const flt_problem *p, size_t D, const long double *qq, const long double *kk) {
    long double s = 0.0L;
    if (!flt_oracle_option(p, "features", "favor++")) return 0.0L;
    for (size_t i = 0; i < p->N * p->N * D; i++) {
        const size_t c = i % D, a = i / D / p->N, b = i / D % p->N;
        s += powl(qq[a * D + c] + kk[b * D + c], 2.0L) / (long double)(p->N * p->N);
    }
    if (p->causal) s = 2.0L * sqrtl((long double)p->d);
    const long double b = (long double)D + 2.0L * s;
    const long double rho = (sqrtl(b * b + 8.0L * s * (long double)D) - b) / (4.0L * s);
    return (1.0L - 1.0L / rho) / 8.0L;
}

// out [n, F]: logarithms of the features that the options name; returns F.
static size_t features_of(const flt_problem *p, size_t D, size_t m, const long double *x, const double *omega, long double A,
                          long double *out) {
    const bool both = flt_oracle_option(p, "features", "hyperbolic"), relu = flt_oracle_option(p, "features", "relu");
    const size_t F = both ? 2 * m : m;
    for (size_t i = 0; i < p->N; i++) {
        for (size_t f = 0; f < m; f++) {
            long double dot = 0.0L, norm = 0.0L, size = 0.0L;
            for (size_t c = 0; c < D; c++) {
                dot += (long double)omega[f * D + c] * x[i * D + c];
                norm += x[i * D + c] * x[i * D + c];
                size += (long double)omega[f * D + c] * (long double)omega[f * D + c];
            }
            out[i * F + f] = relu ? logl(fmaxl(dot / sqrtl((long double)m), 0.0L) + 1e-3L)
                                  : A * size + sqrtl(1.0L - 4.0L * A) * dot - norm / 2.0L;
            if (both) out[i * F + m + f] = -dot - norm / 2.0L;
        }
    }
    return F;
}

static flt_err renew(const flt_problem *p, size_t D, size_t F, scratch *s) {
    flt_free(s->qq);
    flt_free(s->kk);
    flt_free(s->lq);
    flt_free(s->lk);
    s->qq = s->kk = s->lq = s->lk = NULL;
    FLTX_TRY(flt_alloc((p->N + 1) * D, sizeof *s->qq, &s->qq)); // a mean behind the rows
    FLTX_TRY(flt_alloc((p->N + 1) * D, sizeof *s->kk, &s->kk));
    FLTX_TRY(flt_alloc(p->N * F, sizeof *s->lq, &s->lq));
    return flt_alloc(p->N * F, sizeof *s->lk, &s->lk);
}

// performer and flt: features of [q / d^(1/4), a], [k / d^(1/4), b]; m and the width come from omega.
static flt_err feature_head(const flt_problem *p, const flt_attention *plan, size_t h, const flt_real *q, const flt_real *k,
                            scratch *s, double *exponent) {
    size_t dim[2] = {0}, freq[2] = {0};
    const double *omega = flt_oracle_draw(plan, "omega", 2, h, dim);
    const double *xi = flt_oracle_draw(plan, "xi", 2, h, freq);
    size_t unused[2];
    const double *rho = flt_oracle_draw(plan, "rho", 1, h, unused);
    const size_t m = dim[0], r = xi == NULL ? 0 : freq[0], D = p->d + 2 * r;
    const bool centred = flt_oracle_option(p, "centre", "mean");
    if (omega == NULL || dim[1] != D) return flt_fail(FLTE_INTERNAL, "oracle", "omega is %zu wide; expected %zu", dim[1], D);
    FLTX_TRY(renew(p, D, 2 * m, s));
    widen(p, true, q, r, xi, rho, s->qq);
    widen(p, false, k, r, xi, rho, s->kk);
    if (centred) centre(p->N, D, s->qq, s->qq + p->N * D);
    if (centred) centre(p->N, D, s->kk, s->kk + p->N * D);
    const long double A = favorpp(p, D, s->qq, s->kk);
    const size_t F = features_of(p, D, m, s->qq, omega, A, s->lq);
    features_of(p, D, m, s->kk, omega, A, s->lk);
    *exponent = fmax(*exponent, largest_of(p->N * F, s->lq) + largest_of(p->N * F, s->lk));
    flt_oracle_kernel(p, F, s->lq, s->lk, s->x);
    // exp(q.k) = exp((q - a).(k - b)) exp(a.(k - b)) times what the row alone decides
    for (size_t i = 0; centred && i < p->N * p->N * D; i++)
        s->x[i / D] += s->qq[p->N * D + i % D] * s->kk[i / D % p->N * D + i % D];
    return FLTE_OK;
}

// linear: phi of each coordinate.
static flt_err plain_head(const flt_problem *p, const flt_real *q, const flt_real *k, scratch *s, double *exponent) {
    const bool relu = flt_oracle_option(p, "features", "relu");
    FLTX_TRY(renew(p, 1, p->d, s));
    for (size_t i = 0; i < p->N * p->d; i++) {
        const long double x = (long double)q[i], y = (long double)k[i];
        s->lq[i] = logl(relu ? fmaxl(x, 0.0L) + 1e-3L : x > 0.0L ? x + 1.0L : expl(x));
        s->lk[i] = logl(relu ? fmaxl(y, 0.0L) + 1e-3L : y > 0.0L ? y + 1.0L : expl(y));
    }
    *exponent = fmax(*exponent, largest_of(p->N * p->d, s->lq) + largest_of(p->N * p->d, s->lk));
    flt_oracle_kernel(p, p->d, s->lq, s->lk, s->x);
    return FLTE_OK;
}

// Mechanisms whose oracle has a file of its own.
static const struct {
    const char *name;
    flt_err (*run)(const flt_oracle_job *job);
    bool averages; // writes log weights; else the output itself
} others[] = {{"nprf", flt_oracle_nprf, true},        {"spe_sine", flt_oracle_spe, true},   {"spe_conv", flt_oracle_spe, true},
              {"fourier", flt_oracle_fourier, false}, {"fftnet", flt_oracle_fftnet, false}, {"taylor", flt_oracle_taylor, false}};

static flt_err other_head(const char *name, const flt_oracle_job *job) {
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(name, others[i].name) != 0) continue;
        FLTX_TRY(others[i].run(job));
        if (others[i].averages) *job->exponent = fmax(*job->exponent, flt_oracle_rows(job->p, job->x, job->v, job->out));
        return FLTE_OK;
    }
    return flt_fail(FLTE_UNSUPPORTED, "oracle",
                    "nobody has written the oracle of '%s'; its loops belong into verify/engine/oracle.c", name);
}

static flt_err head(const flt_problem *p, const flt_attention *plan, size_t b, size_t h, scratch *s, flt_real *out,
                    double *exponent) {
    const char *name = flt_attention_kind_of(plan)->kind.name;
    const size_t at = (b * p->H + h) * p->N;
    const flt_real *q = p->q + at * p->d, *k = p->k + at * p->d, *v = p->v + at * p->dv;
    const bool exact = strcmp(name, "exact") == 0, plain = strcmp(name, "linear") == 0;
    const bool features = strcmp(name, "performer") == 0 || strcmp(name, "flt") == 0;
    const flt_oracle_job job = {
        .p = p, .plan = plan, .h = h, .q = q, .k = k, .v = v, .x = s->x, .out = s->out, .exponent = exponent};
    if (exact)
        FLTX_TRY(exact_head(p, plan, h, q, k, s));
    else if (features)
        FLTX_TRY(feature_head(p, plan, h, q, k, s, exponent));
    else if (plain)
        FLTX_TRY(plain_head(p, q, k, s, exponent));
    else
        FLTX_TRY(other_head(name, &job));
    if (exact || plain || features) *exponent = fmax(*exponent, flt_oracle_rows(p, s->x, v, s->out));
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
