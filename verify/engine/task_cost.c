// SPDX-License-Identifier: MIT
// Timing a task: calls in blocks, the least block counts.
//
// Making a minibatch is the difference between gradients on ever new minibatches and on one that is held; the executor's share is
// measured by running it with nodes that do nothing.
#include "flt/task_cost.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/tasks.h"

#include <math.h>
#include <time.h>

enum { FRESH, HELD, IDLE, HESSIAN, N_PARTS };
enum { BLOCKS = 5, MAX_CALLS = 1 << 20 };

typedef struct job {
    flt_objective *objective;
    flt_real *theta, *out, *v; // v: a direction
    flt_batch batch;
} job;

typedef void call_fn(job *j);

static void fresh(job *j) {
    j->batch.step++;
    (void)j->objective->gradient(j->objective->self, j->batch, j->theta, j->out);
}

static void held(job *j) {
    (void)j->objective->gradient(j->objective->self, j->batch, j->theta, j->out);
}

static void idle(job *j) {
    j->objective->idle(j->objective->self, j->theta, j->out);
}

static void hessian(job *j) {
    j->objective->hessian_vector(j->objective->self, j->batch, j->theta, j->v, j->out);
}

// Seconds of this thread a call.
static double time_block(job *j, call_fn *call, size_t calls) {
    struct timespec from, to;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (size_t i = 0; i < calls; i++) call(j);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    return ((double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec)) / (double)calls;
}

// How many calls fill a block; warms up.
static size_t block_of(job *j, call_fn *call, double seconds) {
    (void)time_block(j, call, 1);
    const double wanted = floor(seconds / BLOCKS / fmax(time_block(j, call, 1), 1e-9));
    return wanted < 1.0 ? 1 : wanted > MAX_CALLS ? MAX_CALLS : (size_t)wanted;
}

// The least block of each part. Parts take turns, so that what else the machine does meets all of them.
static void time_parts(job *j, call_fn *const part[N_PARTS], double seconds, double least[N_PARTS]) {
    size_t calls[N_PARTS] = {0};
    double spent = 0.0;
    for (size_t k = 0; k < N_PARTS; k++) {
        least[k] = part[k] == NULL ? (double)NAN : (double)INFINITY;
        if (part[k] != NULL) calls[k] = block_of(j, part[k], seconds);
    }
    for (int i = 0; i < BLOCKS && (i < 2 || spent < N_PARTS * seconds); i++)
        for (size_t k = 0; k < N_PARTS; k++) {
            if (part[k] == NULL) continue;
            const double t = time_block(j, part[k], calls[k]);
            spent += t * (double)calls[k];
            least[k] = fmin(least[k], t);
        }
}

static flt_err prepare(const char *spec, uint64_t seed, job *j, size_t *bytes) {
    *bytes = flt_live_bytes();
    FLTX_TRY(flt_task_create(spec, &j->objective));
    *bytes = flt_live_bytes() - *bytes;
    const size_t n = j->objective->layout.total;
    FLTX_TRY(flt_alloc(n, sizeof *j->theta, &j->theta));
    FLTX_TRY(flt_alloc(n, sizeof *j->out, &j->out));
    FLTX_TRY(flt_alloc(n, sizeof *j->v, &j->v));
    j->objective->init(j->objective->self, seed, j->theta);
    for (size_t i = 0; i < n; i++) j->v[i] = 1;
    j->batch = (flt_batch){.seed = seed, .split = FLTX_TRAIN};
    return FLTE_OK;
}

static void measure(job *j, double seconds, flt_task_cost *out) {
    const flt_objective *o = j->objective;
    call_fn *const part[N_PARTS] = {fresh, held, o->idle == NULL ? NULL : idle, o->hessian_vector == NULL ? NULL : hessian};
    double least[N_PARTS];
    time_parts(j, part, seconds, least);
    out->parameters = o->layout.total;
    out->gradient = least[FRESH];
    out->minibatch = fmax(0.0, least[FRESH] - least[HELD]);
    out->idle = least[IDLE];
    out->hessian = least[HESSIAN];
}

flt_err flt_task_cost_of(const char *spec, uint64_t seed, double seconds, flt_task_cost *out) {
    FLTX_GIVEN(spec, out);
    job j = {0};
    flt_num_init();
    *out = (flt_task_cost){0};
    const flt_err err = prepare(spec, seed, &j, &out->bytes);
    if (err == FLTE_OK) measure(&j, seconds, out);
    flt_objective_destroy(j.objective);
    flt_free(j.theta);
    flt_free(j.out);
    flt_free(j.v);
    return err;
}
