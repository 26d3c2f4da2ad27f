// SPDX-License-Identifier: MIT
// flt eval: optimizers side by side on tasks, the hand-designed ones at their best learning rate.
#include "engine/args.h"
#include "engine/ranks.h"
#include "engine/session.h"
#include "engine/table.h"
#include "engine/verb.h"
#include "flt/evaluate.h"
#include "flt/memory.h"
#include "flt/tasks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_OPTIMIZERS = FLTX_KEY_VERB, KEY_WEIGHTS, KEY_TASKS, KEY_STEPS, KEY_SEEDS, KEY_TUNE, KEY_BASELINE };

typedef struct input {
    flt_common common;
    const char *optimizers[FLTX_MAX_LIST], *tasks[FLTX_MAX_LIST];
    size_t n_optimizers, n_tasks, steps, seeds;
    const char *weights, *baseline;
    bool tune;
} input;

static const struct argp_option options[] = {
    {"optimizers", KEY_OPTIMIZERS, "NAME,..", 0, "who is compared (default flt,adam)", 1},
    {"weights", KEY_WEIGHTS, "FILE", 0, "weights of the learned optimizer", 1},
    {"tasks", KEY_TASKS, "SPEC,..", 0, "task specs (default digits_mlp)", 1},
    {"steps", KEY_STEPS, "N", 0, "inner steps of each run (default 500)", 2},
    {"seeds", KEY_SEEDS, "K", 0, "runs per optimizer (default 5), on seeds that meta-training never uses", 2},
    {"tune", KEY_TUNE, "lr", 0, "tune the learning rate of hand-designed optimizers over 15 rates, 1e-7 to 1 in half decades", 2},
    {"baseline", KEY_BASELINE, "NAME", 0, "whose final loss the others are timed to (default adam where compared, else the last)",
     2},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->common;
        return 0;
    case KEY_OPTIMIZERS:
        in->n_optimizers = flt_arg_list(state, "optimizers", arg, in->optimizers);
        return 0;
    case KEY_WEIGHTS:
        in->weights = arg;
        return 0;
    case KEY_TASKS:
        in->n_tasks = flt_arg_list(state, "tasks", arg, in->tasks);
        return 0;
    case KEY_STEPS:
        in->steps = (size_t)flt_arg_int(state, "steps", arg, 1, 100000000);
        return 0;
    case KEY_SEEDS:
        in->seeds = (size_t)flt_arg_int(state, "seeds", arg, 1, 10000);
        return 0;
    case KEY_BASELINE:
        in->baseline = arg;
        return 0;
    case KEY_TUNE:
        if (strcmp(arg, "lr") != 0) argp_error(state, "--tune: '%s'; allowed: lr", arg);
        in->tune = true;
        return 0;
    case ARGP_KEY_ARG:
        if (flt_common_take(&in->common, arg)) return 0;
        argp_error(state, "'%s' is not an option", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// --set applies to the optimizers that know the parameter; a name that none knows is an error.
static flt_err apply_settings(const input *in, const flt_optimizer_kind *kind, flt_params *p) {
    for (size_t i = 0; i < in->common.n_set; i++) {
        const flt_param_spec *s = flt_setting_of(kind->kind.params, in->common.set[i]);
        if (s != NULL) FLTX_TRY(flt_params_set(p, s->name, strchr(in->common.set[i], '=') + 1));
    }
    return FLTE_OK;
}

static flt_err check_settings(const input *in) {
    for (size_t i = 0; i < in->common.n_set; i++) {
        const char *setting = in->common.set[i];
        bool known = false;
        for (size_t k = 0; k < in->n_optimizers; k++) {
            const flt_optimizer_kind *kind = NULL;
            FLTX_TRY(flt_optimizer_find(in->optimizers[k], &kind));
            known = known || flt_setting_of(kind->kind.params, setting) != NULL;
        }
        if (!known)
            return flt_fail(FLTE_NAME, "--set", "no compared optimizer has the parameter '%.*s'", (int)strcspn(setting, "="),
                            setting);
    }
    return FLTE_OK;
}

static flt_err load(const input *in, const char *name, flt_weights *w) {
    const flt_optimizer_kind *kind = NULL;
    flt_params *params = NULL;
    char who[128];
    *w = (flt_weights){0};
    FLTX_TRY(flt_optimizer_find(name, &kind));
    snprintf(who, sizeof who, "optimizer %s", name);
    FLTX_TRY(flt_params_create(who, kind->kind.params, &params));
    flt_err err = apply_settings(in, kind, params);
    const bool learned = (kind->kind.caps & FLTX_OPT_LEARNED) != 0;
    if (err == FLTE_OK) err = flt_weights_load(kind, params, learned ? in->weights : NULL, in->common.seed, w);
    flt_params_destroy(params);
    return err;
}

static size_t baseline_of(const input *in) {
    for (size_t i = 0; i < in->n_optimizers; i++)
        if (strcmp(in->optimizers[i], in->baseline == NULL ? "adam" : in->baseline) == 0) return i;
    return in->n_optimizers - 1;
}

// What a row says of its optimizer and setting, beside its numbers.
typedef struct subject {
    const char *task, *optimizer, *weights, *baseline;
    char options[512];
} subject;

static flt_err describe(const input *in, const char *task, size_t i, subject *out) {
    const flt_optimizer_kind *kind = NULL;
    *out = (subject){.task = task, .optimizer = in->optimizers[i], .baseline = in->optimizers[baseline_of(in)]};
    FLTX_TRY(flt_optimizer_find(in->optimizers[i], &kind));
    if ((kind->kind.caps & FLTX_OPT_LEARNED) != 0) out->weights = in->weights;
    size_t used = 0;
    for (size_t k = 0; k < in->common.n_set && used < sizeof out->options; k++)
        if (flt_setting_of(kind->kind.params, in->common.set[k]) != NULL)
            used += (size_t)snprintf(out->options + used, sizeof out->options - used, "%s%s", used == 0 ? "" : ",",
                                     in->common.set[k]);
    return FLTE_OK;
}

static flt_err record(const input *in, const subject *of, const flt_field *own, size_t n_own, const flt_eval_result *r,
                      const flt_sink *sink) {
    enum { SHARED = 10 };
    flt_field fields[SHARED + 10] = {
        flt_text_field("optimizer", of->optimizer),    flt_text_field("task", of->task),
        flt_text_field("weights", of->weights),        flt_text_field("options", of->options[0] == '\0' ? NULL : of->options),
        flt_text_field("baseline", of->baseline),      flt_num_field("tuned", in->tune),
        flt_num_field("steps", (double)in->steps),     flt_num_field("lr", r->lr),
        flt_num_field("ns_per_param", r->ns_per_step), flt_num_field("state_words", r->state_words)};
    for (size_t i = 0; i < n_own; i++) fields[SHARED + i] = own[i];
    return flt_sink_record(sink, "evaluation", SHARED + n_own, fields);
}

static flt_err record_mean(const input *in, const subject *of, const flt_eval_result *r, double steps_to, double target,
                           const flt_sink *sink) {
    const flt_field own[] = {flt_num_field("seeds", (double)in->seeds),
                             flt_num_field("final_loss", r->final_loss),
                             flt_num_field("test_loss", r->test_loss),
                             flt_num_field("test_metric", r->test_metric),
                             flt_num_field("steps_to_baseline", steps_to),
                             flt_num_field("baseline_loss", target),
                             flt_num_field("loss_ratio", r->final_loss / target),
                             flt_num_field("seconds", r->seconds)};
    return record(in, of, own, sizeof own / sizeof *own, r, sink);
}

// A seed is measured against the baseline on the same seed: the same initialisation, the same minibatches.
static flt_err record_seed(const input *in, const subject *of, const flt_eval_result *r, const flt_eval_seed *x, double target,
                           const flt_sink *sink) {
    const flt_field own[] = {flt_num_field("seed", flt_eval_seed_number(x->seed)),
                             flt_num_field("seeds", 1),
                             flt_num_field("final_loss", x->final_loss),
                             flt_num_field("best_loss", x->best_loss),
                             flt_num_field("test_loss", x->test_loss),
                             flt_num_field("test_metric", x->test_metric),
                             flt_num_field("steps_to_baseline", flt_steps_to_loss(x->curve, in->steps, target)),
                             flt_num_field("baseline_loss", target),
                             flt_num_field("loss_ratio", x->final_loss / target),
                             flt_num_field("seconds", x->seconds)};
    return record(in, of, own, sizeof own / sizeof *own, r, sink);
}

// One row of the means and one of each seed.
static flt_err record_all(const input *in, const char *task, size_t i, const flt_eval_result *r, const flt_sink *sink) {
    subject of;
    const size_t b = baseline_of(in);
    FLTX_TRY(describe(in, task, i, &of));
    const double steps_to = flt_steps_to_loss(r[i].curve, in->steps, r[b].final_loss);
    FLTX_TRY(record_mean(in, &of, &r[i], steps_to, r[b].final_loss, sink));
    for (size_t s = 0; s < in->seeds; s++) FLTX_TRY(record_seed(in, &of, &r[i], &r[i].seed[s], r[b].seed[s].final_loss, sink));
    return FLTE_OK;
}

// "inf" would be misread as a count: an optimizer that never got there says so.
static const char *steps_text(double steps) {
    return isfinite(steps) ? flt_number(ceil(steps)) : "never";
}

static flt_err add_rows(const input *in, const char *task, const flt_eval_result *r, const flt_sink *sink, flt_table *t) {
    const size_t b = baseline_of(in);
    const double own = flt_steps_to_loss(r[b].curve, in->steps, r[b].final_loss);
    for (size_t i = 0; i < in->n_optimizers; i++) {
        const double steps = flt_steps_to_loss(r[i].curve, in->steps, r[b].final_loss);
        char speed[32];
        snprintf(speed, sizeof speed, "%.2f", own / steps);
        const char *cells[] = {task,
                               in->optimizers[i],
                               isnan(r[i].lr) ? NULL : flt_number(r[i].lr),
                               flt_number(r[i].final_loss),
                               isnan(r[i].test_metric) ? NULL : flt_number(r[i].test_metric),
                               steps_text(steps),
                               speed,
                               flt_number(r[i].ns_per_step),
                               flt_number(r[i].state_words)};
        FLTX_TRY(record_all(in, task, i, r, sink));
        FLTX_TRY(flt_table_row(t, cells));
    }
    return FLTE_OK;
}

static flt_err eval_task(const input *in, const char *task, const flt_sink *sink, flt_table *t) {
    flt_eval_result *results = NULL;
    const flt_eval_config c = {.task = task,
                               .make = flt_task_create,
                               .steps = in->steps,
                               .seeds = in->seeds,
                               .first_seed = in->common.seed,
                               .tune_lr = in->tune,
                               .ema = 0.95,
                               .threads = in->common.threads,
                               .ranks = flt_program_ranks()};
    FLTX_TRY(flt_alloc(in->n_optimizers, sizeof *results, &results));
    flt_err err = FLTE_OK;
    for (size_t i = 0; i < in->n_optimizers && err == FLTE_OK; i++) {
        flt_weights w;
        err = load(in, in->optimizers[i], &w);
        if (err == FLTE_OK) err = flt_eval_optimizer(&c, &w, sink, &results[i]);
        flt_weights_free(&w);
    }
    if (err == FLTE_OK) err = add_rows(in, task, results, sink, t);
    for (size_t i = 0; i < in->n_optimizers; i++) flt_eval_free(&results[i]);
    flt_free(results);
    return err;
}

static flt_err check_names(const input *in) {
    for (size_t i = 0; i < in->n_tasks; i++) {
        flt_objective *o = NULL;
        FLTX_TRY(flt_task_create(in->tasks[i], &o));
        flt_objective_destroy(o);
    }
    for (size_t i = 0; i < in->n_optimizers; i++) {
        flt_weights w;
        FLTX_TRY(load(in, in->optimizers[i], &w));
        flt_weights_free(&w);
    }
    bool learned = false;
    for (size_t i = 0; i < in->n_optimizers; i++) {
        const flt_optimizer_kind *kind = NULL;
        FLTX_TRY(flt_optimizer_find(in->optimizers[i], &kind));
        learned = learned || (kind->kind.caps & FLTX_OPT_LEARNED) != 0;
    }
    if (in->weights != NULL && !learned)
        return flt_fail(FLTE_USAGE, "--weights", "'%s': none of the compared optimizers is learned", in->weights);
    if (in->baseline != NULL && strcmp(in->optimizers[baseline_of(in)], in->baseline) != 0)
        return flt_fail(FLTE_NAME, "--baseline", "'%s' is not among the compared optimizers", in->baseline);
    return check_settings(in);
}

static flt_err eval(const input *in, flt_session **s) {
    static const char *const names[] = {"task",       "optimizer",    "lr",
                                        "final_loss", "test_metric",  "steps_to_baseline",
                                        "speedup",    "ns_per_param", "words_per_param"};
    flt_table *t = NULL;
    FLTX_TRY(check_names(in));
    FLTX_TRY(flt_session_begin("eval", &in->common, s));
    flt_session_param(*s, "steps", "%zu", in->steps);
    flt_session_param(*s, "seeds", "%zu", in->seeds);
    flt_session_param(*s, "tune", "%s", in->tune ? "lr" : "none");
    if (in->weights != NULL) flt_session_param(*s, "weights", "%s", in->weights);
    flt_err err = flt_table_create(sizeof names / sizeof *names, names, &t);
    for (size_t i = 0; i < in->n_tasks && err == FLTE_OK; i++) err = eval_task(in, in->tasks[i], flt_session_sink(*s), t);
    if (err == FLTE_OK) err = flt_table_print(t, in->common.json ? FLTX_TABLE_JSON : FLTX_TABLE_AUTO, stdout);
    flt_table_destroy(t);
    return err;
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "",
        "Trains each task with each optimizer and compares: final loss (mean over seeds, smoothed), accuracy on the test split, "
        "steps to the "
        "baseline's final loss, cost and memory per parameter.\v"
        "All optimizers see the same initialisations and the same minibatches. Curves go to the results store.\n\n"
        "example: flt eval --optimizers flt,adam --weights w.safetensors --tasks digits_mlp --steps 500 --seeds 5 --tune lr",
        children,
        NULL,
        NULL};
    input in = {.common = flt_common_defaults(),
                .optimizers = {"flt", "adam"},
                .tasks = {"digits_mlp"},
                .n_optimizers = 2,
                .n_tasks = 1,
                .steps = 500,
                .seeds = 5};
    flt_session *s = NULL;
    flt_parse(&argp, argc, argv, &in);
    const flt_err err = eval(&in, &s);
    return flt_session_end(s, "eval", err);
}

const flt_verb_kind flt_verb_kind_eval = {
    .kind = {.name = "eval", .summary = "compare optimizers on tasks, learning rates tuned"}, .run = run, .ranks = true};
