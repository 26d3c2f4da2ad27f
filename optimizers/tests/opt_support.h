// SPDX-License-Identifier: MIT
// Shared by the tests of optimizers: layouts of mixed ranks, runs, errors as ratios.
#ifndef FLTX_OPT_SUPPORT_H
#define FLTX_OPT_SUPPORT_H

#include "flt/memory.h"
#include "flt/optimizer.h"
#include "flt/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPT_OK(call) cr_assert_eq(call, FLTE_OK, "%s", flt_error())

typedef struct opt_shape {
    const char *name;
    size_t rank, dim[4];
} opt_shape;

static inline flt_layout opt_layout(const opt_shape *shapes) {
    flt_layout l = {0};
    for (; shapes->name != NULL; shapes++) OPT_OK(flt_layout_add(&l, shapes->name, shapes->rank, shapes->dim));
    return l;
}

// A scalar, vectors around the block size, both orientations of a matrix, ties between axes, higher ranks.
static const opt_shape opt_mixed[] = {
    {"scalar", 0, {0}},        {"one", 1, {1}},         {"seven", 1, {7}},     {"block", 1, {16}},
    {"long", 1, {37}},         {"wide", 2, {4, 9}},     {"tall", 2, {9, 4}},   {"square", 2, {5, 5}},
    {"row", 2, {1, 6}},        {"line", 2, {6, 1}},     {"wider", 2, {5, 19}}, {"taller", 2, {33, 3}},
    {"conv", 4, {3, 3, 2, 5}}, {"cube", 3, {2, 17, 3}}, {"tie", 3, {4, 2, 4}}, {NULL, 0, {0}},
};

static inline flt_real *opt_array(size_t n) {
    flt_real *x = NULL;
    OPT_OK(flt_alloc(n, sizeof *x, &x));
    return x;
}

static inline flt_real *opt_normal(uint64_t seed, size_t n, double scale) {
    flt_real *x = opt_array(n);
    const flt_rng rng = flt_rng_make(seed, "optimizer tests", 0);
    for (size_t i = 0; i < n; i++) x[i] = (flt_real)(scale * flt_rng_normal_at(rng, i));
    return x;
}

// The kind with its default parameters changed by `set`, weights of learned kinds near their start.
static inline flt_weights opt_weights(const char *name, const char *set) {
    const flt_optimizer_kind *kind = NULL;
    flt_params *p = NULL;
    flt_weights w;
    OPT_OK(flt_optimizer_find(name, &kind));
    OPT_OK(flt_params_create(name, kind->kind.params, &p));
    OPT_OK(flt_params_parse(p, set));
    OPT_OK(flt_weights_load(kind, p, NULL, 5, &w));
    flt_params_destroy(p);
    return w;
}

// Weights of flt far from the start, so that every term counts.
static inline flt_weights opt_shaken(const char *set) {
    flt_weights w = opt_weights("flt", set);
    const flt_rng rng = flt_rng_make(21, "shake", 0);
    for (size_t i = 0; i < w.layout.total; i++) w.theta[i] += (flt_real)(0.15 * flt_rng_normal_at(rng, i));
    return w;
}

typedef struct opt_run {
    flt_optimizer *o;
    size_t P, words;
    flt_real *param, *state;
} opt_run;

static inline opt_run opt_start(const flt_weights *w, const flt_layout *layout, const flt_real *param) {
    opt_run r = {.P = layout->total};
    OPT_OK(flt_optimizer_create(w->kind, w->params, layout, &r.o));
    if (w->theta != NULL) flt_optimizer_bind(r.o, w->theta);
    r.words = flt_optimizer_state_words(r.o);
    r.param = opt_array(r.P);
    r.state = opt_array(r.words);
    memcpy(r.param, param, r.P * sizeof *param);
    for (size_t i = 0; i < r.words; i++) r.state[i] = (flt_real)NAN; // init must write every word
    flt_optimizer_init(r.o, r.state);
    return r;
}

// Steps from .. to - 1; the gradient of step t is grads + t P.
static inline void opt_steps(opt_run *r, size_t from, size_t to, const flt_real *grads) {
    for (size_t t = from; t < to; t++) flt_optimizer_step(r->o, t, 1, grads + t * r->P, r->param, r->state);
}

static inline void opt_stop(opt_run *r) {
    flt_optimizer_destroy(r->o);
    flt_free(r->param);
    flt_free(r->state);
}

// |got - want| / (eps growth |scale|), Frobenius norms; NaN stays NaN and fails every comparison.
static inline double opt_ratio(size_t n, const flt_real *got, const double *want, const double *scale, double growth) {
    double error = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += scale[i] * scale[i];
    }
    return sqrt(error) / (FLTX_EPS * growth * sqrt(norm));
}

#endif
