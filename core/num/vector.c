// SPDX-License-Identifier: MIT
// The vector functions and reductions of flt/num.h: each hands over to the kernels of this machine.
#include "num/kernels/vector.h"

#include "flt/num.h"

void flt_vexp(size_t n, const flt_real *x, flt_real *y) {
    FLTX_ISA_PICK(num_vector)->exp(n, x, y);
}
void flt_vlog(size_t n, const flt_real *x, flt_real *y) {
    FLTX_ISA_PICK(num_vector)->log(n, x, y);
}
void flt_vtanh(size_t n, const flt_real *x, flt_real *y) {
    FLTX_ISA_PICK(num_vector)->tanh(n, x, y);
}

void flt_vsincos(size_t n, const flt_real *x, flt_real *sine, flt_real *cosine) {
    FLTX_ISA_PICK(num_vector)->sincos(n, x, sine, cosine);
}

void flt_turns(size_t n, const double *u, flt_real *cosine, flt_real *sine) {
    FLTX_ISA_PICK(num_vector)->turns(n, u, cosine, sine);
}

void flt_axpy(size_t n, flt_real a, const flt_real *x, flt_real *y) {
    FLTX_ISA_PICK(num_vector)->axpy(n, a, x, y);
}
flt_real flt_dot(size_t n, const flt_real *x, const flt_real *y) {
    return FLTX_ISA_PICK(num_reduce)->dot(n, x, y);
}
flt_real flt_sum(size_t n, const flt_real *x) {
    return FLTX_ISA_PICK(num_reduce)->sum(n, x);
}
double flt_sum_squares(size_t n, const flt_real *x) {
    return FLTX_ISA_PICK(num_reduce)->sum_squares(n, x);
}
flt_real flt_max(size_t n, const flt_real *x) {
    return FLTX_ISA_PICK(num_reduce)->max(n, x);
}

bool flt_all_finite(size_t n, const flt_real *x, size_t *first) {
    const size_t i = FLTX_ISA_PICK(num_reduce)->first_not_finite(n, x);
    if (first != NULL) *first = i;
    return i == n;
}
