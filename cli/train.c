// SPDX-License-Identifier: MIT
// flt train: meta-trains a learned optimizer and writes its weights.
#include "engine/args.h"
#include "engine/estimators.h"
#include "engine/meta_options.h"
#include "engine/ranks.h"
#include "engine/session.h"
#include "engine/shipped.h"
#include "engine/verb.h"
#include "flt/memory.h"
#include "flt/meta.h"
#include "flt/random.h"
#include "flt/tasks.h"
#include "flt/tensorfile.h"

#include <stdio.h>
#include <string.h>

enum { KEY_OPTIMIZER = FLTX_KEY_VERB, KEY_TASKS, KEY_DRAWS, KEY_CHECKPOINT, KEY_EVERY, KEY_RESUME, KEY_WEIGHTS, KEY_OUT };

typedef struct input {
    flt_common common;
    const char *optimizer, *weights, *out;
    const char *tasks[FLTX_MAX_LIST];
    char (*drawn)[FLTX_TASK_SPEC_SIZE]; // [particles]: one task each, where --tasks names distributions
    const char **drawn_list;            // [particles]: pointers into it
    flt_meta_config config;
    flt_estimator_options report;
} input;

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "What is trained, and on what:", 1},
    {"optimizer", KEY_OPTIMIZER, "NAME", 0, "the learned optimizer (default flt)", 1},
    {"tasks", KEY_TASKS, "SPEC,..", 0,
     "task specs, distributions of them (digits_mlp:width=8..128,activation=relu|gelu) and sets by name (@train; see `flt list "
     "sets`); default digits_mlp",
     1},
    {"task-draws", KEY_DRAWS, "N", 0,
     "draw N tasks of each distribution, and take one of them each episode (default: each particle draws one and keeps it)", 1},
    {NULL, 0, NULL, 0, "Files:", 5},
    {"weights", KEY_WEIGHTS, "FILE", 0,
     "start from these weights, `shipped` for those of flt (default: the optimizer's own initialisation)", 5},
    {"out", KEY_OUT, "FILE", 0, "where the trained weights go", 5},
    {"checkpoint", KEY_CHECKPOINT, "FILE", 0, "complete state, replaced atomically", 5},
    {"checkpoint-every", KEY_EVERY, "N", 0, "meta-updates between checkpoints (default 50)", 5},
    {"resume", KEY_RESUME, NULL, 0, "go on from --checkpoint: ends in the same bits as a run that was never stopped", 5},
    {0},
};

static error_t parse_files(int key, char *arg, struct argp_state *state, input *in) {
    switch (key) {
    case KEY_CHECKPOINT:
        in->config.checkpoint = flt_arg_file(state, "checkpoint", arg);
        return 0;
    case KEY_EVERY:
        in->config.checkpoint_every = (uint64_t)flt_arg_int(state, "checkpoint-every", arg, 1, 1000000000);
        return 0;
    case KEY_RESUME:
        in->config.resume = true;
        return 0;
    case KEY_WEIGHTS:
        in->weights = flt_shipped_weights(flt_arg_file(state, "weights", arg));
        return 0;
    case KEY_OUT:
        in->out = flt_arg_file(state, "out", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// --weights may be --out: they are read before.
static void check_files(const struct argp_state *state, const input *in) {
    const flt_arg_path files[] = {{"checkpoint", in->config.checkpoint}, {"out", in->out}};
    const flt_arg_path more[] = {{"checkpoint", in->config.checkpoint}, {"weights", in->weights}};
    flt_arg_distinct(state, &in->common, 2, files);
    flt_arg_distinct(state, &in->common, 2, more);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->config;
        state->child_inputs[1] = &in->report;
        state->child_inputs[2] = &in->common;
        return 0;
    case KEY_OPTIMIZER:
        in->optimizer = arg;
        return 0;
    case KEY_TASKS:
        in->config.n_tasks = flt_arg_list(state, "tasks", arg, in->tasks);
        return 0;
    case KEY_DRAWS:
        in->config.draws = (size_t)flt_arg_int(state, "task-draws", arg, 1, 100000);
        return 0;
    case ARGP_KEY_ARG:
        if (flt_common_take(&in->common, arg)) return 0;
        argp_error(state, "'%s' is not an option", arg);
        return 0;
    case ARGP_KEY_END:
        flt_arg_checkpoint(state, in->config.checkpoint, in->config.resume, 50, &in->config.checkpoint_every);
        if (in->report.shaped && !in->report.asked)
            argp_error(state, "--report-steps, --report-windows, --report-particles and --repetitions need --estimator-report");
        if (in->out == NULL && !in->report.asked) argp_error(state, "--out FILE is needed: the trained weights go there");
        check_files(state, in);
        return 0;
    default:
        return parse_files(key, arg, state, in);
    }
}

static flt_err load(const input *in, flt_weights *w) {
    const flt_optimizer_kind *kind = NULL;
    flt_params *params = NULL;
    char who[128];
    FLTX_TRY(flt_optimizer_find(in->optimizer, &kind));
    if ((kind->kind.caps & FLTX_OPT_LEARNED) == 0)
        return flt_fail(FLTE_UNSUPPORTED, "train", "%s has nothing to meta-train; `flt list optimizers` shows which are learned",
                        in->optimizer);
    snprintf(who, sizeof who, "optimizer %s", in->optimizer);
    FLTX_TRY(flt_params_create(who, kind->kind.params, &params));
    flt_err err = flt_common_apply(&in->common, params);
    if (err == FLTE_OK) err = flt_weights_load(kind, params, in->weights, in->common.seed, w);
    flt_params_destroy(params);
    return err;
}

static void describe(const input *in, const flt_weights *w, flt_session *s) {
    const flt_meta_config *c = &in->config;
    flt_session_param(s, "optimizer", "%s", in->optimizer);
    for (size_t i = 0; i < c->n_tasks; i++) {
        char name[32];
        snprintf(name, sizeof name, "task.%zu", i);
        flt_session_param(s, name, "%s", c->tasks[i]);
    }
    flt_session_param(s, "task_draws", "%zu", c->draws);
    flt_meta_describe(c, s);
    flt_session_param(s, "meta_parameters", "%zu", w->layout.total);
    for (const flt_param_spec *p = w->kind->kind.params; p != NULL && p->name != NULL; p++) {
        char name[96];
        if (!flt_params_has(w->params, p->name)) continue;
        snprintf(name, sizeof name, "%s.%s", in->optimizer, p->name);
        flt_session_param(s, name, "%s", flt_params_text(w->params, p->name));
    }
}

static flt_err save(void *weights, const char *path) {
    return flt_weights_save(weights, path);
}

static flt_err finish(const input *in, flt_weights *w, flt_session *s, flt_err trained) {
    const bool begun = trained == FLTE_OK || trained == FLTE_INTERRUPTED || trained == FLTE_DB || trained == FLTE_IO;
    if (!begun || !flt_program_first()) return trained;
    FLTX_TRY(flt_session_keep(trained, "weights", in->out, save, w));
    return flt_store_artifact(flt_session_store(s), "weights", in->out);
}

static flt_err add_task(input *in, size_t *n, const char *spec) {
    if (*n == FLTX_MAX_LIST)
        return flt_fail(FLTE_RANGE, "--tasks", "more than %d tasks with those of the sets; at most so many are allowed",
                        FLTX_MAX_LIST);
    in->tasks[(*n)++] = spec;
    return FLTE_OK;
}

// Puts a set's tasks in its place.
static flt_err expand_sets(input *in) {
    const char *named[FLTX_MAX_LIST];
    const size_t n_named = in->config.n_tasks;
    size_t n = 0;
    memcpy(named, in->tasks, sizeof named);
    for (size_t i = 0; i < n_named; i++) {
        const flt_task_set *set = NULL;
        if (named[i][0] != '@') {
            FLTX_TRY(add_task(in, &n, named[i]));
            continue;
        }
        FLTX_TRY(flt_task_set_find(named[i] + 1, &set));
        for (const flt_task_of_set *t = set->tasks; t->spec != NULL; t++) FLTX_TRY(add_task(in, &n, t->spec));
    }
    in->config.n_tasks = n;
    return FLTE_OK;
}

static bool is_distribution(const char *spec) {
    return strstr(spec, "..") != NULL || strpbrk(spec, "|;*") != NULL;
}

// Without --task-draws: particle i runs --tasks[i mod n], or, where one of them is a distribution, a task that it draws once for
// the whole training.
static flt_err choose_tasks(input *in) {
    flt_meta_config *c = &in->config;
    bool any = false;
    FLTX_TRY(expand_sets(in));
    c->tasks = in->tasks;
    c->sample = flt_task_sample;
    if (c->draws > 0) return FLTE_OK;
    for (size_t i = 0; i < c->n_tasks; i++) any = any || is_distribution(in->tasks[i]);
    if (!any) return FLTE_OK;
    FLTX_TRY(flt_alloc(c->particles, sizeof *in->drawn, &in->drawn));
    FLTX_TRY(flt_alloc(c->particles, sizeof *in->drawn_list, &in->drawn_list));
    for (size_t i = 0; i < c->particles; i++) {
        const uint64_t seed = flt_rng_bits(flt_rng_make(in->common.seed, "task of a particle", 0), i);
        FLTX_TRY(flt_task_sample(in->tasks[i % c->n_tasks], seed, in->drawn[i]));
        in->drawn_list[i] = in->drawn[i];
    }
    c->tasks = in->drawn_list;
    c->n_tasks = c->particles;
    return FLTE_OK;
}

static void prepare(input *in) {
    in->config.make = flt_task_create;
    in->config.seed = in->common.seed;
    in->config.threads = in->common.threads;
    in->config.ranks = flt_program_ranks();
}

// In place of training. Where tasks are drawn for particles, the fewest particles have one each.
static flt_err compare(input *in, flt_session **s) {
    flt_weights w = {0};
    const flt_estimator_options *o = &in->report;
    in->config.particles = o->particles[0];
    for (size_t i = 0; i < o->n_particles; i++)
        if (o->particles[i] < in->config.particles) in->config.particles = o->particles[i];
    FLTX_TRY(choose_tasks(in));
    FLTX_TRY(load(in, &w));
    prepare(in);
    flt_err err = flt_session_begin("estimators", &in->common, s);
    if (err == FLTE_OK) {
        describe(in, &w, *s);
        err = flt_estimator_report(o, &in->config, &w, in->common.json, *s);
    }
    flt_weights_free(&w);
    return err;
}

// The rate is that of the steps of this call, whatever a checkpoint had before.
static void tell(const input *in, const flt_session *s, const flt_meta_report *r) {
    const double now = (double)(r->inner_steps - r->inner_before);
    char before[64] = "";
    if (r->inner_before > 0) snprintf(before, sizeof before, ", %.3g of them before this call,", (double)r->inner_before);
    fprintf(stderr,
            "flt train: %llu meta-updates, %.3g inner steps%s in %.1f s (%.0f per second), %llu losses clipped; run %lld -> %s\n",
            (unsigned long long)r->outer_steps, (double)r->inner_steps, before, r->seconds,
            r->seconds > 0.0 ? now / r->seconds : 0.0, (unsigned long long)r->clipped, flt_session_run(s), in->out);
}

static flt_err train(input *in, flt_session **s) {
    flt_weights w = {0};
    flt_meta_report report = {0};
    FLTX_TRY(choose_tasks(in));
    if (flt_program_first()) FLTX_TRY(flt_write_possible(in->out));
    if (flt_program_first() && in->config.checkpoint != NULL) FLTX_TRY(flt_write_possible(in->config.checkpoint));
    FLTX_TRY(load(in, &w));
    prepare(in);
    flt_err err = flt_session_begin("train", &in->common, s);
    if (err == FLTE_OK) {
        describe(in, &w, *s);
        err = flt_meta_train(&in->config, &w, flt_session_sink(*s), &report);
        if (err != FLTE_IO || report.outer_steps > 0) err = finish(in, &w, *s, err);
    }
    if (err == FLTE_OK && !in->common.quiet && flt_program_first()) tell(in, *s, &report);
    flt_weights_free(&w);
    return err;
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&flt_meta_argp, 0, NULL, 2}, {&flt_estimator_argp, 0, NULL, 8}, {&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "--out W.safetensors",
        "Meta-trains a learned optimizer: by evolution strategies on antithetic pairs of inner problems, or back through the "
        "updates.\v"
        "Particles take the tasks in turn (as many particles as tasks are needed); where one is a distribution, each particle "
        "draws its own, or with --task-draws each "
        "episode. Two phases: --freeze what is to wait, then --weights with the first phase's result and --freeze the rest. "
        "Metrics of every meta-update go to the results store; the numbers are the same for any number of threads, and of "
        "processes under mpirun.\n\n"
        "examples:\n"
        "  flt train --tasks quadratic --checkpoint run.ckpt --out w.safetensors\n"
        "  flt train --tasks quadratic --checkpoint run.ckpt --out w.safetensors \\\n"
        "    --resume      # after Ctrl-C, a kill or a crash\n"
        "  mpirun -n 4 flt train --tasks quadratic --out w.safetensors\n"
        "  flt train --estimator-report --weights w.safetensors --tasks quadratic\n"
        "    # bias and variance of every estimator",
        children,
        NULL,
        NULL};
    input in = {.common = flt_common_defaults(), .optimizer = "flt", .tasks = {"digits_mlp"}, .report = flt_estimator_defaults()};
    flt_session *s = NULL;
    flt_meta_defaults(&in.config);
    in.config.n_tasks = 1;
    flt_parse(&argp, argc, argv, &in);
    const flt_err err = in.report.asked ? compare(&in, &s) : train(&in, &s);
    flt_free(in.drawn);
    flt_free(in.drawn_list);
    return flt_session_end(s, "train", err);
}

const flt_verb_kind flt_verb_kind_train = {
    .kind = {.name = "train", .summary = "meta-train a learned optimizer on tasks"}, .run = run, .ranks = true};
