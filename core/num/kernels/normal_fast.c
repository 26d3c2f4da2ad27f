// SPDX-License-Identifier: MIT
// N(0, 1) in single precision, 64 at a time: 16 blocks of Philox4x32-10, each of which gives two Box-Muller pairs.
//
//   words (a, b) of a block:  u = ((a >> 2) | 1) 2^-30 in (0, 1),  t = pi/4 b 2^-31 in [-pi/4, pi/4)
//                             radius = sqrt(-2 log u),  (x, y) = radius (+-cos t, sin t), swapped or not: the low bits of a
//
// Box-Muller is a plain loop over 16 lanes for the compiler's vectoriser; Philox needs a widening product, which it misses.
// Integers, +, -, *, sqrt alone, and no fused multiply-add in this file (the build sees to it): every instruction set gives the
// same bits.
// Accuracy: 2.5e-7 of the radius (measured on 1.6e7 numbers: 2.3e-7). |x| <= sqrt(60 log 2) = 6.45.
// Reference: Box, Muller, Ann. Math. Statist. 29 (1958); polynomials: minimax (Remez), own.
#include "base/normal_fast.h"

#include <math.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum { LANES = NORMAL_LANES };

typedef struct words {
    uint32_t w[4][LANES];
} words;

static inline float as_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t as_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// ---- Philox, 8 blocks a vector; each 64-bit lane holds a word in its low half and anything in its high half, so that a word and
// its product with a constant take one instruction.

typedef uint64_t lanes __attribute__((vector_size(64)));
typedef uint32_t half_lanes __attribute__((vector_size(32)));

// Full products of the low halves with m.
static inline lanes product(lanes a, uint32_t m) {
#if defined(__AVX512F__)
    return (lanes)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(m));
#elif defined(__AVX2__)
    union {
        lanes all;
        __m256i part[2];
    } x = {a};
    for (int i = 0; i < 2; i++) x.part[i] = _mm256_mul_epu32(x.part[i], _mm256_set1_epi64x(m));
    return x.all;
#elif defined(__SSE2__)
    union {
        lanes all;
        __m128i part[4];
    } x = {a};
    for (int i = 0; i < 4; i++) x.part[i] = _mm_mul_epu32(x.part[i], _mm_set1_epi64x(m));
    return x.all;
#else
    return (a & 0xffffffffu) * m;
#endif
}

static inline void store(uint32_t *out, lanes a) {
    const half_lanes low = __builtin_convertvector(a, half_lanes);
    memcpy(out, &low, sizeof low);
}

static inline void philox(uint64_t key, uint64_t stream, uint64_t block, words *out) {
    const lanes zero = {0}, first = {0, 1, 2, 3, 4, 5, 6, 7};
    for (int l = 0; l < LANES; l += 8) {
        lanes c0 = first + (block + (uint64_t)l), c1 = zero + (block >> 32), c2 = zero + stream, c3 = zero + (stream >> 32);
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        for (int round = 0; round < 10; round++) {
            const lanes p0 = product(c0, 0xd2511f53u), p1 = product(c2, 0xcd9e8d57u);
            c0 = (p1 >> 32) ^ c1 ^ k0;
            c1 = p1;
            c2 = (p0 >> 32) ^ c3 ^ k1;
            c3 = p0;
            k0 += 0x9e3779b9u;
            k1 += 0xbb67ae85u;
        }
        store(out->w[0] + l, c0);
        store(out->w[1] + l, c1);
        store(out->w[2] + l, c2);
        store(out->w[3] + l, c3);
    }
}

// ---- Box-Muller

// sqrt(-2 log(k 2^-30)) for odd k < 2^30. With k = 2^e (1 + f), 1 + f in [sqrt 1/2, sqrt 2), f is formed in integers, so that
// it keeps its digits where u is near 1.
static inline float radius(uint32_t k) {
    const float half = 0x1.62e430p+0f; // 2 log 2
    const uint32_t e = (as_bits((float)(int32_t)k) - 0x3f3504f3u) & 0xff800000u;
    const float scale = as_float(e + 0x3f800000u), inverse = as_float(0x3f800000u - e);
    const float f = (float)((int32_t)k - (int32_t)scale) * inverse;
    float p = -0.1744471878f;
    p = p * f + 0.2873367657f;
    p = p * f - 0.2990452684f;
    p = p * f + 0.3312478743f;
    p = p * f - 0.3991366787f;
    p = p * f + 0.5000414809f;
    p = p * f - 0.6666837123f;
    p = p * f + 0.9999997593f;
    p = p * f - 1.999999948f;
    return sqrtf(p * f + half * (float)(30 - (int32_t)(e >> 23)));
}

static inline void box_muller(const uint32_t *a, const uint32_t *b, float *x, float *y) {
    for (int l = 0; l < LANES; l++) {
        const float r = radius(a[l] >> 2 | 1u), t = (float)(int32_t)b[l] * 0x1p-31f, z = t * t;
        const float s = r * t * (0.7853981609f + z * (-0.08074543253f + z * (0.002490001024f + z * -3.595045215e-5f)));
        float c = r * (0.9999999674f + z * (-0.3084241656f + z * (0.01584968417f + z * -0.0003187278394f)));
        c = as_float(as_bits(c) ^ (a[l] & 2u) << 30);
        x[l] = (a[l] & 1u) != 0 ? c : s;
        y[l] = (a[l] & 1u) != 0 ? s : c;
    }
}

static void fill(uint64_t key, uint64_t stream, uint64_t block, size_t groups, float *out) {
    for (size_t g = 0; g < groups; g++, block += LANES, out += 4 * LANES) {
        words r;
        philox(key, stream, block, &r);
        box_muller(r.w[0], r.w[1], out, out + LANES);
        box_muller(r.w[2], r.w[3], out + 2 * LANES, out + 3 * LANES);
    }
}

static void blocks(uint64_t key, uint64_t stream, uint64_t block, uint32_t out[4][LANES]) {
    words r;
    philox(key, stream, block, &r);
    memcpy(out, r.w, sizeof r.w);
}

const normal_fast_kernels FLTX_ISA_TABLE(normal_fast_kernels) = {.blocks = blocks, .fill = fill};
