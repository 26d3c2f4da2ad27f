// SPDX-License-Identifier: MIT
// Loops that the compiler vectorises: each public function is one inlined loop nest with its element function inside.
//
// IVDEP: results may lie exactly over an operand of their own shape, never shifted against it.
#include "graph/kernels/kernels.h"

#include <math.h>

#if defined(__clang__)
#define IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define IVDEP _Pragma("GCC ivdep")
#endif
#define INLINE static inline __attribute__((always_inline))

typedef flt_real element_fn(flt_real a, flt_real b);

INLINE void grid(const flt_grid *g, const flt_real *a, const flt_real *b, flt_real *y, element_fn *f) {
    const size_t n = g->cols;
    for (size_t r = 0; r < g->rows; r++, a += g->a_row, b += g->b_row, y += n) {
        if (g->a_fixed) {
            const flt_real left = *a;
            IVDEP
            for (size_t i = 0; i < n; i++) y[i] = f(left, b[i]);
        } else if (g->b_fixed) {
            const flt_real right = *b;
            IVDEP
            for (size_t i = 0; i < n; i++) y[i] = f(a[i], right);
        } else {
            IVDEP
            for (size_t i = 0; i < n; i++) y[i] = f(a[i], b[i]);
        }
    }
}

INLINE void map(size_t n, flt_real c, const flt_real *x, flt_real *y, element_fn *f) {
    IVDEP
    for (size_t i = 0; i < n; i++) y[i] = f(c, x[i]);
}

INLINE flt_real f_add(flt_real a, flt_real b) {
    return a + b;
}
INLINE flt_real f_sub(flt_real a, flt_real b) {
    return a - b;
}
INLINE flt_real f_mul(flt_real a, flt_real b) {
    return a * b;
}
INLINE flt_real f_div(flt_real a, flt_real b) {
    return a / b;
}
INLINE flt_real f_relu(flt_real c, flt_real x) {
    return (void)c, x < 0 ? 0 : x;
} // NaN stays NaN
INLINE flt_real f_add_relu(flt_real a, flt_real b) {
    return f_relu(0, a + b);
}
INLINE flt_real f_gate(flt_real a, flt_real b) {
    return b > 0 ? a : 0;
}
INLINE flt_real f_tanh_gradient(flt_real a, flt_real b) {
    return a * (1 - b * b);
}
INLINE flt_real f_sigmoid_gradient(flt_real a, flt_real b) {
    return a * (b * (1 - b));
}
INLINE flt_real f_square(flt_real c, flt_real x) {
    return (void)c, x * x;
}
INLINE flt_real f_step(flt_real c, flt_real x) {
    return (void)c, x > 0 ? 1 : 0;
}
#ifdef FLTX_DOUBLE
INLINE flt_real f_root(flt_real c, flt_real x) {
    return (void)c, sqrt(x);
}
#else
INLINE flt_real f_root(flt_real c, flt_real x) {
    return (void)c, sqrtf(x);
}
#endif

static void add(const flt_grid *g, const flt_real *a, const flt_real *b, flt_real *y) {
    grid(g, a, b, y, f_add);
}
static void sub(const flt_grid *g, const flt_real *a, const flt_real *b, flt_real *y) {
    grid(g, a, b, y, f_sub);
}
static void mul(const flt_grid *g, const flt_real *a, const flt_real *b, flt_real *y) {
    grid(g, a, b, y, f_mul);
}
static void div(const flt_grid *g, const flt_real *a, const flt_real *b, flt_real *y) {
    grid(g, a, b, y, f_div);
}
static void add_relu(const flt_grid *g, const flt_real *a, const flt_real *b, flt_real *y) {
    grid(g, a, b, y, f_add_relu);
}
static void gate(const flt_grid *g, const flt_real *a, const flt_real *b, flt_real *y) {
    grid(g, a, b, y, f_gate);
}
static void tanh_gradient(const flt_grid *g, const flt_real *a, const flt_real *b, flt_real *y) {
    grid(g, a, b, y, f_tanh_gradient);
}
static void sigmoid_gradient(const flt_grid *g, const flt_real *a, const flt_real *b, flt_real *y) {
    grid(g, a, b, y, f_sigmoid_gradient);
}
static void scale(size_t n, flt_real c, const flt_real *x, flt_real *y) {
    map(n, c, x, y, f_mul);
}
static void offset(size_t n, flt_real c, const flt_real *x, flt_real *y) {
    map(n, c, x, y, f_add);
}
static void square(size_t n, flt_real c, const flt_real *x, flt_real *y) {
    map(n, c, x, y, f_square);
}
static void root(size_t n, flt_real c, const flt_real *x, flt_real *y) {
    map(n, c, x, y, f_root);
}
static void relu(size_t n, flt_real c, const flt_real *x, flt_real *y) {
    map(n, c, x, y, f_relu);
}
static void step(size_t n, flt_real c, const flt_real *x, flt_real *y) {
    map(n, c, x, y, f_step);
}

// Four rows at a time: a quarter of the traffic on y, and sums that grow half as long.
static void column_add(size_t rows, size_t cols, const flt_real *x, flt_real *y) {
    size_t r = 0;
    for (; r + 4 <= rows; r += 4, x += 4 * cols) {
        const flt_real *x1 = x + cols, *x2 = x1 + cols, *x3 = x2 + cols;
        IVDEP
        for (size_t i = 0; i < cols; i++) y[i] += (x[i] + x1[i]) + (x2[i] + x3[i]);
    }
    for (; r < rows; r++, x += cols) {
        IVDEP
        for (size_t i = 0; i < cols; i++) y[i] += x[i];
    }
}

const flt_graph_kernels FLTX_ISA_TABLE(flt_graph_kernels) = {
    .add = add,
    .sub = sub,
    .mul = mul,
    .div = div,
    .add_relu = add_relu,
    .gate = gate,
    .tanh_gradient = tanh_gradient,
    .sigmoid_gradient = sigmoid_gradient,
    .scale = scale,
    .offset = offset,
    .square = square,
    .root = root,
    .relu = relu,
    .step = step,
    .column_add = column_add,
};
