// SPDX-License-Identifier: MIT
// Logistic function, normal distribution function and density.
//
// Phi(x) in float: with t = 1 / (1 + 0.283 |x|) the tail is exp(-x^2 / 2) t p(t), p of degree 10 through Chebyshev's nodes
// (relative error 1e-8 for all x); the left side is the tail, the right side 1 - tail. Relative error on the left grows as x^2 /
// 2 roundings, which is the function's own conditioning. In double: libm's erfc.
#include "flt/simd.h"
#include "graph/kernels/kernels.h"

typedef flt_vreal vector_fn(flt_vreal x);

FLTX_INLINE void map(size_t n, const flt_real *x, flt_real *y, vector_fn *f) {
    size_t i = 0;
    for (; i + FLTX_LANES <= n; i += FLTX_LANES) flt_vreal_store(y + i, f(flt_vreal_load(x + i)));
    if (i < n) flt_vreal_store_part(y + i, f(flt_vreal_load_part(x + i, n - i)), n - i);
}

FLTX_INLINE flt_vreal v_sigmoid(flt_vreal x) {
    return (flt_real)1 / ((flt_real)1 + flt_vreal_exp(-x));
}
FLTX_INLINE flt_vreal v_density(flt_vreal x) {
    return (flt_real)0.39894228040143267794 * flt_vreal_exp((flt_real)-0.5 * x * x);
}

static void sigmoid(size_t n, const flt_real *x, flt_real *y) {
    map(n, x, y, v_sigmoid);
}
static void normal_pdf(size_t n, const flt_real *x, flt_real *y) {
    map(n, x, y, v_density);
}

#ifdef FLTX_DOUBLE
static void normal_cdf(size_t n, const flt_real *x, flt_real *y) {
    for (size_t i = 0; i < n; i++) y[i] = 0.5 * erfc(-0.70710678118654752440 * x[i]);
}
#else
static const flt_real tail_series[] = {0.112837916f,   0.112838158f,  0.10380036f,   0.085945286f,  0.0590475611f, 0.0435603221f,
                                       -0.0268965858f, 0.0734016262f, -0.121520869f, 0.0719205358f, -0.0149343145f};

FLTX_INLINE flt_vreal v_distribution(flt_vreal x) {
    const flt_vreal t = 1.0f / (1.0f + 0.282842712f * flt_vreal_abs(x));
    const flt_vreal tail = flt_vreal_exp(-0.5f * x * x) * t * FLTX_SERIES(t, tail_series);
    return flt_vreal_if_less(x, flt_vreal_set(0), tail, 1.0f - tail);
}
static void normal_cdf(size_t n, const flt_real *x, flt_real *y) {
    map(n, x, y, v_distribution);
}
#endif

const flt_special_kernels FLTX_ISA_TABLE(flt_special_kernels) = {
    .sigmoid = sigmoid,
    .normal_cdf = normal_cdf,
    .normal_pdf = normal_pdf,
};
