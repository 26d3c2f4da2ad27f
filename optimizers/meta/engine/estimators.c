// SPDX-License-Identifier: MIT
// Estimates at fixed theta, and their statistics.
#include "flt/estimators.h"

#include "flt/memory.h"
#include "meta/engine/outer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { BIAS, OFF, COSINE, VARIANCE, STATISTICS };

static const char who[] = "estimator report";
static const char reference_name[] = "full_bptt";

typedef struct sample { // estimates of one estimator
    double *x;          // [R, n]
    double *sum;        // [n], over repetitions
    double squares;     // sum of |x_r|^2
} sample;

typedef struct study {
    const flt_estimators_config *config;
    flt_weights *weights;
    const flt_sink *sink;
    size_t n, R, length; // meta-parameters, repetitions, T
    sample reference, own;
    double (*left)[STATISTICS]; // [R]: without one repetition
    size_t cells, done;
} study;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double dot(size_t n, const double *x, const double *y) {
    double sum = 0.0;
    for (size_t j = 0; j < n; j++) sum += x[j] * y[j];
    return sum;
}

// ---- estimates

static flt_meta_config config_of(const study *s, const char *estimator, size_t windows, size_t particles) {
    flt_meta_config c = s->config->meta;
    c.estimator = estimator;
    c.window = s->length / windows;
    c.particles = particles;
    c.unroll_min = c.unroll_max = s->length;
    c.truncation = "constant";
    c.curriculum_steps = 0;
    c.in_phase = true;
    c.difference = "plain";
    c.difference_clip = 0.0;
    c.outer_lr = 0.0;
    c.checkpoint = NULL;
    c.against_adam = false;
    return c;
}

// Repetition r: the mean over an episode's windows.
static flt_err estimate(study *s, flt_outer *o, size_t windows, double *x) {
    memset(x, 0, s->n * sizeof *x);
    for (size_t k = 0; k < windows; k++) {
        FLTX_TRY(flt_outer_gradient(o));
        for (size_t j = 0; j < s->n; j++) x[j] += o->gradient[j] / (double)windows;
        o->counts.steps++; // names the next perturbation
    }
    if (isfinite(dot(s->n, x, x))) return FLTE_OK;
    return flt_fail(FLTE_NUMERIC, who, "a gradient of %s is not finite at horizon %zu; give a shorter --unroll, or other weights",
                    o->particles.kind->kind.name, s->length);
}

static flt_err repeat(study *s, flt_outer *o, size_t windows, sample *out) {
    char status[96];
    memset(out->sum, 0, s->n * sizeof *out->sum);
    out->squares = 0.0;
    for (size_t r = 0; r < s->R; r++) {
        double *x = out->x + r * s->n;
        FLTX_TRY(estimate(s, o, windows, x));
        for (size_t j = 0; j < s->n; j++) out->sum[j] += x[j];
        out->squares += dot(s->n, x, x);
        snprintf(status, sizeof status, "%s, %zu windows, repetition %zu of %zu", o->particles.kind->kind.name, windows, r + 1,
                 s->R);
        flt_sink_progress(s->sink, ((double)s->done + (double)(r + 1) / (double)s->R) / (double)s->cells, status);
    }
    return FLTE_OK;
}

static flt_err measure(study *s, const flt_estimator_kind *kind, flt_estimator_row *row, sample *out) {
    const flt_meta_config c = config_of(s, kind->kind.name, row->windows, row->particles);
    const double start = now();
    flt_outer o;
    flt_err err = flt_ranks_agree(c.ranks, flt_outer_create(&c, kind, s->weights, &o));
    o.watch.sink = s->sink;
    if (err == FLTE_OK) err = repeat(s, &o, row->windows, out);
    row->seconds_a_step = o.counts.inner_steps > 0 ? (now() - start) / (double)o.counts.inner_steps : 0.0;
    flt_outer_destroy(&o);
    s->done++;
    return err;
}

// ---- statistics of sums over R estimates and R of the reference

typedef struct moments {
    double gg, gh, hh; // products of the two sums
    double g, h;       // sums of squares of the estimates
    double R;
} moments;

static void statistics(const moments *m, double *out) {
    const double R = m->R, gg = m->gg / R / R, gh = m->gh / R / R, hh = m->hh / R / R;
    const double noise_g = fmax(m->g / R - gg, 0.0) / (R - 1.0), noise_h = fmax(m->h / R - hh, 0.0) / (R - 1.0);
    const double scale = fmax(hh - noise_h, 0.0); // |h|^2 less its noise
    out[BIAS] = (gh - hh) / hh;
    out[OFF] = (gg - 2.0 * gh + hh - noise_g - noise_h) / scale;
    out[COSINE] = gh / sqrt(gg * hh);
    out[VARIANCE] = noise_g * R / scale;
}

static moments all_of(const study *s) {
    const double *g = s->own.sum, *h = s->reference.sum;
    return (moments){.gg = dot(s->n, g, g),
                     .gh = dot(s->n, g, h),
                     .hh = dot(s->n, h, h),
                     .g = s->own.squares,
                     .h = s->reference.squares,
                     .R = (double)s->R};
}

// Without estimate r of both.
static moments without(const study *s, size_t r, const moments *m) {
    const double *G = s->own.sum, *H = s->reference.sum, *g = s->own.x + r * s->n, *h = s->reference.x + r * s->n;
    const double gg = dot(s->n, g, g), hh = dot(s->n, h, h);
    return (moments){.gg = m->gg - 2.0 * dot(s->n, G, g) + gg,
                     .gh = m->gh - dot(s->n, G, h) - dot(s->n, g, H) + dot(s->n, g, h),
                     .hh = m->hh - 2.0 * dot(s->n, H, h) + hh,
                     .g = m->g - gg,
                     .h = m->h - hh,
                     .R = m->R - 1.0};
}

// The two-sided 95 % quantile of Student's t, to 1 % from 4 degrees of freedom on.
static double quantile(double degrees) {
    return 1.959964 + 2.372 / degrees + 2.82 / (degrees * degrees) + 2.56 / (degrees * degrees * degrees);
}

static flt_interval interval_of(const study *s, int k, double value) {
    const double R = (double)s->R;
    double mean = 0.0, squares = 0.0;
    for (size_t r = 0; r < s->R; r++) mean += s->left[r][k] / R;
    for (size_t r = 0; r < s->R; r++) squares += (s->left[r][k] - mean) * (s->left[r][k] - mean);
    const double half = quantile(R - 1.0) * sqrt((R - 1.0) / R * squares);
    return (flt_interval){value, value - half, value + half};
}

static double signed_root(double x) {
    return x > 0.0 ? sqrt(x) : 0.0;
}

static void judge(study *s, flt_estimator_row *row) {
    const moments m = all_of(s);
    double whole[STATISTICS];
    statistics(&m, whole);
    for (size_t r = 0; r < s->R; r++) {
        const moments less = without(s, r, &m);
        statistics(&less, s->left[r]);
    }
    const flt_interval off = interval_of(s, OFF, whole[OFF]);
    row->bias = interval_of(s, BIAS, whole[BIAS]);
    row->cosine = interval_of(s, COSINE, whole[COSINE]);
    row->variance = interval_of(s, VARIANCE, whole[VARIANCE]);
    row->off = (flt_interval){signed_root(off.value), signed_root(off.low), signed_root(off.high)};
    row->biased = off.low > 0.0 || row->bias.low > 0.0 || row->bias.high < 0.0;
    row->norm = sqrt(m.gg) / m.R;
}

// ---- the table

static flt_err note(const study *s, const flt_estimator_row *row) {
    static const char *const names[STATISTICS] = {"bias", "off", "cosine", "variance"};
    const double values[STATISTICS] = {row->bias.value, row->off.value, row->cosine.value, row->variance.value};
    const double lows[STATISTICS] = {row->bias.low, row->off.low, row->cosine.low, row->variance.low};
    const double highs[STATISTICS] = {row->bias.high, row->off.high, row->cosine.high, row->variance.high};
    char name[128];
    for (int k = 0; k < STATISTICS; k++) {
        const int used = snprintf(name, sizeof name, "%s/p%zu/%s", row->estimator, row->particles, names[k]);
        FLTX_TRY(flt_sink_metric(s->sink, name, row->windows, values[k]));
        snprintf(name + used, sizeof name - (size_t)used, "/low");
        FLTX_TRY(flt_sink_metric(s->sink, name, row->windows, lows[k]));
        snprintf(name + used, sizeof name - (size_t)used, "/high");
        FLTX_TRY(flt_sink_metric(s->sink, name, row->windows, highs[k]));
    }
    return FLTE_OK;
}

static flt_err cell(study *s, const flt_estimator_kind *kind, size_t windows, size_t particles, flt_estimator_row *row) {
    *row = (flt_estimator_row){.estimator = kind->kind.name, .windows = windows, .particles = particles, .repetitions = s->R};
    FLTX_TRY(measure(s, kind, row, &s->own));
    judge(s, row);
    return note(s, row);
}

// The reference beside itself has no bias to show; its variance is of interest.
static flt_err first_row(study *s, flt_estimator_row *row) {
    const flt_estimators_config *c = s->config;
    const flt_estimator_kind *kind = NULL;
    size_t most = 0;
    for (size_t i = 0; i < c->n_particles; i++) most = c->particles[i] > most ? c->particles[i] : most;
    FLTX_TRY(flt_estimator_find(reference_name, &kind));
    *row = (flt_estimator_row){.estimator = reference_name, .windows = 1, .particles = most, .repetitions = s->R};
    FLTX_TRY(measure(s, kind, row, &s->reference));
    memcpy(s->own.x, s->reference.x, s->R * s->n * sizeof *s->own.x);
    memcpy(s->own.sum, s->reference.sum, s->n * sizeof *s->own.sum);
    s->own.squares = s->reference.squares;
    judge(s, row);
    row->bias = row->off = (flt_interval){0};
    row->cosine = (flt_interval){1, 1, 1};
    row->biased = false;
    return note(s, row);
}

static size_t windows_of(const flt_estimators_config *c, const flt_estimator_kind *kind) {
    return kind->whole_episodes ? 1 : c->n_windows;
}

static size_t cells_of(const flt_estimators_config *c) {
    const flt_registry *all = flt_estimator_registry();
    size_t n = 1;
    for (size_t e = 0; e < flt_registry_count(all); e++) {
        const flt_estimator_kind *kind = (const flt_estimator_kind *)all->kinds[e];
        if (strcmp(kind->kind.name, reference_name) != 0) n += windows_of(c, kind) * c->n_particles;
    }
    return n;
}

static flt_err fill(study *s, flt_estimator_row *rows) {
    const flt_estimators_config *c = s->config;
    const flt_registry *all = flt_estimator_registry();
    size_t n = 0;
    FLTX_TRY(first_row(s, &rows[n++]));
    for (size_t e = 0; e < flt_registry_count(all); e++) {
        const flt_estimator_kind *kind = (const flt_estimator_kind *)all->kinds[e];
        if (strcmp(kind->kind.name, reference_name) == 0) continue;
        for (size_t i = 0; i < c->n_particles; i++)
            for (size_t k = 0; k < windows_of(c, kind); k++)
                FLTX_TRY(cell(s, kind, kind->whole_episodes ? 1 : c->windows[k], c->particles[i], &rows[n++]));
    }
    return FLTE_OK;
}

// ---- checks and memory

static flt_err check(const flt_estimators_config *c, const flt_weights *w) {
    if (w->theta == NULL || w->layout.total == 0)
        return flt_fail(FLTE_UNSUPPORTED, who, "optimizer %s has no meta-parameters; choose a learned one", w->kind->kind.name);
    if (c->repetitions < 3) return flt_fail(FLTE_RANGE, who, "%zu repetitions; at least 3 are needed", c->repetitions);
    if (c->n_windows == 0 || c->n_particles == 0)
        return flt_fail(FLTE_RANGE, who, "no numbers of windows or of particles were given; at least one of each is needed");
    for (size_t i = 0; i < c->n_particles; i++)
        if (c->particles[i] < c->meta.n_tasks || 2 * c->particles[i] < (size_t)flt_ranks_count(c->meta.ranks))
            return flt_fail(FLTE_RANGE, who,
                            "%zu particles for %zu tasks and %d ranks; at least one a task, and half as many as ranks",
                            c->particles[i], c->meta.n_tasks, flt_ranks_count(c->meta.ranks));
    return FLTE_OK;
}

// T: the largest length up to the longest unroll that all numbers of windows divide.
static flt_err length_of(const flt_estimators_config *c, size_t *length) {
    size_t multiple = 1;
    for (size_t k = 0; k < c->n_windows; k++) {
        size_t a = multiple, b = c->windows[k];
        if (b == 0) return flt_fail(FLTE_RANGE, who, "0 windows an episode; at least 1 is needed");
        while (b != 0) {
            const size_t rest = a % b;
            a = b;
            b = rest;
        }
        multiple = multiple / a * c->windows[k];
        if (multiple > c->meta.unroll_max)
            return flt_fail(FLTE_RANGE, who,
                            "episodes of %zu steps cannot be cut into all these numbers of windows; %zu steps can",
                            c->meta.unroll_max, multiple);
    }
    *length = c->meta.unroll_max / multiple * multiple;
    return FLTE_OK;
}

static flt_err make_sample(const study *s, sample *x) {
    FLTX_TRY(flt_alloc(s->R, s->n * sizeof *x->x, &x->x));
    return flt_alloc(s->n, sizeof *x->sum, &x->sum);
}

static flt_err make(study *s, flt_estimator_row **rows) {
    FLTX_TRY(make_sample(s, &s->reference));
    FLTX_TRY(make_sample(s, &s->own));
    FLTX_TRY(flt_alloc(s->R, sizeof *s->left, &s->left));
    return flt_alloc(s->cells, sizeof **rows, rows);
}

flt_err flt_estimators_compare(const flt_estimators_config *c, flt_weights *w, const flt_sink *sink, size_t *n,
                               flt_estimator_row **rows) {
    FLTX_GIVEN(c, w, n, rows);
    FLTX_GIVEN(w->kind);
    study s = {.config = c, .weights = w, .sink = sink, .n = w->layout.total, .R = c->repetitions, .cells = cells_of(c)};
    *rows = NULL;
    *n = s.cells;
    FLTX_TRY(check(c, w));
    FLTX_TRY(length_of(c, &s.length));
    flt_err err = make(&s, rows);
    if (err == FLTE_OK) err = fill(&s, *rows);
    for (int i = 0; i < 2; i++) {
        sample *x = i == 0 ? &s.reference : &s.own;
        flt_free(x->x);
        flt_free(x->sum);
    }
    flt_free(s.left);
    if (err == FLTE_OK) return err;
    flt_free(*rows);
    *rows = NULL;
    return err;
}
