// SPDX-License-Identifier: MIT
// The estimator report of `flt train`.
#include "engine/estimators.h"

#include "engine/ranks.h"
#include "engine/table.h"
#include "flt/memory.h"

#include <stdio.h>

enum { KEY_REPORT = FLTX_KEY_META + 256, KEY_STEPS, KEY_WINDOWS, KEY_PARTICLES, KEY_REPETITIONS };

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Report on estimators:", 6},
    {"estimator-report", KEY_REPORT, NULL, 0,
     "train nothing: measure every estimator's bias against full_bptt and its variance at these weights, on these tasks", 6},
    {"report-steps", KEY_STEPS, "T", 0, "inner steps of an episode (default 64)", 6},
    {"report-windows", KEY_WINDOWS, "K,..", 0, "numbers of windows that it is cut into (default 1,4,16)", 6},
    {"report-particles", KEY_PARTICLES, "P,..", 0, "numbers of particles (default 2,8)", 6},
    {"repetitions", KEY_REPETITIONS, "R", 0, "estimates of each (default 30)", 6},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state) {
    flt_estimator_options *o = state->input;
    o->shaped = o->shaped || (key > KEY_REPORT && key <= KEY_REPETITIONS);
    switch (key) {
    case KEY_REPORT:
        o->asked = true;
        return 0;
    case KEY_STEPS:
        o->steps = (size_t)flt_arg_int(state, "report-steps", arg, 1, 1000000);
        return 0;
    case KEY_WINDOWS:
        o->n_windows = flt_arg_sizes(state, "report-windows", arg, 1000000, o->windows);
        return 0;
    case KEY_PARTICLES:
        o->n_particles = flt_arg_sizes(state, "report-particles", arg, 1000000, o->particles);
        return 0;
    case KEY_REPETITIONS:
        o->repetitions = (size_t)flt_arg_int(state, "repetitions", arg, 3, 1000000);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp flt_estimator_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

flt_estimator_options flt_estimator_defaults(void) {
    return (flt_estimator_options){
        .steps = 64, .repetitions = 30, .n_windows = 3, .windows = {1, 4, 16}, .n_particles = 2, .particles = {2, 8}};
}

static const char *whole(size_t n) {
    return flt_number((double)n);
}

static flt_err add_row(flt_table *t, const flt_estimator_row *r) {
    const char *cells[] = {r->estimator,
                           whole(r->windows),
                           whole(r->particles),
                           flt_number(r->bias.value),
                           flt_number(r->bias.low),
                           flt_number(r->bias.high),
                           flt_number(r->off.value),
                           flt_number(r->off.low),
                           flt_number(r->off.high),
                           flt_number(r->cosine.value),
                           flt_number(r->variance.value),
                           flt_number(r->variance.low),
                           flt_number(r->variance.high),
                           flt_number(1e6 * r->seconds_a_step),
                           r->biased ? "yes" : "no"};
    return flt_table_row(t, cells);
}

static flt_err print(size_t n, const flt_estimator_row *rows, bool json) {
    static const char *const names[] = {"estimator", "windows", "particles", "bias",        "bias_low",
                                        "bias_high", "off",     "off_low",   "off_high",    "cosine",
                                        "variance",  "var_low", "var_high",  "us_per_step", "biased"};
    flt_table *t = NULL;
    FLTX_TRY(flt_table_create(sizeof names / sizeof *names, names, &t));
    flt_err err = FLTE_OK;
    for (size_t i = 0; i < n && err == FLTE_OK; i++) err = add_row(t, &rows[i]);
    if (err == FLTE_OK) err = flt_table_print(t, json ? FLTX_TABLE_JSON : FLTX_TABLE_AUTO, stdout);
    flt_table_destroy(t);
    return err;
}

flt_err flt_estimator_report(const flt_estimator_options *o, const flt_meta_config *meta, flt_weights *w, bool json,
                             flt_session *s) {
    flt_estimators_config c = {.meta = *meta,
                               .n_windows = o->n_windows,
                               .windows = o->windows,
                               .n_particles = o->n_particles,
                               .particles = o->particles,
                               .repetitions = o->repetitions};
    flt_estimator_row *rows = NULL;
    size_t n = 0;
    c.meta.unroll_max = o->steps;
    flt_session_param(s, "report_steps", "%zu", o->steps);
    flt_session_param(s, "repetitions", "%zu", o->repetitions);
    FLTX_TRY(flt_estimators_compare(&c, w, flt_session_sink(s), &n, &rows));
    const flt_err err = flt_program_first() ? print(n, rows, json) : FLTE_OK;
    flt_free(rows);
    return err;
}
