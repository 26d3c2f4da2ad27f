// SPDX-License-Identifier: MIT
// Plain loops for the compiler's vectoriser: a Feistel network over many numbers at once, and images out of their frames.
#include "engine/kernels/minibatch.h"

#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

// ---- shuffling

#define INLINE static inline __attribute__((always_inline))

enum { MANY = 32, FEW = 8 }; // numbers that go through the rounds together: whole vectors of any instruction set

// The high halves of x times m.
INLINE void high_products(size_t n, const uint32_t *x, uint32_t m, uint32_t *y) {
#if defined(__AVX2__)
    const __m256i by = _mm256_set1_epi32((int)m);
    for (size_t i = 0; i < n; i += 8) {
        __m256i v;
        memcpy(&v, x + i, sizeof v);
        const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(v, by), 32);
        const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(v, 32), by);
        v = _mm256_blend_epi32(even, odd, 0xaa);
        memcpy(y + i, &v, sizeof v);
    }
#else
    for (size_t i = 0; i < n; i++) y[i] = (uint32_t)((uint64_t)x[i] * m >> 32);
#endif
}

// to += a number below m from the round's key and the other half, modulo m <= 2^16: multiply and shift (constants: murmur3's
// finaliser).
INLINE void half_round(size_t n, uint32_t key, uint32_t m, const uint32_t *half, uint32_t *to) {
    uint32_t noise[MANY];
    for (size_t i = 0; i < n; i++) {
        uint32_t x = half[i] + key;
        x = (x ^ x >> 16) * 0x85ebca6bu;
        x = (x ^ x >> 13) * 0xc2b2ae35u;
        noise[i] = x ^ x >> 16;
    }
    high_products(n, noise, m, noise);
    for (size_t i = 0; i < n; i++) {
        const uint32_t sum = to[i] + noise[i]; // both < m
        to[i] = sum >= m ? sum - m : sum;
    }
}

// Rounds outside, numbers inside: independent chains. n is a constant at every call.
INLINE void rounds(const flt_shuffle *s, size_t n, uint32_t *low, uint32_t *high) {
    for (size_t k = 0; k < FLTX_SHUFFLE_ROUNDS; k += 2) {
        half_round(n, s->key[k], s->a, high, low);
        half_round(n, s->key[k + 1], s->b, low, high);
    }
}

// `used` numbers of x from their halves.
INLINE void permute_halves(const flt_shuffle *s, size_t n, size_t used, uint32_t *low, uint32_t *high, uint32_t *x) {
    rounds(s, n, low, high);
    for (size_t i = 0; i < used; i++) x[i] = high[i] * s->a + low[i];
}

static void permute(const flt_shuffle *s, size_t n, uint32_t *x) {
    for (size_t begin = 0; begin < n; begin += FEW) {
        const size_t used = n - begin < FEW ? n - begin : FEW;
        uint32_t low[FEW] = {0}, high[FEW] = {0};
        for (size_t i = 0; i < used; i++) {
            low[i] = x[begin + i] % s->a;
            high[i] = x[begin + i] / s->a;
        }
        permute_halves(s, FEW, used, low, high, x + begin);
    }
}

// Numbers that follow one another need a division for the first alone.
static void permute_range(const flt_shuffle *s, uint32_t first, size_t n, uint32_t *x) {
    uint32_t next_low = first % s->a, next_high = first / s->a;
    for (size_t begin = 0; begin < n; begin += MANY) {
        const size_t used = n - begin < MANY ? n - begin : MANY;
        uint32_t low[MANY] = {0}, high[MANY] = {0};
        for (size_t i = 0; i < used; i++) {
            low[i] = next_low;
            high[i] = next_high;
            const uint32_t end = ++next_low == s->a;
            next_low = end != 0 ? 0 : next_low;
            next_high += end;
        }
        if (used <= FEW)
            permute_halves(s, FEW, used, low, high, x + begin);
        else
            permute_halves(s, MANY, used, low, high, x + begin);
    }
}

// ---- images.  The usual widths are constants to the compiler.

INLINE void rows(const minibatch_window *w, size_t width, const unsigned char *restrict corner, flt_real *restrict out) {
    const flt_real scale = w->scale;
    for (size_t y = 0; y < w->height; y++, corner += w->stride, out += width)
        for (size_t x = 0; x < width; x++) out[x] = scale * (flt_real)corner[x];
}

static void copy(const minibatch_window *w, const unsigned char *corner, flt_real *out) {
    if (w->width == 8)
        rows(w, 8, corner, out);
    else if (w->width == 28)
        rows(w, 28, corner, out);
    else
        rows(w, w->width, corner, out);
}

INLINE void noisy_rows(const minibatch_window *w, size_t width, const unsigned char *restrict corner, flt_real deviation,
                       const float *restrict normal, flt_real *restrict out) {
    const flt_real scale = w->scale;
    for (size_t y = 0; y < w->height; y++, corner += w->stride, normal += width, out += width)
        for (size_t x = 0; x < width; x++) out[x] = scale * (flt_real)corner[x] + deviation * (flt_real)normal[x];
}

static void copy_noisy(const minibatch_window *w, const unsigned char *corner, flt_real deviation, const float *normal,
                       flt_real *out) {
    if (w->width == 8)
        noisy_rows(w, 8, corner, deviation, normal, out);
    else if (w->width == 28)
        noisy_rows(w, 28, corner, deviation, normal, out);
    else
        noisy_rows(w, w->width, corner, deviation, normal, out);
}

const minibatch_kernels FLTX_ISA_TABLE(minibatch_kernels) = {
    .permute = permute, .permute_range = permute_range, .copy = copy, .copy_noisy = copy_noisy};
