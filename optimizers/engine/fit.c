// SPDX-License-Identifier: MIT
// The training loop of one task. Everything that the bits depend on is the step's number, parameters and the optimizer's state,
// so that a checkpoint of these goes on as if nothing had happened; sums that only reports need are in it as well.
#include "flt/fit.h"

#include "engine/inner.h"
#include "engine/sealed.h"
#include "flt/memory.h"
#include "flt/num.h"
#include "meta/engine/fingerprint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char who[] = "fit", format_name[] = "flt training checkpoint 1";
static const char *const text_key[] = {"config", "step"};
enum { TEXTS = 2, SUMS = 4 }; // sums: training losses, their number, last mean, least validation loss

typedef struct fit {
    const flt_fit_config *c;
    const flt_weights *w;
    const flt_sink *sink;
    flt_inner inner;
    flt_real *param, *state;
    uint64_t seed, step, saved; // seed: of the inner problem
    double sum[SUMS];
    char *config; // fingerprint
    flt_fit_report *out;
} fit;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- checkpoints

typedef struct table {
    flt_tensor entry[3];
    size_t n;
} table;

static void add(table *t, const char *name, flt_dtype dtype, size_t count, const void *data) {
    if (count > 0)
        t->entry[t->n++] = (flt_tensor){.name = name, .dtype = dtype, .rank = 1, .dim = {count}, .count = count, .data = data};
}

static table table_of(const fit *f) {
    table t = {0};
    add(&t, "param", FLTX_DTYPE, f->inner.params, f->param);
    add(&t, "state", FLTX_DTYPE, f->inner.state, f->state);
    add(&t, "sums", FLTX_F64, SUMS, f->sum);
    return t;
}

static flt_err save(fit *f) {
    const table t = table_of(f);
    flt_sealed file;
    char step[32];
    if (f->c->checkpoint == NULL || f->saved == f->step) return FLTE_OK;
    snprintf(step, sizeof step, "%" PRIu64, f->step);
    flt_err err = flt_sealed_create(format_name, &file);
    for (size_t i = 0; i < t.n && err == FLTE_OK; i++) err = flt_sealed_tensor(&file, &t.entry[i]);
    if (err == FLTE_OK) err = flt_sealed_text(&file, text_key[0], f->config);
    if (err == FLTE_OK) err = flt_sealed_text(&file, text_key[1], step);
    if (err == FLTE_OK) err = flt_sealed_save(&file, f->c->checkpoint);
    flt_sealed_destroy(&file);
    if (err == FLTE_OK) f->saved = f->step;
    return err;
}

static flt_err take(fit *f, const flt_tensors *file) {
    const char *path = f->c->checkpoint, *config;
    const table t = table_of(f);
    FLTX_TRY(flt_sealed_check(path, file, format_name, TEXTS, text_key));
    config = flt_tensors_meta(file, text_key[0]);
    FLTX_TRY(flt_fingerprint_match(path, config == NULL ? "" : config, f->config));
    FLTX_TRY(flt_sealed_count(path, file, text_key[1], &f->step));
    if (f->step > f->c->steps)
        return flt_fail(FLTE_USAGE, path, "the checkpoint is at step %" PRIu64 ", beyond the %" PRIu64 " asked for", f->step,
                        f->c->steps);
    for (size_t i = 0; i < t.n; i++) {
        const flt_tensor *e = &t.entry[i], *x = flt_tensors_find(file, e->name);
        if (x == NULL || x->dtype != e->dtype) return flt_sealed_damaged(path, "a tensor of the checkpoint is missing");
        FLTX_TRY(flt_tensor_expect(path, x, e->rank, e->dim));
    }
    memcpy(f->param, flt_tensors_find(file, "param")->data, f->inner.params * sizeof *f->param);
    if (f->inner.state > 0) memcpy(f->state, flt_tensors_find(file, "state")->data, f->inner.state * sizeof *f->state);
    memcpy(f->sum, flt_tensors_find(file, "sums")->data, sizeof f->sum);
    return FLTE_OK;
}

static flt_err load(fit *f) {
    flt_tensors *file = NULL;
    FLTX_TRY(flt_tensors_read(f->c->checkpoint, &file));
    const flt_err err = take(f, file);
    flt_tensors_destroy(file);
    f->saved = f->step;
    return err;
}

// ---- reports

static flt_err report_split(fit *f, flt_split split, double *loss, double *metric) {
    const flt_objective *o = f->inner.objective;
    const char *name = split == FLTX_VALID ? "valid" : "test";
    flt_real a = (flt_real)NAN, b = (flt_real)NAN;
    char text[64];
    o->evaluate(o->self, f->seed, split, f->param, &a, &b);
    *loss = (double)a;
    *metric = o->metric == NULL ? NAN : (double)b;
    snprintf(text, sizeof text, "%s_loss", name);
    FLTX_TRY(flt_sink_metric(f->sink, text, f->step, *loss));
    snprintf(text, sizeof text, "%s_%s", name, o->metric == NULL ? "" : o->metric);
    return o->metric == NULL ? FLTE_OK : flt_sink_metric(f->sink, text, f->step, *metric);
}

static flt_err report_splits(fit *f) {
    flt_fit_report *r = f->out;
    FLTX_TRY(report_split(f, FLTX_VALID, &r->valid_loss, &r->valid_metric));
    FLTX_TRY(report_split(f, FLTX_TEST, &r->test_loss, &r->test_metric));
    f->sum[3] = fmin(f->sum[3], r->valid_loss);
    return FLTE_OK;
}

static flt_err report_training(fit *f) {
    char status[96];
    f->sum[2] = f->sum[0] / f->sum[1];
    f->sum[0] = f->sum[1] = 0.0;
    FLTX_TRY(flt_sink_metric(f->sink, "train_loss", f->step, f->sum[2]));
    FLTX_TRY(flt_sink_metric(f->sink, "steps_per_s", f->step, (double)(f->step - f->out->first) / f->out->seconds));
    snprintf(status, sizeof status, "step %" PRIu64 "/%" PRIu64 " loss %.4g", f->step, f->c->steps, f->sum[2]);
    flt_sink_progress(f->sink, (double)f->step / (double)f->c->steps, status);
    return FLTE_OK;
}

static flt_err diverged(fit *f, double loss) {
    return flt_fail(FLTE_NUMERIC, who, "the training loss is %g at step %" PRIu64 "; a smaller learning rate may help", loss,
                    f->step);
}

static flt_err stopped(fit *f) {
    FLTX_TRY(save(f));
    if (f->c->checkpoint == NULL)
        return flt_fail(FLTE_INTERRUPTED, who, "stopped at step %" PRIu64 " of %" PRIu64 "; no checkpoint was asked for", f->step,
                        f->c->steps);
    return flt_fail(FLTE_INTERRUPTED, who, "stopped at step %" PRIu64 " of %" PRIu64 "; resume from %s", f->step, f->c->steps,
                    f->c->checkpoint);
}

// ---- the loop

static bool every(uint64_t step, uint64_t n) {
    return n > 0 && step % n == 0;
}

static uint64_t share(uint64_t given, uint64_t steps, uint64_t parts) {
    return given > 0 ? given : steps / parts > 0 ? steps / parts : 1;
}

static flt_err turn(fit *f) {
    const double start = now();
    const double loss = (double)flt_inner_step(&f->inner, f->seed, f->step, false, f->param, f->state);
    f->out->seconds += now() - start;
    if (!isfinite(loss)) return diverged(f, loss);
    f->step++;
    f->sum[0] += loss;
    f->sum[1] += 1.0;
    return FLTE_OK;
}

static flt_err loop(fit *f) {
    const flt_fit_config *c = f->c;
    const uint64_t log_every = share(c->log_every, c->steps, 200), eval_every = share(c->eval_every, c->steps, 10);
    while (f->step < c->steps) {
        if (flt_sink_stopped(f->sink)) return stopped(f);
        FLTX_TRY(turn(f));
        if (every(f->step, log_every) || f->step == c->steps) FLTX_TRY(report_training(f));
        if (every(f->step, eval_every) && f->step < c->steps) FLTX_TRY(report_splits(f));
        if (every(f->step, c->checkpoint_every)) FLTX_TRY(save(f));
    }
    FLTX_TRY(report_splits(f));
    return save(f);
}

static flt_err begin(fit *f) {
    FLTX_TRY(flt_inner_create(f->w, NULL, f->c->task, f->c->make, &f->inner));
    FLTX_TRY(flt_alloc(f->inner.params, sizeof *f->param, &f->param));
    FLTX_TRY(flt_alloc(f->inner.state, sizeof *f->state, &f->state));
    FLTX_TRY(flt_fingerprint_fit(f->c, f->w, &f->config));
    f->seed = flt_evaluation_seed(f->c->seed);
    f->saved = UINT64_MAX;
    f->sum[2] = NAN;
    f->sum[3] = INFINITY;
    flt_optimizer_horizon(f->inner.optimizer, f->c->steps);
    flt_inner_begin(&f->inner, f->seed, f->param, f->state);
    if (f->c->resume) FLTX_TRY(load(f));
    f->out->first = f->step;
    return flt_layout_copy(&f->inner.objective->layout, &f->out->layout);
}

static void summarise(fit *f) {
    flt_fit_report *r = f->out;
    const flt_objective *o = f->inner.objective;
    r->param = f->param;
    f->param = NULL;
    r->step = f->step;
    r->train_loss = f->sum[2];
    r->best_valid = f->sum[3];
    r->steps_per_s = r->seconds > 0 ? (double)(r->step - r->first) / r->seconds : NAN;
    r->lr = f->w->params != NULL && flt_params_has(f->w->params, "lr") ? flt_params_real(f->w->params, "lr") : NAN;
    r->baseline = o->baseline;
    snprintf(r->metric, sizeof r->metric, "%s", o->metric == NULL ? "" : o->metric);
    snprintf(r->baseline_name, sizeof r->baseline_name, "%s", o->baseline_name == NULL ? "" : o->baseline_name);
}

static void release(fit *f) {
    flt_inner_destroy(&f->inner);
    flt_free(f->param);
    flt_free(f->state);
    flt_free(f->config);
}

flt_err flt_fit(const flt_fit_config *c, const flt_weights *w, const flt_sink *sink, flt_fit_report *out) {
    FLTX_GIVEN(c, w, out);
    FLTX_GIVEN(c->task, c->make, w->kind);
    fit f = {.c = c, .w = w, .sink = sink, .out = out};
    *out = (flt_fit_report){.valid_loss = NAN, .valid_metric = NAN, .test_loss = NAN, .test_metric = NAN};
    if (c->steps == 0) return flt_fail(FLTE_RANGE, who, "0 steps were asked for; at least one is needed");
    if (c->resume && c->checkpoint == NULL) return flt_fail(FLTE_USAGE, who, "asked to resume without a checkpoint file");
    flt_num_init();
    flt_err err = begin(&f);
    if (err == FLTE_OK) {
        const unsigned saved = flt_num_ftz();
        err = loop(&f);
        flt_num_ftz_restore(saved);
        summarise(&f);
    }
    release(&f);
    return err;
}

void flt_fit_free(flt_fit_report *r) {
    if (r == NULL) return;
    flt_layout_free(&r->layout);
    flt_free(r->param);
    *r = (flt_fit_report){0};
}

static flt_err write_all(flt_tensor_writer *file, const flt_fit_config *c, const flt_weights *w, const flt_fit_report *r) {
    char number[32];
    FLTX_TRY(flt_tensor_writer_meta(file, "task", c->task));
    FLTX_TRY(flt_tensor_writer_meta(file, "trained_by", w->kind->kind.name));
    snprintf(number, sizeof number, "%" PRIu64, c->seed);
    FLTX_TRY(flt_tensor_writer_meta(file, "seed", number));
    snprintf(number, sizeof number, "%" PRIu64, r->step);
    FLTX_TRY(flt_tensor_writer_meta(file, "step", number));
    for (size_t i = 0; i < r->layout.n; i++) {
        const flt_tensor_spec *t = &r->layout.tensor[i];
        FLTX_TRY(flt_tensor_writer_real(file, t->name, t->rank, t->dim, r->param + t->offset));
    }
    return FLTE_OK;
}

flt_err flt_fit_save(const flt_fit_config *c, const flt_weights *w, const flt_fit_report *r, const char *path) {
    FLTX_GIVEN(c, w, r, path);
    FLTX_GIVEN(c->task, w->kind);
    flt_tensor_writer *file = NULL;
    FLTX_TRY(flt_tensor_writer_create(&file));
    flt_err err = write_all(file, c, w, r);
    if (err == FLTE_OK) err = flt_tensor_writer_save(file, path);
    flt_tensor_writer_destroy(file);
    return err;
}
