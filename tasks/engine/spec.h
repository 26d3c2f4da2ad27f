// SPDX-License-Identifier: MIT
// Spec strings of tasks: "name" or "name:key=value,..".
#ifndef FLTX_TASK_SPEC_H
#define FLTX_TASK_SPEC_H

#include "flt/tasks.h"

// Finds the kind and makes its parameters at their defaults; *text is what follows the colon.
flt_err flt_spec_open(const char *spec, const flt_task_kind **kind, flt_params **p, const char **text);
// The canonical spec: what differs from the defaults, in the order of the table. Errors: FLTE_RANGE, where it does not fit.
flt_err flt_spec_print(const flt_task_kind *kind, const flt_params *p, char *out, size_t size);

#endif
