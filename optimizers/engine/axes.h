// SPDX-License-Identifier: MIT
// The axes of a tensor that factored second moments run along.
#ifndef FLTX_OPTIMIZERS_AXES_H
#define FLTX_OPTIMIZERS_AXES_H

#include "flt/objective.h"

// The two largest axes of a tensor of rank 2 or more: a[0] the largest; of equal ones the later counts as larger.
void flt_largest_axes(const flt_tensor_spec *t, size_t a[2]);

// Elements between neighbours along an axis.
size_t flt_axis_stride(const flt_tensor_spec *t, size_t axis);

#endif
