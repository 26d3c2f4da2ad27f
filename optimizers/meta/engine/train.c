// SPDX-License-Identifier: MIT
// flt_meta_train: checks the configuration, resumes, turns the outer loop, reports, saves.
#include "flt/meta.h"

#include "meta/engine/checkpoint.h"
#include "meta/engine/loss.h"
#include "meta/engine/outer.h"
#include "meta/engine/report.h"

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
        .sigma = 0.03,
        .seed = 1,
        .unroll_min = 100,
        .unroll_max = 1000,
        .truncation = "log-uniform",
        .log_loss = true,
        .reduction = "mean",
        .difference = "plain",
        .outer_optimizer = "adam",
        .outer_lr = 3e-3,
        .outer_schedule = "constant",
        .clip = 1.0,
        .clip_by = "norm",
    };
}

static flt_err check_sizes(const flt_meta_config *c) {
    if (c->n_tasks == 0) return flt_fail(FLTE_RANGE, who, "no tasks were given; at least one is needed");
    if (c->particles < c->n_tasks)
        return flt_fail(FLTE_RANGE, who, "%zu particles cannot cover %zu tasks; give at least one particle a task", c->particles,
                        c->n_tasks);
    if (c->draws > 0 && c->sample == NULL)
        return flt_fail(FLTE_USAGE, who, "%zu draws of each task without a function that draws", c->draws);
    if (c->window == 0) return flt_fail(FLTE_RANGE, who, "the window has 0 steps; at least 1 is needed");
    if ((size_t)flt_ranks_count(c->ranks) > 2 * c->particles)
        return flt_fail(FLTE_RANGE, who, "%d ranks for the %zu arms of %zu particles; start fewer, or give more particles",
                        flt_ranks_count(c->ranks), 2 * c->particles, c->particles);
    if (c->particles > UINT32_MAX || c->window > UINT32_MAX || c->unroll_max > UINT32_MAX || c->draws > UINT32_MAX)
        return flt_fail(FLTE_RANGE, who, "particles, window, unrolls and draws are at most %" PRIu32, UINT32_MAX);
    return FLTE_OK;
}

static flt_err check_choices(const flt_meta_config *c) {
    if (!(c->sigma > 0.0) || !isfinite(c->sigma)) return flt_fail(FLTE_RANGE, who, "sigma is %g; it must be above 0", c->sigma);
    flt_truncation truncation;
    flt_meta_loss loss;
    flt_difference difference;
    FLTX_TRY(flt_truncation_make(c, &truncation));
    FLTX_TRY(flt_meta_loss_make(c, &loss));
    if (c->against_adam && loss.reduction == FLTX_LEAST)
        return flt_fail(FLTE_UNSUPPORTED, who, "Adam's curve beside a meta-loss of least losses; allowed: mean, last");
    if (c->against_adam && loss.power > 0.0)
        return flt_fail(FLTE_UNSUPPORTED, who, "Adam's curve beside a meta-loss whose steps have weights (power %g); allowed: 0",
                        loss.power);
    FLTX_TRY(flt_difference_make(c, &difference));
    return flt_meta_optimizer_check(c);
}

static flt_err check(const flt_meta_config *c, const flt_weights *w) {
    if (w->kind == NULL) return flt_fail(FLTE_USAGE, who, "the weights are empty; flt_weights_load makes them");
    if (w->theta == NULL || w->layout.total == 0)
        return flt_fail(FLTE_UNSUPPORTED, who, "optimizer %s has no meta-parameters to train; choose a learned one",
                        w->kind->kind.name);
    FLTX_TRY(check_sizes(c));
    FLTX_TRY(check_choices(c));
    if (c->resume && c->checkpoint == NULL)
        return flt_fail(FLTE_USAGE, who, "asked to resume without a checkpoint file to resume from");
    return FLTE_OK;
}

static flt_err check_kind(const flt_meta_config *c, const flt_estimator_kind *kind) {
    flt_difference d;
    FLTX_TRY(flt_difference_make(c, &d));
    if (!kind->backpropagates || (d.kind == 0 && d.clip == 0.0)) return FLTE_OK;
    return flt_fail(FLTE_USAGE, who, "%s has no antithetic differences to treat; leave their treatment and clip out",
                    kind->kind.name);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- one training run
typedef struct run {
    flt_outer o;
    const flt_sink *sink;
    uint64_t saved;        // the step that the checkpoint holds
    uint64_t inner_before; // inner steps before a resume
    flt_err failed;        // what the sink said of the last step, and its sentence
    char sentence[1024];
} run;

static flt_err save(run *r) {
    if (r->o.config->checkpoint == NULL) return FLTE_OK;
    FLTX_TRY(flt_checkpoint_save(&r->o, r->o.config->checkpoint));
    r->saved = r->o.counts.steps;
    return FLTE_OK;
}

// A rank that is gone leaves what was saved last.
static flt_err abandoned(const run *r, flt_err err) {
    const flt_meta_config *c = r->o.config;
    (void)flt_context(err, "outer step %" PRIu64 " of %" PRIu64 " was the last complete one", r->o.counts.steps, c->outer_steps);
    return c->checkpoint == NULL ? err : flt_context(err, "resume from %s, of step %" PRIu64, c->checkpoint, r->saved);
}

static flt_err sink_failure(const run *r) {
    return r->failed == FLTE_OK ? FLTE_OK : flt_error_restore(r->failed, r->sentence);
}

// After a wish to stop, of the user or of a sink that failed: either ends the run with a checkpoint.
static flt_err stop(run *r) {
    const flt_meta_config *c = r->o.config;
    const flt_err saved = save(r);
    FLTX_TRY(flt_ranks_agree(c->ranks, sink_failure(r)));
    FLTX_TRY(saved);
    if (c->checkpoint == NULL)
        return flt_fail(FLTE_INTERRUPTED, who, "stopped at outer step %" PRIu64 " of %" PRIu64 "; no checkpoint was asked for",
                        r->o.counts.steps, c->outer_steps);
    return flt_fail(FLTE_INTERRUPTED, who, "stopped at outer step %" PRIu64 " of %" PRIu64 "; resume from %s", r->o.counts.steps,
                    c->outer_steps, c->checkpoint);
}

// One outer step. A sink that failed stops the next window, on all ranks.
static flt_err turn(run *r) {
    const double start = now();
    FLTX_TRY(flt_outer_gradient(&r->o));
    flt_outer_update(&r->o);
    r->failed = flt_report_step(&r->o, r->sink, now() - start);
    if (r->failed == FLTE_OK) return FLTE_OK;
    snprintf(r->sentence, sizeof r->sentence, "%s", flt_error());
    atomic_store(&r->o.watch.stop, true);
    return FLTE_OK;
}

// The state that training starts from is saved first: a place that cannot be written is told before hours of work, and a run that
// is killed early can be resumed as well.
static flt_err begin(run *r) {
    if (!r->o.config->resume) return save(r);
    FLTX_TRY(flt_checkpoint_load(&r->o, r->o.config->checkpoint));
    r->saved = r->o.counts.steps;
    r->inner_before = r->o.counts.inner_steps;
    return FLTE_OK;
}

static flt_err loop(run *r) {
    const flt_meta_config *c = r->o.config;
    const flt_outer_counts *at = &r->o.counts;
    while (at->steps < c->outer_steps) {
        const flt_err err = turn(r);
        if (err == FLTE_INTERRUPTED) return stop(r);
        FLTX_TRY(err);
        if (c->checkpoint_every > 0 && at->steps % c->checkpoint_every == 0) FLTX_TRY(save(r));
    }
    const flt_err saved = r->saved == at->steps ? FLTE_OK : save(r);
    FLTX_TRY(flt_ranks_agree(c->ranks, sink_failure(r)));
    return saved;
}

static void summarise(const run *r, double seconds, flt_meta_report *out) {
    const flt_outer *o = &r->o;
    *out = (flt_meta_report){.outer_steps = o->counts.steps,
                             .inner_steps = o->counts.inner_steps,
                             .inner_before = r->inner_before,
                             .clipped = o->counts.clipped,
                             .skipped = o->counts.skipped,
                             .last_loss = o->loss,
                             .seconds = seconds};
}

flt_err flt_meta_train(const flt_meta_config *c, flt_weights *w, const flt_sink *sink, flt_meta_report *out) {
    FLTX_GIVEN(c, w);
    FLTX_GIVEN(c->make);
    if (c->n_tasks > 0) FLTX_GIVEN(c->tasks);
    const flt_estimator_kind *kind = NULL;
    const double start = now();
    run r = {.sink = sink};
    FLTX_TRY(check(c, w));
    FLTX_TRY(flt_estimator_find(c->estimator, &kind));
    FLTX_TRY(check_kind(c, kind));
    flt_err err = flt_ranks_agree(c->ranks, flt_outer_create(c, kind, w, &r.o));
    r.o.watch.sink = sink;
    if (err == FLTE_OK) err = flt_adam_curves_create(c, &r.o.pool, &r.o.watch, &r.o.adam);
    if (err == FLTE_OK) err = begin(&r);
    if (err == FLTE_OK) err = loop(&r);
    if (err != FLTE_OK && c->ranks != NULL && c->ranks->state->broken) err = abandoned(&r, err);
    if (out != NULL) summarise(&r, now() - start, out);
    flt_outer_destroy(&r.o);
    return err;
}
