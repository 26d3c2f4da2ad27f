// SPDX-License-Identifier: MIT
// The codes of stochastic positional encoding have the covariance that their template states:
//
//     E qhat_i.khat_j / sqrt R = (1/sqrt d) sum_c q_ic k_jc [(1 - share_c) P_c(i - j) + share_c]
//     spe_sine  P(delta) = (1/2K) sum_k gains_k^2 cos(2 pi freqs_k delta + phases_k)
//     spe_conv  P(delta) = sum_t filter_k[t] filter_q[t - delta]
//
// The plan's own codes (keep_codes) of queries and keys that are 1 in one feature. Codes are Gaussian, so that the product of two
// over R realisations has the mean P and the variance (P_qq P_kk + P^2) / R, both known: z-tests need no sample variance. Heads
// draw by themselves and give the repetitions; positions of one head are correlated and are tested one by one. It would fail for
// the sign of a phase, a missing 1/sqrt 2, filters that change places, noise that q and k do not share, a gate that is turned
// round, heads that share their noise.
#include "engine/oracle.h"
#include "engine/statistics.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEADS = 256, N = 7, D = 2, K = 3, WIDTH = 4, SIZES = 3, R = 16, LARGEST = 64 };

typedef struct setting {
    const char *mechanism;
    bool gated;
    double freqs[D * K], phases[D * K], gains[D * K], filter[2][D * WIDTH], share[D];
} setting;

static setting set_up(const char *mechanism, bool gated) {
    setting s = {.mechanism = mechanism,
                 .gated = gated,
                 .freqs = {0.05, 0.17, 0.31, 0.11, 0.02, 0.4},
                 .phases = {0.7, -0.4, 1.9, 0.2, 1.1, -2.0},
                 .gains = {1.0, 0.6, 1.4, 0.8, 1.2, 0.5},
                 .filter = {{0.9, 0.4, -0.2, 0.1, 0.3, 0.5, 0.7, 0.2}, {0.2, 0.8, 0.3, -0.4, 0.6, 0.1, -0.3, 0.4}},
                 .share = {0.3, 0.75}};
    return s;
}

// ---- what theory says

// Covariance of the codes of sides a and b (0: query, 1: key) at positions i and j.
static double covariance(const setting *s, int a, int b, size_t c, double i, double j) {
    double sum = 0.0;
    if (strcmp(s->mechanism, "spe_sine") == 0) {
        for (size_t k = 0; k < K; k++) {
            const size_t at = c * K + k;
            const double phase = ((a == 0) - (b == 0)) * s->phases[at];
            sum += s->gains[at] * s->gains[at] * cos(FLTX_TWO_PI * s->freqs[at] * (i - j) + phase) / (2.0 * K);
        }
    } else {
        for (int t = 0; t < WIDTH; t++) { // taps that meet the same noise: i + t = j + u
            const int u = t + (int)(i - j);
            if (u >= 0 && u < WIDTH) sum += s->filter[a][c * WIDTH + (size_t)t] * s->filter[b][c * WIDTH + (size_t)u];
        }
    }
    return s->gated ? (1.0 - s->share[c]) * sum + s->share[c] : sum;
}

// ---- codes of a plan

static flt_err make_plan(const flt_check_context *ctx, const setting *s, size_t r, flt_attention **out) {
    const bool sine = strcmp(s->mechanism, "spe_sine") == 0;
    const flt_attention_kind *kind = NULL;
    flt_params *params = NULL;
    char text[64];
    flt_attention_arg args[4];
    size_t n = 0;
    if (sine) {
        args[n++] = (flt_attention_arg){"freqs", 2, {D, K}, s->freqs};
        args[n++] = (flt_attention_arg){"phases", 2, {D, K}, s->phases};
        args[n++] = (flt_attention_arg){"gains", 2, {D, K}, s->gains};
    } else {
        args[n++] = (flt_attention_arg){"filter_q", 2, {D, WIDTH}, s->filter[0]};
        args[n++] = (flt_attention_arg){"filter_k", 2, {D, WIDTH}, s->filter[1]};
    }
    if (s->gated) args[n++] = (flt_attention_arg){"share", 1, {D}, s->share};
    FLTX_TRY(flt_attention_find(s->mechanism, &kind));
    FLTX_TRY(flt_params_create(s->mechanism, kind->kind.params, &params));
    snprintf(text, sizeof text, "m=1,keep_codes=true,R=%zu", r);
    flt_err err = flt_params_parse(params, text);
    const flt_attention_desc desc = {.mechanism = s->mechanism,
                                     .B = 1,
                                     .H = HEADS,
                                     .N = N,
                                     .d = D,
                                     .dv = 1,
                                     .n_args = n,
                                     .args = args,
                                     .params = params,
                                     .seed = ctx->config->seed,
                                     .threads = 1};
    if (err == FLTE_OK) err = flt_attention_create(&desc, out);
    flt_params_destroy(params);
    return err;
}

// x [N, N, HEADS]: sqrt d times the products over sqrt R of the codes of feature c.
static flt_err products(const flt_check_context *ctx, const setting *s, size_t c, size_t r, double *x) {
    flt_attention *plan = NULL;
    flt_real *q = NULL;
    size_t dim[3];
    FLTX_TRY(make_plan(ctx, s, r, &plan));
    flt_err err = flt_alloc(HEADS * N * (D + 2), sizeof *q, &q);
    if (err == FLTE_OK) {
        flt_real *v = q + HEADS * N * D, *out = v + HEADS * N; // zeros
        for (size_t i = 0; i < HEADS * N; i++) q[i * D + c] = 1;
        flt_attention_forward(plan, q, q, v, out);
        for (size_t h = 0; h < HEADS; h++) {
            const double *hat = flt_oracle_draw(plan, "qhat", 3, 0, dim) + h * N * r,
                         *khat = flt_oracle_draw(plan, "khat", 3, 0, dim) + h * N * r;
            for (size_t i = 0; i < N * N; i++) {
                double sum = 0.0;
                for (size_t k = 0; k < r; k++) sum += hat[i / N * r + k] * khat[i % N * r + k];
                x[i * HEADS + h] = sum * sqrt((double)D / (double)r);
            }
        }
    }
    flt_free(q);
    flt_attention_destroy(plan);
    return err;
}

// ---- claims

typedef struct worst {
    double mean, variance;
} worst;

static void compare(const setting *s, size_t c, const double *x, worst *w) {
    for (size_t i = 0; i < N * N; i++) {
        const double a = (double)(i / N), b = (double)(i % N), P = covariance(s, 0, 1, c, a, b),
                     sizes = covariance(s, 0, 0, c, a, a) * covariance(s, 1, 1, c, b, b), v = (sizes + P * P) / R;
        flt_moments sample = {0};
        for (size_t h = 0; h < HEADS; h++) flt_moments_add(&sample, x[i * HEADS + h]);
        const double z = flt_mean_z(&sample, P, v);
        if (!(fabs(z) <= fabs(w->mean))) w->mean = z;
        // excess kurtosis of a product of two Gaussians is at most 12, of the mean of R of them 12 / R
        const double spread = flt_variance_z(&sample, v, (3.0 + 12.0 / R) * v * v);
        if (!(fabs(spread) <= fabs(w->variance))) w->variance = spread;
    }
}

static flt_err slope(flt_check_context *ctx, const setting *s, double *x) {
    static const double sizes[SIZES] = {4, 16, LARGEST};
    double error[SIZES * HEADS];
    char label[96];
    const size_t at = 3 * N + 2;
    for (size_t k = 0; k < SIZES; k++) {
        FLTX_TRY(products(ctx, s, 0, (size_t)sizes[k], x));
        for (size_t h = 0; h < HEADS; h++) error[k * HEADS + h] = x[at * HEADS + h] - covariance(s, 0, 1, 0, 3.0, 2.0);
    }
    const flt_slopes slopes = {.sizes = SIZES, .draws = HEADS, .size = sizes, .error = error, .want = -0.5};
    snprintf(label, sizeof label, "%scodes: slope of log rms error in log R", s->gated ? "gated " : "");
    return flt_check_slope(ctx, s->mechanism, label, &slopes);
}

static flt_err check_setting(flt_check_context *ctx, const setting *s, double *x) {
    worst w = {0};
    char label[128];
    for (size_t c = 0; c < D; c++) {
        FLTX_TRY(products(ctx, s, c, R, x));
        compare(s, c, x, &w);
    }
    const char *gated = s->gated ? "gated " : "";
    snprintf(label, sizeof label, "%scodes R=%d: means of %d draws, %d pairs of positions", gated, R, HEADS, D * N * N);
    FLTX_TRY(flt_check_z(ctx, s->mechanism, label, w.mean));
    snprintf(label, sizeof label, "%scodes R=%d: variances in closed form", gated, R);
    FLTX_TRY(flt_check_z(ctx, s->mechanism, label, w.variance));
    return ctx->config->full ? slope(ctx, s, x) : FLTE_OK;
}

static flt_err on_mechanism(flt_check_context *ctx, const flt_attention_kind *kind) {
    double *x = NULL;
    if (strncmp(kind->kind.name, "spe_", 4) != 0) return FLTE_OK;
    flt_err err = flt_alloc(N * N * HEADS, sizeof *x, &x);
    for (int gated = 0; gated < 2 && err == FLTE_OK; gated++) {
        const setting s = set_up(kind->kind.name, gated == 1);
        err = check_setting(ctx, &s, x);
    }
    flt_free(x);
    return err;
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_template = {
    .kind = {.name = "template",
             .summary = "the drawn codes of stochastic positional encoding have the covariance of their template",
             .formula = "E qhat_i.khat_j / sqrt R = (1/sqrt d) sum_c q_c k_c P_c(i - j), |z| <= 7 with known variance",
             .citation = "arXiv 2105.08399",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
