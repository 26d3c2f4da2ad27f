// SPDX-License-Identifier: MIT
// Dense products by our own kernels, one table per instruction set.
#ifndef NUM_KERNELS_GEMM_H
#define NUM_KERNELS_GEMM_H

#include "flt/isa.h"
#include "flt/real.h"

// C [m, n] = alpha op(A) op(B) + D - s, row-major; as in flt_gemm and flt_panels_multiply
typedef struct num_product {
    bool ta, tb;
    size_t m, n, k;
    flt_real alpha;
    const flt_real *a;
    size_t lda;
    const flt_real *b;
    size_t ldb;        // 0: B lies in panels
    const flt_real *d; // [m, n], C itself where it is added to; NULL: zeros
    size_t ldd;
    const flt_real *s; // [m], taken off the rows; NULL: zeros
    flt_real *c;
    size_t ldc;
    uintptr_t next; // where rows lda apart begin of which each tile asks for a line, on its way to the caches; 0: nowhere
} num_product;

typedef struct num_gemm {
    size_t vector_bytes, panel;             // panel: columns of one
    void (*multiply)(const num_product *p); // for m, n, k > 0
    // panels [ceil(n / panel), k, panel] of b [k, n], zeros to the right
    void (*fill_panels)(size_t k, size_t n, const flt_real *b, size_t ldb, flt_real *panels);
    // as flt_panels_turn
    void (*turn_panels)(size_t k, size_t n, const flt_real *cosine, const flt_real *sine, const flt_real *x, const flt_real *y,
                        flt_real *to_x, flt_real *to_y);
} num_gemm;

FLTX_ISA_DECLARE(num_gemm);

#endif
