// SPDX-License-Identifier: MIT
// Vectors of flt_real for kernel files, those that flt_isa_kernels() compiles once per instruction set (flt/isa.h). Not
// installed.
//
// A flt_vreal has FLTX_LANES lanes: it is 64 bytes with AVX-512, 32 with AVX2, 16 elsewhere, what fits in a register. FLTX_LANES
// divides 16 (float) or 8 (double). + - * / and comparisons are the compilers' own (vector extensions); a * b + c becomes one
// fused operation where there is one, unless the build is reproducible. Everything is inlined into the kernel: no vector is
// passed across files.
//
// Largest error in units in the last place (ulp), measured over all exponents; NaN stays NaN.
//            float  double
//     exp    1.1    1.1     results below the smallest normal number are 0, above the largest one +inf
//     log    0.9    0.8     log 0 = -inf, log of a negative number = NaN
//     tanh   2.7    2.6
//     rsqrt  1.5    1.5     rsqrt 0 = inf, rsqrt inf = 0
#ifndef FLTX_SIMD_H
#define FLTX_SIMD_H

#include "flt/real.h"

#include <math.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define FLTX_VBYTES   64
#define FLTX_MM(name) FLTX_SUFFIX(_mm512_##name)
#elif defined(__AVX2__)
#define FLTX_VBYTES   32
#define FLTX_MM(name) FLTX_SUFFIX(_mm256_##name)
#else
#define FLTX_VBYTES   16
#define FLTX_MM(name) FLTX_SUFFIX(_mm_##name)
#endif

#ifdef FLTX_DOUBLE
#define FLTX_LANES        (FLTX_VBYTES / 8)
#define FLTX_SUFFIX(name) name##_pd
#define FLTX_MM_COMPARE   _mm512_cmp_pd_mask
typedef int64_t flt_int; // as wide as a flt_real
typedef uint64_t flt_bits;
enum { FLTX_MANTISSA = 52, FLTX_BIAS = 1023 };
#else
#define FLTX_LANES        (FLTX_VBYTES / 4)
#define FLTX_SUFFIX(name) name##_ps
#define FLTX_MM_COMPARE   _mm512_cmp_ps_mask
typedef int32_t flt_int;
typedef uint32_t flt_bits;
enum { FLTX_MANTISSA = 23, FLTX_BIAS = 127 };
#endif

#define FLTX_INLINE static inline __attribute__((always_inline, unused))
#define FLTX_VECTOR __attribute__((vector_size(FLTX_VBYTES)))
typedef flt_real flt_vreal FLTX_VECTOR;
typedef flt_int flt_vint FLTX_VECTOR; // also what a comparison gives: all ones where it holds
typedef flt_bits flt_vbits FLTX_VECTOR;

// The compiler takes this vector or number as it comes from here: it neither fuses the product that it is with an addition
// behind, in one place and not in another, nor reads it anew from where it came.
#if defined(__x86_64__)
#define FLTX_OPAQUE(vector) __asm__("" : "+v"(vector))
#elif defined(__aarch64__)
#define FLTX_OPAQUE(vector) __asm__("" : "+w"(vector))
#else
#define FLTX_OPAQUE(vector) __asm__("" : "+m"(vector))
#endif

// ---- moving
FLTX_INLINE flt_vreal flt_vreal_set(flt_real x) {
    return x - (flt_vreal){0};
}

FLTX_INLINE flt_vreal flt_vreal_load(const flt_real *p) {
    flt_vreal v;
    memcpy(&v, p, sizeof v);
    return v;
}

FLTX_INLINE void flt_vreal_store(flt_real *p, flt_vreal v) {
    memcpy(p, &v, sizeof v);
}

// The first n <= FLTX_LANES elements and zeros; the memory behind them is not touched. (ASan does not see into masked moves.)
#if FLTX_VBYTES == 64 && !defined(__SANITIZE_ADDRESS__)
FLTX_INLINE flt_vreal flt_vreal_load_part(const flt_real *p, size_t n) {
    return FLTX_MM(maskz_loadu)((1u << n) - 1, p);
}
FLTX_INLINE void flt_vreal_store_part(flt_real *p, flt_vreal v, size_t n) {
    FLTX_MM(mask_storeu)(p, (1u << n) - 1, v);
}
#elif FLTX_VBYTES == 32 && !defined(__SANITIZE_ADDRESS__)
static const flt_int flt_lane_number[8] = {0, 1, 2, 3, 4, 5, 6, 7};
FLTX_INLINE __m256i flt_first_lanes(size_t n) {
    flt_vint lane;
    memcpy(&lane, flt_lane_number, sizeof lane);
    return (__m256i)(lane < (flt_int)n);
}
FLTX_INLINE flt_vreal flt_vreal_load_part(const flt_real *p, size_t n) {
    return FLTX_MM(maskload)(p, flt_first_lanes(n));
}
// By halves: a masked store takes tens of cycles on some of these machines.
FLTX_INLINE void flt_vreal_store_part(flt_real *p, flt_vreal v, size_t n) {
    if (n == FLTX_LANES) {
        flt_vreal_store(p, v);
        return;
    }
#ifdef FLTX_DOUBLE
    __m128d x = _mm256_castpd256_pd128(v);
    if ((n & 2) != 0) {
        _mm_storeu_pd(p, x);
        x = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if ((n & 1) != 0) _mm_store_sd(p, x);
#else
    __m128 x = _mm256_castps256_ps128(v);
    if ((n & 4) != 0) {
        _mm_storeu_ps(p, x);
        x = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if ((n & 2) != 0) {
        _mm_storel_pi((__m64 *)(void *)p, x);
        x = _mm_movehl_ps(x, x);
        p += 2;
    }
    if ((n & 1) != 0) _mm_store_ss(p, x);
#endif
}
#else
FLTX_INLINE flt_vreal flt_vreal_load_part(const flt_real *p, size_t n) {
    flt_vreal v = {0};
    memcpy(&v, p, n * sizeof *p);
    return v;
}
FLTX_INLINE void flt_vreal_store_part(flt_real *p, flt_vreal v, size_t n) {
    memcpy(p, &v, n * sizeof *p);
}
#endif

// ---- choosing lane by lane
FLTX_INLINE flt_vreal flt_vreal_blend(flt_vint mask, flt_vreal yes, flt_vreal no) {
    return (flt_vreal)((mask & (flt_vint)yes) | (~mask & (flt_vint)no));
}

// The first n < FLTX_LANES elements and `fill` behind them.
FLTX_INLINE flt_vreal flt_vreal_load_part_or(const flt_real *p, size_t n, flt_real fill) {
#if FLTX_VBYTES == 64 && !defined(__SANITIZE_ADDRESS__)
    return FLTX_MM(mask_loadu)(flt_vreal_set(fill), (1u << n) - 1, p);
#else
    flt_real room[FLTX_LANES];
    for (size_t l = 0; l < FLTX_LANES; l++) room[l] = fill;
    memcpy(room, p, n * sizeof *p);
    return flt_vreal_load(room);
#endif
}

// a < b ? yes : no, a <= b ? yes : no; both give `no` where a or b is NaN
FLTX_INLINE flt_vreal flt_vreal_if_less(flt_vreal a, flt_vreal b, flt_vreal yes, flt_vreal no) {
#if FLTX_VBYTES == 64
    return FLTX_MM(mask_blend)(FLTX_MM_COMPARE(a, b, _CMP_LT_OQ), no, yes);
#elif FLTX_VBYTES == 32
    return FLTX_MM(blendv)(no, yes, FLTX_MM(cmp)(a, b, _CMP_LT_OQ));
#else
    return flt_vreal_blend((flt_vint)(a < b), yes, no);
#endif
}

FLTX_INLINE flt_vreal flt_vreal_if_less_equal(flt_vreal a, flt_vreal b, flt_vreal yes, flt_vreal no) {
#if FLTX_VBYTES == 64
    return FLTX_MM(mask_blend)(FLTX_MM_COMPARE(a, b, _CMP_LE_OQ), no, yes);
#elif FLTX_VBYTES == 32
    return FLTX_MM(blendv)(no, yes, FLTX_MM(cmp)(a, b, _CMP_LE_OQ));
#else
    return flt_vreal_blend((flt_vint)(a <= b), yes, no);
#endif
}

// a < b ? a : b, a > b ? a : b; both give b where either is NaN
FLTX_INLINE flt_vreal flt_vreal_min(flt_vreal a, flt_vreal b) {
#if defined(__SSE2__)
    return FLTX_MM(min)(a, b);
#else
    return flt_vreal_if_less(a, b, a, b);
#endif
}

FLTX_INLINE flt_vreal flt_vreal_max(flt_vreal a, flt_vreal b) {
#if defined(__SSE2__)
    return FLTX_MM(max)(a, b);
#else
    return flt_vreal_if_less(b, a, a, b);
#endif
}

FLTX_INLINE flt_vreal flt_vreal_abs(flt_vreal a) {
    return (flt_vreal)((flt_vbits)a << 1 >> 1);
}

// The magnitude of a with the sign of b.
FLTX_INLINE flt_vreal flt_vreal_copysign(flt_vreal a, flt_vreal b) {
    const flt_vbits sign = (flt_vbits)flt_vreal_set((flt_real)-0.0);
    return (flt_vreal)(((flt_vbits)a & ~sign) | ((flt_vbits)b & sign));
}

// Whether any lane of a comparison holds.
FLTX_INLINE bool flt_vint_any(flt_vint mask) {
    uint64_t words[FLTX_VBYTES / 8], any = 0;
    memcpy(words, &mask, sizeof words);
    for (int i = 0; i < FLTX_VBYTES / 8; i++) any |= words[i];
    return any != 0;
}

// ---- across lanes, in a fixed order: lane i and lane i + half, then the halves of that, ..
#define FLTX_SWAP_2(v, h) __builtin_shufflevector(v, v, (h) % 2, (1 + (h)) % 2)
#define FLTX_SWAP_4(v, h) __builtin_shufflevector(v, v, (h) % 4, (1 + (h)) % 4, (2 + (h)) % 4, (3 + (h)) % 4)
#define FLTX_SWAP_8(v, h)                                                                                                        \
    __builtin_shufflevector(v, v, (h) % 8, (1 + (h)) % 8, (2 + (h)) % 8, (3 + (h)) % 8, (4 + (h)) % 8, (5 + (h)) % 8,            \
                            (6 + (h)) % 8, (7 + (h)) % 8)
#define FLTX_SWAP_16(v, h)                                                                                                       \
    __builtin_shufflevector(v, v, (h) % 16, (1 + (h)) % 16, (2 + (h)) % 16, (3 + (h)) % 16, (4 + (h)) % 16, (5 + (h)) % 16,      \
                            (6 + (h)) % 16, (7 + (h)) % 16, (8 + (h)) % 16, (9 + (h)) % 16, (10 + (h)) % 16, (11 + (h)) % 16,    \
                            (12 + (h)) % 16, (13 + (h)) % 16, (14 + (h)) % 16, (15 + (h)) % 16)
#if FLTX_LANES == 16
#define FLTX_SWAP FLTX_SWAP_16
#elif FLTX_LANES == 8
#define FLTX_SWAP FLTX_SWAP_8
#elif FLTX_LANES == 4
#define FLTX_SWAP FLTX_SWAP_4
#else
#define FLTX_SWAP FLTX_SWAP_2
#endif

FLTX_INLINE flt_real flt_vreal_sum(flt_vreal v) {
#if FLTX_LANES >= 16
    v += FLTX_SWAP(v, 8);
#endif
#if FLTX_LANES >= 8
    v += FLTX_SWAP(v, 4);
#endif
#if FLTX_LANES >= 4
    v += FLTX_SWAP(v, 2);
#endif
    return v[0] + v[1];
}

// The largest lane; unspecified where one is NaN.
FLTX_INLINE flt_real flt_vreal_largest(flt_vreal v) {
#if FLTX_LANES >= 16
    v = flt_vreal_max(v, FLTX_SWAP(v, 8));
#endif
#if FLTX_LANES >= 8
    v = flt_vreal_max(v, FLTX_SWAP(v, 4));
#endif
#if FLTX_LANES >= 4
    v = flt_vreal_max(v, FLTX_SWAP(v, 2));
#endif
    return v[0] > v[1] ? v[0] : v[1];
}

// Rows become columns. Step h exchanges the off-diagonal blocks of width h.
#define FLTX_UPPER(j, h) (((j) & (h)) ? FLTX_LANES + (j) - (h) : (j))
#define FLTX_LOWER(j, h) (((j) & (h)) ? FLTX_LANES + (j) : (j) + (h))
#if FLTX_LANES == 16
#define FLTX_PICK(from, a, b, h)                                                                                                 \
    __builtin_shufflevector(a, b, from(0, h), from(1, h), from(2, h), from(3, h), from(4, h), from(5, h), from(6, h),            \
                            from(7, h), from(8, h), from(9, h), from(10, h), from(11, h), from(12, h), from(13, h), from(14, h), \
                            from(15, h))
#elif FLTX_LANES == 8
#define FLTX_PICK(from, a, b, h)                                                                                                 \
    __builtin_shufflevector(a, b, from(0, h), from(1, h), from(2, h), from(3, h), from(4, h), from(5, h), from(6, h), from(7, h))
#elif FLTX_LANES == 4
#define FLTX_PICK(from, a, b, h) __builtin_shufflevector(a, b, from(0, h), from(1, h), from(2, h), from(3, h))
#else
#define FLTX_PICK(from, a, b, h) __builtin_shufflevector(a, b, from(0, h), from(1, h))
#endif
#define FLTX_EXCHANGE(rows, h)                                                                                                   \
    _Pragma("GCC unroll 16") for (int i = 0; i < FLTX_LANES; i++) {                                                              \
        if (i & (h)) continue;                                                                                                   \
        const flt_vreal x = (rows)[i], y = (rows)[i + (h)];                                                                      \
        (rows)[i] = FLTX_PICK(FLTX_UPPER, x, y, h);                                                                              \
        (rows)[i + (h)] = FLTX_PICK(FLTX_LOWER, x, y, h);                                                                        \
    }

FLTX_INLINE void flt_vreal_transpose(flt_vreal *rows /* [FLTX_LANES] */) {
    FLTX_EXCHANGE(rows, 1)
#if FLTX_LANES > 2
    FLTX_EXCHANGE(rows, 2)
#endif
#if FLTX_LANES > 4
    FLTX_EXCHANGE(rows, 4)
#endif
#if FLTX_LANES > 8
    FLTX_EXCHANGE(rows, 8)
#endif
}

// The first n elements, or a whole vector where there are more.
FLTX_INLINE flt_vreal flt_vreal_load_up_to(const flt_real *p, size_t n) {
    return n >= FLTX_LANES ? flt_vreal_load(p) : flt_vreal_load_part(p, n);
}
FLTX_INLINE void flt_vreal_store_up_to(flt_real *p, flt_vreal v, size_t n) {
    if (n >= FLTX_LANES)
        flt_vreal_store(p, v);
    else
        flt_vreal_store_part(p, v, n);
}

// ---- functions
FLTX_INLINE flt_vreal flt_vreal_sqrt(flt_vreal a) {
#if defined(__SSE2__)
    return FLTX_MM(sqrt)(a);
#else
    for (int l = 0; l < FLTX_LANES; l++) a[l] = (flt_real)sqrt((double)a[l]);
    return a;
#endif
}

// 1 / sqrt(a), several times faster than it where the machine has an estimate to start Newton's iteration from
FLTX_INLINE flt_vreal flt_vreal_rsqrt(flt_vreal a) {
#if FLTX_VBYTES == 64
    const flt_vreal start = FLTX_MM(rsqrt14)(a);
    flt_vreal y = start, error = (flt_real)1 - a * y * y;
    y += y * error * (flt_real)0.5;
#ifdef FLTX_DOUBLE
    error = 1 - a * y * y;
    y += y * error * ((flt_real)0.5 + (flt_real)0.375 * error);
#endif
    return flt_vreal_if_less_equal(y, y, y, start); // 0 and inf: the iteration makes NaN of them
#else
    return (flt_real)1 / flt_vreal_sqrt(a);
#endif
}

// c[0] + c[1] x + .. + c[n - 1] x^(n - 1)
FLTX_INLINE flt_vreal flt_vreal_horner(flt_vreal x, const flt_real *c, int n) {
    flt_vreal y = flt_vreal_set(c[n - 1]);
#pragma GCC unroll 16
    for (int i = n - 2; i >= 0; i--) y = y * x + c[i];
    return y;
}

#ifdef FLTX_DOUBLE
#define FLTX_ROUNDER      0x1.8p52                   // adding it leaves the nearest integer in the low bits
#define FLTX_LN2_HIGH     6.93147180369123816490e-01 // 32 bits: times an exponent it is exact
#define FLTX_LN2_LOW      1.90821492927058770002e-10
#define FLTX_EXP_LOWEST   -708.39641853226408
#define FLTX_EXP_HIGHEST  709.78271289338397
#define FLTX_EXP_SMALL    700
#define FLTX_TANH_ONE     20.0 // tanh rounds to 1 from here on
#define FLTX_SMALLEST     0x1p-1022
#define FLTX_TWO_MANTISSA 0x1p52
// Minimax over the reduced intervals: (e^r - 1 - r)/r^2, (log(1+f) - 2s)/s^3, (sin r - r)/r^3, (cos r - 1 + r^2/2)/r^4
static const flt_real flt_exp_series[] = {0.50000000000000052265,     0.16666666666666588588,   0.041666666666576100755,
                                          0.0083333333333899632223,   0.0013888888931797080432, 0.00019841269718317538196,
                                          0.000024801504976809769809, 2.7557407897437822014e-6, 2.7626162125558836882e-7,
                                          2.5053763550737626103e-8};
static const flt_real flt_log_series[] = {0.66666666666667353793, 0.39999999999407498142, 0.2857142874414023835,
                                          0.22222198378509831792, 0.18183575167034003956, 0.15313755658261155204,
                                          0.14799067597985537654};
static const flt_real flt_sin_series[] = {-0.16666666666666631651,  0.0083333333333223150184,  -0.00019841269829725123629,
                                          2.7557313662036323294e-6, -2.5050753261922702908e-8, 1.5896504822370114822e-10};
static const flt_real flt_cos_series[] = {0.041666666666666598748,   -0.0013888888888873990822, 0.000024801587289394985864,
                                          -2.7557314326047682299e-7, 2.087571956091316974e-9,   -1.1359448787026421321e-11};
#else
#define FLTX_ROUNDER      0x1.8p23f
#define FLTX_LN2_HIGH     0.693359375f // 9 bits
#define FLTX_LN2_LOW      -2.12194440e-4f
#define FLTX_EXP_LOWEST   -87.336545f
#define FLTX_EXP_HIGHEST  88.722832f
#define FLTX_EXP_SMALL    80
#define FLTX_TANH_ONE     10.0f
#define FLTX_SMALLEST     0x1p-126f
#define FLTX_TWO_MANTISSA 0x1p23f
static const flt_real flt_exp_series[] = {0.4999999814f, 0.1666654318f, 0.04166720171f, 0.008366580395f, 0.001388251358f};
static const flt_real flt_log_series[] = {0.6666677705f, 0.3997744973f, 0.2987441451f};
static const flt_real flt_sin_series[] = {-0.1666665487f, 0.008332173529f, -0.000195166542f};
static const flt_real flt_cos_series[] = {0.04166664675f, -0.001388736146f, 2.443773084e-5f};
#endif
#define FLTX_SERIES(x, c) flt_vreal_horner(x, c, (int)(sizeof(c) / sizeof *(c)))

#define FLTX_EXP_TERMS (int)(sizeof flt_exp_series / sizeof *flt_exp_series)
#define FLTX_EACH      _Pragma("GCC unroll 4") for (int i = 0; i < count; i++)

// e^x = 2^n (1 + p): gives p, and n in the low bits of *n (those above count for nothing).
FLTX_INLINE flt_vreal flt_vreal_exp_parts(flt_vreal x, flt_vbits *n) {
    const flt_vreal shifted = x * (flt_real)1.4426950408889634074 + FLTX_ROUNDER;
    const flt_vreal whole = shifted - FLTX_ROUNDER;
    const flt_vreal r = (x - whole * FLTX_LN2_HIGH) - whole * FLTX_LN2_LOW;
    *n = (flt_vbits)shifted;
    return r + r * r * FLTX_SERIES(r, flt_exp_series);
}

FLTX_INLINE flt_vreal flt_vreal_exp(flt_vreal x) {
    flt_vbits n;
    const flt_vreal p = flt_vreal_exp_parts(x, &n) + (flt_real)1;
    flt_vreal y = (flt_vreal)((flt_vbits)p + (n << FLTX_MANTISSA));
    y = flt_vreal_if_less(x, flt_vreal_set(FLTX_EXP_LOWEST), flt_vreal_set(0), y);
    return flt_vreal_if_less_equal(x, flt_vreal_set(FLTX_EXP_HIGHEST), y, x * (flt_real)INFINITY);
}

// x[i] = e^x[i] for x[i] <= FLTX_EXP_SMALL or NaN, count <= 4 a constant: in half of the operations, and side by side, for each
// waits for the one before it. Largest error 0.9 + |x|/20 ulp: less than what rounding x itself brings. 2^n is formed by itself:
// it is zero where n is less than the exponents of normal numbers.
FLTX_INLINE void flt_vreal_exp_small(int count, flt_vreal *x) {
    const flt_vreal lowest = flt_vreal_set((flt_real)(-FLTX_BIAS * 0.69314718055994530942)), one = flt_vreal_set(1);
    flt_vreal shifted[4], p[4];
    FLTX_EACH x[i] = flt_vreal_max(lowest, x[i]);
    FLTX_EACH shifted[i] = x[i] * (flt_real)1.4426950408889634074 + FLTX_ROUNDER;
    FLTX_EACH p[i] = shifted[i] - FLTX_ROUNDER;
    FLTX_EACH x[i] -= p[i] * (flt_real)0.69314718055994530942;
    FLTX_EACH p[i] = flt_vreal_set(flt_exp_series[FLTX_EXP_TERMS - 1]);
#pragma GCC unroll 16
    for (int c = FLTX_EXP_TERMS - 2; c >= 0; c--) FLTX_EACH p[i] = p[i] * x[i] + flt_exp_series[c];
    FLTX_EACH p[i] = p[i] * x[i] + one;
    FLTX_EACH p[i] = p[i] * x[i] + one;
    FLTX_EACH x[i] = p[i] * (flt_vreal)(((flt_vbits)shifted[i] << FLTX_MANTISSA) + (flt_vbits)one);
}

// e / (e + 2) with e = exp(2 |x|) - 1, which keeps its digits near 0
FLTX_INLINE flt_vreal flt_vreal_tanh(flt_vreal x) {
    flt_vbits n;
    const flt_vreal p = flt_vreal_exp_parts((flt_real)2 * flt_vreal_min(flt_vreal_set(FLTX_TANH_ONE), flt_vreal_abs(x)), &n);
    const flt_vreal power = (flt_vreal)((n + FLTX_BIAS) << FLTX_MANTISSA);
    const flt_vreal e = power * p + (power - (flt_real)1);
    return flt_vreal_copysign(e / (e + (flt_real)2), x);
}

// x = 2^n (1 + f) with 1 + f in [sqrt(1/2), sqrt 2) and s = f/(2 + f): log x = n log 2 + f - f^2/2 + s (f^2/2 + s^2 series(s^2))
FLTX_INLINE flt_vreal flt_vreal_log(flt_vreal x) {
    const flt_vreal smallest = flt_vreal_set(FLTX_SMALLEST), unit = flt_vreal_set(FLTX_TWO_MANTISSA);
    const flt_vbits root_half = (flt_vbits)flt_vreal_set((flt_real)0.70710678118654752440), one = (flt_vbits)flt_vreal_set(1);
    const flt_vbits bits = (flt_vbits)flt_vreal_if_less(x, smallest, x * FLTX_TWO_MANTISSA, x) + (one - root_half);
    const flt_vreal bias = flt_vreal_if_less(x, smallest, flt_vreal_set(FLTX_BIAS + FLTX_MANTISSA), flt_vreal_set(FLTX_BIAS));
    const flt_vreal n = (flt_vreal)((bits >> FLTX_MANTISSA) | (flt_vbits)unit) - unit - bias;
    const flt_vreal f = (flt_vreal)((bits & (((flt_bits)1 << FLTX_MANTISSA) - 1)) + root_half) - (flt_real)1;
    const flt_vreal s = f / (f + (flt_real)2), z = s * s, square = (flt_real)0.5 * f * f;
    const flt_vreal tail = s * (square + z * FLTX_SERIES(z, flt_log_series)) + n * FLTX_LN2_LOW;
    flt_vreal y = n * FLTX_LN2_HIGH - ((square - tail) - f);
    y = flt_vreal_if_less(x, flt_vreal_set((flt_real)INFINITY), y, x);
    y = flt_vreal_if_less(x, flt_vreal_set(0), flt_vreal_set((flt_real)NAN), y);
    return flt_vreal_if_less_equal(flt_vreal_abs(x), flt_vreal_set(0), flt_vreal_set((flt_real)-INFINITY), y);
}

// sin and cos of q pi/2 + r for |r| <= pi/4; of q only the lowest two bits count
FLTX_INLINE void flt_vreal_sincos_quadrant(flt_vreal r, flt_vbits q, flt_vreal *sine, flt_vreal *cosine) {
    const flt_vreal z = r * r;
    const flt_vreal s = r + r * z * FLTX_SERIES(z, flt_sin_series);
    const flt_vreal c = (flt_real)1 - ((flt_real)0.5 * z - z * z * FLTX_SERIES(z, flt_cos_series));
    const flt_vint odd = -(flt_vint)(q & 1);
    const int top = (int)sizeof(flt_real) * 8 - 2;
    const flt_vbits sign = (flt_vbits)flt_vreal_set((flt_real)-0.0);
    *sine = (flt_vreal)((flt_vbits)flt_vreal_blend(odd, c, s) ^ (q << top & sign));
    *cosine = (flt_vreal)((flt_vbits)flt_vreal_blend(odd, s, c) ^ ((q + 1) << top & sign));
}

#endif
