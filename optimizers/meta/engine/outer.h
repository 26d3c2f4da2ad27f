// SPDX-License-Identifier: MIT
// The outer loop's state and its two half-steps: the gradient of one window, and the update of theta.
#ifndef FLTX_OUTER_H
#define FLTX_OUTER_H

#include "adam_curves.h"
#include "difference.h"
#include "meta_optimizer.h"
#include "task_pool.h"
#include "workers.h"

typedef struct flt_outer_counts {
    uint64_t steps, inner_steps, clipped, skipped;
} flt_outer_counts;

typedef struct flt_outer {
    const flt_meta_config *config; // borrowed, as are the weights
    flt_weights *weights;
    size_t n; // meta-parameters
    flt_task_pool pool;
    bool *frozen; // [n], NULL: none
    flt_particles particles;
    flt_arms arms; // of this rank
    flt_workers workers;
    flt_watch watch;
    flt_meta_loss loss_kind;
    flt_adam_curves adam;
    flt_outcome outcome;
    flt_difference difference;
    flt_meta_optimizer optimizer;
    double *weight;    // [P, K], what perturbations of the window's parts are multiplied by
    double *gradient;  // [n]
    double *task_loss; // [n_tasks], mean meta-loss of the last window
    flt_outer_counts counts;
    double loss;          // mean meta-loss of the last window
    uint64_t clipped;     // inner steps of the last window
    uint64_t inner_steps; // of it, in all arms
} flt_outer;

// Errors: FLTE_NAME, FLTE_RANGE, FLTE_NOMEM, those of tasks and optimizers. *out may be destroyed whatever came back.
flt_err flt_outer_create(const flt_meta_config *c, const flt_estimator_kind *kind, flt_weights *w, flt_outer *out);
void flt_outer_destroy(flt_outer *o); // {0} is fine

// Runs the next window and leaves its estimate of the meta-gradient in `gradient`. Errors: those of flt_workers.window; after
// FLTE_INTERRUPTED all is as it was before the window, where a checkpoint was asked for.
flt_err flt_outer_gradient(flt_outer *o);
// Takes the meta-optimizer's step, or skips and counts it when the gradient is not finite. Ends the outer step.
void flt_outer_update(flt_outer *o);

#endif
