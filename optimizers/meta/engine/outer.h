// SPDX-License-Identifier: MIT
// The outer loop's state and its two half-steps: the gradient of one window, and Adam on theta.
#ifndef FLTX_OUTER_H
#define FLTX_OUTER_H

#include "workers.h"

typedef struct flt_outer_counts {
    uint64_t steps, inner_steps, clipped, skipped;
} flt_outer_counts;

typedef struct flt_outer {
    const flt_meta_config *config; // borrowed, as are the weights
    flt_weights *weights;
    size_t n; // meta-parameters
    flt_particles particles;
    flt_arms arms; // of this rank
    flt_workers workers;
    flt_watch watch;
    flt_outcome outcome;
    double *gradient, *m, *v; // [n]
    double *task_loss;        // [n_tasks], mean meta-loss of the last window
    flt_outer_counts counts;
    double loss, grad_norm, update_norm; // of the last step: mean meta-loss, norm before clipping, norm of theta's change
    uint64_t clipped;                    // inner steps of the last window
} flt_outer;

// Errors: FLTE_NAME, FLTE_RANGE, FLTE_NOMEM, those of tasks and optimizers. *out may be destroyed whatever came back.
flt_err flt_outer_create(const flt_meta_config *c, const flt_estimator_kind *kind, flt_weights *w, flt_outer *out);
void flt_outer_destroy(flt_outer *o); // {0} is fine

// Runs the next window and leaves its estimate of the meta-gradient in `gradient`. Errors: those of flt_workers.window; after
// FLTE_INTERRUPTED all is as it was before the window, where a checkpoint was asked for.
flt_err flt_outer_gradient(flt_outer *o);
// Clips, takes Adam's step, or skips and counts it when the gradient is not finite. Ends the outer step.
void flt_outer_update(flt_outer *o);

#endif
