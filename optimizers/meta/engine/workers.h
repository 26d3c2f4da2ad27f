// SPDX-License-Identifier: MIT
// Who runs the inner problems: threads of this process, or another implementation with the same functions (processes of a
// cluster, each with some of the particles).
//
// Between workers travel outcomes alone: a few numbers per particle, however many meta-parameters there are. Schedules and
// perturbations are computed by everyone (particles.h); inner problems stay where they run, and are gathered for a checkpoint.
#ifndef FLTX_WORKERS_H
#define FLTX_WORKERS_H

#include "arms.h"
#include "flt/meta.h"
#include "particles.h"

// Arm 0 runs with theta + eps, arm 1 with theta - eps.
typedef struct flt_outcome {
    double *loss;      // [P, 2, K], sum of meta-losses over the part's steps
    uint64_t *clipped; // [P, 2], steps whose loss was clipped
} flt_outcome;

typedef struct flt_workers flt_workers;
struct flt_workers {
    void *self;
    // Runs the parts of the window in both arms of all particles. *out is complete on every worker. Cannot fail, allocates
    // nothing.
    void (*window)(void *self, const flt_real *theta, const flt_particles *p, flt_outcome *out);
    // Brings all inner problems into the arms of the worker that writes checkpoints / from there back to where they run.
    // NULL where every worker has them all.
    flt_err (*gather)(void *self);
    flt_err (*scatter)(void *self);
    void (*destroy)(void *self);
};

// Threads of this process over particle-arms; the bits do not depend on how many. `arms` is borrowed.
flt_err flt_threads_create(const flt_meta_config *c, const flt_weights *w, flt_arms *arms, flt_workers *out);
// The number of threads that `c` asks for, at least 1.
int flt_threads_wanted(const flt_meta_config *c);

#endif
