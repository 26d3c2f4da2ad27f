// SPDX-License-Identifier: MIT
// SPE by its definition: codes of every position, feature and realisation, coded rows, the feature kernel of width R.
#include "engine/oracle_heads.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TWO_PI_L 6.283185307179586476925286766559005768L

typedef struct arrays {
    size_t K, R, l, side[3], width[3], length[3]; // conv: axes of the grid, of filters and of noise; unused ones are 1
    const double *freqs, *phases, *gains, *z, *filter[2], *noise, *share, *eps;
} arrays;

static size_t axes(const flt_problem *p, size_t side[3]) {
    const char *grid = p->options == NULL ? NULL : strstr(p->options, "grid=");
    side[0] = p->N, side[1] = side[2] = 1;
    return grid == NULL ? 1 : (size_t)sscanf(grid, "grid=%zux%zux%zu", &side[0], &side[1], &side[2]);
}

static arrays read_arrays(const flt_problem *p, const flt_attention *plan, size_t h) {
    size_t dim[5] = {0};
    arrays a = {0};
    a.share = flt_oracle_draw(plan, "share", 1, h, dim);
    a.eps = flt_oracle_draw(plan, "eps", 2, h, dim);
    a.phases = flt_oracle_draw(plan, "phases", 2, h, dim);
    a.gains = flt_oracle_draw(plan, "gains", 2, h, dim);
    a.freqs = flt_oracle_draw(plan, "freqs", 2, h, dim);
    a.K = dim[1];
    a.z = flt_oracle_draw(plan, "z", 3, h, dim);
    a.R = dim[2];
    if (a.z != NULL) return a;
    a.l = axes(p, a.side);
    a.filter[0] = flt_oracle_draw(plan, "filter_q", 1 + a.l, h, dim);
    a.filter[1] = flt_oracle_draw(plan, "filter_k", 1 + a.l, h, dim);
    for (size_t x = 0; x < 3; x++) a.width[x] = x < a.l ? dim[1 + x] : 1;
    a.noise = flt_oracle_draw(plan, "noise", 2 + a.l, h, dim);
    for (size_t x = 0; x < 3; x++) a.length[x] = x < a.l ? dim[2 + x] : 1;
    a.R = dim[0];
    return a;
}

// code [R] of one position and feature.
static void sine_code(const arrays *a, bool query, size_t i, size_t c, long double *code) {
    for (size_t k = 0; k < a->K; k++) {
        const size_t at = c * a->K + k;
        const long double phase =
            TWO_PI_L * (long double)a->freqs[at] * (long double)i + (query ? (long double)a->phases[at] : 0.0L);
        const long double gain = (long double)a->gains[at] / sqrtl(2.0L * (long double)a->K);
        const long double on_cos = gain * cosl(phase), on_sin = gain * sinl(phase);
        const double *z = a->z + (c * 2 * a->K + 2 * k) * a->R;
        for (size_t r = 0; r < a->R; r++) code[r] += on_cos * (long double)z[r] + on_sin * (long double)z[a->R + r];
    }
}

static void conv_code(const arrays *a, bool query, size_t d, size_t i, size_t c, long double *code) {
    const size_t taps = a->width[0] * a->width[1] * a->width[2], cells = a->length[0] * a->length[1] * a->length[2];
    const double *filter = a->filter[query ? 0 : 1] + c * taps;
    for (size_t r = 0; r < a->R; r++) {
        const double *noise = a->noise + (r * d + c) * cells;
        for (size_t t = 0; t < taps; t++) {
            size_t at = 0, tap = t, token = i, step = 1;
            for (size_t x = 3; x-- > 0; tap /= a->width[x], token /= a->side[x], step *= a->length[x])
                at += step * ((x < a->l ? a->width[x] : 0) + token % a->side[x] + tap % a->width[x]);
            code[r] += (long double)filter[t] * (long double)noise[at];
        }
    }
}

// hat [N, R] divided by R^(1/4): the argument of the features. code [R] is room.
static void code_rows(const flt_problem *p, const arrays *a, bool query, const flt_real *x, long double *code, long double *hat) {
    const long double norm = powl((long double)p->d * (long double)a->R, -0.25L) * powl((long double)a->R, -0.25L);
    memset(hat, 0, p->N * a->R * sizeof *hat);
    for (size_t i = 0; i < p->N; i++) {
        for (size_t c = 0; c < p->d; c++) {
            const long double share = a->share == NULL ? 0.0L : (long double)a->share[c];
            memset(code, 0, a->R * sizeof *code);
            if (a->z != NULL)
                sine_code(a, query, i, c, code);
            else
                conv_code(a, query, p->d, i, c, code);
            for (size_t r = 0; r < a->R; r++) {
                const long double fixed = a->eps == NULL ? 0.0L : (long double)a->eps[c * a->R + r];
                hat[i * a->R + r] += norm * (long double)x[i * p->d + c] * (sqrtl(1.0L - share) * code[r] + sqrtl(share) * fixed);
            }
        }
    }
}

static double largest_of(size_t n, const long double *x) {
    long double top = 0.0L;
    for (size_t i = 0; i < n; i++) top = fmaxl(top, fabsl(x[i]));
    return (double)top;
}

// x [N, N] = qhat khat^T / sqrt R: the rows hold R^(-1/4) already.
static void products(size_t n, size_t R, const long double *qhat, const long double *khat, long double *x) {
    for (size_t i = 0; i < n * n; i++) {
        x[i] = 0.0L;
        for (size_t r = 0; r < R; r++) x[i] += qhat[i / n * R + r] * khat[i % n * R + r];
    }
}

// out [N, F]: logarithms of the features; hyperbolic: those of omega and of -omega. Returns F. turned [m, R] is room.
static size_t features(const flt_problem *p, size_t R, size_t m, const long double *hat, const double *omega, double *turned,
                       long double *out) {
    const bool both = flt_oracle_option(p, "features", "hyperbolic");
    const size_t F = both ? 2 * m : m;
    for (size_t i = 0; i < m * R; i++) turned[i] = -omega[i];
    for (size_t i = 0; i < p->N; i++) {
        flt_oracle_log_features(1, R, m, hat + i * R, omega, R, out + i * F);
        if (both) flt_oracle_log_features(1, R, m, hat + i * R, turned, R, out + i * F + m);
    }
    return F;
}

static flt_err feature_weights(const flt_oracle_job *job, size_t R, const long double *hat) {
    const flt_problem *p = job->p;
    size_t dim[2] = {0};
    const double *omega = flt_oracle_draw(job->plan, "omega", 2, job->h, dim);
    if (omega == NULL || dim[1] != R) return flt_fail(FLTE_INTERNAL, "oracle", "omega is %zu wide; expected %zu", dim[1], R);
    const size_t m = dim[0];
    long double *lq = NULL;
    double *turned = NULL;
    flt_err err = flt_alloc(p->N * 4 * m, sizeof *lq, &lq);
    if (err == FLTE_OK) err = flt_alloc(m * R, sizeof *turned, &turned);
    if (err == FLTE_OK) {
        long double *lk = lq + p->N * 2 * m;
        const size_t F = features(p, R, m, hat, omega, turned, lq);
        features(p, R, m, hat + p->N * R, omega, turned, lk);
        *job->exponent = fmax(*job->exponent, largest_of(p->N * F, lq) + largest_of(p->N * F, lk));
        flt_oracle_kernel(p, F, lq, lk, job->x);
    }
    flt_free(turned);
    flt_free(lq);
    return err;
}

flt_err flt_oracle_spe(const flt_oracle_job *job) {
    const flt_problem *p = job->p;
    const arrays a = read_arrays(job->p, job->plan, job->h);
    long double *hat = NULL; // qhat, khat, one code
    FLTX_TRY(flt_alloc(2 * p->N * a.R + a.R, sizeof *hat, &hat));
    long double *khat = hat + p->N * a.R, *code = khat + p->N * a.R;
    flt_err err = FLTE_OK;
    code_rows(p, &a, true, job->q, code, hat);
    code_rows(p, &a, false, job->k, code, khat);
    if (flt_oracle_option(p, "kernel", "exact"))
        products(p->N, a.R, hat, khat, job->x);
    else
        err = feature_weights(job, a.R, hat);
    flt_free(hat);
    return err;
}
