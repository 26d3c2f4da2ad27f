// SPDX-License-Identifier: MIT
// The statistics that checks judge by: moments, distances in standard errors, slopes with their intervals; and the counter of
// rows.
#include "../engine/statistics.h"
#include "flt/attention.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct last {
    char verdict[16], detail[64];
    double value, threshold;
} last;

static flt_err keep(void *self, const char *kind, size_t n, const flt_field *fields) {
    last *l = self;
    cr_assert(strcmp(kind, "check") == 0);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fields[i].name, "verdict") == 0) snprintf(l->verdict, sizeof l->verdict, "%s", fields[i].text);
        if (strcmp(fields[i].name, "detail") == 0) snprintf(l->detail, sizeof l->detail, "%s", fields[i].text);
        if (strcmp(fields[i].name, "value") == 0) l->value = fields[i].number;
        if (strcmp(fields[i].name, "threshold") == 0) l->threshold = fields[i].number;
    }
    return FLTE_OK;
}

typedef struct scene {
    last last;
    flt_sink sink;
    flt_verify_report report;
    flt_verify_config config;
    flt_check_context context;
} scene;

static void set_up(scene *s) {
    memset(s, 0, sizeof *s);
    s->sink = (flt_sink){.self = &s->last, .record = keep};
    s->context = (flt_check_context){.config = &s->config, .sink = &s->sink, .check = "test", .report = &s->report};
}

Test(statistics, moments_of_a_known_sample) {
    const double sample[] = {2, 4, 4, 4, 5, 5, 7, 9};
    flt_moments m = {0};
    for (size_t i = 0; i < 8; i++) flt_moments_add(&m, sample[i]);
    cr_assert(fabs(m.mean - 5.0) < 1e-14);
    cr_assert(fabs(flt_moments_variance(&m) - 32.0 / 7.0) < 1e-14);
    cr_assert(fabs(flt_mean_z(&m, 4.0, 2.0) - 2.0) < 1e-14, "a mean one off, with a standard error of a half");
    // Gaussian fourth moment 3 v^2: the variance of a variance is 2 v^2 / n
    cr_assert(fabs(flt_variance_z(&m, 2.0, 12.0) - (32.0 / 7.0 - 2.0)) < 1e-14);
}

Test(statistics, limits_are_kept_on_both_sides_and_nan_fails) {
    const struct {
        double z;
        bool both, one; // within the limit on both sides; below it
    } cases[] = {{0, true, true},    {6.9, true, true},   {7.1, false, false},
                 {-6.9, true, true}, {-7.1, false, true}, {NAN, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene s;
        set_up(&s);
        cr_assert(flt_check_z(&s.context, "m", "both", cases[i].z) == FLTE_OK);
        cr_assert(s.report.failed == !cases[i].both && s.report.passed == cases[i].both, "z %g", cases[i].z);
        cr_assert(s.last.threshold == FLTX_Z_LIMIT);
        cr_assert(flt_check_at_most(&s.context, "m", "one", cases[i].z) == FLTE_OK);
        cr_assert(strcmp(s.last.verdict, cases[i].one ? "pass" : "fail") == 0, "z %g: %s", cases[i].z, s.last.verdict);
    }
}

enum { SIZES = 3, DRAWS = 16 * FLTX_SLOPE_GROUPS };

// Errors +-size^power with a little spread between groups.
static flt_verdict slope_of(double power, double want, bool below) {
    static const double size[SIZES] = {16, 64, 256};
    static double error[SIZES * DRAWS];
    scene s;
    set_up(&s);
    for (size_t i = 0; i < SIZES; i++)
        for (size_t t = 0; t < DRAWS; t++)
            error[i * DRAWS + t] = (t % 2 ? 1 : -1) * pow(size[i], power) * (1.0 + 0.05 * sin((double)(7 * t + 3 * i)));
    const flt_slopes slopes = {.sizes = SIZES, .draws = DRAWS, .size = size, .error = error, .want = want, .below = below};
    cr_assert(flt_check_slope(&s.context, "m", "slope", &slopes) == FLTE_OK);
    cr_assert(fabs(s.last.value - power) < 0.02, "slope %g of errors like size^%g", s.last.value, power);
    cr_assert(strncmp(s.last.detail, "interval [", 10) == 0);
    return s.report.failed == 0 ? FLTX_PASS : FLTX_FAIL;
}

Test(statistics, slopes_are_held_to_their_interval) {
    cr_assert(slope_of(-0.5, -0.5, false) == FLTX_PASS);
    cr_assert(slope_of(-0.4, -0.5, false) == FLTX_FAIL);
    cr_assert(slope_of(-1.0, -0.5, false) == FLTX_FAIL);
    cr_assert(slope_of(-1.0, -0.5, true) == FLTX_PASS, "faster than asked for");
    cr_assert(slope_of(-0.3, -0.5, true) == FLTX_FAIL);
}

// What a plan counts: rows with a NaN in sight, of every mechanism with denominators; clean again with the next pass.
Test(statistics, rows_are_flagged_and_forgotten) {
    enum { N = 9, D = 4 };
    const flt_registry *r = flt_attention_registry();
    flt_real x[N * D], out[N * D];
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        flt_attention *plan = NULL;
        const flt_attention_desc desc = {.mechanism = r->kinds[i]->name, .B = 1, .H = 1, .N = N, .d = D, .dv = D, .threads = 2};
        cr_assert(flt_attention_create(&desc, &plan) == FLTE_OK, "%s", flt_error());
        cr_assert(flt_attention_flagged(plan) == 0, "%s before the first pass", r->kinds[i]->name);
        for (size_t k = 0; k < N * D; k++) x[k] = (flt_real)(0.1 * sin((double)k));
        x[5] = (flt_real)NAN;
        flt_attention_forward(plan, x, x, x, out);
        const bool divides = (r->kinds[i]->caps & FLTX_ATT_MIXING) == 0, counted = flt_attention_flagged(plan) > 0;
        cr_assert(counted == divides, "%s: %zu", r->kinds[i]->name, flt_attention_flagged(plan));
        x[5] = 0;
        flt_attention_forward(plan, x, x, x, out);
        cr_assert(flt_attention_flagged(plan) == 0, "%s: %zu", r->kinds[i]->name, flt_attention_flagged(plan));
        flt_attention_destroy(plan);
    }
}
