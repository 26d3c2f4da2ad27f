// SPDX-License-Identifier: MIT
// Re-parametrisation: what the optimizer sees of a task, in coordinates of other scales.
#ifndef FLTX_TASK_REPARAM_H
#define FLTX_TASK_REPARAM_H

#include "flt/objective.h"
#include "flt/params.h"

// Wraps *o as its parameters ask; with reparam=none it stays as it is. After a failure *o is destroyable.
flt_err flt_reparam_wrap(const flt_params *p, flt_objective *o);

#endif
