// SPDX-License-Identifier: MIT
// The flt optimizer in plain loops, one coordinate at a time: what the fused step is held against. Slow and easy to check.
#ifndef FLTX_OPTIMIZERS_FLT_REFERENCE_H
#define FLTX_OPTIMIZERS_FLT_REFERENCE_H

#include "flt/objective.h"
#include "flt/params.h"

typedef struct flt_reference flt_reference;

// params: of the kind "flt". The state starts at t = 0 and lives in the object.
flt_err flt_reference_create(const flt_params *params, const flt_layout *layout, flt_reference **out);
void flt_reference_destroy(flt_reference *r);
// theta is copied. param [P] is updated in place; theta, grad and param are converted from double.
void flt_reference_bind(flt_reference *r, const double *theta);
void flt_reference_step(flt_reference *r, uint64_t t, const double *grad, double *param);

#endif
