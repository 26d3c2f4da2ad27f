// SPDX-License-Identifier: MIT
// Learning curves, tuning and the summary of one optimizer on one task.
//
// A cell is one run, (point of the grid, seed). Cells are independent and go to ranks in turn and to threads in any order; sums
// over seeds run in their order. Smoothing is the bias-corrected exponential mean, s_t = sum_i b^i x_(t-i) / sum_i b^i: the first
// value weighs no more than others.
#include "flt/evaluate.h"

#include "engine/inner.h"
#include "engine/tuning.h"
#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char who[] = "evaluation";
enum { MOST_METRICS = 2000, MOST_OF_SEED = 200, NAME = 512 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Returns the seed of what is drawn.
static uint64_t begin(flt_inner *inner, uint64_t seed, size_t steps, flt_real *param, flt_real *state) {
    const uint64_t own = flt_evaluation_seed(seed);
    flt_optimizer_horizon(inner->optimizer, steps);
    flt_inner_begin(inner, own, param, state);
    return own;
}

static void run(flt_inner *inner, uint64_t seed, size_t steps, flt_real *param, flt_real *state, double *loss) {
    const uint64_t own = begin(inner, seed, steps, param, state);
    for (size_t t = 0; t < steps; t++) loss[t] = flt_inner_step(inner, own, t, true, param, state);
}

flt_err flt_run_curve(const flt_weights *w, const char *task, flt_objective_maker make, uint64_t seed, size_t steps, double *loss,
                      flt_real *param) {
    FLTX_GIVEN(w, task, make);
    FLTX_GIVEN(w->kind);
    if (steps > 0) FLTX_GIVEN(loss);
    flt_inner inner;
    flt_real *own = NULL, *state = NULL;
    flt_num_init();
    FLTX_TRY(flt_inner_create(w, NULL, task, make, &inner));
    flt_err err = flt_alloc(inner.params, sizeof *own, &own);
    if (err == FLTE_OK) err = flt_alloc(inner.state, sizeof *state, &state);
    if (err == FLTE_OK) {
        const unsigned saved = flt_num_ftz();
        run(&inner, seed, steps, own, state, loss);
        flt_num_ftz_restore(saved);
        if (param != NULL) memcpy(param, own, inner.params * sizeof *param);
    }
    flt_free(own);
    flt_free(state);
    flt_inner_destroy(&inner);
    return err;
}

// ---- many runs
typedef struct bench { // of one thread
    flt_inner inner;
    flt_real *param, *state;
} bench;

typedef struct cell {
    double *loss; // [steps], within `curves`
    double test_loss, test_metric, seconds;
} cell;

typedef struct evaluation {
    const flt_eval_config *config;
    const flt_weights *weights;
    const flt_sink *sink;
    size_t points; // of the grid; the first ones are the rates at default settings
    int threads;
    size_t state;            // words, at most
    bench *bench;            // [threads]
    cell *cell;              // [points, seeds]
    double *curves;          // [points, seeds, steps]
    double *mean;            // [points, steps], smoothed
    atomic_bool stop, broke; // broke: an optimizer could not be made
    atomic_size_t done;
} evaluation;

static bool tunes(const evaluation *e) {
    return e->points > 1;
}

static const char *label_of(const evaluation *e) {
    return e->config->label != NULL ? e->config->label : e->weights->kind->kind.name;
}

static const char *task_of(const evaluation *e) {
    return e->config->task_label != NULL ? e->config->task_label : e->config->task;
}

// The optimizer at a point of the grid; *own is the caller's to destroy, NULL where nothing is tuned.
static flt_err optimizer_at(const evaluation *e, const flt_inner *inner, size_t point, flt_optimizer **own) {
    *own = NULL;
    if (!tunes(e)) return FLTE_OK;
    return flt_tuning_make(e->weights, point, e->config->steps, &inner->objective->layout, own);
}

static flt_inner with(const flt_inner *inner, flt_optimizer *own) {
    flt_inner p = *inner;
    if (own != NULL) p.optimizer = own;
    return p;
}

static flt_err make_bench(const evaluation *e, bench *b) {
    FLTX_TRY(flt_inner_create(e->weights, NULL, e->config->task, e->config->make, &b->inner));
    return flt_alloc(b->inner.params, sizeof *b->param, &b->param);
}

// Whatever is wrong with a point of the grid shows here, before anything runs. Its state may be larger than that of the defaults.
static flt_err try_points(evaluation *e) {
    const flt_inner *inner = &e->bench[0].inner;
    e->state = inner->state;
    for (size_t i = 0; i < e->points; i++) {
        flt_optimizer *own = NULL;
        FLTX_TRY(optimizer_at(e, inner, i, &own));
        const size_t words = own == NULL ? 0 : flt_optimizer_state_words(own);
        if (words > e->state) e->state = words;
        flt_optimizer_destroy(own);
    }
    return FLTE_OK;
}

static flt_err allocate(evaluation *e) {
    const size_t cells = e->points * e->config->seeds, steps = e->config->steps;
    FLTX_TRY(flt_alloc((size_t)e->threads, sizeof *e->bench, &e->bench));
    FLTX_TRY(flt_alloc(cells, sizeof *e->cell, &e->cell));
    FLTX_TRY(flt_alloc(cells, steps * sizeof *e->curves, &e->curves));
    FLTX_TRY(flt_alloc(e->points, steps * sizeof *e->mean, &e->mean));
    for (size_t i = 0; i < cells; i++) e->cell[i].loss = e->curves + i * steps;
    for (int i = 0; i < e->threads; i++) FLTX_TRY(make_bench(e, &e->bench[i]));
    FLTX_TRY(try_points(e));
    for (int i = 0; i < e->threads; i++) FLTX_TRY(flt_alloc(e->state, sizeof(flt_real), &e->bench[i].state));
    return FLTE_OK;
}

static void release(evaluation *e) {
    for (int i = 0; e->bench != NULL && i < e->threads; i++) {
        bench *b = &e->bench[i];
        flt_inner_destroy(&b->inner);
        flt_free(b->param);
        flt_free(b->state);
    }
    flt_free(e->bench);
    flt_free(e->cell);
    flt_free(e->curves);
    flt_free(e->mean);
}

// The sink is called from the first thread alone, so that it hears of a stop within a few steps.
static void report(evaluation *e, size_t t) {
    enum { EVERY = 64 };
    char status[160];
    if (omp_get_thread_num() != 0 || t % EVERY != 0) return;
    const size_t cells = e->points * e->config->seeds, done = atomic_load(&e->done);
    const double share = ((double)done + (double)t / (double)e->config->steps) / (double)cells;
    snprintf(status, sizeof status, "%.40s on %.80s: %zu of %zu runs", label_of(e), e->config->task, done, cells);
    flt_sink_progress(e->sink, fmin(share, 1.0), status);
    if (flt_sink_stopped(e->sink)) atomic_store(&e->stop, true);
}

static void run_steps(evaluation *e, flt_inner *inner, uint64_t seed, const bench *b, double *loss) {
    const uint64_t own = begin(inner, seed, e->config->steps, b->param, b->state);
    for (size_t t = 0; t < e->config->steps && !atomic_load(&e->stop); t++) {
        loss[t] = flt_inner_step(inner, own, t, true, b->param, b->state);
        report(e, t + 1);
    }
}

static void run_cell(evaluation *e, size_t i) {
    const flt_eval_config *c = e->config;
    const bench *b = &e->bench[omp_get_thread_num()];
    flt_optimizer *own = NULL;
    if (optimizer_at(e, &b->inner, i / c->seeds, &own) != FLTE_OK) {
        atomic_store(&e->broke, true);
        return;
    }
    flt_inner inner = with(&b->inner, own);
    const flt_objective *o = inner.objective;
    const uint64_t seed = c->first_seed + i % c->seeds;
    flt_real loss = (flt_real)NAN, metric = (flt_real)NAN;
    const double start = now();
    run_steps(e, &inner, seed, b, e->cell[i].loss);
    e->cell[i].seconds = now() - start;
    if (o->evaluate != NULL) o->evaluate(o->self, flt_evaluation_seed(seed), FLTX_TEST, b->param, &loss, &metric);
    e->cell[i].test_loss = loss;
    e->cell[i].test_metric = o->metric == NULL ? NAN : metric;
    flt_optimizer_destroy(own);
}

static flt_err run_cells(evaluation *e) {
    const size_t cells = e->points * e->config->seeds;
#pragma omp parallel num_threads(e->threads)
    {
        const unsigned saved = flt_num_ftz();
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < cells; i++) {
            if (atomic_load(&e->stop) || atomic_load(&e->broke) || !flt_ranks_own(e->config->ranks, i)) continue;
            run_cell(e, i);
            atomic_fetch_add(&e->done, 1);
            report(e, 0);
        }
        flt_num_ftz_restore(saved);
    }
    if (atomic_load(&e->broke)) return flt_fail(FLTE_NOMEM, who, "no memory for the optimizers on %s", e->config->task);
    if (!atomic_load(&e->stop)) return FLTE_OK;
    return flt_fail(FLTE_INTERRUPTED, who, "stopped while %s ran on %s", label_of(e), e->config->task);
}

static void smooth(const flt_eval_config *c, const double *loss, double *curve) {
    double sum = 0.0, weight = 0.0;
    for (size_t t = 0; t < c->steps; t++) {
        sum = c->ema * sum + loss[t];
        weight = c->ema * weight + 1.0;
        curve[t] = sum / weight;
    }
}

enum { NUMBERS = 3 }; // of a cell beside its curve

// Cells of other ranks. `ran`: how it went here.
static flt_err share_cells(evaluation *e, flt_err ran) {
    const flt_eval_config *c = e->config;
    const size_t cells = e->points * c->seeds;
    double *number = NULL;
    if (flt_ranks_count(c->ranks) == 1) return ran;
    if (ran == FLTE_OK) ran = flt_alloc(cells, NUMBERS * sizeof *number, &number);
    for (size_t i = 0; ran == FLTE_OK && i < cells; i++)
        memcpy(number + NUMBERS * i, (double[]){e->cell[i].test_loss, e->cell[i].test_metric, e->cell[i].seconds},
               NUMBERS * sizeof *number);
    flt_err err = flt_ranks_cells(c->ranks, cells, c->steps * sizeof *e->curves, e->curves, ran);
    if (err == FLTE_OK) err = flt_ranks_cells(c->ranks, cells, NUMBERS * sizeof *number, number, FLTE_OK);
    for (size_t i = 0; err == FLTE_OK && i < cells; i++) {
        e->cell[i].test_loss = number[NUMBERS * i];
        e->cell[i].test_metric = number[NUMBERS * i + 1];
        e->cell[i].seconds = number[NUMBERS * i + 2];
    }
    flt_free(number);
    return err;
}

// Mean over seeds, then smoothing, in place of the mean.
static void smooth_mean(const evaluation *e, size_t point) {
    const flt_eval_config *c = e->config;
    double *curve = e->mean + point * c->steps;
    for (size_t t = 0; t < c->steps; t++) {
        curve[t] = 0.0;
        for (size_t s = 0; s < c->seeds; s++) curve[t] += e->cell[point * c->seeds + s].loss[t] / (double)c->seeds;
    }
    smooth(c, curve, curve);
}

// Of the first n points the one with the least final loss; one whose curve is not finite never wins against one that is.
static size_t best_point(const evaluation *e, size_t n) {
    size_t best = 0;
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double last = e->mean[(i + 1) * e->config->steps - 1];
        if (last < least) {
            least = last;
            best = i;
        }
    }
    return best;
}

// The optimizer's step alone on one gradient of the task: the best of a few samples of a few milliseconds each. Parameters move
// on, so that nothing is cached that would not be.
static double time_step(const evaluation *e, flt_inner p) {
    const bench *b = &e->bench[0];
    const uint64_t seed = flt_evaluation_seed(e->config->first_seed);
    const unsigned saved = flt_num_ftz();
    flt_inner_begin(&p, seed, b->param, b->state);
    const flt_real loss = flt_inner_step(&p, seed, 0, true, b->param, b->state);
    double least = INFINITY;
    uint64_t t = 1, reps = 1;
    for (int sample = 0; sample < 6; sample++) {
        const double start = now();
        for (uint64_t i = 0; i < reps; i++, t++) flt_optimizer_step(p.optimizer, t, loss, p.grad, b->param, b->state);
        const double each = (now() - start) / (double)reps;
        least = fmin(least, each);
        reps = (uint64_t)fmin(fmax(2e-3 / fmax(each, 1e-9), 1.0), 10000.0);
    }
    flt_num_ftz_restore(saved);
    return 1e9 * least / (double)p.params;
}

static double rate_of(const evaluation *e, size_t point) {
    const flt_weights *w = e->weights;
    if (tunes(e)) return flt_tuning_rate(point);
    return (w->kind->kind.caps & FLTX_OPT_LR) != 0 && w->params != NULL ? flt_params_real(w->params, "lr") : NAN;
}

static flt_err summarise_seeds(const evaluation *e, size_t point, flt_eval_result *out) {
    const flt_eval_config *c = e->config;
    FLTX_TRY(flt_alloc(c->seeds, sizeof *out->seed, &out->seed));
    FLTX_TRY(flt_alloc(c->seeds, c->steps * sizeof *out->seed_curves, &out->seed_curves));
    for (size_t s = 0; s < c->seeds; s++) {
        const cell *x = &e->cell[point * c->seeds + s];
        double *curve = out->seed_curves + s * c->steps, best = INFINITY;
        smooth(c, x->loss, curve);
        for (size_t t = 0; t < c->steps; t++) best = fmin(best, curve[t]); // a NaN gives way
        out->seed[s] = (flt_eval_seed){.seed = c->first_seed + s,
                                       .curve = curve,
                                       .final_loss = curve[c->steps - 1],
                                       .best_loss = best,
                                       .test_loss = x->test_loss,
                                       .test_metric = x->test_metric,
                                       .seconds = x->seconds};
        out->diverged += flt_diverged(curve, c->steps);
    }
    return FLTE_OK;
}

// The best of the first n points.
static flt_err summarise(const evaluation *e, size_t n, flt_eval_result *out) {
    const flt_eval_config *c = e->config;
    const size_t best = best_point(e, n);
    flt_optimizer *own = NULL;
    FLTX_TRY(optimizer_at(e, &e->bench[0].inner, best, &own));
    const flt_inner inner = with(&e->bench[0].inner, own);
    *out = (flt_eval_result){.lr = rate_of(e, best),
                             .tried = n,
                             .ns_per_step = flt_ranks_me(c->ranks) == 0 ? time_step(e, inner) : NAN,
                             .state_words = (double)flt_optimizer_state_words(inner.optimizer) / (double)inner.params};
    if (tunes(e)) flt_tuning_settings(e->weights, best, c->steps, sizeof out->settings, out->settings);
    flt_optimizer_destroy(own);
    FLTX_TRY(flt_alloc(c->steps, sizeof *out->curve, &out->curve));
    memcpy(out->curve, e->mean + best * c->steps, c->steps * sizeof *out->curve);
    out->final_loss = out->curve[c->steps - 1];
    for (size_t s = 0; s < c->seeds; s++) {
        const cell *x = &e->cell[best * c->seeds + s];
        out->test_loss += x->test_loss / (double)c->seeds;
        out->test_metric += x->test_metric / (double)c->seeds;
        out->seconds += x->seconds / (double)c->seeds;
    }
    return summarise_seeds(e, best, out);
}

// ---- metrics
static flt_err record_curve(const evaluation *e, const char *name, const flt_eval_result *r) {
    const size_t steps = e->config->steps, stride = (steps + MOST_METRICS - 1) / MOST_METRICS;
    for (size_t t = 0; t < steps; t++)
        if ((t + 1) % stride == 0 || t == 0 || t + 1 == steps) FLTX_TRY(flt_sink_metric(e->sink, name, t + 1, r->curve[t]));
    return FLTE_OK;
}

// The first and the last step and at most MOST_OF_SEED between them.
static flt_err record_seed(const evaluation *e, const flt_eval_seed *x, const char *name) {
    const size_t steps = e->config->steps, stride = (steps + MOST_OF_SEED - 1) / MOST_OF_SEED;
    for (size_t t = 0; t < steps; t++) {
        const flt_field fields[] = {flt_text_field("metric", name), flt_num_field("seed", flt_eval_seed_number(x->seed)),
                                    flt_num_field("step", (double)(t + 1)), flt_num_field("value", x->curve[t])};
        if ((t + 1) % stride == 0 || t == 0 || t + 1 == steps) FLTX_TRY(flt_sink_record(e->sink, "curve", 4, fields));
    }
    return FLTE_OK;
}

static flt_err record_curves(const evaluation *e, const char *suffix, const flt_eval_result *r) {
    char name[NAME];
    snprintf(name, sizeof name, "loss/%s%s/%s", label_of(e), suffix, task_of(e));
    FLTX_TRY(record_curve(e, name, r));
    for (size_t s = 0; s < e->config->seeds; s++) FLTX_TRY(record_seed(e, &r->seed[s], name));
    return FLTE_OK;
}

static flt_err record_rates(const evaluation *e) {
    const size_t steps = e->config->steps;
    char name[NAME], settings[128];
    for (size_t i = 0; tunes(e) && i < e->points; i++) {
        flt_tuning_settings(e->weights, i, steps, sizeof settings, settings);
        snprintf(name, sizeof name, "final_loss_by_rate%s%s", settings[0] == '\0' ? "" : " ", settings);
        const flt_field fields[] = {flt_text_field("metric", name), flt_text_field("subject", label_of(e)),
                                    flt_text_field("task", task_of(e)), flt_num_field("step", (double)(i % FLTX_TUNING_RATES)),
                                    flt_num_field("value", e->mean[(i + 1) * steps - 1])};
        FLTX_TRY(flt_sink_record(e->sink, "curve", sizeof fields / sizeof *fields, fields));
    }
    return FLTE_OK;
}

static flt_err finish(evaluation *e, flt_eval_result *out, flt_eval_result *full) {
    const bool both = e->points > FLTX_TUNING_RATES;
    for (size_t i = 0; i < e->points; i++) smooth_mean(e, i);
    FLTX_TRY(summarise(e, both ? FLTX_TUNING_RATES : e->points, out));
    FLTX_TRY(record_curves(e, "", out));
    if (both) FLTX_TRY(summarise(e, e->points, full));
    if (both) FLTX_TRY(record_curves(e, "-full", full));
    return record_rates(e);
}

static flt_err check(const flt_eval_config *c) {
    if (c->steps == 0 || c->seeds == 0)
        return flt_fail(FLTE_RANGE, who, "%zu steps and %zu seeds were asked for; at least one of each is needed", c->steps,
                        c->seeds);
    if (!(c->ema >= 0.0 && c->ema < 1.0)) return flt_fail(FLTE_RANGE, who, "the smoothing is %g; allowed: 0 <= ema < 1", c->ema);
    return FLTE_OK;
}

flt_err flt_eval_optimizer(const flt_eval_config *c, const flt_weights *w, const flt_sink *sink, flt_eval_result *out,
                           flt_eval_result *full) {
    FLTX_GIVEN(c, w, out);
    FLTX_GIVEN(c->task, c->make, w->kind);
    flt_eval_result unused = {0};
    evaluation e = {.config = c, .weights = w, .sink = sink, .points = flt_tuning_points(c->tune, w)};
    *out = (flt_eval_result){0};
    if (full == NULL) full = &unused;
    *full = (flt_eval_result){0};
    FLTX_TRY(check(c));
    flt_num_init();
    const size_t cells = e.points * c->seeds;
    const int wanted = flt_num_threads(c->threads > 0 ? c->threads : omp_get_max_threads());
    e.threads = (size_t)wanted < cells ? wanted : (int)cells;
    flt_err err = flt_ranks_agree(c->ranks, allocate(&e));
    if (err == FLTE_OK) err = share_cells(&e, run_cells(&e));
    if (err == FLTE_OK) err = finish(&e, out, full);
    if (err != FLTE_OK) flt_eval_free(out);
    if (err != FLTE_OK || full == &unused) flt_eval_free(full);
    release(&e);
    return err;
}

void flt_eval_free(flt_eval_result *r) {
    if (r == NULL) return;
    flt_free(r->curve);
    flt_free(r->seed);
    flt_free(r->seed_curves);
    *r = (flt_eval_result){0};
}
