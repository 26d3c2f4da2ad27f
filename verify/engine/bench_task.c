// SPDX-License-Identifier: MIT
// Tasks: loss and gradient on one minibatch after the other, by one thread.
#include "engine/bench.h"

#include "flt/memory.h"
#include "flt/tasks.h"

#include <math.h>

typedef struct job {
    flt_objective *objective;
    flt_real *theta, *grad;
    flt_batch batch;
} job;

static flt_err gradients(void *self, size_t calls) {
    job *j = self;
    const flt_objective *o = j->objective;
    for (size_t i = 0; i < calls; i++, j->batch.step++) (void)o->gradient(o->self, j->batch, j->theta, j->grad);
    return FLTE_OK;
}

static flt_err prepare(const flt_bench_config *c, const char *spec, job *j) {
    FLTX_TRY(flt_task_create(spec, &j->objective));
    FLTX_TRY(flt_alloc(j->objective->layout.total, sizeof *j->theta, &j->theta));
    FLTX_TRY(flt_alloc(j->objective->layout.total, sizeof *j->grad, &j->grad));
    j->objective->init(j->objective->self, c->seed, j->theta);
    j->batch = (flt_batch){.seed = c->seed, .split = FLTX_TRAIN};
    return FLTE_OK;
}

static flt_err measure(flt_bench *b, const char *spec, job *j) {
    flt_bench_case c = {.row = {.subject = spec,
                                .phase = "gradient",
                                .label = "",
                                .n = j->objective->layout.total,
                                .threads = 1,
                                .flops = NAN,
                                .moved = NAN,
                                .bytes = NAN,
                                .error = NAN},
                        .self = j,
                        .run = gradients};
    return flt_bench_measure(b, &c);
}

static flt_err measure_spec(flt_bench *b, const char *spec) {
    job j = {0};
    flt_err err = prepare(b->config, spec, &j);
    err = err == FLTE_OK ? measure(b, spec, &j) : flt_bench_refused(b, spec, err);
    flt_objective_destroy(j.objective);
    flt_free(j.theta);
    flt_free(j.grad);
    return err;
}

flt_err flt_bench_task(flt_bench *b) {
    const flt_bench_config *c = b->config;
    const flt_registry *r = flt_task_registry();
    for (size_t i = 0; i < c->n_names; i++) FLTX_TRY(measure_spec(b, c->names[i]));
    for (size_t i = 0; c->n_names == 0 && r->kinds[i] != NULL; i++) FLTX_TRY(measure_spec(b, r->kinds[i]->name));
    return FLTE_OK;
}
