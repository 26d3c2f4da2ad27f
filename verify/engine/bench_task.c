// SPDX-License-Identifier: MIT
// Tasks: loss and gradient on one minibatch after the other, by one thread, and what of it is which. The arithmetic is that of
// the graph's nodes (flt_exec_flops); the bytes that must move are the parameters read and the gradient written.
#include "engine/bench.h"

#include "flt/memory.h"
#include "flt/task_cost.h"
#include "flt/tasks.h"

#include <math.h>

#define PART 0.02 // seconds for each part

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

static flt_err record(const flt_bench *b, const char *spec, size_t n, const char *phase, double seconds) {
    if (isnan(seconds)) return FLTE_OK;
    const flt_field fields[] = {flt_text_field("subject", spec), flt_text_field("phase", phase),   flt_text_field("label", ""),
                                flt_num_field("n", (double)n),   flt_num_field("threads", 1),      flt_num_field("rep", 0),
                                flt_num_field("warm", 0),        flt_num_field("seconds", seconds)};
    return flt_sink_record(b->sink, "timing", sizeof fields / sizeof *fields, fields);
}

static flt_err parts(const flt_bench *b, const char *spec, flt_bench_row *row) {
    flt_task_cost cost;
    FLTX_TRY(flt_task_cost_of(spec, b->config->seed, PART, &cost));
    row->bytes = (double)cost.bytes;
    row->minibatch = cost.minibatch / cost.gradient;
    row->idle = cost.idle / cost.gradient;
    row->hessian = cost.hessian;
    FLTX_TRY(record(b, spec, cost.parameters, "minibatch", cost.minibatch));
    FLTX_TRY(record(b, spec, cost.parameters, "idle", cost.idle));
    return record(b, spec, cost.parameters, "hessian", cost.hessian);
}

static flt_err measure(flt_bench *b, const char *spec, job *j) {
    const flt_objective *o = j->objective;
    flt_bench_case c = {.row = {.subject = spec,
                                .phase = "gradient",
                                .label = "",
                                .n = o->layout.total,
                                .threads = 1,
                                .flops = o->flops == NULL ? NAN : o->flops(o->self),
                                .moved = 2.0 * (double)o->layout.total * sizeof(flt_real),
                                .bytes = NAN,
                                .error = NAN},
                        .self = j,
                        .run = gradients};
    FLTX_TRY(parts(b, spec, &c.row));
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
