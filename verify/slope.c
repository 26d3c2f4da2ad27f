// SPDX-License-Identifier: MIT
// Outputs of mechanisms with random features converge as Monte Carlo does: m^-1/2 against the kernel with their own frequencies,
// and r^-1/2 of the mask's part against exact attention. (The check `convergence` holds the estimators themselves to that.)
//
// Root-mean-square errors over DRAWS draws at four sizes, in GROUPS independent groups: a slope each, their mean with Student's
// 95 % interval. It holds when -1/2 is within a tenth of the mean, or inside the interval. It would fail for draws that repeat
// from one feature or frequency to the next, and for a part of the error that does not shrink.
#include "engine/oracle.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIZES = 4, GROUPS = 8, DRAWS = 8, N = 40, WIDTH = 8, FIXED_R = 8 };
static const double student = 2.365; // 7 degrees of freedom

typedef struct room {
    long double logits[N * N], mask[N * N], exact[N * WIDTH], got[N * WIDTH];
} room;

static double squared_error(const long double *got, const long double *want) {
    long double error = 0.0L, scale = 0.0L;
    for (size_t i = 0; i < N * WIDTH; i++) error += (got[i] - want[i]) * (got[i] - want[i]), scale += want[i] * want[i];
    return (double)(error / scale);
}

static void add_mask(const flt_problem *p, const flt_attention *plan, bool estimated, room *w) {
    size_t freq[2] = {0};
    const double *xi = flt_oracle_draw(plan, "xi", 2, 0, freq), *rho = flt_oracle_draw(plan, "rho", 1, 0, freq + 1);
    memcpy(w->mask, w->logits, sizeof w->mask);
    if (estimated && xi != NULL && rho != NULL) flt_oracle_estimate(p, freq[0], xi, rho, w->mask);
    if (!estimated) flt_oracle_mixture(p, w->mask);
}

// Squared error of one draw: in_m: the output against the kernel with the plan's own mask; else that mask against the true one.
static flt_err one_draw(const flt_attention_kind *kind, const flt_problem *shape, bool in_m, room *w, double *out) {
    flt_problem *p = NULL;
    flt_attention *plan = NULL;
    FLTX_TRY(flt_problem_create(shape, &p));
    const flt_err err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) {
        flt_oracle_logits(p, p->q, p->k, w->logits);
        add_mask(p, plan, in_m, w);
        flt_oracle_rows(p, w->mask, p->v, w->exact);
        if (in_m) {
            flt_attention_forward(plan, p->q, p->k, p->v, p->out);
            for (size_t i = 0; i < N * WIDTH; i++) w->got[i] = (long double)p->out[i];
        } else {
            add_mask(p, plan, true, w);
            flt_oracle_rows(p, w->mask, p->v, w->got);
        }
        *out = squared_error(w->got, w->exact);
    }
    flt_attention_destroy(plan);
    flt_problem_destroy(p);
    return err;
}

// The slope of one group.
static flt_err group_slope(flt_check_context *c, const flt_attention_kind *kind, bool in_m, size_t group, room *w,
                           double *slope) {
    static const size_t sizes[SIZES] = {64, 128, 256, 512};
    double xy = 0.0;
    for (size_t i = 0; i < SIZES; i++) {
        double sum = 0.0;
        for (size_t t = 0; t < DRAWS; t++) {
            const flt_problem shape = {.B = 1,
                                       .H = 1,
                                       .N = N,
                                       .d = WIDTH,
                                       .dv = WIDTH,
                                       .l = 1,
                                       .m = in_m ? sizes[i] : 1,
                                       .r = in_m ? FIXED_R : sizes[i] / 8,
                                       .scale = 0.25,
                                       .seed = c->config->seed + 1 + (group * SIZES + i) * DRAWS + t,
                                       .options = "draw=iid"};
            double error = 0.0;
            FLTX_TRY(one_draw(kind, &shape, in_m, w, &error));
            sum += error;
        }
        xy += ((double)i - 1.5) * 0.5 * log2(sum / DRAWS); // sizes double: x = i, sum of squares about the mean 5
    }
    *slope = xy / 5.0;
    return FLTE_OK;
}

static flt_err judge(flt_check_context *c, const char *name, const char *label, const double *slopes) {
    double mean = 0.0, spread = 0.0;
    char detail[96];
    for (size_t g = 0; g < GROUPS; g++) mean += slopes[g] / GROUPS;
    for (size_t g = 0; g < GROUPS; g++) spread += (slopes[g] - mean) * (slopes[g] - mean);
    const double half = student * sqrt(spread / (GROUPS - 1) / GROUPS);
    snprintf(detail, sizeof detail, "95 %% interval %.3f .. %.3f", mean - half, mean + half);
    const flt_statistic s = {
        .value = mean, .threshold = fmax(0.1, half), .detail = detail, .holds = fabs(mean + 0.5) <= fmax(0.1, half)};
    return flt_check_statistic(c, name, label, &s);
}

static flt_err slope_in(flt_check_context *c, const flt_attention_kind *kind, bool in_m, room *w) {
    double slopes[GROUPS];
    for (size_t g = 0; g < GROUPS; g++) {
        if (flt_sink_stopped(c->sink)) return flt_fail(FLTE_INTERRUPTED, "slope", "stopped on request");
        FLTX_TRY(group_slope(c, kind, in_m, g, w, &slopes[g]));
    }
    return judge(c, kind->kind.name, in_m ? "slope in m" : "slope in r", slopes);
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    room *w = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *w, &w));
    flt_err err = slope_in(c, kind, true, w);
    if (err == FLTE_OK && (kind->kind.caps & FLTX_ATT_RPE) != 0) err = slope_in(c, kind, false, w);
    flt_free(w);
    return err;
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, FLTX_ATT_RANDOM, on_mechanism);
}

const flt_check_kind flt_check_kind_slope = {
    .kind = {.name = "slope",
             .summary = "errors of outputs fall as the inverse square root of features m and frequencies r, with an interval",
             .formula = "log rms error = const + slope log size, slope = -1/2",
             .caps = FLTX_CHECK_FULL},
    .run = run};
