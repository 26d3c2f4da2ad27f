// SPDX-License-Identifier: MIT
// Tasks: objectives by name. One kind per file in tasks/.
#ifndef FLTX_TASKS_H
#define FLTX_TASKS_H

#include "flt/objective.h"
#include "flt/registry.h"

FLTX_BEGIN_DECLS

enum {                              // capability bits
    FLTX_TASK_STOCHASTIC = 1u << 0, // minibatches differ from step to step
    FLTX_TASK_DATA = 1u << 1,       // stands on real data, with train, validation and test splits
    FLTX_TASK_MINIMUM = 1u << 2,    // the least loss is known
    FLTX_TASK_ERROR = 1u << 3,      // its metric is an error: less of it is better
};

typedef struct flt_task_kind {
    flt_kind kind;
    // Fills every field of *out but spec (out->self, layout, functions). On failure *out is left destroyable.
    flt_err (*create)(const flt_params *p, flt_objective *out);
} flt_task_kind;

const flt_registry *flt_task_registry(void);
flt_err flt_task_find(const char *name, const flt_task_kind **out);
// The kind that a spec of one task names. FLTE_USAGE where it stands for several, FLTE_NAME.
flt_err flt_task_of(const char *spec, const flt_task_kind **out);
// Parameters that every task takes beside its own: the augmentation by re-parametrisation (tasks/engine/reparam.c).
const flt_param_spec *flt_task_common_params(void);

// "digits_mlp", "digits_mlp:width=32,batch=64". A flt_objective_maker. Errors: FLTE_NAME, FLTE_USAGE, FLTE_RANGE, FLTE_IO
// (data files), FLTE_NOMEM.
flt_err flt_task_create(const char *spec, flt_objective **out);

// Draws one task of a distribution: a spec whose numbers may be ranges (ends included) and whose numbers and names may be
// choices, "digits_mlp:width=8..128,depth=1..3,activation=relu|gelu"; or several of them with weights,
// "3*digits_mlp:width=8..128;quadratic". A range that spans a factor of 4 or more from a positive low end is drawn log-uniform,
// others uniform. The same seed draws the same task. concrete [FLTX_TASK_SPEC_SIZE] is a spec for flt_task_create. Errors: as
// there, of any value that could be drawn; FLTE_RANGE also for downward ranges and weights.
enum { FLTX_TASK_SPEC_SIZE = 256 };
flt_err flt_task_sample(const char *distribution, uint64_t seed, char *concrete);

// ---- sets of tasks by name, on which optimizers are compared: tasks/engine/sets.c
typedef struct flt_task_of_set {
    const char *spec; // for flt_task_create; NULL behind the last
    size_t steps;     // of a run
} flt_task_of_set;
typedef struct flt_task_set {
    const char *name, *summary; // NULL behind the last
    const flt_task_of_set *tasks;
} flt_task_set;
extern const flt_task_set flt_task_sets[];
flt_err flt_task_set_find(const char *name, const flt_task_set **out); // "train", without the @; FLTE_NAME with those there are

FLTX_END_DECLS

#endif
