// SPDX-License-Identifier: MIT
// Random features estimate the softmax kernel without bias, with the variance that theory gives, and orthogonal rows do no worse.
//
// The mechanisms themselves give the estimate, not a copy of their formula: a query q meets two keys, k and -q, with values 1 and
// 0. Every feature product of q and -q is exp(-|q|^2) whatever omega is, so that out / (1 - out) is the estimate of exp(q.k) over
// a number that is known. (flt: ratios of -1 do the same for its snippets. favor++: the reference is random, so that its formula
// is evaluated with the plan's own draws.) Each head draws by itself: 2048 heads are 2048 estimates.
//
// With S = |q + k|^2 / sqrt d, X the estimate over its mean, one feature has the moments
//     positive    E X^p = e^{p (p - 1) S / 2}                                hyperbolic  e^{-pS/2} 2^-p sum_j C(p, j) e^{(p-2j)^2
//     S/2} favor++     e^{-pS/2} (1 - 4A)^{pd/2} (1 - 4pA)^{-d/2} e^{p^2 (1 - 4A) S / (2 (1 - 4pA))}
// which are used up to S = 2 (variance: 1/2): beyond, log-normal tails hide from sampling and no such test is valid. It would
// fail for rows of a wrong length, for heads that share a seed, for rows that repeat, for a lost sign of hyperbolic features.
#include "engine/oracle.h"
#include "engine/statistics.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEADS = 2048, D = 4, R = 3, SIZES = 3, LARGEST = 256 };
_Static_assert(HEADS % FLTX_SLOPE_GROUPS == 0, "groups share the heads evenly");

typedef enum law { POSITIVE, HYPERBOLIC, FAVORPP } law;

typedef struct form {
    const char *mechanism, *options;
    law law;
    bool independent; // rows: the closed form of the variance holds as it stands
} form;

static const form forms[] = {
    {"performer", "features=positive,draw=iid", POSITIVE, true},
    {"performer", "features=positive,draw=orthogonal", POSITIVE, false},
    {"performer", "features=hyperbolic,draw=iid", HYPERBOLIC, true},
    {"performer", "features=hyperbolic,draw=orthogonal", HYPERBOLIC, false},
    {"performer", "features=favor++,spread=1,draw=iid", FAVORPP, true},
    {"performer", "features=favor++,spread=1,draw=orthogonal", FAVORPP, false},
    {"flt", "features=positive,draw=iid", POSITIVE, true},
    {"flt", "features=positive,draw=orthogonal", POSITIVE, false},
    {"flt", "features=hyperbolic,draw=orthogonal", HYPERBOLIC, false},
    {"nprf", "", POSITIVE, false},
};

// ---- moments of one feature

// A of favor++ for |q + k|^2 / sqrt d = 1: rho solves 2 s rho^2 + (d + 2 s) rho - d = 0, A = (1 - 1/rho) / 8.
static double favor_a(void) {
    const double s = 1.0, b = D + 2.0 * s, rho = (sqrt(b * b + 8.0 * s * D) - b) / (4.0 * s);
    return (1.0 - 1.0 / rho) / 8.0;
}

static double moment(law of, double S, double p) {
    const double A = favor_a();
    double sum = 0.0;
    if (of == POSITIVE) return exp(0.5 * p * (p - 1.0) * S);
    if (of == FAVORPP)
        return exp(-0.5 * p * S) * pow(1.0 - 4.0 * A, 0.5 * p * D) * pow(1.0 - 4.0 * p * A, -0.5 * D) *
               exp(0.5 * p * p * (1.0 - 4.0 * A) * S / (1.0 - 4.0 * p * A));
    for (double j = 0.0, choose = 1.0; j <= p; choose *= (p - j) / (j + 1.0), j++)
        sum += choose * exp(0.5 * (p - 2.0 * j) * (p - 2.0 * j) * S);
    return exp(-0.5 * p * S) * pow(2.0, -p) * sum;
}

static double variance(law of, double S) {
    return moment(of, S, 2.0) - 1.0;
}

// Fourth central moment of the mean of m independent features.
static double fourth(law of, double S, double m) {
    const double a2 = moment(of, S, 2.0), a3 = moment(of, S, 3.0), a4 = moment(of, S, 4.0), v = a2 - 1.0;
    return (a4 - 4.0 * a3 + 6.0 * a2 - 3.0 + 3.0 * (m - 1.0) * v * v) / (m * m * m);
}

// ---- estimates

typedef struct setting {
    double xi[R], rho[R], pos[2]; // flt alone
    flt_real q[2 * D], k[2 * D], v[2];
    double want; // log of the mean of out / (1 - out)
} setting;

// Queries and keys with |q + k|^2 / sqrt d = S in all; the query at work is row 1, whose second key is the opposite of it.
static void set_up(const form *f, double S, setting *s) {
    static const double along[D] = {0.5, 0.1, -0.3, 0.4}, across[D] = {0.2, 0.7, 0.3, -0.1};
    const bool flt = strcmp(f->mechanism, "flt") == 0, unit = strcmp(f->mechanism, "nprf") == 0;
    double from_snippets = 0.0, size = 0.0, q2 = 0.0, qk = 0.0, x[D], y[D];
    *s = (setting){.xi = {0.3, -0.5, 0.8}, .rho = {-1.0, -1.0, -1.0}, .pos = {0.08, 0.0}, .v = {1, 0}};
    for (size_t i = 0; flt && i < R; i++) from_snippets += (2.0 - 2.0 * cos(FLTX_TWO_PI * s->xi[i] * s->pos[0])) / R;
    for (size_t c = 0; c < D; c++) size += pow(along[c] + across[c], 2.0);
    const double scale = sqrt((S - from_snippets) / size);
    for (size_t c = 0; c < D; c++) x[c] = scale * along[c], y[c] = scale * across[c];
    // nprf: unit vectors at the angle whose |x + y|^2 = 2 + 2 cos = S
    const double cosine = 0.5 * S - 1.0;
    for (size_t c = 0; unit && c < D; c++) x[c] = c == 1, y[c] = c == 1 ? cosine : c == 2 ? sqrt(1.0 - cosine * cosine) : 0.0;
    const double root = unit ? 1.0 : pow(D, 0.25); // the mechanism divides by d^(1/4)
    for (size_t c = 0; c < D; c++) {
        s->q[D + c] = (flt_real)(root * x[c]), s->k[D + c] = -s->q[D + c], s->k[c] = (flt_real)(root * y[c]);
        q2 += (double)s->q[D + c] * (double)s->q[D + c] / (root * root);
        qk += (double)s->q[D + c] * (double)s->k[c] / (root * root);
    }
    s->want = qk + q2 + 0.5 * from_snippets;
}

static flt_err make_plan(const flt_check_context *c, const form *f, const setting *s, size_t m, flt_attention **out) {
    const bool flt = strcmp(f->mechanism, "flt") == 0;
    const flt_attention_kind *kind = NULL;
    flt_params *params = NULL;
    char text[32];
    const flt_attention_arg args[] = {{"xi", 2, {R, 1}, s->xi}, {"rho", 1, {R}, s->rho}, {"pos", 2, {2, 1}, s->pos}};
    FLTX_TRY(flt_attention_find(f->mechanism, &kind));
    FLTX_TRY(flt_params_create(f->mechanism, kind->kind.params, &params));
    snprintf(text, sizeof text, "%zu", m);
    flt_err err = flt_params_parse(params, f->options);
    if (err == FLTE_OK) err = flt_params_set(params, "m", text);
    const flt_attention_desc desc = {.mechanism = f->mechanism,
                                     .B = 1,
                                     .H = HEADS,
                                     .N = 2,
                                     .d = D,
                                     .dv = 1,
                                     .n_args = flt ? 3 : 0,
                                     .args = args,
                                     .params = params,
                                     .seed = c->config->seed,
                                     .threads = c->config->threads};
    if (err == FLTE_OK) err = flt_attention_create(&desc, out);
    flt_params_destroy(params);
    return err;
}

// x [HEADS]: the estimates over their mean, by the fast path.
static flt_err run_plan(flt_attention *plan, const setting *s, double *x) {
    flt_real *q = NULL;
    FLTX_TRY(flt_alloc(HEADS * (4 * D + 4), sizeof *q, &q));
    flt_real *k = q + HEADS * 2 * D, *v = k + HEADS * 2 * D, *out = v + 2 * HEADS;
    for (size_t h = 0; h < HEADS; h++) {
        memcpy(q + h * 2 * D, s->q, sizeof s->q);
        memcpy(k + h * 2 * D, s->k, sizeof s->k);
        memcpy(v + h * 2, s->v, sizeof s->v);
    }
    flt_attention_forward(plan, q, k, v, out);
    for (size_t h = 0; h < HEADS; h++) x[h] = (double)out[2 * h + 1] / (1.0 - (double)out[2 * h + 1]) / exp(s->want);
    flt_free(q);
    return FLTE_OK;
}

// The same for favor++, by its formula with the plan's draws.
static void run_formula(const flt_attention *plan, const setting *s, double *x) {
    const double A = favor_a(), gain = sqrt(1.0 - 4.0 * A), shrink = pow(D, -0.25);
    double z[D], S = 0.0;
    for (size_t c = 0; c < D; c++) z[c] = shrink * ((double)s->q[D + c] + (double)s->k[c]), S += z[c] * z[c];
    for (size_t h = 0; h < HEADS; h++) {
        size_t dim[2];
        const double *omega = flt_oracle_draw(plan, "omega", 2, h, dim);
        x[h] = 0.0;
        for (size_t f = 0; f < dim[0]; f++) {
            double dot = 0.0, size = 0.0;
            for (size_t c = 0; c < D; c++) dot += omega[f * D + c] * z[c], size += omega[f * D + c] * omega[f * D + c];
            x[h] += exp(2.0 * A * size + gain * dot - 0.5 * S) * pow(1.0 - 4.0 * A, 0.5 * D) / (double)dim[0];
        }
    }
}

static flt_err estimates(const flt_check_context *c, const form *f, double S, size_t m, double *x) {
    setting s;
    flt_attention *plan = NULL;
    set_up(f, S, &s);
    FLTX_TRY(make_plan(c, f, &s, m, &plan));
    flt_err err = FLTE_OK;
    if (f->law == FAVORPP)
        run_formula(plan, &s, x);
    else
        err = run_plan(plan, &s, x);
    flt_attention_destroy(plan);
    return err;
}

// ---- claims

static flt_err unbiased(flt_check_context *c, const form *f, double S, double *x) {
    enum { M = 64 };
    flt_moments sample = {0};
    char label[128];
    FLTX_TRY(estimates(c, f, S, M, x));
    for (size_t h = 0; h < HEADS; h++) flt_moments_add(&sample, x[h]);
    snprintf(label, sizeof label, "%s m=%d S=%g: mean of %d draws", f->options, M, S, HEADS);
    return flt_check_z(c, f->mechanism, label, flt_mean_z(&sample, 1.0, variance(f->law, S) / M));
}

// One block of orthogonal rows, or as many independent ones.
static flt_err variance_as_stated(flt_check_context *c, const form *f, double *x) {
    const double S = 0.5, v = variance(f->law, S) / D;
    flt_moments sample = {0};
    char label[128];
    FLTX_TRY(estimates(c, f, S, D, x));
    for (size_t h = 0; h < HEADS; h++) flt_moments_add(&sample, x[h]);
    const double z = flt_variance_z(&sample, v, fourth(f->law, S, D));
    snprintf(label, sizeof label, "%s m=%d S=%g: variance %s", f->options, D, S,
             f->independent ? "in closed form" : "no worse than of independent rows");
    return f->independent ? flt_check_z(c, f->mechanism, label, z) : flt_check_at_most(c, f->mechanism, label, z);
}

static flt_err slope(flt_check_context *c, const form *f, double *x) {
    static const double sizes[SIZES] = {16, 64, LARGEST};
    const flt_slopes s = {.sizes = SIZES, .draws = HEADS, .size = sizes, .error = x, .want = -0.5};
    char label[128];
    for (size_t i = 0; i < SIZES; i++) {
        FLTX_TRY(estimates(c, f, 0.5, (size_t)sizes[i], x + i * HEADS));
        for (size_t h = 0; h < HEADS; h++) x[i * HEADS + h] -= 1.0;
    }
    snprintf(label, sizeof label, "%s S=0.5: slope of log rms error in log m", f->options);
    return flt_check_slope(c, f->mechanism, label, &s);
}

static flt_err check_form(flt_check_context *c, const form *f, double *x) {
    static const double spread[] = {1.0, 0.25, 2.0};
    for (size_t i = 0; i < (c->config->full ? 3 : 1); i++) FLTX_TRY(unbiased(c, f, spread[i], x));
    FLTX_TRY(variance_as_stated(c, f, x));
    return c->config->full || f == &forms[1] ? slope(c, f, x) : FLTE_OK;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    double *x = NULL;
    flt_err err = flt_alloc(SIZES * HEADS, sizeof *x, &x);
    for (size_t i = 0; i < sizeof forms / sizeof *forms && err == FLTE_OK; i++)
        if (strcmp(forms[i].mechanism, kind->kind.name) == 0) err = check_form(c, &forms[i], x);
    flt_free(x);
    return err;
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, 0, on_mechanism);
}

const flt_check_kind flt_check_kind_kernel = {
    .kind = {.name = "kernel",
             .summary = "random features estimate the kernel without bias, with the variance in closed form; orthogonal no worse",
             .formula = "E phi(q).phi(k) = exp(q.k), |z| <= 7 with known variance, |q + k|^2 <= 2",
             .citation = "arXiv 2009.14794; arXiv 2205.15317",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
