// SPDX-License-Identifier: MIT
// Products with square matrices of which nothing above the diagonal counts. Private to core/attention.
//
//     a = x y^T,   out += a x,   out += a^T x        a [n, n], x, y [n, width]
//
// They run by blocks of EDGE rows and leave out the blocks above the diagonal: with n = 64 a third of the time of a whole product
// is saved, for what is left is less wide. How many rows there are changes the bits of none of them.
#ifndef FLTX_ATTENTION_TRIANGLE_H
#define FLTX_ATTENTION_TRIANGLE_H

#include "flt/num.h"

enum { FLTX_ATT_EDGE = 16 };

static inline size_t flt_att_block(size_t n, size_t i, size_t size) {
    return n - i < size ? n - i : size;
}

// a [n, n] = x y^T on and below the diagonal; what is above keeps its numbers or receives others. Rows of x and y are ldx and ldy
// apart.
static inline void flt_att_lower_product_far(size_t n, size_t width, const flt_real *x, size_t ldx, const flt_real *y, size_t ldy,
                                             flt_real *a) {
    for (size_t j = 0; j < n; j += FLTX_ATT_EDGE)
        flt_gemm(false, true, n - j, flt_att_block(n, j, FLTX_ATT_EDGE), width, 1, x + j * ldx, ldx, y + j * ldy, ldy, 0,
                 a + j * n + j, n);
}

static inline void flt_att_lower_product(size_t n, size_t width, const flt_real *x, const flt_real *y, flt_real *a) {
    flt_att_lower_product_far(n, width, x, width, y, width, a);
}

// out [n, width] = beta out + a x; a holds zeros above its diagonal. Rows of x are ldx apart.
static inline void flt_att_lower_times_far(size_t n, size_t width, const flt_real *a, const flt_real *x, size_t ldx,
                                           flt_real beta, flt_real *out) {
    for (size_t i = 0; i < n; i += FLTX_ATT_EDGE) {
        const size_t rows = flt_att_block(n, i, FLTX_ATT_EDGE);
        flt_gemm(false, false, rows, width, i + rows, 1, a + i * n, n, x, ldx, beta, out + i * width, width);
    }
}

static inline void flt_att_lower_times(size_t n, size_t width, const flt_real *a, const flt_real *x, flt_real beta,
                                       flt_real *out) {
    flt_att_lower_times_far(n, width, a, x, width, beta, out);
}

// out [n, width] = beta out + a^T x, x and out with rows `ldx` and `ldo` elements apart
static inline void flt_att_upper_times(size_t n, size_t width, const flt_real *a, const flt_real *x, size_t ldx, flt_real beta,
                                       flt_real *out, size_t ldo) {
    for (size_t j = 0; j < n; j += FLTX_ATT_EDGE)
        flt_gemm(true, false, flt_att_block(n, j, FLTX_ATT_EDGE), width, n - j, 1, a + j * n + j, n, x + j * ldx, ldx, beta,
                 out + j * ldo, ldo);
}

#endif
