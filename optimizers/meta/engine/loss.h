// SPDX-License-Identifier: MIT
// The meta-loss: losses of different tasks and scales on one footing, and what a part of a window is judged by.
#ifndef FLTX_META_LOSS_H
#define FLTX_META_LOSS_H

#include "../../engine/inner.h"
#include "arms.h"
#include "flt/meta.h"
#include "unroll.h"

typedef enum flt_reduction { FLTX_MEAN, FLTX_LAST, FLTX_LEAST } flt_reduction;

typedef struct flt_meta_loss {
    flt_reduction reduction;
    bool logarithm, held_out;
    double power; // of the weight of a step
} flt_meta_loss;

// Errors: FLTE_USAGE (unknown name), FLTE_RANGE, FLTE_UNSUPPORTED.
flt_err flt_meta_loss_make(const flt_meta_config *c, flt_meta_loss *out);
// The meta-loss of one inner step, which is taken: of the loss before its update, so that held-out and training losses differ in
// the batch alone. A training loss that is not finite stops the arm until its next reset. *counted: the loss, held out where it
// counts; NaN where it is not finite or above clip_loss, and counts as that. batch.split is not looked at. unroll: takes the step
// in the optimizer's place, NULL: none.
double flt_meta_loss_step(const flt_meta_loss *m, flt_inner *inner, flt_unroll *unroll, flt_arm arm, flt_batch batch, bool counts,
                          double *counted);
// What the meta-loss of step t of an episode of `length` is multiplied by, (power + 1) ((t + 1/2) / length)^power: 1 on average.
double flt_meta_loss_weight(const flt_meta_loss *m, uint64_t t, uint64_t length);
// `so_far` with the meta-loss x of the part's step i.
double flt_meta_loss_add(const flt_meta_loss *m, double so_far, double x, size_t i);
// What the part counts for: `so_far` times its steps unless it is their sum. dead: x of its last step takes the place of a least.
double flt_meta_loss_part(const flt_meta_loss *m, double so_far, double last, bool dead, size_t steps);
// From the losses of a part that counted (NaN where they were clipped) to the derivatives of what the part counts for, in place.
void flt_meta_loss_slopes(const flt_meta_loss *m, const flt_objective *o, bool dead, size_t steps, double *loss);

#endif
