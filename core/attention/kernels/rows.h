// SPDX-License-Identifier: MIT
// Rows of kernels vector by vector. Private to core/attention/kernels.
#ifndef FLTX_ATTENTION_ROWS_H
#define FLTX_ATTENTION_ROWS_H

#include "flt/simd.h"

// A row's length for those of its vectors that are known to be whole: nothing is asked of them.
#define WHOLE SIZE_MAX

// Vector i .. of a row with n > i elements; the last one may be partial, zeros behind it.
FLTX_INLINE flt_vreal get(const flt_real *row, size_t i, size_t n) {
    return flt_vreal_load_up_to(row + i, n == WHOLE ? WHOLE : n - i);
}

FLTX_INLINE void put(flt_real *row, size_t i, size_t n, flt_vreal v) {
    flt_vreal_store_up_to(row + i, v, n == WHOLE ? WHOLE : n - i);
}

#endif
