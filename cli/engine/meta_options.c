// SPDX-License-Identifier: MIT
// Options of meta-training.
#include "engine/meta_options.h"

#include "engine/args.h"

#include <stdio.h>
#include <string.h>

enum {
    KEY_ESTIMATOR = FLTX_KEY_META,
    KEY_OUTER_STEPS,
    KEY_PARTICLES,
    KEY_WINDOW,
    KEY_SIGMA,
    KEY_FREEZE,
    KEY_DIFFERENCE,
    KEY_DIFFERENCE_CLIP,
    KEY_UNROLL,
    KEY_TRUNCATION,
    KEY_CURRICULUM,
    KEY_IN_PHASE,
    KEY_LOSS,
    KEY_LOSS_OF,
    KEY_LOSS_ON,
    KEY_LOSS_POWER,
    KEY_OPTIMIZER,
    KEY_LR,
    KEY_SCHEDULE,
    KEY_SCHEDULE_STEPS,
    KEY_WARMUP,
    KEY_FINAL,
    KEY_DECAY,
    KEY_CLIP,
    KEY_CLIP_BY,
    KEY_DIAGNOSE
};

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Meta-gradient:", 1},
    {"estimator", KEY_ESTIMATOR, "NAME", 0, "see `flt list estimators` (default nres)", 1},
    {"outer-steps", KEY_OUTER_STEPS, "N", 0, "meta-updates in all, those before --resume included (default 1000)", 1},
    {"particles", KEY_PARTICLES, "P", 0, "antithetic pairs of inner problems (default 8)", 1},
    {"window", KEY_WINDOW, "W", 0, "inner steps between meta-updates (default 20)", 1},
    {"sigma", KEY_SIGMA, "X", 0, "standard deviation of the perturbations (default 0.03)", 1},
    {"freeze", KEY_FREEZE, "PATTERN,..", 0, "tensors of meta-parameters to leave as they are: 'layers.*'", 1},
    {"difference", KEY_DIFFERENCE, "plain|sign|rms", 0,
     "what a difference of a pair's losses counts for: itself (default), its sign, or itself over its root mean square", 1},
    {"difference-clip", KEY_DIFFERENCE_CLIP, "X", 0,
     "bound on a difference, an inner step; not with --difference sign (default: none)", 1},
    {NULL, 0, NULL, 0, "Episodes:", 2},
    {"unroll", KEY_UNROLL, "MIN,MAX", 0, "inner steps until a reset; N stands for N,N (default 100,1000)", 2},
    {"truncation", KEY_TRUNCATION, "NAME", 0,
     "log-uniform between the two (default), constant, or curriculum: log-uniform, the upper end growing from MIN to MAX", 2},
    {"curriculum-steps", KEY_CURRICULUM, "N", 0, "meta-updates until a curriculum reaches MAX (default: all)", 2},
    {"in-phase", KEY_IN_PHASE, NULL, 0, "first episodes are whole (default: cut at random, so that particles differ in phase)",
     2},
    {NULL, 0, NULL, 0, "Meta-loss:", 3},
    {"meta-loss", KEY_LOSS, "log|plain", 0, "logarithm of the normalised loss (default), or the loss itself", 3},
    {"loss-of", KEY_LOSS_OF, "mean|last|min", 0,
     "what a window, or its part between resets, is judged by: the mean (default), last or least of its losses", 3},
    {"loss-power", KEY_LOSS_POWER, "K", 0,
     "a loss counts (K + 1) x^K, x its place in the episode from 0 to 1: above 0 (default) the end counts more than the "
     "beginning",
     3},
    {"loss-on", KEY_LOSS_ON, "train|valid", 0, "training (default) or validation minibatches; the latter cost a pass each", 3},
    {NULL, 0, NULL, 0, "Meta-optimizer:", 4},
    {"outer-optimizer", KEY_OPTIMIZER, "adam|adamw", 0, "what moves the meta-parameters (default adam)", 4},
    {"outer-lr", KEY_LR, "X", 0, "its largest rate (default 0.003)", 4},
    {"outer-schedule", KEY_SCHEDULE, "NAME", 0, "course of the rate behind the warm-up: constant (default), cosine, linear", 4},
    {"outer-schedule-steps", KEY_SCHEDULE_STEPS, "N", 0, "meta-updates until cosine and linear end (default: all)", 4},
    {"outer-warmup", KEY_WARMUP, "N", 0, "meta-updates in which the rate rises linearly (default 0)", 4},
    {"outer-final", KEY_FINAL, "X", 0, "share of the rate that cosine and linear end at (default 0)", 4},
    {"outer-weight-decay", KEY_DECAY, "X", 0, "of adamw, decoupled (default 0)", 4},
    {"clip", KEY_CLIP, "X", 0, "bound on the meta-gradient, 0 for none (default 1)", 4},
    {"clip-by", KEY_CLIP_BY, "norm|element", 0, "the bound is on its norm (default) or on each element", 4},
    {NULL, 0, NULL, 0, "Diagnostics:", 5},
    {"diagnose", KEY_DIAGNOSE, "adam", 0,
     "also measure Adam on each task first, and report loss_minus_adam: 12 runs of the longest episode a task", 5},
    {0},
};

static const char *frozen[FLTX_MAX_LIST];

static void parse_unroll(struct argp_state *state, const char *arg, flt_meta_config *c) {
    char low[32];
    const char *comma = strchr(arg, ',');
    const size_t length = strcspn(arg, ",");
    if (length >= sizeof low || (comma != NULL && (length == 0 || comma[1] == '\0')))
        argp_error(state, "--unroll: '%s' is not MIN,MAX; allowed: one or two whole numbers from 1 to 100000000", arg);
    snprintf(low, sizeof low, "%.*s", (int)length, arg);
    c->unroll_min = (size_t)flt_arg_int(state, "unroll", low, 1, 100000000);
    c->unroll_max = comma == NULL ? c->unroll_min : (size_t)flt_arg_int(state, "unroll", comma + 1, 1, 100000000);
    if (c->unroll_min > c->unroll_max)
        argp_error(state, "--unroll: the least length %zu exceeds the largest %zu", c->unroll_min, c->unroll_max);
}

static error_t parse_gradient(int key, const char *arg, struct argp_state *state, flt_meta_config *c) {
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
    case KEY_SIGMA:
        c->sigma = flt_arg_real(state, "sigma", arg, 1e-12, 1e3);
        return 0;
    case KEY_FREEZE:
        c->n_freeze = flt_arg_list(state, "freeze", arg, frozen);
        c->freeze = frozen;
        return 0;
    case KEY_DIFFERENCE:
        c->difference = flt_arg_choice(state, "difference", arg, "plain, sign, rms");
        return 0;
    case KEY_DIFFERENCE_CLIP:
        c->difference_clip = flt_arg_real(state, "difference-clip", arg, 1e-12, 1e12);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_episodes(int key, const char *arg, struct argp_state *state, flt_meta_config *c) {
    switch (key) {
    case KEY_UNROLL:
        parse_unroll(state, arg, c);
        return 0;
    case KEY_TRUNCATION:
        c->truncation = flt_arg_choice(state, "truncation", arg, "log-uniform, constant, curriculum");
        return 0;
    case KEY_CURRICULUM:
        c->curriculum_steps = (uint64_t)flt_arg_int(state, "curriculum-steps", arg, 1, 1000000000);
        return 0;
    case KEY_IN_PHASE:
        c->in_phase = true;
        return 0;
    case KEY_LOSS:
        c->log_loss = strcmp(flt_arg_choice(state, "meta-loss", arg, "log, plain"), "log") == 0;
        return 0;
    case KEY_LOSS_OF:
        c->reduction = flt_arg_choice(state, "loss-of", arg, "mean, last, min");
        return 0;
    case KEY_LOSS_POWER:
        c->loss_power = flt_arg_real(state, "loss-power", arg, 0.0, 100.0);
        return 0;
    case KEY_LOSS_ON:
        c->held_out = strcmp(flt_arg_choice(state, "loss-on", arg, "train, valid"), "valid") == 0;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_optimizer(int key, const char *arg, struct argp_state *state, flt_meta_config *c) {
    switch (key) {
    case KEY_OPTIMIZER:
        c->outer_optimizer = flt_arg_choice(state, "outer-optimizer", arg, "adam, adamw");
        return 0;
    case KEY_LR:
        c->outer_lr = flt_arg_real(state, "outer-lr", arg, 0.0, 1e3);
        return 0;
    case KEY_SCHEDULE:
        c->outer_schedule = flt_arg_choice(state, "outer-schedule", arg, "constant, cosine, linear");
        return 0;
    case KEY_SCHEDULE_STEPS:
        c->outer_schedule_steps = (uint64_t)flt_arg_int(state, "outer-schedule-steps", arg, 1, 1000000000);
        return 0;
    case KEY_WARMUP:
        c->outer_warmup = (uint64_t)flt_arg_int(state, "outer-warmup", arg, 0, 1000000000);
        return 0;
    case KEY_FINAL:
        c->outer_final = flt_arg_real(state, "outer-final", arg, 0.0, 1.0);
        return 0;
    case KEY_DECAY:
        c->outer_weight_decay = flt_arg_real(state, "outer-weight-decay", arg, 0.0, 1e6);
        return 0;
    case KEY_CLIP:
        c->clip = flt_arg_real(state, "clip", arg, 0.0, 1e12);
        return 0;
    case KEY_DIAGNOSE:
        c->against_adam = strcmp(flt_arg_choice(state, "diagnose", arg, "adam, nothing"), "adam") == 0;
        return 0;
    case KEY_CLIP_BY:
        c->clip_by = flt_arg_choice(state, "clip-by", arg, "norm, element");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    flt_meta_config *c = state->input;
    error_t done = parse_gradient(key, arg, state, c);
    if (done == ARGP_ERR_UNKNOWN) done = parse_episodes(key, arg, state, c);
    if (done == ARGP_ERR_UNKNOWN) done = parse_optimizer(key, arg, state, c);
    return done;
}

const struct argp flt_meta_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

static void describe_optimizer(const flt_meta_config *c, flt_session *s) {
    flt_session_param(s, "outer_optimizer", "%s", c->outer_optimizer);
    flt_session_param(s, "outer_lr", "%.9g", c->outer_lr);
    flt_session_param(s, "outer_schedule", "%s", c->outer_schedule);
    flt_session_param(s, "outer_schedule_steps", "%llu", (unsigned long long)c->outer_schedule_steps);
    flt_session_param(s, "outer_warmup", "%llu", (unsigned long long)c->outer_warmup);
    flt_session_param(s, "outer_final", "%.9g", c->outer_final);
    flt_session_param(s, "outer_weight_decay", "%.9g", c->outer_weight_decay);
    flt_session_param(s, "clip", "%.9g", c->clip);
    flt_session_param(s, "diagnose", "%s", c->against_adam ? "adam" : "nothing");
    flt_session_param(s, "clip_by", "%s", c->clip_by);
}

void flt_meta_describe(const flt_meta_config *c, flt_session *s) {
    flt_session_param(s, "estimator", "%s", c->estimator);
    flt_session_param(s, "outer_steps", "%llu", (unsigned long long)c->outer_steps);
    flt_session_param(s, "particles", "%zu", c->particles);
    flt_session_param(s, "window", "%zu", c->window);
    flt_session_param(s, "unroll_min", "%zu", c->unroll_min);
    flt_session_param(s, "unroll_max", "%zu", c->unroll_max);
    flt_session_param(s, "truncation", "%s", c->truncation);
    flt_session_param(s, "curriculum_steps", "%llu", (unsigned long long)c->curriculum_steps);
    flt_session_param(s, "in_phase", "%s", c->in_phase ? "true" : "false");
    flt_session_param(s, "sigma", "%.9g", c->sigma);
    for (size_t i = 0; i < c->n_freeze; i++) {
        char name[32];
        snprintf(name, sizeof name, "freeze.%zu", i);
        flt_session_param(s, name, "%s", c->freeze[i]);
    }
    flt_session_param(s, "difference", "%s", c->difference);
    flt_session_param(s, "difference_clip", "%.9g", c->difference_clip);
    flt_session_param(s, "meta_loss", "%s", c->log_loss ? "log" : "plain");
    flt_session_param(s, "loss_of", "%s", c->reduction);
    flt_session_param(s, "loss_power", "%.9g", c->loss_power);
    flt_session_param(s, "loss_on", "%s", c->held_out ? "valid" : "train");
    describe_optimizer(c, s);
}
