// SPDX-License-Identifier: MIT
// A learned optimizer of two meta-parameters and small objectives whose unrolls can be written down.
//   m = m / 2 + g;  x -= 0.3 theta_0 m - 0.1 theta_1
#ifndef FLTX_META_FIXTURE_H
#define FLTX_META_FIXTURE_H

#include "../engine/graph_step.h"
#include "flt/memory.h"
#include "flt/meta.h"
#include "flt/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

// ---- the optimizer
typedef struct fake_optimizer {
    size_t P;
    flt_real theta[2];
} fake_optimizer;

static flt_err fake_create(const flt_params *p, const flt_layout *layout, void **self) {
    fake_optimizer *s = NULL;
    (void)p;
    FLTX_TRY(flt_alloc(1, sizeof *s, &s));
    s->P = layout->total;
    *self = s;
    return FLTE_OK;
}

static void fake_destroy(void *self) {
    flt_free(self);
}

static size_t fake_words(const void *self) {
    return ((const fake_optimizer *)self)->P;
}

static void fake_init(void *self, flt_real *state) {
    memset(state, 0, fake_words(self) * sizeof *state);
}

static void fake_bind(void *self, const flt_real *theta) {
    memcpy(((fake_optimizer *)self)->theta, theta, 2 * sizeof *theta);
}

static void fake_step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const fake_optimizer *s = self;
    (void)t, (void)loss;
    for (size_t i = 0; i < s->P; i++) {
        state[i] = (flt_real)0.5 * state[i] + grad[i];
        param[i] -= (flt_real)0.3 * s->theta[0] * state[i] - (flt_real)0.1 * s->theta[1];
    }
}

static flt_err fake_graph(const flt_params *p, flt_graph_step *s) {
    flt_graph *g = s->graph;
    const flt_node theta = flt_graph_step_theta(s, "theta"), m = flt_graph_step_state(s, 0, 1, &s->layout.total);
    const flt_node now = flt_add(g, flt_scale(g, m, 0.5), s->grad[0]);
    const flt_node pull = flt_scale(g, flt_mul(g, flt_slice(g, theta, 0, 0, 1), now), 0.3);
    const flt_node push = flt_scale(g, flt_slice(g, theta, 0, 1, 1), 0.1);
    (void)p;
    flt_graph_step_next(s, m, now);
    s->next[0] = flt_add(g, flt_sub(g, s->param[0], pull), push);
    return FLTE_OK;
}

static const flt_optimizer_kind fake_kind = {
    .kind = {.name = "fake", .caps = FLTX_OPT_LEARNED},
    .graph = fake_graph,
    .create = fake_create,
    .destroy = fake_destroy,
    .state_words = fake_words,
    .init = fake_init,
    .bind = fake_bind,
    .step = fake_step,
};

static UNUSED flt_weights fake_weights(double rate, double push) {
    flt_weights w = {.kind = &fake_kind};
    cr_assert(eq(int, flt_layout_add(&w.layout, "theta", 1, (size_t[]){2}), FLTE_OK));
    cr_assert(eq(int, flt_alloc(2, sizeof *w.theta, &w.theta), FLTE_OK));
    w.theta[0] = (flt_real)rate;
    w.theta[1] = (flt_real)push;
    return w;
}

static UNUSED void fake_weights_free(flt_weights *w) {
    flt_layout_free(&w->layout);
    flt_free(w->theta);
    *w = (flt_weights){0};
}

// ---- the objectives: sum over i of c (x_i - target_i(seed, step))^2 / 2 + base
typedef struct fake_objective {
    size_t P;
    double noise, curvature, base;
    uint64_t nan_from; // the step from which the loss is NaN
    uint64_t nan_at;   // the only step at which it is
    double cliff;      // the loss is infinite where x_0 is above
    double held_out;   // added to losses on the validation split
} fake_objective;

static void fake_start(void *self, uint64_t seed, flt_real *theta) {
    const fake_objective *s = self;
    memset(theta, 0, s->P * sizeof *theta);
    if (s->noise > 0) flt_rng_normal(flt_rng_make(seed, "fake/init", 0), 0, s->P, theta);
}

static flt_real fake_gradient(void *self, flt_batch batch, const flt_real *theta, flt_real *grad) {
    const fake_objective *s = self;
    const flt_rng noise = flt_rng_make(batch.seed, "fake/batch", batch.step);
    double loss = s->base;
    for (size_t i = 0; i < s->P; i++) {
        const double target = 1.0 + (s->noise > 0 ? s->noise * flt_rng_normal_at(noise, i) : 0.0);
        const double g = s->curvature * (theta[i] - target);
        loss += 0.5 * g * (theta[i] - target);
        if (grad != NULL) grad[i] = (flt_real)g;
    }
    if (batch.step >= s->nan_from || batch.step == s->nan_at) loss = NAN;
    if (theta[0] > s->cliff) loss = INFINITY;
    if (batch.split == FLTX_VALID) loss += s->held_out;
    return (flt_real)loss;
}

static void fake_hessian(void *self, flt_batch batch, const flt_real *theta, const flt_real *v, flt_real *hv) {
    const fake_objective *s = self;
    (void)batch, (void)theta;
    for (size_t i = 0; i < s->P; i++) hv[i] = (flt_real)(s->curvature * v[i]);
}

static void fake_evaluate(void *self, uint64_t seed, flt_split split, const flt_real *theta, flt_real *loss, flt_real *metric) {
    *loss = fake_gradient(self, (flt_batch){seed, split, 0}, theta, NULL);
    if (metric != NULL) *metric = (flt_real)0.5;
}

static flt_err fake_fill(const char *spec, flt_objective *o) {
    fake_objective *s = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *s, &s));
    o->self = s;
    o->destroy = flt_free;
    o->init = fake_start;
    o->gradient = fake_gradient;
    o->hessian_vector = fake_hessian;
    o->evaluate = fake_evaluate;
    o->normaliser = 2.0;
    o->clip_loss = 1e6;
    *s =
        (fake_objective){.P = 1, .curvature = 1.0, .base = 0.25, .nan_from = UINT64_MAX, .nan_at = UINT64_MAX, .cliff = INFINITY};
    if (strcmp(spec, "noisy") == 0)
        *s = (fake_objective){
            .P = 5, .noise = 0.3, .curvature = 1.5, .nan_from = UINT64_MAX, .nan_at = UINT64_MAX, .cliff = INFINITY};
    if (strcmp(spec, "bowl") == 0)
        *s = (fake_objective){.P = 3, .curvature = 10.0, .nan_from = UINT64_MAX, .nan_at = UINT64_MAX, .cliff = INFINITY};
    if (strcmp(spec, "bomb") == 0) s->nan_from = 7;
    if (strcmp(spec, "glitch") == 0) s->nan_at = 3;
    if (strcmp(spec, "cliff") == 0) s->cliff = 0.8;
    if (strcmp(spec, "held") == 0) s->held_out = 1.0;
    if (strcmp(spec, "low") == 0) o->clip_loss = 0.5;
    if (strcmp(spec, "unbounded") == 0) s->nan_from = 3, o->clip_loss = INFINITY;
    if (strcmp(spec, "floor") == 0) o->has_minimum = true, o->minimum = 0.25;
    if (strcmp(spec, "accurate") == 0) o->metric = "accuracy";
    return flt_layout_add(&o->layout, "x", 1, &s->P);
}

static UNUSED flt_err fake_make(const char *spec, flt_objective **out) {
    *out = NULL;
    if (strcmp(spec, "absent") == 0) return flt_fail(FLTE_NAME, "task", "'absent' is unknown");
    FLTX_TRY(flt_alloc(1, sizeof **out, out));
    const flt_err err = fake_fill(spec, *out);
    if (err == FLTE_OK) return FLTE_OK;
    flt_objective_destroy(*out);
    *out = NULL;
    return err;
}

// One of the names between bars.
static UNUSED flt_err fake_sample(const char *distribution, uint64_t seed, char *concrete) {
    size_t n = 1;
    for (const char *c = distribution; *c != '\0'; c++) n += *c == '|';
    for (size_t left = seed % n; left > 0; left--) distribution += strcspn(distribution, "|") + 1;
    sprintf(concrete, "%.*s", (int)strcspn(distribution, "|"), distribution);
    return FLTE_OK;
}

// ---- files of a test, removed with the process that made them
static UNUSED const char *scratch(const char *name) {
    static char path[4][128];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "/tmp/flt_test_%d_%s", (int)getpid(), name);
    return p;
}

typedef struct blob {
    size_t size;
    unsigned char *bytes;
} blob;

static UNUSED blob slurp(const char *path) {
    blob b = {0};
    FILE *f = fopen(path, "rb");
    cr_assert(ne(ptr, f, NULL), "%s", path);
    fseek(f, 0, SEEK_END);
    b.size = (size_t)ftell(f);
    rewind(f);
    b.bytes = malloc(b.size + 1);
    cr_assert(eq(sz, fread(b.bytes, 1, b.size, f), b.size));
    fclose(f);
    return b;
}

static UNUSED void spill(const char *path, const void *bytes, size_t size) {
    FILE *f = fopen(path, "wb");
    cr_assert(ne(ptr, f, NULL), "%s", path);
    cr_assert(eq(sz, fwrite(bytes, 1, size, f), size));
    fclose(f);
}

// Small and of several parts a window: what most tests train with, one thread, NRES.
static inline flt_meta_config fake_config(size_t n_tasks, const char *const *tasks) {
    flt_meta_config c;
    flt_meta_defaults(&c);
    c.n_tasks = n_tasks;
    c.tasks = tasks;
    c.make = fake_make;
    c.outer_steps = 14;
    c.particles = 5;
    c.window = 6;
    c.unroll_min = 4;
    c.unroll_max = 30;
    c.sigma = 0.01;
    c.threads = 1;
    return c;
}

#endif
