// SPDX-License-Identifier: MIT
// FLT's frequencies estimate the mask: (1/r) sum rho cos(2 pi xi.z) has the mean f(z) for every encoding with a spectrum and
// every way of sampling, position dimensions 1 to 3; rules have no error to average and are held against f directly.
//
// Plans draw, a head each, as `flt` does when it is used. Summands are bounded (|rho| is), so that means are held against the
// sample's own error, Student's t with 255 degrees of freedom. Where the proposal is the spectrum itself (rho = c) the variance
// of one frequency is known, c^2/2 (1 + f(2z)/c) - f(z)^2, and has to come out. Local encodings on real offsets estimate their
// band-limited mask (see core/rpe/engine/local.h), here integrated by Simpson's rule. It would fail for g/p with a wrong
// constant, for a factor 2 of the even spectrum, for heads that share their frequencies, for points that leave holes.
#include "engine/encoding_sample.h"
#include "engine/oracle.h"
#include "engine/statistics.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEADS = 256, R = 16, OFFSETS = 4, SIZES = 3 };
static const char *const samplings[] = {"mc", "orthogonal", "qmc", "quadrature"};
enum { MC, ORTHOGONAL, QMC, QUADRATURE };

typedef struct subject {
    const flt_rpe_kind *kind;
    size_t l;
    int how;
    const flt_encoding_sample *values;
    flt_rpe_args args;
    double pos[3 * (OFFSETS + 1)]; // [OFFSETS + 1, l]: the offsets, then the origin
} subject;

static void place(subject *s) {
    static const double offsets[3 * OFFSETS] = {0.2, -0.1, 0.15, 0.45, 0.3, -0.2, 0.75, -0.5, 0.4, 1.1, 0.2, 0.6};
    memset(s->pos, 0, sizeof s->pos);
    for (size_t i = 0; i < OFFSETS * s->l; i++)
        s->pos[i] = flt_encoding_whole(s->kind) ? (double)(2 * i + 1) : offsets[i / s->l * 3 + i % s->l];
}

// ---- plans

static flt_err make_plan(const flt_check_context *c, const subject *s, size_t heads, size_t r, flt_attention **out) {
    const flt_attention_kind *kind = NULL;
    flt_params *params = NULL;
    flt_attention_arg args[1 + FLTX_SAMPLE_MAX_ARGS] = {{"pos", 2, {OFFSETS + 1, s->l}, s->pos}};
    char text[64];
    const size_t n = 1 + flt_encoding_sample_args(s->values, args + 1);
    FLTX_TRY(flt_attention_find("flt", &kind));
    FLTX_TRY(flt_params_create("flt", kind->kind.params, &params));
    snprintf(text, sizeof text, "m=1,draw=iid,r=%zu,sampling=%s", r, samplings[s->how]);
    flt_err err = flt_params_parse(params, text);
    if (err == FLTE_OK) err = flt_params_set(params, "rpe", s->kind->kind.name);
    const flt_attention_desc desc = {.mechanism = "flt",
                                     .B = 1,
                                     .H = heads,
                                     .N = OFFSETS + 1,
                                     .d = 1,
                                     .dv = 1,
                                     .n_args = n,
                                     .args = args,
                                     .params = params,
                                     .seed = c->config->seed,
                                     .threads = 1};
    if (err == FLTE_OK) err = flt_attention_create(&desc, out);
    flt_params_destroy(params);
    return err;
}

// x [OFFSETS, HEADS]: the estimates of each head at each offset. A rule is the same for all: one head is enough.
static flt_err estimates(const flt_check_context *c, const subject *s, size_t r, double *x) {
    flt_attention *plan = NULL;
    const size_t heads = s->how == QUADRATURE ? 1 : HEADS;
    FLTX_TRY(make_plan(c, s, heads, r, &plan));
    for (size_t h = 0; h < heads; h++) {
        size_t dim[2];
        const double *xi = flt_oracle_draw(plan, "xi", 2, h, dim), *rho = flt_oracle_draw(plan, "rho", 1, h, dim);
        for (size_t i = 0; i < OFFSETS; i++) {
            double sum = 0.0;
            for (size_t m = 0; m < r; m++) {
                double turns = 0.0;
                for (size_t a = 0; a < s->l; a++) turns += xi[m * s->l + a] * s->pos[i * s->l + a];
                sum += rho[m] * cos(FLTX_TWO_PI * turns);
            }
            x[i * HEADS + h] = sum / (double)r;
        }
    }
    flt_attention_destroy(plan);
    return FLTE_OK;
}

// ---- what they have to be

// int_0^to g(k) kernel(k) dk by Simpson's rule; g along the first axis.
static double integrate(const subject *s, double to, double (*kernel)(size_t l, double k, double z), double z) {
    enum { STEPS = 4096 };
    double sum = 0.0;
    for (size_t i = 0; i <= STEPS; i++) {
        double xi[3] = {to * (double)i / STEPS}, g = 0.0;
        s->kind->spectrum(&s->args, 1, xi, &g);
        sum += g * kernel(s->l, xi[0], z) * (i == 0 || i == STEPS ? 1.0 : i % 2 == 1 ? 4.0 : 2.0);
    }
    return sum * to / (3.0 * STEPS);
}

// The sphere of radius k in l dimensions times the mean of cos(2 pi xi.z) over it.
static double shell(size_t l, double k, double z) {
    const double t = FLTX_TWO_PI * k * z;
    if (l == 1) return 2.0 * cos(t);
    if (l == 2) return FLTX_TWO_PI * k * j0(t);
    return 2.0 * FLTX_TWO_PI * k * k * (t < 1e-6 ? 1.0 : sin(t) / t);
}

static double mean_at(const subject *s, size_t offset) {
    const flt_encoding_sample *x = s->values;
    double z[3], f = 0.0, size = 0.0;
    for (size_t a = 0; a < s->l; a++) z[a] = s->pos[offset * s->l + a], size += z[a] * z[a];
    if (strcmp(s->kind->kind.name, "ball") == 0) return integrate(s, x->band / x->v, shell, sqrt(size));
    if (strcmp(s->kind->kind.name, "box") == 0) { // axis by axis
        subject axis = *s;
        axis.l = axis.args.l = 1;
        for (size_t a = 0; a < s->l; a++) f = (a == 0 ? 1.0 : f / x->c) * integrate(&axis, x->band / x->v, shell, fabs(z[a]));
        return f;
    }
    s->kind->closed_form(&s->args, 1, z, &f);
    return f;
}

// ---- claims

static flt_err unbiased(flt_check_context *c, const subject *s, size_t r, double *x) {
    double worst = 0.0;
    char label[128];
    FLTX_TRY(estimates(c, s, r, x));
    for (size_t i = 0; i < OFFSETS; i++) {
        const double f = mean_at(s, i);
        flt_moments sample = {0};
        for (size_t h = 0; h < HEADS; h++) flt_moments_add(&sample, x[i * HEADS + h]);
        const double spread = sqrt(flt_moments_variance(&sample) / HEADS), off = fabs(sample.mean - f),
                     least = 16.0 * FLTX_EPS * s->values->c;
        worst = fmax(worst, off <= least ? 0.0 : off / fmax(spread, least)); // a rule: exact, or far off
    }
    snprintf(label, sizeof label, "%s l=%zu %s r=%zu: means of %d draws", s->kind->kind.name, s->l, samplings[s->how], r, HEADS);
    return flt_check_z(c, "flt", label, worst);
}

// Kernels draw from their own spectrum: rho = c, and E cos^2 = (1 + f(2z)/c) / 2.
static flt_err variance_as_stated(flt_check_context *c, const subject *s, const double *x) {
    double worst = -INFINITY, z[3], both[3], f = 0.0, f2 = 0.0;
    char label[128];
    for (size_t i = 0; i < OFFSETS; i++) {
        flt_moments sample = {0};
        for (size_t a = 0; a < s->l; a++) z[a] = s->pos[i * s->l + a], both[a] = 2.0 * z[a];
        s->kind->closed_form(&s->args, 1, z, &f);
        s->kind->closed_form(&s->args, 1, both, &f2);
        for (size_t h = 0; h < HEADS; h++) flt_moments_add(&sample, x[i * HEADS + h]);
        const double C = s->values->c, v = (0.5 * C * C * (1.0 + f2 / C) - f * f) / R;
        // the mean of 16 bounded numbers: kurtosis near a normal's, 3
        const double off = flt_variance_z(&sample, v, 3.0 * v * v);
        worst = fmax(worst, s->how == MC ? fabs(off) : off);
    }
    snprintf(label, sizeof label, "%s l=%zu %s r=%d: variance %s", s->kind->kind.name, s->l, samplings[s->how], R,
             s->how == MC ? "in closed form" : "no worse than of independent draws");
    return flt_check_at_most(c, "flt", label, worst);
}

static flt_err slope(flt_check_context *c, const subject *s, double *x) {
    static const double sizes[SIZES] = {8, 32, 128};
    const double mean = mean_at(s, 1);
    double error[SIZES * HEADS];
    char label[128];
    for (size_t k = 0; k < SIZES; k++) {
        FLTX_TRY(estimates(c, s, (size_t)sizes[k], x));
        for (size_t h = 0; h < HEADS; h++) error[k * HEADS + h] = x[HEADS + h] - mean;
    }
    const flt_slopes slopes = {
        .sizes = SIZES, .draws = HEADS, .size = sizes, .error = error, .want = -0.5, .below = s->how == QMC};
    snprintf(label, sizeof label, "%s l=%zu %s: slope of log rms error in log r", s->kind->kind.name, s->l, samplings[s->how]);
    return flt_check_slope(c, "flt", label, &slopes);
}

// A rule: a quarter of what independent draws leave, at most, in the root mean square over the offsets (box and ball: a tenth;
// smooth ones: nothing).
static flt_err rule(flt_check_context *c, const subject *s, double *x) {
    subject mc = *s;
    double here = 0.0, there = 0.0, mean[OFFSETS];
    char label[128];
    FLTX_TRY(estimates(c, s, R, x));
    for (size_t i = 0; i < OFFSETS; i++) {
        mean[i] = mean_at(s, i);
        here += pow(x[i * HEADS] - mean[i], 2.0);
    }
    mc.how = MC;
    FLTX_TRY(estimates(c, &mc, R, x));
    for (size_t i = 0; i < OFFSETS * HEADS; i++) there += pow(x[i] - mean[i / HEADS], 2.0) / HEADS;
    snprintf(label, sizeof label, "%s quadrature r=%d: rms error a quarter of independent draws' at most", s->kind->kind.name, R);
    return flt_check_claim(c, "flt", label, sqrt(here / there) <= 0.25, sqrt(here / there));
}

static flt_err on_subject(flt_check_context *c, const subject *s, double *x) {
    const bool rule_only = s->kind->place == NULL, kernel = flt_encoding_takes(s->kind, "scale");
    if (s->how == QUADRATURE) return rule_only ? FLTE_OK : rule(c, s, x);
    if (rule_only && s->how != MC) return FLTE_OK; // the encoding keeps its own way whatever is asked
    FLTX_TRY(unbiased(c, s, R, x));
    if (kernel) FLTX_TRY(variance_as_stated(c, s, x));
    const bool wanted = c->config->full || strcmp(s->kind->kind.name, "gaussian") == 0;
    if (rule_only) return unbiased(c, s, 3 * R, x); // as many as make a table's rule exact
    return wanted && s->l == 1 ? slope(c, s, x) : FLTE_OK;
}

static flt_err on_encoding(flt_check_context *c, const flt_rpe_kind *kind, double *x) {
    for (size_t l = 1; l <= flt_encoding_dimensions(kind); l++) {
        const flt_encoding_sample v = flt_encoding_sample_of(kind, l, true);
        subject s = {.kind = kind, .l = l, .values = &v, .args = flt_encoding_sample_values(&v)};
        place(&s);
        for (s.how = MC; s.how <= (l == 1 ? QUADRATURE : QMC); s.how++) FLTX_TRY(on_subject(c, &s, x));
    }
    return FLTE_OK;
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *mechanism) {
    const flt_registry *r = flt_rpe_registry();
    double *x = NULL;
    if (strcmp(mechanism->kind.name, "flt") != 0) return FLTE_OK;
    flt_err err = flt_alloc(OFFSETS * HEADS, sizeof *x, &x);
    for (size_t i = 0; err == FLTE_OK && r->kinds[i] != NULL; i++)
        if ((r->kinds[i]->caps & FLTX_RPE_SPECTRUM) != 0) err = on_encoding(c, (const flt_rpe_kind *)r->kinds[i], x);
    flt_free(x);
    return err;
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, FLTX_ATT_RPE | FLTX_ATT_RANDOM, on_mechanism);
}

const flt_check_kind flt_check_kind_mask = {
    .kind = {.name = "mask",
             .summary =
                 "frequencies of every spectrum and sampling estimate the mask without bias, with the variance that is known",
             .formula = "E (1/r) sum rho cos(2 pi xi.z) = f(z), |t| <= 7",
             .citation = "arXiv 2302.01925",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
