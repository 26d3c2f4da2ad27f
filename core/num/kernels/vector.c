// SPDX-License-Identifier: MIT
// Element-wise functions. An element's result does not depend on its place: the last, partial vector goes through the same
// operations.
#include "num/kernels/vector.h"

#include "flt/simd.h"

#define MAP(name)                                                                                                                \
    static void map_##name(size_t n, const flt_real *x, flt_real *y) {                                                           \
        size_t i = 0;                                                                                                            \
        for (; i + FLTX_LANES <= n; i += FLTX_LANES) flt_vreal_store(y + i, flt_vreal_##name(flt_vreal_load(x + i)));            \
        if (i < n) flt_vreal_store_part(y + i, flt_vreal_##name(flt_vreal_load_part(x + i, n - i)), n - i);                      \
    }
MAP(exp)
MAP(log)
MAP(tanh)

static void axpy(size_t n, flt_real a, const flt_real *x, flt_real *y) {
    size_t i = 0;
    for (; i + FLTX_LANES <= n; i += FLTX_LANES) flt_vreal_store(y + i, flt_vreal_load(y + i) + a * flt_vreal_load(x + i));
    if (i < n) flt_vreal_store_part(y + i, flt_vreal_load_part(y + i, n - i) + a * flt_vreal_load_part(x + i, n - i), n - i);
}

// pi/2 in three parts; the multiples of the first two by a whole number below 2^13 are exact without fused operations
#ifdef FLTX_DOUBLE
#define HALF_PI_1  1.57079632673412561417
#define HALF_PI_2  6.07710050630396597660e-11
#define HALF_PI_3  2.02226624879595063154e-21
#define LIBM(name) name
#else
#define HALF_PI_1  1.5703125f
#define HALF_PI_2  4.837512969970703125e-4f
#define HALF_PI_3  7.54978941586159635335e-8f
#define LIBM(name) name##f
#endif
#define LARGEST_REDUCED ((flt_real)1e4)

enum { BLOCK = 64 }; // elements that go through local arrays together

// One vector of sines and cosines; tells whether some argument is too large for the reduction, infinite or NaN.
FLTX_INLINE flt_vint sincos_vector(flt_vreal x, flt_vreal *sine, flt_vreal *cosine) {
    const flt_vreal shifted = x * (flt_real)0.63661977236758134308 + FLTX_ROUNDER;
    const flt_vreal whole = shifted - FLTX_ROUNDER;
    const flt_vreal r = ((x - whole * HALF_PI_1) - whole * HALF_PI_2) - whole * HALF_PI_3;
    flt_vreal_sincos_quadrant(r, (flt_vbits)shifted, sine, cosine);
    return ~(flt_vint)(flt_vreal_abs(x) <= LARGEST_REDUCED);
}

static void sincos_large(size_t n, const flt_real *x, flt_real *sine, flt_real *cosine) {
    for (size_t i = 0; i < n; i++) {
        if (LIBM(fabs)(x[i]) <= LARGEST_REDUCED) continue;
        sine[i] = LIBM(sin)(x[i]);
        cosine[i] = LIBM(cos)(x[i]);
    }
}

static void map_sincos(size_t n, const flt_real *x, flt_real *sine, flt_real *cosine) {
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t count = n - i < BLOCK ? n - i : BLOCK;
        flt_real in[BLOCK] = {0}, s[BLOCK], c[BLOCK];
        flt_vint large = {0};
        memcpy(in, x + i, count * sizeof *x);
        for (size_t j = 0; j < count; j += FLTX_LANES) {
            flt_vreal vs, vc;
            large |= sincos_vector(flt_vreal_load(in + j), &vs, &vc);
            flt_vreal_store(s + j, vs);
            flt_vreal_store(c + j, vc);
        }
        if (flt_vint_any(large)) sincos_large(count, in, s, c);
        memcpy(sine + i, s, count * sizeof *s);
        memcpy(cosine + i, c, count * sizeof *c);
    }
}

// Phases u = q/4 + f in turns, |f| <= 1/8, to quadrants q and angles 2 pi f; everything before the last rounding is in double.
// Whole turns go first, so that q stays small however large u is: in pairs, for 2^53 more leaves no quarters in any u that has
// them.
static void quadrants(size_t n, const double *u, flt_real *angle, flt_bits *quadrant) {
    for (size_t i = 0; i < n; i++) {
        const double turn = u[i] - ((u[i] + 0x1.8p53) - 0x1.8p53), shifted = 4 * turn + 0x1.8p52;
        uint64_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        angle[i] = (flt_real)((4 * turn - (shifted - 0x1.8p52)) * 1.57079632679489661923);
        quadrant[i] = (flt_bits)bits;
    }
}

static void turns(size_t n, const double *u, flt_real *cosine, flt_real *sine) {
    for (size_t i = 0; i < n; i += FLTX_LANES) {
        const size_t count = n - i < FLTX_LANES ? n - i : FLTX_LANES;
        double part[FLTX_LANES];
        flt_real angle[FLTX_LANES];
        flt_bits quadrant[FLTX_LANES];
        flt_vbits q;
        flt_vreal s, c;
        for (size_t j = 0; count < FLTX_LANES && j < FLTX_LANES; j++) part[j] = j < count ? u[i + j] : 0;
        quadrants(FLTX_LANES, count < FLTX_LANES ? part : u + i, angle, quadrant);
        memcpy(&q, quadrant, sizeof q);
        flt_vreal_sincos_quadrant(flt_vreal_load(angle), q, &s, &c);
        if (sine != NULL) flt_vreal_store_up_to(sine + i, s, count);
        if (cosine != NULL) flt_vreal_store_up_to(cosine + i, c, count);
    }
}

const num_vector FLTX_ISA_TABLE(num_vector) = {
    .exp = map_exp, .log = map_log, .tanh = map_tanh, .sincos = map_sincos, .turns = turns, .axpy = axpy};
