// SPDX-License-Identifier: MIT
// The axes of a tensor that factored second moments run along.
#include "engine/axes.h"

void flt_largest_axes(const flt_tensor_spec *t, size_t a[2]) {
    a[0] = t->rank - 1;
    for (size_t i = t->rank - 1; i-- > 0;)
        if (t->dim[i] > t->dim[a[0]]) a[0] = i;
    a[1] = a[0] == t->rank - 1 ? t->rank - 2 : t->rank - 1;
    for (size_t i = a[1]; i-- > 0;)
        if (i != a[0] && t->dim[i] > t->dim[a[1]]) a[1] = i;
}

size_t flt_axis_stride(const flt_tensor_spec *t, size_t axis) {
    size_t stride = 1;
    for (size_t i = axis + 1; i < t->rank; i++) stride *= t->dim[i];
    return stride;
}
