// SPDX-License-Identifier: MIT
// How time and workspace grow with N, and from which N on a mechanism beats exact attention.
//
// N doubles from 64 on; each time is the least of five, on this thread's own clock, which other work disturbs less than the
// wall's; each exponent a least-squares slope of logarithms over the last doublings. The bound is 1.15 for linear mechanisms
// and 1.25 for those with a transform. A time that is out of bounds is marginal, never a failure: other work on the machine
// decides as well. Workspace is counted, so its exponent may fail. N* is where the time first stays below that of exact attention
// with the same encoding, by interpolation between doublings.
#include "engine/problem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FIRST = 64, SIZES = 8, FITTED = 5, WIDTH = 32, RUNS = 5 };
#define LONG            0.5 // seconds that repetitions may add up to
#define LINEAR_BOUND    1.15
#define TRANSFORM_BOUND 1.25

typedef struct series {
    double seconds[SIZES], bytes[SIZES];
} series;

static size_t length_of(size_t i) {
    return (size_t)FIRST << i;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); // plans of one thread compute on the caller's
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Budgets that do not grow with N; transforms from the first size on that is fitted.
static const char *options_of(const flt_attention_kind *kind) {
    static const struct {
        const char *name, *options;
    } own[] = {{"nprf", "crossover=256"}, {"fourier", "keep=64"}, {"taylor", "nodes=16"}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(own[i].name, kind->kind.name) == 0) return own[i].options;
    return NULL;
}

static double least_time(const flt_problem *p, flt_attention *plan) {
    double best = INFINITY;
    const double first = now();
    for (int i = 0; i < RUNS && (i == 0 || now() - first < LONG); i++) {
        const double start = now();
        flt_attention_forward(plan, p->q, p->k, p->v, p->out);
        best = fmin(best, now() - start);
    }
    return best;
}

static flt_err measure_size(flt_check_context *c, const flt_attention_kind *kind, size_t i, series *out) {
    flt_problem shape = {.B = 1,
                         .H = 1,
                         .N = length_of(i),
                         .d = WIDTH,
                         .dv = WIDTH,
                         .l = 1,
                         .m = 32,
                         .r = 16,
                         .scale = 0.5,
                         .seed = c->config->seed,
                         .options = options_of(kind)};
    flt_encoding_case *encoding = NULL;
    flt_problem *p = NULL;
    flt_attention *plan = NULL;
    flt_err err = flt_encoding_case_create("gaussian_mixture", length_of(i), &encoding);
    shape.encoding = encoding;
    if (err == FLTE_OK) err = flt_problem_create(&shape, &p);
    if (err == FLTE_OK) err = flt_problem_plan(p, kind, 1, 0, NULL, &plan);
    if (err == FLTE_OK) {
        out->seconds[i] = least_time(p, plan);
        out->bytes[i] = (double)flt_attention_workspace(plan);
    }
    flt_attention_destroy(plan);
    flt_problem_destroy(p);
    flt_encoding_case_destroy(encoding);
    return err;
}

static flt_err record(flt_check_context *c, const flt_attention_kind *kind, const series *s) {
    for (size_t i = 0; i < SIZES; i++) {
        const flt_field fields[] = {flt_text_field("subject", kind->kind.name),
                                    flt_text_field("phase", "scaling"),
                                    flt_num_field("n", (double)length_of(i)),
                                    flt_num_field("d", WIDTH),
                                    flt_num_field("threads", 1.0),
                                    flt_num_field("seconds", s->seconds[i]),
                                    flt_num_field("bytes", s->bytes[i])};
        FLTX_TRY(flt_sink_record(c->sink, "timing", sizeof fields / sizeof *fields, fields));
    }
    return FLTE_OK;
}

static flt_err measure(flt_check_context *c, const flt_attention_kind *kind, series *out) {
    for (size_t i = 0; i < SIZES; i++) {
        if (flt_sink_stopped(c->sink)) return flt_fail(FLTE_INTERRUPTED, "scaling", "stopped on request");
        FLTX_TRY(measure_size(c, kind, i, out));
    }
    return record(c, kind, out);
}

// Slope of log y over the last FITTED doublings.
static double exponent(const double *y) {
    double mx = 0.0, my = 0.0, xy = 0.0, xx = 0.0;
    for (size_t i = SIZES - FITTED; i < SIZES; i++) mx += (double)i / FITTED, my += log2(y[i]) / FITTED;
    for (size_t i = SIZES - FITTED; i < SIZES; i++) {
        xy += ((double)i - mx) * (log2(y[i]) - my);
        xx += ((double)i - mx) * ((double)i - mx);
    }
    return xy / xx;
}

// Where the time crosses that of exact attention for the last time; the least N when it is always below, infinity when it is
// not below at the largest.
static double crossover(const series *s, const series *exact) {
    double above = -1.0;
    for (size_t i = SIZES; i-- > 0;) {
        const double gap = log2(s->seconds[i] / exact->seconds[i]);
        if (gap < 0.0) {
            above = gap;
            if (i == 0) return (double)FIRST;
            continue;
        }
        if (i == SIZES - 1) return INFINITY;
        return (double)length_of(i) * exp2(gap / (gap - above));
    }
    return NAN; // not reached
}

// A verdict row whose bound a timing may miss without failing anything.
static flt_err tell(flt_check_context *c, const char *mechanism, const char *label, double value, double bound, bool timing) {
    const flt_statistic s = {.value = value,
                             .threshold = bound,
                             .detail = timing ? "a time: out of bounds is marginal" : NULL,
                             .holds = !(value > bound),
                             .lenient = timing};
    return flt_check_statistic(c, mechanism, label, &s);
}

static flt_err judge(flt_check_context *c, const flt_attention_kind *kind, const series *s, const series *exact) {
    const char *name = kind->kind.name;
    const bool is_exact = (kind->kind.caps & FLTX_ATT_EXACT) != 0, linear = (kind->kind.caps & FLTX_ATT_LINEAR) != 0;
    const double bound = is_exact ? 2.3 : linear ? LINEAR_BOUND : TRANSFORM_BOUND;
    FLTX_TRY(tell(c, name, "time exponent", exponent(s->seconds), bound, true));
    FLTX_TRY(tell(c, name, "workspace exponent", exponent(s->bytes), is_exact ? 2.0 : 1.05, false));
    FLTX_TRY(tell(c, name, "workspace bytes", s->bytes[SIZES - 1], INFINITY, false));
    return is_exact ? FLTE_OK : tell(c, name, "crossover N*", crossover(s, exact), INFINITY, true);
}

static flt_err run(flt_check_context *c) {
    const flt_registry *r = flt_attention_registry();
    const flt_attention_kind *kind = NULL;
    series exact = {0}, s = {0};
    FLTX_TRY(flt_attention_find("exact", &kind));
    FLTX_TRY(measure(c, kind, &exact));
    if (flt_problem_selected(c->config, "exact")) FLTX_TRY(judge(c, kind, &exact, &exact));
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        kind = (const flt_attention_kind *)r->kinds[i];
        if ((kind->kind.caps & FLTX_ATT_EXACT) != 0 || !flt_problem_selected(c->config, kind->kind.name)) continue;
        FLTX_TRY(measure(c, kind, &s));
        FLTX_TRY(judge(c, kind, &s, &exact));
    }
    return FLTE_OK;
}

const flt_check_kind flt_check_kind_scaling = {
    .kind = {.name = "scaling",
             .summary = "time and workspace of linear mechanisms grow as N, and from which N on they beat exact attention",
             .formula = "log2 seconds = const + exponent log2 N: at most 1.15, with transforms 1.25",
             .caps = FLTX_CHECK_FULL},
    .run = run};
