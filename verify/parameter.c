// SPDX-License-Identifier: MIT
// Gradients with respect to a mechanism's own arguments are derivatives of its output: <d out/d a [da], w> = <da, gradient of a>
// for a random direction da of one argument at a time, and random w.
//
// The argument moves through flt_attention_update, and the difference is central, of sixth order, as in the check `gradient`:
// what it loses, 1/h, is part of the ratio's growth. Every array that a plan reports, takes a gradient of and takes new values
// for is tried: projections, frequencies and ratios, mixtures, tables of lags, sines, filters and gates, spectral filters. It
// would fail for a chain that stops at an intermediate table, for sums over heads or batches that are forgotten, for an update
// that leaves a table as it was.
#include "engine/settings.h"

#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct subject {
    flt_attention_arg arg; // as the plan reports it; data is a copy
    size_t count;
    double *at, *moved, *direction, *gradient; // [count]
    flt_real *dx[3], *w;                       // gradients of q, k, v; weights of the outputs
} subject;

static void subject_destroy(subject *s) {
    flt_free(s->at);
    for (size_t i = 0; i < 3; i++) flt_free(s->dx[i]);
    flt_free(s->w);
}

static flt_err subject_create(const flt_problem *p, const flt_attention_arg *arg, subject *s) {
    const flt_rng rng = flt_rng_make(p->seed, arg->name, p->N);
    const size_t rows = flt_problem_rows(p);
    *s = (subject){.arg = *arg, .count = 1};
    for (size_t i = 0; i < arg->rank; i++) s->count *= arg->dim[i];
    FLTX_TRY(flt_alloc(4 * s->count, sizeof *s->at, &s->at));
    s->moved = s->at + s->count, s->direction = s->moved + s->count, s->gradient = s->direction + s->count;
    for (size_t i = 0; i < 3; i++) FLTX_TRY(flt_alloc(rows * (i < 2 ? p->d : p->dv), sizeof *s->dx[i], &s->dx[i]));
    FLTX_TRY(flt_alloc(rows * p->dv, sizeof *s->w, &s->w));
    memcpy(s->at, arg->data, s->count * sizeof *s->at);
    flt_rng_normal_double(flt_rng_child(rng, "direction", 0), 0, s->count, s->direction);
    flt_rng_normal(flt_rng_child(rng, "weight", 0), 0, rows * p->dv, s->w);
    return FLTE_OK;
}

static flt_err value(flt_attention *plan, const flt_problem *p, subject *s, double by, double *out) {
    flt_attention_arg now = s->arg;
    now.data = s->moved;
    *out = 0.0;
    for (size_t i = 0; i < s->count; i++) s->moved[i] = s->at[i] + by * s->direction[i];
    FLTX_TRY(flt_attention_update(plan, 1, &now));
    flt_attention_forward(plan, p->q, p->k, p->v, p->out);
    for (size_t i = 0; i < flt_problem_rows(p) * p->dv; i++) *out += (double)p->out[i] * (double)s->w[i];
    return FLTE_OK;
}

static flt_err difference(flt_attention *plan, const flt_problem *p, subject *s, double h, double *out) {
    static const double weight[3] = {45, -9, 1};
    *out = 0.0;
    for (int t = 1; t <= 3; t++) {
        double ahead = 0.0, behind = 0.0;
        FLTX_TRY(value(plan, p, s, t * h, &ahead));
        FLTX_TRY(value(plan, p, s, -t * h, &behind));
        *out += weight[t - 1] * (ahead - behind) / (60.0 * h);
    }
    return value(plan, p, s, 0.0, &(double){0.0});
}

// FLTE_NAME, FLTE_UNSUPPORTED: the plan takes no gradient of this array, or no new values.
static flt_err gradient(flt_attention *plan, const flt_problem *p, subject *s) {
    const flt_attention_gradient wanted = {s->arg.name, s->gradient};
    const flt_attention_pass pass = {.q = p->q,
                                     .k = p->k,
                                     .v = p->v,
                                     .out = p->out,
                                     .dout = s->w,
                                     .dq = s->dx[0],
                                     .dk = s->dx[1],
                                     .dv = s->dx[2],
                                     .n_args = 1,
                                     .args = &wanted};
    flt_attention_forward(plan, p->q, p->k, p->v, p->out);
    FLTX_TRY(flt_attention_update(plan, 1, &s->arg));
    return flt_attention_backward(plan, &pass);
}

// How much faster than their array logits may change: phases are frequencies times positions, here token numbers.
static double steepness(const flt_problem *p, const char *name) {
    return strcmp(name, "freqs") == 0 || (strcmp(name, "xi") == 0 && p->plain) ? FLTX_TWO_PI * (double)p->N : 1.0;
}

static flt_err compare(flt_check_context *c, const flt_attention_kind *kind, const flt_problem *p, flt_attention *plan,
                       subject *s) {
    const double h = (sizeof(flt_real) == 4 ? 0.01 : 3e-4) / steepness(p, s->arg.name);
    double got = 0.0, want = 0.0, size = 0.0;
    char label[96];
    FLTX_TRY(difference(plan, p, s, h, &got));
    for (size_t i = 0; i < s->count; i++) {
        want += s->direction[i] * s->gradient[i];
        size += s->gradient[i] * s->gradient[i];
    }
    size = sqrt(size) + sqrt(flt_sum_squares(flt_problem_rows(p) * p->dv, p->out)) * (8.0 + log2(2.0 * (double)p->N)) / h;
    snprintf(label, sizeof label, "gradient of %s%s%s", s->arg.name, p->options == NULL ? "" : " ",
             p->options == NULL ? "" : p->options);
    return flt_check_case(c, kind->kind.name, flt_problem_label(p, label), fabs(got - want) / (FLTX_EPS * size));
}

static flt_err on_array(flt_check_context *c, const flt_attention_kind *kind, const flt_problem *p, flt_attention *plan,
                        const flt_attention_arg *arg) {
    subject s = {0};
    flt_err err = subject_create(p, arg, &s);
    s.arg.data = s.at;
    if (err == FLTE_OK) {
        err = gradient(plan, p, &s);
        if (err == FLTE_OK)
            err = compare(c, kind, p, plan, &s);
        else if (err == FLTE_NAME || err == FLTE_UNSUPPORTED)
            flt_error_clear(), err = FLTE_OK;
    }
    subject_destroy(&s);
    return err;
}

static flt_err on_plan(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, size_t n,
                       const flt_attention_arg *given) {
    enum { MAX = 16 };
    flt_attention *plan = NULL;
    flt_attention_arg arrays[MAX];
    FLTX_TRY(flt_problem_plan_smooth(p, kind, n, given, &plan));
    const size_t count = flt_attention_draws(plan, MAX, arrays);
    flt_err err = FLTE_OK;
    for (size_t i = 0; i < count && err == FLTE_OK; i++) err = on_array(c, kind, p, plan, &arrays[i]);
    flt_attention_destroy(plan);
    return err;
}

static flt_err on_problem(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p) {
    return p->N > (c->config->full ? 130 : 33) ? FLTE_OK : on_plan(c, kind, p, 0, NULL);
}

static flt_err on_setting(flt_check_context *c, const flt_attention_kind *kind, flt_problem *p, const flt_given_args *given) {
    return p->N > 130 ? FLTE_OK : on_plan(c, kind, p, given->n, given->args);
}

static flt_err on_mechanism(flt_check_context *c, const flt_attention_kind *kind) {
    FLTX_TRY(flt_each_setting(c, kind, on_setting));
    return flt_each_problem(c, kind, on_problem);
}

static flt_err run(flt_check_context *c) {
    return flt_each_mechanism(c, FLTX_ATT_BACKWARD, on_mechanism);
}

const flt_check_kind flt_check_kind_parameter = {
    .kind = {.name = "parameter",
             .summary = "gradients of a mechanism's own arguments are derivatives of its output",
             .formula = "<d out/d a [da], w> = <da, gradient of a>",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
