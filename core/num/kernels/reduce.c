// SPDX-License-Identifier: MIT
// Reductions in one order for every instruction set: 64 lanes run through a block of 4096 elements, lane l over the elements l, l
// + 64,
// ..; the lanes are added in halves (lane i and lane i + 32, ..), the blocks pairwise. Sums are the same bits everywhere; dot
// products where multiplication and addition are fused alike. Rounding errors grow like 64 + log2(n/64).
#include "num/kernels/vector.h"

#include "flt/simd.h"

enum { LANES = 64, VECTORS = LANES / FLTX_LANES, BLOCK = 4096 };

static flt_real fold(flt_vreal *lanes) {
#pragma GCC unroll 8
    for (int half = VECTORS / 2; half > 0; half /= 2)
#pragma GCC unroll 16
        for (int v = 0; v < half; v++) lanes[v] += lanes[v + half];
    return flt_vreal_sum(lanes[0]);
}

// y == NULL: the sum of x
FLTX_INLINE flt_real reduce_block(size_t n, const flt_real *x, const flt_real *y) {
    flt_vreal lanes[VECTORS];
    size_t i = 0;
#pragma GCC unroll 32
    for (int v = 0; v < VECTORS; v++) lanes[v] = flt_vreal_set(0); // one by one they stay in registers
    for (; i + LANES <= n; i += LANES)
#pragma GCC unroll 32
        for (int v = 0; v < VECTORS; v++) {
            const flt_vreal a = flt_vreal_load(x + i + v * FLTX_LANES);
            lanes[v] += y == NULL ? a : a * flt_vreal_load(y + i + v * FLTX_LANES);
        }
    for (int v = 0; i < n; i += FLTX_LANES, v++) {
        const size_t count = n - i < FLTX_LANES ? n - i : FLTX_LANES;
        const flt_vreal a = count < FLTX_LANES ? flt_vreal_load_part(x + i, count) : flt_vreal_load(x + i);
        if (y == NULL)
            lanes[v] += a;
        else
            lanes[v] += a * (count < FLTX_LANES ? flt_vreal_load_part(y + i, count) : flt_vreal_load(y + i));
    }
    return fold(lanes);
}

// The first half of the blocks, at least one, none of them partial.
static size_t first_part(size_t n) {
    return (n / BLOCK + 1) / 2 * BLOCK;
}

static flt_real sum(size_t n, const flt_real *x) {
    if (n <= BLOCK) return reduce_block(n, x, NULL);
    const size_t first = first_part(n);
    return sum(first, x) + sum(n - first, x + first);
}

static flt_real dot(size_t n, const flt_real *x, const flt_real *y) {
    if (n <= BLOCK) return reduce_block(n, x, y);
    const size_t first = first_part(n);
    return dot(first, x, y) + dot(n - first, x + first, y + first);
}

// Squares are accumulated in double, where those of floats are exact.
enum { WIDE = FLTX_VBYTES / 8, WIDE_LANES = 32, WIDE_VECTORS = WIDE_LANES / WIDE };
typedef double wide FLTX_VECTOR;

FLTX_INLINE wide widen(const flt_real *x) {
#if !defined(FLTX_DOUBLE) && FLTX_VBYTES == 64
    return _mm512_cvtps_pd(_mm256_loadu_ps(x));
#elif !defined(FLTX_DOUBLE) && FLTX_VBYTES == 32
    return _mm256_cvtps_pd(_mm_loadu_ps(x)); // compilers make four instructions of a conversion of vectors
#else
    flt_real part __attribute__((vector_size(WIDE * sizeof *x)));
    memcpy(&part, x, sizeof part);
    return __builtin_convertvector(part, wide);
#endif
}

FLTX_INLINE void add_squares(const flt_real *x, wide *lanes) {
#pragma GCC unroll 16
    for (int v = 0; v < WIDE_VECTORS; v++) {
        const wide a = widen(x + v * WIDE);
        lanes[v] += a * a;
    }
}

static double square_block(size_t n, const flt_real *x) {
    wide lanes[WIDE_VECTORS];
    size_t i = 0;
#pragma GCC unroll 16
    for (int v = 0; v < WIDE_VECTORS; v++) lanes[v] = (wide){0}; // one by one they stay in registers
    for (; i + WIDE_LANES <= n; i += WIDE_LANES) add_squares(x + i, lanes);
    if (i < n) {
        flt_real last[WIDE_LANES] = {0};
        add_squares(memcpy(last, x + i, (n - i) * sizeof *x), lanes);
    }
#pragma GCC unroll 8
    for (int half = WIDE_VECTORS / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int v = 0; v < half; v++) lanes[v] += lanes[v + half];
#pragma GCC unroll 8
    for (int half = WIDE / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int l = 0; l < half; l++) lanes[0][l] += lanes[0][l + half];
    return lanes[0][0];
}

static double sum_squares(size_t n, const flt_real *x) {
    if (n <= BLOCK) return square_block(n, x);
    const size_t first = first_part(n);
    return sum_squares(first, x) + sum_squares(n - first, x + first);
}

static flt_real max(size_t n, const flt_real *x) {
    flt_vreal largest = flt_vreal_set((flt_real)-INFINITY);
    flt_vint nan = {0};
    flt_real last[FLTX_LANES];
    for (size_t i = 0; i < n; i += FLTX_LANES) {
        const flt_real *from = x + i;
        if (n - i < FLTX_LANES) {
            flt_vreal_store(last, largest);
            from = memcpy(last, x + i, (n - i) * sizeof *x);
        }
        const flt_vreal v = flt_vreal_load(from);
        nan |= (flt_vint)(v != v);
        largest = flt_vreal_max(v, largest);
    }
    return flt_vint_any(nan) ? (flt_real)NAN : flt_vreal_largest(largest);
}

static size_t first_not_finite(size_t n, const flt_real *x) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        flt_vint bad = {0};
#pragma GCC unroll 32
        for (int v = 0; v < VECTORS; v++) {
            const flt_vreal a = flt_vreal_load(x + i + v * FLTX_LANES), zero = a - a; // NaN for NaN and infinities
            bad |= (flt_vint)(zero != zero);
        }
        if (flt_vint_any(bad)) break;
    }
    while (i < n && isfinite(x[i])) i++;
    return i;
}

const num_reduce FLTX_ISA_TABLE(num_reduce) = {
    .sum = sum, .dot = dot, .sum_squares = sum_squares, .max = max, .first_not_finite = first_not_finite};
