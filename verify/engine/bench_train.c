// SPDX-License-Identifier: MIT
// Meta-training: inner steps of a learned optimizer on the digits network, by one thread and by all. An inner step is a gradient
// of the task and a step of the optimizer, whose arithmetic is counted; what an outer step costs beside them is part of the time.
#include "engine/bench.h"

#include "flt/memory.h"
#include "flt/meta.h"
#include "flt/tasks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WINDOW = 20, OUTER_STEPS = 2 };

typedef struct job {
    flt_meta_config config;
    flt_weights weights;
    double flops;    // of one inner step
    flt_real *start; // meta-parameters that each sample begins with
} job;

static void reset(void *self) {
    job *j = self;
    memcpy(j->weights.theta, j->start, j->weights.layout.total * sizeof *j->start);
}

static flt_err train(void *self, size_t calls) {
    job *j = self;
    for (size_t i = 0; i < calls; i++) FLTX_TRY(flt_meta_train(&j->config, &j->weights, NULL, NULL));
    return FLTE_OK;
}

static flt_err count(const flt_optimizer_kind *kind, const char *task, job *j) {
    flt_objective *o = NULL;
    FLTX_TRY(flt_task_create(task, &o));
    j->flops = o->flops == NULL ? NAN : o->flops(o->self) + flt_optimizer_flops(kind, j->weights.params, &o->layout);
    flt_objective_destroy(o);
    return FLTE_OK;
}

static flt_err prepare(const flt_bench_config *c, const flt_optimizer_kind *kind, job *j) {
    static const char *const task[] = {"digits_mlp"};
    flt_params *params = NULL;
    flt_meta_defaults(&j->config);
    j->config.n_tasks = 1;
    j->config.tasks = task;
    j->config.make = flt_task_create;
    j->config.outer_steps = OUTER_STEPS;
    j->config.window = WINDOW;
    j->config.seed = c->seed;
    FLTX_TRY(flt_params_create(kind->kind.name, kind->kind.params, &params));
    flt_err err = flt_bench_apply(c, &kind->kind, params);
    if (err == FLTE_OK) err = flt_weights_load(kind, params, NULL, c->seed, &j->weights);
    flt_params_destroy(params);
    FLTX_TRY(err);
    FLTX_TRY(count(kind, task[0], j));
    FLTX_TRY(flt_alloc(j->weights.layout.total, sizeof *j->start, &j->start));
    memcpy(j->start, j->weights.theta, j->weights.layout.total * sizeof *j->start);
    return FLTE_OK;
}

static flt_err measure(flt_bench *b, const flt_optimizer_kind *kind, job *j, int threads) {
    flt_bench_case c = {.row = {.subject = kind->kind.name,
                                .phase = "train",
                                .label = "digits_mlp",
                                .n = j->config.particles,
                                .threads = threads,
                                .flops = j->flops,
                                .moved = NAN,
                                .bytes = NAN,
                                .error = NAN},
                        .self = j,
                        .run = train,
                        .reset = reset,
                        .parts = 2.0 * (double)j->config.particles * WINDOW * OUTER_STEPS};
    j->config.threads = threads;
    return flt_bench_measure(b, &c);
}

static flt_err measure_sizes(flt_bench *b, const flt_optimizer_kind *kind, job *j) {
    static const size_t own[] = {8};
    const flt_bench_config *c = b->config;
    const size_t count = c->n_n > 0 ? c->n_n : 1, *n = c->n_n > 0 ? c->n : own;
    for (size_t i = 0; i < count; i++) {
        j->config.particles = n[i];
        FLTX_TRY(measure(b, kind, j, 1));
        if (c->threads > 1) FLTX_TRY(measure(b, kind, j, c->threads));
    }
    return FLTE_OK;
}

static flt_err measure_kind(flt_bench *b, const flt_optimizer_kind *kind) {
    job j = {0};
    flt_err err = prepare(b->config, kind, &j);
    err = err == FLTE_OK ? measure_sizes(b, kind, &j) : flt_bench_refused(b, kind->kind.name, err);
    flt_weights_free(&j.weights);
    flt_free(j.start);
    return err;
}

flt_err flt_bench_train(flt_bench *b) {
    const flt_registry *r = flt_optimizer_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++)
        if ((r->kinds[i]->caps & FLTX_OPT_LEARNED) != 0 && flt_bench_selected(b->config, r->kinds[i]->name))
            FLTX_TRY(measure_kind(b, (const flt_optimizer_kind *)r->kinds[i]));
    return FLTE_OK;
}
