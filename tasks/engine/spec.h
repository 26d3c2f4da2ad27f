// SPDX-License-Identifier: MIT
// Spec strings of tasks: "name" or "name:key=value,..".
#ifndef FLTX_TASK_SPEC_H
#define FLTX_TASK_SPEC_H

#include "flt/tasks.h"

typedef struct flt_spec {
    const flt_task_kind *kind;
    flt_param_spec *table; // the kind's parameters and the common ones; params borrows it
    flt_params *params;
    const char *text; // what follows the colon
} flt_spec;

// Finds the kind and makes its parameters at their defaults. After a failure *out is empty.
flt_err flt_spec_open(const char *spec, flt_spec *out);
void flt_spec_close(flt_spec *s);
// The canonical spec: what differs from the defaults, in the order of the table. Errors: FLTE_RANGE, where it does not fit.
flt_err flt_spec_print(const flt_spec *s, char *out, size_t size);

#endif
