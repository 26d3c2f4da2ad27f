// SPDX-License-Identifier: MIT
// flt_meta_train: checks the configuration, resumes, turns the outer loop, reports, saves.
#include "flt/meta.h"

#include "meta/engine/checkpoint.h"
#include "meta/engine/outer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

static const char who[] = "meta-training";

// On digits_mlp with the flt optimizer (learned rate, 320,000 inner steps), steps to tuned Adam's final loss at horizon 500: nres
// 274 to 291 and pes 293 to 320 over three seeds; one seed each: 330 with sigma 0.01, over 410 with an outer_lr of 0.01 or 0.001.
void flt_meta_defaults(flt_meta_config *c) {
    *c = (flt_meta_config){
        .estimator = "nres",
        .outer_steps = 1000,
        .particles = 8,
        .window = 20,
        .unroll_min = 100,
        .unroll_max = 1000,
        .outer_lr = 3e-3,
        .sigma = 0.03,
        .clip = 1.0,
        .log_loss = true,
        .seed = 1,
    };
}

static flt_err check_sizes(const flt_meta_config *c) {
    if (c->n_tasks == 0) return flt_fail(FLTE_RANGE, who, "no tasks were given; at least one is needed");
    if (c->particles < c->n_tasks)
        return flt_fail(FLTE_RANGE, who, "%zu particles cannot cover %zu tasks; give at least one particle a task", c->particles,
                        c->n_tasks);
    if (c->window == 0) return flt_fail(FLTE_RANGE, who, "the window has 0 steps; at least 1 is needed");
    if (c->unroll_min == 0 || c->unroll_min > c->unroll_max)
        return flt_fail(FLTE_RANGE, who, "unrolls of %zu to %zu steps; allowed: 1 <= shortest <= longest", c->unroll_min,
                        c->unroll_max);
    if (c->particles > UINT32_MAX || c->window > UINT32_MAX || c->unroll_max > UINT32_MAX)
        return flt_fail(FLTE_RANGE, who, "particles, window and unrolls are at most %" PRIu32, UINT32_MAX);
    return FLTE_OK;
}

static flt_err check_scales(const flt_meta_config *c) {
    if (!(c->sigma > 0.0) || !isfinite(c->sigma)) return flt_fail(FLTE_RANGE, who, "sigma is %g; it must be above 0", c->sigma);
    if (!(c->outer_lr >= 0.0) || !isfinite(c->outer_lr))
        return flt_fail(FLTE_RANGE, who, "the outer learning rate is %g; it must not be negative", c->outer_lr);
    if (!(c->clip >= 0.0)) return flt_fail(FLTE_RANGE, who, "clip is %g; it must not be negative (0: no clipping)", c->clip);
    return FLTE_OK;
}

static flt_err check(const flt_meta_config *c, const flt_weights *w) {
    if (w->theta == NULL || w->layout.total == 0)
        return flt_fail(FLTE_UNSUPPORTED, who, "optimizer %s has no meta-parameters to train; choose a learned one",
                        w->kind->kind.name);
    FLTX_TRY(check_sizes(c));
    FLTX_TRY(check_scales(c));
    if (c->resume && c->checkpoint == NULL)
        return flt_fail(FLTE_USAGE, who, "asked to resume without a checkpoint file to resume from");
    return FLTE_OK;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static flt_err report_tasks(const flt_outer *o, const flt_sink *sink) {
    char name[288];
    for (size_t k = 0; o->config->n_tasks > 1 && k < o->config->n_tasks; k++) {
        snprintf(name, sizeof name, "meta_loss/%s", o->config->tasks[k]);
        FLTX_TRY(flt_sink_metric(sink, name, o->counts.steps, o->task_loss[k]));
    }
    return FLTE_OK;
}

static flt_err report_step(const flt_outer *o, const flt_sink *sink, double seconds) {
    const uint64_t step = o->counts.steps;
    const double inner = 2.0 * (double)o->particles.count * (double)o->particles.window;
    char status[96];
    FLTX_TRY(flt_sink_metric(sink, "meta_loss", step, o->loss));
    FLTX_TRY(report_tasks(o, sink));
    FLTX_TRY(flt_sink_metric(sink, "grad_norm", step, o->grad_norm));
    FLTX_TRY(flt_sink_metric(sink, "update_norm", step, o->update_norm));
    FLTX_TRY(flt_sink_metric(sink, "clipped", step, (double)o->clipped));
    FLTX_TRY(flt_sink_metric(sink, "inner_steps_per_s", step, inner / seconds));
    snprintf(status, sizeof status, "step %" PRIu64 "/%" PRIu64 " meta-loss %.4g", step, o->config->outer_steps, o->loss);
    flt_sink_progress(sink, (double)step / (double)o->config->outer_steps, status);
    return FLTE_OK;
}

static flt_err stopped(flt_outer *o) {
    const flt_meta_config *c = o->config;
    if (c->checkpoint == NULL)
        return flt_fail(FLTE_INTERRUPTED, who, "stopped at outer step %" PRIu64 " of %" PRIu64 "; no checkpoint was asked for",
                        o->counts.steps, c->outer_steps);
    FLTX_TRY(flt_checkpoint_save(o, c->checkpoint));
    return flt_fail(FLTE_INTERRUPTED, who, "stopped at outer step %" PRIu64 " of %" PRIu64 "; resume from %s", o->counts.steps,
                    c->outer_steps, c->checkpoint);
}

// A sink that fails ends the run, but not without a checkpoint.
static flt_err turn(flt_outer *o, const flt_sink *sink) {
    const double start = now();
    flt_outer_gradient(o);
    flt_outer_update(o);
    const flt_err err = report_step(o, sink, now() - start);
    if (err != FLTE_OK && o->config->checkpoint != NULL) (void)flt_checkpoint_save(o, o->config->checkpoint);
    return err;
}

// The state that training starts from is saved first: a place that cannot be written is told before hours of work, and a run that
// is killed early can be resumed as well.
static flt_err begin(flt_outer *o) {
    const char *path = o->config->checkpoint;
    if (o->config->resume) return flt_checkpoint_load(o, path);
    return path == NULL ? FLTE_OK : flt_checkpoint_save(o, path);
}

static flt_err loop(flt_outer *o, const flt_sink *sink) {
    const flt_meta_config *c = o->config;
    uint64_t saved = o->counts.steps; // the step that the file holds
    while (o->counts.steps < c->outer_steps) {
        if (flt_sink_stopped(sink)) return stopped(o);
        FLTX_TRY(turn(o, sink));
        if (c->checkpoint == NULL || c->checkpoint_every == 0 || o->counts.steps % c->checkpoint_every != 0) continue;
        FLTX_TRY(flt_checkpoint_save(o, c->checkpoint));
        saved = o->counts.steps;
    }
    return c->checkpoint == NULL || saved == o->counts.steps ? FLTE_OK : flt_checkpoint_save(o, c->checkpoint);
}

static void summarise(const flt_outer *o, double seconds, flt_meta_report *out) {
    *out = (flt_meta_report){.outer_steps = o->counts.steps,
                             .inner_steps = o->counts.inner_steps,
                             .clipped = o->counts.clipped,
                             .skipped = o->counts.skipped,
                             .last_loss = o->loss,
                             .seconds = seconds};
}

flt_err flt_meta_train(const flt_meta_config *c, flt_weights *w, const flt_sink *sink, flt_meta_report *out) {
    const flt_estimator_kind *kind = NULL;
    const double start = now();
    flt_outer o = {0};
    FLTX_TRY(check(c, w));
    FLTX_TRY(flt_estimator_find(c->estimator, &kind));
    flt_err err = flt_outer_create(c, kind, w, &o);
    if (err == FLTE_OK) err = begin(&o);
    if (err == FLTE_OK) err = loop(&o, sink);
    if (out != NULL) summarise(&o, now() - start, out);
    flt_outer_destroy(&o);
    return err;
}
