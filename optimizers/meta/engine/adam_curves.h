// SPDX-License-Identifier: MIT
// What Adam reaches on each task at each step: curves to hold the learned optimizer against while it is trained.
//
// For each task Adam runs at rates 3e-4, 1e-3, .. 1e-1 on two problems that training does not see, for the longest episode; the
// rate with the least mean meta-loss gives the curve. Kept as running sums at the ends of at most 4096 bins, linear in between.
// Cost: 12 runs of unroll_max Adam steps a task, once, shared by threads and ranks.
#ifndef FLTX_ADAM_CURVES_H
#define FLTX_ADAM_CURVES_H

#include "loss.h"
#include "workers.h"

typedef struct flt_adam_curves {
    size_t tasks, bins, steps;
    double *sum; // [tasks, bins + 1], of meta-losses up to the end of each bin; NULL: nothing was asked for
} flt_adam_curves;

// All ranks call it. Errors: those of tasks and of the ranks, FLTE_INTERRUPTED, FLTE_NOMEM. *out may be destroyed whatever came
// back.
flt_err flt_adam_curves_create(const flt_meta_config *c, const flt_task_pool *pool, flt_watch *watch, flt_adam_curves *out);
void flt_adam_curves_destroy(flt_adam_curves *r); // {0} is fine
// What the part counts for in Adam's hands, to be compared with an arm's outcome. Not for the least loss.
double flt_adam_curves_part(const flt_adam_curves *r, const flt_meta_loss *m, size_t task, const flt_part *part);

#endif
