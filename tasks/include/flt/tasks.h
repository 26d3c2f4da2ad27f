// SPDX-License-Identifier: MIT
// Tasks: objectives by name. One kind per file in tasks/.
#ifndef FLTX_TASKS_H
#define FLTX_TASKS_H

#include "flt/objective.h"
#include "flt/registry.h"

enum { // capability bits
    FLTX_TASK_STOCHASTIC = 1u << 0, // minibatches differ from step to step
    FLTX_TASK_DATA = 1u << 1,       // stands on real data, with train, validation and test splits
    FLTX_TASK_MINIMUM = 1u << 2,    // the least loss is known
};

typedef struct flt_task_kind {
    flt_kind kind;
    // Fills every field of *out but spec (out->self, layout, functions). On failure *out is left destroyable.
    flt_err (*create)(const flt_params *p, flt_objective *out);
} flt_task_kind;

const flt_registry *flt_task_registry(void);
flt_err flt_task_find(const char *name, const flt_task_kind **out);

// "digits_mlp", "digits_mlp:width=32,batch=64". A flt_objective_maker. Errors: FLTE_NAME, FLTE_USAGE, FLTE_RANGE, FLTE_IO
// (data files), FLTE_NOMEM.
flt_err flt_task_create(const char *spec, flt_objective **out);

#endif
