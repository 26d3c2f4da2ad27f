// SPDX-License-Identifier: MIT
// What kernels of per-coordinate optimizers share: one number of FLTX_LANES coordinates in a vector, weights as broadcasts.
#ifndef FLTX_KERNELS_LANES_H
#define FLTX_KERNELS_LANES_H

#include "flt/simd.h"

#define REAL(x) ((flt_real)(x))

// The smallest exponent that exponentials are given, so that a kernel feature never vanishes: e^-80 of the largest one is noise
// in every sum, and no read divides zero by zero.
#ifdef FLTX_DOUBLE
#define LEAST (-600.0)
#else
#define LEAST (-80.0f)
#endif

FLTX_INLINE flt_vreal set(flt_real x) {
    return flt_vreal_set(x);
}

FLTX_INLINE flt_vreal load(const flt_real *p) {
    return flt_vreal_load(p);
}

FLTX_INLINE void store(flt_real *p, flt_vreal x) {
    flt_vreal_store(p, x);
}

// e^x for x <= 2 or so, from LEAST on
FLTX_INLINE flt_vreal exp_low(flt_vreal x) {
    flt_vbits n;
    const flt_vreal p = flt_vreal_exp_parts(flt_vreal_max(set(LEAST), x), &n) + REAL(1);
    return (flt_vreal)((flt_vbits)p + (n << FLTX_MANTISSA));
}

// x where the argument is NaN: the comparisons of min and max give their second operand then
FLTX_INLINE flt_vreal clip(flt_vreal x, flt_real bound) {
    return flt_vreal_min(set(bound), flt_vreal_max(set(-bound), x));
}

// max(x, 1e-9)^-1/2
FLTX_INLINE flt_vreal safe_rsqrt(flt_vreal x) {
    return flt_vreal_rsqrt(flt_vreal_max(set(REAL(1e-9)), x));
}

// Adds the lanes of each sum to out and starts again from 0.
FLTX_INLINE void flush(flt_vreal *sums, int n, double *out) {
    for (int i = 0; i < n; i++) {
        out[i] += (double)flt_vreal_sum(sums[i]);
        sums[i] = set(0);
    }
}

// out [width] += x [n_in] w [n_in, ld], width <= 8: as many sums as hide the latency of an addition
FLTX_INLINE void product_of(size_t width, size_t n_in, const flt_vreal *x, const flt_real *w, size_t ld, flt_vreal *out) {
    flt_vreal sum[8];
#pragma GCC unroll 8
    for (size_t j = 0; j < width; j++) sum[j] = out[j];
    for (size_t i = 0; i < n_in; i++) {
#pragma GCC unroll 8
        for (size_t j = 0; j < width; j++) sum[j] += x[i] * w[i * ld + j];
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < width; j++) out[j] = sum[j];
}

// out [n_out] += x [n_in] w [n_in, n_out]
FLTX_INLINE void product(size_t n_in, size_t n_out, const flt_vreal *x, const flt_real *w, flt_vreal *out) {
    size_t j = 0;
    for (; j + 8 <= n_out; j += 8) product_of(8, n_in, x, w + j, n_out, out + j);
    for (; j + 4 <= n_out; j += 4) product_of(4, n_in, x, w + j, n_out, out + j);
    for (; j < n_out; j++) product_of(1, n_in, x, w + j, n_out, out + j);
}

// out [n] = x [n]
FLTX_INLINE void spread(size_t n, const flt_real *x, flt_vreal *out) {
#pragma GCC unroll 8
    for (size_t j = 0; j < n; j++) out[j] = set(x[j]);
}

#endif
