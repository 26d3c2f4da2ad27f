// SPDX-License-Identifier: MIT
// The kernels behind the vector functions and reductions of flt/num.h, one table per instruction set.
#ifndef NUM_KERNELS_VECTOR_H
#define NUM_KERNELS_VECTOR_H

#include "flt/isa.h"
#include "flt/real.h"

typedef struct num_vector {
    void (*exp)(size_t n, const flt_real *x, flt_real *y);
    void (*log)(size_t n, const flt_real *x, flt_real *y);
    void (*tanh)(size_t n, const flt_real *x, flt_real *y);
    void (*sincos)(size_t n, const flt_real *x, flt_real *sine, flt_real *cosine);
    void (*turns)(size_t n, const double *u, flt_real *cosine, flt_real *sine);
    void (*axpy)(size_t n, flt_real a, const flt_real *x, flt_real *y);
} num_vector;

typedef struct num_reduce {
    flt_real (*sum)(size_t n, const flt_real *x);
    flt_real (*dot)(size_t n, const flt_real *x, const flt_real *y);
    double (*sum_squares)(size_t n, const flt_real *x);
    flt_real (*max)(size_t n, const flt_real *x);
    size_t (*first_not_finite)(size_t n, const flt_real *x); // n when all are finite
} num_reduce;

FLTX_ISA_DECLARE(num_vector);
FLTX_ISA_DECLARE(num_reduce);

#endif
