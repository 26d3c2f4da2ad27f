// SPDX-License-Identifier: MIT
// Dense products by our own kernels, one table per instruction set.
#ifndef NUM_KERNELS_GEMM_H
#define NUM_KERNELS_GEMM_H

#include "flt/isa.h"
#include "flt/real.h"

// C [m, n] = alpha op(A) op(B) + beta C, row-major; as in flt_gemm
typedef struct num_product {
    bool ta, tb;
    size_t m, n, k;
    flt_real alpha;
    const flt_real *a;
    size_t lda;
    const flt_real *b;
    size_t ldb;
    flt_real beta;
    flt_real *c;
    size_t ldc;
} num_product;

typedef struct num_gemm {
    size_t vector_bytes;
    void (*multiply)(const num_product *p); // for m, n, k > 0 and beta = 0 or 1
} num_gemm;

FLTX_ISA_DECLARE(num_gemm);

#endif
