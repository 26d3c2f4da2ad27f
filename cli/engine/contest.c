// SPDX-License-Identifier: MIT
#include "engine/contest.h"

#include "engine/ranks.h"
#include "flt/memory.h"
#include "flt/tasks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct line { // of the table: one optimizer, tuned one way
    const flt_subject *subject;
    char label[56];
    flt_eval_result r;
    bool done, full;
} line;

typedef struct meet { // of the contest: one task
    const flt_contest *contest;
    const flt_contest_task *task;
    const flt_sink *sink;
    double from, part;
    line *line; // [subjects, 2], the second of the whole grid
    const line *baseline, *best;
} meet;

static bool is_hand(const flt_subject *s) {
    return !flt_subject_learned(s);
}

static size_t n_hand(const flt_contest *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->n_subjects; i++) n += is_hand(&c->subjects[i]);
    return n;
}

// One hand-designed optimizer tuned one way is the best of itself.
static bool has_best(const flt_contest *c) {
    return c->tune != FLTX_TUNE_NOTHING && n_hand(c) * (c->tune == FLTX_TUNE_FULL ? 2 : 1) > 1;
}

// The least of the seeds: others shared their core with something else.
static double seconds_of(const meet *x, const flt_eval_result *r) {
    double least = INFINITY;
    for (size_t k = 0; k < x->contest->seeds; k++) least = fmin(least, r->seed[k].seconds);
    return least;
}

// ---- rows of the store
typedef struct row {
    const char *label, *detail;
    const line *of;
    char options[512];
} row;

static flt_err record(const meet *x, const row *w, const flt_field *own, size_t n_own) {
    enum { SHARED = 12, OWN = 14 };
    const flt_contest *c = x->contest;
    const flt_subject *s = w->of->subject;
    const flt_eval_result *r = &w->of->r;
    const bool tuned = is_hand(s) && c->tune != FLTX_TUNE_NOTHING;
    flt_field fields[SHARED + OWN] = {flt_text_field("optimizer", w->label),
                                      flt_text_field("task", x->task->spec),
                                      flt_text_field("suite", x->task->suite[0] == '\0' ? NULL : x->task->suite),
                                      flt_text_field("weights", flt_subject_file(s, c->weights)),
                                      flt_text_field("options", w->options[0] == '\0' ? NULL : w->options),
                                      flt_text_field("detail", w->detail),
                                      flt_text_field("baseline", x->baseline->label),
                                      flt_num_field("tuned", tuned + (tuned && (w->of->full || w->detail != NULL))),
                                      flt_num_field("steps", (double)x->task->steps),
                                      flt_num_field("lr", r->lr),
                                      flt_num_field("ns_per_param", r->ns_per_step),
                                      flt_num_field("state_words", r->state_words)};
    for (size_t i = 0; i < n_own; i++) fields[SHARED + i] = own[i];
    // a number that is missing, unlike one that is not finite
    const size_t n = SHARED + n_own - (x->best == NULL ? 1 : 0);
    return flt_sink_record(x->sink, "evaluation", n, fields);
}

static flt_err record_mean(const meet *x, const row *w) {
    const flt_eval_result *r = &w->of->r, *b = &x->baseline->r;
    const size_t steps = x->task->steps;
    const double steps_to = flt_steps_to_loss(r->curve, steps, b->final_loss);
    const flt_field own[] = {
        flt_num_field("seeds", (double)x->contest->seeds),
        flt_num_field("final_loss", r->final_loss),
        flt_num_field("test_loss", r->test_loss),
        flt_num_field("test_metric", r->test_metric),
        flt_num_field("steps_to_baseline", steps_to),
        flt_num_field("seconds_to_baseline", seconds_of(x, r) * steps_to / (double)steps),
        flt_num_field("baseline_loss", b->final_loss),
        flt_num_field("loss_ratio", r->final_loss / b->final_loss),
        flt_num_field("seconds", r->seconds),
        flt_num_field("speedup", flt_speedup(b->curve, r->curve, steps)),
        flt_num_field("diverged", (double)r->diverged),
        flt_num_field("speedup_best", x->best == NULL ? NAN : flt_speedup(x->best->r.curve, r->curve, steps))};
    return record(x, w, own, sizeof own / sizeof *own);
}

// A seed is measured against the baseline on the same seed: the same initialisation, the same minibatches.
static flt_err record_seed(const meet *x, const row *w, size_t k) {
    const flt_eval_seed *s = &w->of->r.seed[k], *b = &x->baseline->r.seed[k];
    const size_t steps = x->task->steps;
    const double steps_to = flt_steps_to_loss(s->curve, steps, b->final_loss);
    const flt_field own[] = {
        flt_num_field("seed", flt_eval_seed_number(s->seed)),
        flt_num_field("seeds", 1),
        flt_num_field("final_loss", s->final_loss),
        flt_num_field("best_loss", s->best_loss),
        flt_num_field("test_loss", s->test_loss),
        flt_num_field("test_metric", s->test_metric),
        flt_num_field("steps_to_baseline", steps_to),
        flt_num_field("seconds_to_baseline", s->seconds * steps_to / (double)steps),
        flt_num_field("baseline_loss", b->final_loss),
        flt_num_field("loss_ratio", s->final_loss / b->final_loss),
        flt_num_field("seconds", s->seconds),
        flt_num_field("speedup", flt_speedup(b->curve, s->curve, steps)),
        flt_num_field("diverged", flt_diverged(s->curve, steps)),
        flt_num_field("speedup_best", x->best == NULL ? NAN : flt_speedup(x->best->r.seed[k].curve, s->curve, steps))};
    return record(x, w, own, sizeof own / sizeof *own);
}

// One row of the means and one of each seed.
static flt_err record_line(const meet *x, const line *of, const char *label, const char *detail) {
    row w = {.label = label, .detail = detail, .of = of};
    flt_subject_options(of->subject, x->contest->common, of->r.settings, sizeof w.options, w.options);
    FLTX_TRY(record_mean(x, &w));
    for (size_t k = 0; k < x->contest->seeds; k++) FLTX_TRY(record_seed(x, &w, k));
    return x->contest->store == NULL ? FLTE_OK : flt_store_flush(x->contest->store);
}

static flt_err record_hand(const meet *x) {
    for (size_t i = 0; i < 2 * x->contest->n_subjects; i++)
        if (x->line[i].done) FLTX_TRY(record_line(x, &x->line[i], x->line[i].label, NULL));
    return x->best == NULL ? FLTE_OK : record_line(x, x->best, "best-baseline", x->best->label);
}

// ---- the table
static const char *const columns[] = {"task",         "optimizer",         "lr",      "final_loss",          "loss_ratio",
                                      "test_metric",  "steps_to_baseline", "speedup", "seconds_to_baseline", "diverged",
                                      "ns_per_param", "bytes_per_param"};
enum { ALWAYS = sizeof columns / sizeof *columns, MOST = ALWAYS + 2 };

flt_err flt_contest_table(const flt_contest *c, flt_table **out) {
    const char *names[MOST];
    size_t n = ALWAYS;
    memcpy(names, columns, sizeof columns);
    if (has_best(c)) names[n++] = "vs_best";
    if (has_best(c)) names[n++] = "settings";
    return flt_table_create(n, names, out);
}

// "inf" would be misread as a count: an optimizer that never got there says so.
static const char *steps_text(double steps) {
    return isfinite(steps) ? flt_number(ceil(steps)) : "never";
}

static const char *known(double x) {
    return isnan(x) ? NULL : flt_number(x);
}

static const char *two_digits(char *out, size_t size, double x) {
    snprintf(out, size, "%.2f", x);
    return isnan(x) ? NULL : out;
}

static flt_err add_line(const meet *x, const line *of, const char *label, const char *who, flt_table *t) {
    const flt_eval_result *r = &of->r, *b = &x->baseline->r;
    const size_t steps = x->task->steps;
    const double steps_to = flt_steps_to_loss(r->curve, steps, b->final_loss);
    const double seconds = seconds_of(x, r) * steps_to / (double)steps;
    char speed[32], best[32], settings[256];
    snprintf(settings, sizeof settings, "%s%s%s", who, who[0] == '\0' || r->settings[0] == '\0' ? "" : " ", r->settings);
    const char *cells[MOST] = {x->task->spec,
                               label,
                               known(r->lr),
                               flt_number(r->final_loss),
                               known(r->final_loss / b->final_loss),
                               known(r->test_metric),
                               steps_text(steps_to),
                               two_digits(speed, sizeof speed, flt_speedup(b->curve, r->curve, steps)),
                               isfinite(seconds) ? flt_number(seconds) : NULL,
                               flt_number((double)r->diverged),
                               flt_number(r->ns_per_step),
                               flt_number(r->state_words * (double)sizeof(flt_real)),
                               x->best == NULL ? NULL
                                               : two_digits(best, sizeof best, flt_speedup(x->best->r.curve, r->curve, steps)),
                               settings};
    return flt_table_row(t, cells);
}

static flt_err add_lines(const meet *x, flt_table *t) {
    for (size_t i = 0; i < 2 * x->contest->n_subjects; i++)
        if (x->line[i].done) FLTX_TRY(add_line(x, &x->line[i], x->line[i].label, "", t));
    return x->best == NULL ? FLTE_OK : add_line(x, x->best, "best-baseline", x->best->label, t);
}

// ---- runs
typedef struct share { // a sink that sees its part of the progress
    const flt_sink *to;
    double from, part;
} share;

static flt_err on_metric(void *self, const char *name, uint64_t step, double value) {
    return flt_sink_metric(((share *)self)->to, name, step, value);
}

static flt_err on_record(void *self, const char *kind, size_t n, const flt_field *fields) {
    return flt_sink_record(((share *)self)->to, kind, n, fields);
}

static void on_progress(void *self, double done, const char *status) {
    const share *s = self;
    flt_sink_progress(s->to, s->from + s->part * done, status);
}

static bool on_stopped(void *self) {
    return flt_sink_stopped(((share *)self)->to);
}

static double settings_of(const flt_contest *c, const flt_subject *s) {
    return flt_subject_learned(s) ? 4 : c->tune == FLTX_TUNE_FULL ? 150 : c->tune == FLTX_TUNE_LR ? 15 : 1;
}

double flt_contest_cost(const flt_contest *c, const flt_contest_task *task, size_t params) {
    double settings = 0;
    for (size_t i = 0; i < c->n_subjects; i++) settings += settings_of(c, &c->subjects[i]);
    return settings * (double)c->seeds * (double)task->steps * (1000 + (double)params);
}

static flt_err run(const meet *x, size_t i, share *part) {
    const flt_contest *c = x->contest;
    const flt_subject *s = &c->subjects[i];
    const flt_sink sink = {part, on_metric, on_record, on_progress, on_stopped};
    const flt_eval_config config = {.label = s->label,
                                    .task = x->task->spec,
                                    .task_label = x->task->name,
                                    .make = flt_task_create,
                                    .steps = x->task->steps,
                                    .seeds = c->seeds,
                                    .first_seed = c->common->seed,
                                    .tune = c->tune,
                                    .ema = 0.95,
                                    .threads = c->common->threads,
                                    .ranks = flt_program_ranks()};
    line *plain = &x->line[2 * i], *full = plain + 1;
    flt_weights w;
    *plain = (line){.subject = s};
    *full = (line){.subject = s, .full = true};
    snprintf(plain->label, sizeof plain->label, "%s", s->label);
    snprintf(full->label, sizeof full->label, "%s-full", s->label);
    FLTX_TRY(flt_subject_load(s, c->common, c->weights, &w));
    const flt_err err = flt_eval_optimizer(&config, &w, &sink, &plain->r, &full->r);
    flt_weights_free(&w);
    plain->done = err == FLTE_OK;
    full->done = err == FLTE_OK && full->r.tried > 0;
    return err;
}

static const line *find_best(const meet *x) {
    const line *best = NULL;
    for (size_t i = 0; i < 2 * x->contest->n_subjects; i++) {
        const line *of = &x->line[i];
        if (!of->done || !is_hand(of->subject)) continue;
        if (best == NULL || of->r.final_loss < best->r.final_loss || isnan(best->r.final_loss)) best = of;
    }
    return best;
}

// The baseline, then hand-designed ones, then learned ones. `stage` 0, 1, 2.
static bool is_next(const flt_contest *c, size_t i, int stage) {
    if (i == c->baseline) return stage == 0;
    return stage == (is_hand(&c->subjects[i]) ? 1 : 2);
}

static flt_err run_stage(const meet *x, int stage, share *part) {
    const flt_contest *c = x->contest;
    double all = 0;
    for (size_t i = 0; i < c->n_subjects; i++) all += settings_of(c, &c->subjects[i]);
    for (size_t i = 0; i < c->n_subjects; i++) {
        if (!is_next(c, i, stage)) continue;
        part->part = x->part * settings_of(c, &c->subjects[i]) / all;
        FLTX_TRY(run(x, i, part));
        part->from += part->part;
        if (stage == 2) FLTX_TRY(record_line(x, &x->line[2 * i], x->line[2 * i].label, NULL));
    }
    return FLTE_OK;
}

static flt_err run_all(meet *x) {
    const flt_contest *c = x->contest;
    share part = {.to = x->sink, .from = x->from};
    FLTX_TRY(run_stage(x, 0, &part));
    x->baseline = &x->line[2 * c->baseline];
    const flt_err err = run_stage(x, 1, &part);
    if (err == FLTE_OK && has_best(c)) x->best = find_best(x);
    const flt_err recorded = record_hand(x);
    if (err != FLTE_OK || recorded != FLTE_OK) return err != FLTE_OK ? err : recorded;
    return run_stage(x, 2, &part);
}

flt_err flt_contest_run(const flt_contest *c, const flt_contest_task *task, const flt_sink *sink, double from, double part,
                        flt_table *t) {
    meet x = {.contest = c, .task = task, .sink = sink, .from = from, .part = part};
    FLTX_TRY(flt_alloc(2 * c->n_subjects, sizeof *x.line, &x.line));
    flt_err err = run_all(&x);
    if (x.baseline != NULL) {
        const flt_err added = add_lines(&x, t);
        if (err == FLTE_OK) err = added;
    }
    for (size_t i = 0; i < 2 * c->n_subjects; i++) flt_eval_free(&x.line[i].r);
    flt_free(x.line);
    return err;
}
