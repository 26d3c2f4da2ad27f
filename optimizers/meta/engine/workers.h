// SPDX-License-Identifier: MIT
// Who runs the inner problems: threads of this process, and over them processes of a job (ranks), each with some of the arms.
//
// Between workers travel outcomes alone: a few numbers per particle, however many meta-parameters there are, but for estimators
// that backpropagate: those leave a gradient per arm, and all workers add them up in the order of the arms. Schedules and
// perturbations are computed by everyone (particles.h); inner problems stay where they run, and are gathered for a checkpoint.
#ifndef FLTX_WORKERS_H
#define FLTX_WORKERS_H

#include "arms.h"
#include "flt/meta.h"
#include "particles.h"
#include "task_pool.h"

#include <stdatomic.h>

// Arm 0 runs with theta + eps, arm 1 with theta - eps; both with theta where the estimator backpropagates.
typedef struct flt_outcome {
    double *loss;      // [P, 2, K], sum of meta-losses over the part's steps
    uint64_t *clipped; // [P, 2], steps whose loss was clipped
    double *moved;     // [P, 2], |change| / |value| of the parameters in step `look` of the window; NaN where it made none
    double *gradient;  // [P, 2, n], of the sum over parts; NULL unless the estimator backpropagates
} flt_outcome;

// Whether to stop, looked at before each inner step. The sink is asked by the thread that called.
typedef struct flt_watch {
    const flt_sink *sink;
    atomic_bool stop;
} flt_watch;

bool flt_watch_stopping(flt_watch *watch);

typedef struct flt_traffic { // of the last window
    double bytes;            // that this process received
    double waiting;          // share of the window's time that ranks spent waiting for others, their mean
    double slowest;          // the rank that was waited for
} flt_traffic;

typedef struct flt_workers flt_workers;
struct flt_workers {
    void *self;
    // Runs the parts of the window in both arms of all particles; allocates nothing. *out is complete on every worker. Errors,
    // the same on every worker: FLTE_INTERRUPTED (one was to stop; arms are somewhere within the window, see rewind), FLTE_IO
    // (one is gone), FLTE_NUMERIC (theta differs between them).
    flt_err (*window)(void *self, const flt_real *theta, const flt_particles *p, flt_watch *watch, flt_outcome *out);
    // Brings the arms back to where the interrupted window began. Only where a checkpoint was asked for: it needs a copy.
    void (*rewind)(void *self);
    // Brings all inner problems into `whole` on rank 0 / from there to where they run. NULL where all are here.
    flt_err (*gather)(void *self, flt_arms *whole);
    flt_err (*scatter)(void *self, const flt_arms *whole);
    void (*destroy)(void *self);
    const flt_traffic *traffic; // NULL where nothing travels
};

// Threads of this process over its arms; the bits do not depend on how many. `pool` and `arms` are borrowed.
flt_err flt_threads_create(const flt_meta_config *c, const flt_particles *p, const flt_weights *w, const flt_task_pool *pool,
                           flt_arms *arms, flt_workers *out);
// The number of threads that `c` asks for, at least 1.
int flt_threads_wanted(const flt_meta_config *c);

// c->ranks over the workers of each of them, `local`, which *out takes over. *out is to be destroyed whatever came back.
flt_err flt_processes_create(const flt_meta_config *c, const flt_particles *p, flt_arms *arms, flt_workers *local,
                             flt_workers *out);

#endif
