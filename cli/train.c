// SPDX-License-Identifier: MIT
// flt train: meta-trains a learned optimizer and writes its weights.
#include "engine/args.h"
#include "engine/ranks.h"
#include "engine/session.h"
#include "engine/verb.h"
#include "flt/memory.h"
#include "flt/meta.h"
#include "flt/random.h"
#include "flt/tasks.h"
#include "flt/tensorfile.h"

#include <stdio.h>
#include <string.h>

enum {
    KEY_OPTIMIZER = FLTX_KEY_VERB,
    KEY_TASKS,
    KEY_ESTIMATOR,
    KEY_OUTER_STEPS,
    KEY_PARTICLES,
    KEY_WINDOW,
    KEY_UNROLL,
    KEY_OUTER_LR,
    KEY_SIGMA,
    KEY_CLIP,
    KEY_LOSS,
    KEY_CHECKPOINT,
    KEY_EVERY,
    KEY_RESUME,
    KEY_WEIGHTS,
    KEY_OUT
};

typedef struct input {
    flt_common common;
    const char *optimizer, *weights, *out;
    const char *tasks[FLTX_MAX_LIST];
    char (*drawn)[FLTX_TASK_SPEC_SIZE]; // [particles]: one task each, where --tasks names distributions
    const char **drawn_list;            // [particles]: pointers into it
    flt_meta_config config;
} input;

static const struct argp_option options[] = {
    {"optimizer", KEY_OPTIMIZER, "NAME", 0, "the learned optimizer (default flt)", 1},
    {"tasks", KEY_TASKS, "SPEC,..", 0,
     "task specs, or distributions of them: digits_mlp:width=8..128,activation=relu|gelu (default digits_mlp)", 1},
    {"estimator", KEY_ESTIMATOR, "NAME", 0, "meta-gradient estimator: see `flt list estimators`", 2},
    {"outer-steps", KEY_OUTER_STEPS, "N", 0, "meta-updates in all, those before --resume included", 2},
    {"particles", KEY_PARTICLES, "P", 0, "antithetic pairs of inner problems", 2},
    {"window", KEY_WINDOW, "W", 0, "inner steps between meta-updates", 2},
    {"unroll", KEY_UNROLL, "MIN,MAX", 0, "episode lengths, log-uniform", 2},
    {"outer-lr", KEY_OUTER_LR, "X", 0, "rate of the outer Adam", 2},
    {"sigma", KEY_SIGMA, "X", 0, "standard deviation of the perturbations", 2},
    {"clip", KEY_CLIP, "X", 0, "largest norm of a meta-gradient", 2},
    {"meta-loss", KEY_LOSS, "log|plain", 0, "logarithm of the normalised loss, or the loss itself", 2},
    {"weights", KEY_WEIGHTS, "FILE", 0, "start from these weights (default: the optimizer's own initialisation)", 3},
    {"out", KEY_OUT, "FILE", 0, "where the trained weights go", 3},
    {"checkpoint", KEY_CHECKPOINT, "FILE", 0, "complete state, replaced atomically", 3},
    {"checkpoint-every", KEY_EVERY, "N", 0, "meta-updates between checkpoints (default 50)", 3},
    {"resume", KEY_RESUME, NULL, 0, "go on from --checkpoint: ends in the same bits as a run that was never stopped", 3},
    {0},
};

static void parse_unroll(struct argp_state *state, const char *arg, flt_meta_config *c) {
    char low[32];
    const char *comma = strchr(arg, ',');
    if (comma == NULL || (size_t)(comma - arg) >= sizeof low)
        argp_error(state, "--unroll: '%s' is not MIN,MAX; allowed: two whole numbers from 1 to 100000000", arg);
    snprintf(low, sizeof low, "%.*s", (int)(comma - arg), arg);
    c->unroll_min = (size_t)flt_arg_int(state, "unroll", low, 1, 100000000);
    c->unroll_max = (size_t)flt_arg_int(state, "unroll", comma + 1, 1, 100000000);
    if (c->unroll_min > c->unroll_max)
        argp_error(state, "--unroll: the least length %zu exceeds the largest %zu", c->unroll_min, c->unroll_max);
}

static error_t parse_config(int key, char *arg, struct argp_state *state, input *in) {
    flt_meta_config *c = &in->config;
    switch (key) {
    case KEY_ESTIMATOR:
        c->estimator = arg;
        return 0;
    case KEY_OUTER_STEPS:
        c->outer_steps = (uint64_t)flt_arg_int(state, "outer-steps", arg, 0, 1000000000);
        return 0;
    case KEY_PARTICLES:
        c->particles = (size_t)flt_arg_int(state, "particles", arg, 1, 1000000);
        return 0;
    case KEY_WINDOW:
        c->window = (size_t)flt_arg_int(state, "window", arg, 1, 1000000);
        return 0;
    case KEY_UNROLL:
        parse_unroll(state, arg, c);
        return 0;
    case KEY_OUTER_LR:
        c->outer_lr = flt_arg_real(state, "outer-lr", arg, 0.0, 1e3);
        return 0;
    case KEY_SIGMA:
        c->sigma = flt_arg_real(state, "sigma", arg, 1e-12, 1e3);
        return 0;
    case KEY_CLIP:
        c->clip = flt_arg_real(state, "clip", arg, 1e-12, 1e12);
        return 0;
    case KEY_LOSS:
        if (strcmp(arg, "log") != 0 && strcmp(arg, "plain") != 0)
            argp_error(state, "--meta-loss: '%s'; allowed: log, plain", arg);
        c->log_loss = strcmp(arg, "log") == 0;
        return 0;
    case KEY_CHECKPOINT:
        c->checkpoint = arg;
        return 0;
    case KEY_EVERY:
        c->checkpoint_every = (uint64_t)flt_arg_int(state, "checkpoint-every", arg, 1, 1000000000);
        return 0;
    case KEY_RESUME:
        c->resume = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->common;
        return 0;
    case KEY_OPTIMIZER:
        in->optimizer = arg;
        return 0;
    case KEY_TASKS:
        in->config.n_tasks = flt_arg_list(state, "tasks", arg, in->tasks);
        return 0;
    case KEY_WEIGHTS:
        in->weights = arg;
        return 0;
    case KEY_OUT:
        in->out = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (flt_common_take(&in->common, arg)) return 0;
        argp_error(state, "'%s' is not an option", arg);
        return 0;
    case ARGP_KEY_END:
        if (in->config.resume && in->config.checkpoint == NULL) argp_error(state, "--resume needs --checkpoint FILE");
        if (in->out == NULL) argp_error(state, "--out FILE is needed: the trained weights go there");
        if (in->config.checkpoint != NULL && strcmp(in->config.checkpoint, in->out) == 0)
            argp_error(state, "--checkpoint and --out are the same file '%s'; allowed: two files", in->out);
        return 0;
    default:
        return parse_config(key, arg, state, in);
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
    flt_session_param(s, "estimator", "%s", c->estimator);
    flt_session_param(s, "outer_steps", "%llu", (unsigned long long)c->outer_steps);
    flt_session_param(s, "particles", "%zu", c->particles);
    flt_session_param(s, "window", "%zu", c->window);
    flt_session_param(s, "unroll_min", "%zu", c->unroll_min);
    flt_session_param(s, "unroll_max", "%zu", c->unroll_max);
    flt_session_param(s, "outer_lr", "%.9g", c->outer_lr);
    flt_session_param(s, "sigma", "%.9g", c->sigma);
    flt_session_param(s, "clip", "%.9g", c->clip);
    flt_session_param(s, "meta_loss", "%s", c->log_loss ? "log" : "plain");
    flt_session_param(s, "meta_parameters", "%zu", w->layout.total);
    for (const flt_param_spec *p = w->kind->kind.params; p != NULL && p->name != NULL; p++) {
        char name[96];
        if (!flt_params_has(w->params, p->name)) continue;
        snprintf(name, sizeof name, "%s.%s", in->optimizer, p->name);
        flt_session_param(s, name, "%s", flt_params_text(w->params, p->name));
    }
}

// The weights are written after a clean stop too, and when the store or the checkpoint fails on the way: what was trained is not
// lost.
static flt_err finish(const input *in, flt_weights *w, flt_session *s, flt_err trained) {
    char sentence[1024];
    const bool begun = trained == FLTE_OK || trained == FLTE_INTERRUPTED || trained == FLTE_DB || trained == FLTE_IO;
    if (!begun) return trained;
    if (!flt_program_first()) return trained;
    snprintf(sentence, sizeof sentence, "%s", flt_error());
    FLTX_TRY(flt_weights_save(w, in->out));
    if (trained != FLTE_OK) return flt_fail(trained, "stopped", "%s; weights so far are in %s", sentence, in->out);
    return flt_store_artifact(flt_session_store(s), "weights", in->out);
}

static bool is_distribution(const char *spec) {
    return strstr(spec, "..") != NULL || strpbrk(spec, "|;*") != NULL;
}

// Particle i runs --tasks[i mod n], or, where one of them is a distribution, a task that it draws once for the whole training.
static flt_err choose_tasks(input *in) {
    flt_meta_config *c = &in->config;
    bool any = false;
    c->tasks = in->tasks;
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

static flt_err train(input *in, flt_session **s) {
    flt_weights w = {0};
    flt_meta_report report = {0};
    FLTX_TRY(choose_tasks(in));
    if (flt_program_first()) FLTX_TRY(flt_write_possible(in->out));
    if (flt_program_first() && in->config.checkpoint != NULL) FLTX_TRY(flt_write_possible(in->config.checkpoint));
    FLTX_TRY(load(in, &w));
    in->config.make = flt_task_create;
    in->config.seed = in->common.seed;
    in->config.threads = in->common.threads;
    in->config.ranks = flt_program_ranks();
    flt_err err = flt_session_begin("train", &in->common, s);
    if (err == FLTE_OK) {
        describe(in, &w, *s);
        err = flt_meta_train(&in->config, &w, flt_session_sink(*s), &report);
        if (err != FLTE_IO || report.outer_steps > 0) err = finish(in, &w, *s, err);
    }
    if (err == FLTE_OK && !in->common.quiet && flt_program_first())
        fprintf(
            stderr,
            "flt train: %llu meta-updates, %.3g inner steps in %.1f s (%.0f per second), %llu losses clipped; run %lld -> %s\n",
            (unsigned long long)report.outer_steps, (double)report.inner_steps, report.seconds,
            report.seconds > 0.0 ? (double)report.inner_steps / report.seconds : 0.0, (unsigned long long)report.clipped,
            flt_session_run(*s), in->out);
    flt_weights_free(&w);
    return err;
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "--out W.safetensors",
        "Meta-trains a learned optimizer by evolution strategies on antithetic pairs of inner problems.\v"
        "Particles take the tasks in turn; where one is a distribution, each particle draws its own. "
        "Metrics of every meta-update go to the results store; the numbers are the same for any number of threads, and of "
        "processes under mpirun.\n\n"
        "example: flt train --tasks quadratic,digits_mlp --outer-steps 500 --checkpoint run.ckpt --out w.safetensors\n"
        "         flt train ... --resume      after Ctrl-C, a kill or a crash\n"
        "         mpirun -n 4 flt train ...   on four processes, of one machine or several",
        children,
        NULL,
        NULL};
    input in = {.common = flt_common_defaults(), .optimizer = "flt", .tasks = {"digits_mlp"}};
    flt_session *s = NULL;
    flt_meta_defaults(&in.config);
    in.config.n_tasks = 1;
    flt_parse(&argp, argc, argv, &in);
    const flt_err err = train(&in, &s);
    flt_free(in.drawn);
    flt_free(in.drawn_list);
    return flt_session_end(s, "train", err);
}

const flt_verb_kind flt_verb_kind_train = {
    .kind = {.name = "train", .summary = "meta-train a learned optimizer on tasks"}, .run = run, .ranks = true};
