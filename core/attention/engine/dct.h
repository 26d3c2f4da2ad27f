// SPDX-License-Identifier: MIT
// Orthonormal DCT-II and its inverse by one real Fourier transform each, and rows in and out of columns. Private to
// core/attention.
//
//     X_k = s_k sum_t x_t cos(pi (2t + 1) k / 2n),   s_0 = 1/sqrt n, s_k = sqrt(2/n);   inverse = transpose
//
// Makhoul, A fast cosine transform in one and two dimensions, IEEE ASSP 28, 1980: even samples in order, odd ones reversed behind
// them, then X_k = s_k Re(e^{-i pi k/2n} V_k). Cost 2.5 n log2 n + O(n).
#ifndef FLTX_ATTENTION_DCT_H
#define FLTX_ATTENTION_DCT_H

#include "flt/error.h"

typedef struct flt_att_dct flt_att_dct; // for one thread at a time

flt_err flt_att_dct_create(size_t n, flt_att_dct **out);
void flt_att_dct_destroy(flt_att_dct *p);
size_t flt_att_dct_bytes(const flt_att_dct *p);
// x, spectrum [n]; in place allowed.
void flt_att_dct_forward(flt_att_dct *p, const flt_real *x, flt_real *spectrum);
void flt_att_dct_inverse(flt_att_dct *p, const flt_real *spectrum, flt_real *x);

// Columns first .. first + count - 1 of x [n, width] to rows of [count, ld], and back.
void flt_att_columns_out(size_t n, size_t width, const flt_real *x, size_t first, size_t count, size_t ld, flt_real *rows);
void flt_att_columns_in(size_t n, size_t width, flt_real *x, size_t first, size_t count, size_t ld, const flt_real *rows);

#endif
