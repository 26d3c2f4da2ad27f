// SPDX-License-Identifier: MIT
// Optimizers: one step on P parameters in ten equal matrices, by one thread. The arithmetic is flt_optimizer_flops, the
// bytes are those of the gradient read, and of parameters and state read and written once: what binds an element-wise optimizer.
// Phase "decayed": the same on a state that has shrunk below the normal numbers, as moments do where gradients stay zero; a
// processor left alone takes a hundred times as long there.
#include "engine/bench.h"

#include "flt/memory.h"
#include "flt/optimizer.h"
#include "flt/random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TENSORS = 10, DECAYED_AFTER = 3, MAX_PERIOD = 100 };

#ifdef FLTX_DOUBLE
#define DECAY 1e-309
#else
#define DECAY 1e-39
#endif

typedef struct job {
    flt_layout layout;
    flt_weights weights;
    flt_optimizer *optimizer;
    flt_real *start, *param, *grad, *state;
    flt_real *small; // [state words]: a state that has decayed
    uint64_t t;
    size_t period; // steps of a call: decompositions come every so many
} job;

static void begin(job *j) {
    j->t = 0;
    memcpy(j->param, j->start, j->layout.total * sizeof *j->param);
    flt_optimizer_init(j->optimizer, j->state);
}

// Behind the first step, which some do in another way than all that follow.
static void reset(void *self) {
    job *j = self;
    begin(j);
    flt_optimizer_step(j->optimizer, j->t++, 1, j->grad, j->param, j->state);
}

static void reset_decayed(void *self) {
    job *j = self;
    j->t = DECAYED_AFTER;
    memcpy(j->param, j->start, j->layout.total * sizeof *j->param);
    memcpy(j->state, j->small, flt_optimizer_state_words(j->optimizer) * sizeof *j->state);
}

static flt_err steps(void *self, size_t calls) {
    job *j = self;
    for (size_t i = 0; i < calls * j->period; i++) flt_optimizer_step(j->optimizer, j->t++, 1, j->grad, j->param, j->state);
    return FLTE_OK;
}

// P parameters: nine matrices of ten columns, and what is left in the last; fewer than a hundred are one vector.
static flt_err make_layout(size_t total, flt_layout *out) {
    const size_t rows = total / (10 * TENSORS);
    for (int i = 0; i < TENSORS - 1 && rows > 0; i++) {
        char name[16];
        const size_t dim[2] = {rows, 10};
        snprintf(name, sizeof name, "w%d", i);
        FLTX_TRY(flt_layout_add(out, name, 2, dim));
    }
    const size_t rest = total - (TENSORS - 1) * 10 * rows, dim[2] = {rest / 10, 10};
    return rows > 0 && rest % 10 == 0 ? flt_layout_add(out, "last", 2, dim) : flt_layout_add(out, "last", 1, &rest);
}

static flt_err make_weights(const flt_bench_config *c, const flt_optimizer_kind *kind, flt_weights *out) {
    flt_params *params = NULL;
    FLTX_TRY(flt_params_create(kind->kind.name, kind->kind.params, &params));
    flt_err err = flt_bench_apply(c, &kind->kind, params);
    if (err == FLTE_OK) err = flt_weights_load(kind, params, NULL, c->seed, out);
    flt_params_destroy(params);
    return err;
}

static size_t period_of(const flt_optimizer_kind *kind, const flt_params *p) {
    const size_t steps = flt_bench_declares(&kind->kind, "frequency") ? flt_params_size(p, "frequency") : 1;
    return steps < MAX_PERIOD ? steps : MAX_PERIOD;
}

static flt_err prepare(const flt_bench_config *c, const flt_optimizer_kind *kind, size_t total, job *j) {
    const flt_rng rng = flt_rng_make(c->seed, "bench", total);
    FLTX_TRY(make_layout(total, &j->layout));
    FLTX_TRY(make_weights(c, kind, &j->weights));
    FLTX_TRY(flt_optimizer_create(kind, j->weights.params, &j->layout, &j->optimizer));
    j->period = period_of(kind, j->weights.params);
    FLTX_TRY(flt_alloc(total, sizeof *j->start, &j->start));
    FLTX_TRY(flt_alloc(total, sizeof *j->param, &j->param));
    FLTX_TRY(flt_alloc(total, sizeof *j->grad, &j->grad));
    FLTX_TRY(flt_alloc(flt_optimizer_state_words(j->optimizer), sizeof *j->state, &j->state));
    FLTX_TRY(flt_alloc(flt_optimizer_state_words(j->optimizer), sizeof *j->small, &j->small));
    flt_rng_normal(flt_rng_child(rng, "param", 0), 0, total, j->start);
    flt_rng_normal(flt_rng_child(rng, "grad", 0), 0, total, j->grad);
    if ((kind->kind.caps & FLTX_OPT_LEARNED) != 0) flt_optimizer_bind(j->optimizer, j->weights.theta);
    return FLTE_OK;
}

static void release(job *j) {
    flt_optimizer_destroy(j->optimizer);
    flt_weights_free(&j->weights);
    flt_layout_free(&j->layout);
    flt_free(j->start);
    flt_free(j->param);
    flt_free(j->grad);
    flt_free(j->state);
    flt_free(j->small);
}

// The state after a few steps, shrunk, and no gradient from now on.
static void decay(job *j) {
    const size_t words = flt_optimizer_state_words(j->optimizer);
    begin(j);
    while (j->t < DECAYED_AFTER) flt_optimizer_step(j->optimizer, j->t++, 1, j->grad, j->param, j->state);
    for (size_t i = 0; i < words; i++) j->small[i] = (flt_real)((double)j->state[i] * DECAY);
    memset(j->grad, 0, j->layout.total * sizeof *j->grad);
}

static flt_err measure(flt_bench *b, const flt_optimizer_kind *kind, job *j) {
    const double words = (double)flt_optimizer_state_words(j->optimizer), total = (double)j->layout.total;
    flt_bench_case c = {.row = {.subject = kind->kind.name,
                                .phase = "step",
                                .label = "10 tensors",
                                .n = j->layout.total,
                                .threads = 1,
                                .flops = flt_optimizer_flops(kind, j->weights.params, &j->layout),
                                .moved = (3.0 * total + 2.0 * words) * sizeof(flt_real),
                                .bytes = words * sizeof(flt_real),
                                .error = NAN},
                        .self = j,
                        .run = steps,
                        .reset = reset,
                        .parts = (double)j->period};
    FLTX_TRY(flt_bench_measure(b, &c));
    decay(j);
    c.row.phase = "decayed";
    c.row.flops = NAN; // a decomposition of nothing ends at once
    c.reset = reset_decayed;
    return flt_bench_measure(b, &c);
}

static flt_err measure_kind(flt_bench *b, const flt_optimizer_kind *kind) {
    static const size_t own[] = {1000, 10000, 100000, 1000000};
    const flt_bench_config *c = b->config;
    const size_t count = c->n_n > 0 ? c->n_n : sizeof own / sizeof *own, *n = c->n_n > 0 ? c->n : own;
    for (size_t i = 0; i < count; i++) {
        job j = {0};
        flt_err err = prepare(c, kind, n[i], &j);
        err = err == FLTE_OK ? measure(b, kind, &j) : flt_bench_refused(b, kind->kind.name, err);
        release(&j);
        FLTX_TRY(err);
    }
    return FLTE_OK;
}

flt_err flt_bench_optimizer(flt_bench *b) {
    const flt_registry *r = flt_optimizer_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++)
        if (flt_bench_selected(b->config, r->kinds[i]->name)) FLTX_TRY(measure_kind(b, (const flt_optimizer_kind *)r->kinds[i]));
    return FLTE_OK;
}
