// SPDX-License-Identifier: MIT
// The inner loop that meta-training and evaluation share: one objective, one optimizer planned for its layout.
#ifndef FLTX_INNER_H
#define FLTX_INNER_H

#include "flt/objective.h"
#include "flt/optimizer.h"

typedef struct flt_inner { // used by one thread at a time
    flt_objective *objective;
    flt_optimizer *optimizer;
    flt_real *grad; // [P]
    size_t params;  // P
    size_t state;   // words of the optimizer's state
} flt_inner;

// `params` replaces those of `w` when not NULL. The optimizer is bound to w->theta. On failure *out is {0}.
flt_err flt_inner_create(const flt_weights *w, const flt_params *params, const char *task, flt_objective_maker make,
                         flt_inner *out);
void flt_inner_destroy(flt_inner *p); // NULL and {0} are fine

// Fresh parameters and state of the run that `seed` names. param [P], state [state].
void flt_inner_begin(flt_inner *p, uint64_t seed, flt_real *param, flt_real *state);
// Loss and gradient on training minibatch t; then, when the loss is finite or `always`, the update. Returns the loss, from before
// the update.
flt_real flt_inner_step(flt_inner *p, uint64_t seed, uint64_t t, bool always, flt_real *param, flt_real *state);

// Seeds of inner problems. The top bit tells the two apart: evaluation never repeats a run that meta-training has seen.
uint64_t flt_training_seed(uint64_t seed, uint64_t particle, uint64_t episode);
uint64_t flt_evaluation_seed(uint64_t seed);

#endif
