// SPDX-License-Identifier: MIT
// Plain loops for the compiler's vectoriser: a Feistel network over many numbers at once, and images out of their frames.
#include "engine/kernels/minibatch.h"

#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

// ---- shuffling

#define INLINE static inline __attribute__((always_inline))

enum { GROUP = 8, GROUPS = 8 }; // numbers in a vector; vectors that go through the rounds together at most

typedef uint32_t numbers __attribute__((vector_size(4 * GROUP)));

// The high halves of x times m.
INLINE numbers high_products(numbers x, uint32_t m) {
#if defined(__AVX2__)
    const __m256i by = _mm256_set1_epi32((int)m);
    const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32((__m256i)x, by), 32);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)x, 32), by);
    return (numbers)_mm256_blend_epi32(even, odd, 0xaa);
#else
    for (size_t i = 0; i < GROUP; i++) x[i] = (uint32_t)((uint64_t)x[i] * m >> 32);
    return x;
#endif
}

// To plus a number below m from the round's key and the other half, modulo m <= 2^16: multiply and shift (constants: murmur3's
// finaliser).
INLINE numbers half_round(uint32_t key, uint32_t m, numbers half, numbers to) {
    numbers x = half + key;
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    x ^= x >> 16;
    const numbers sum = to + high_products(x, m) - m; // wraps where it was below m
    return sum + (m & -(sum >> 31));
}

// Rounds outside, numbers inside: independent chains. n, vectors, is a constant at every call.
INLINE void rounds(const flt_shuffle *s, size_t n, const numbers *low, const numbers *high, numbers *x) {
    numbers l[GROUPS], h[GROUPS];
    for (size_t i = 0; i < n; i++) l[i] = low[i], h[i] = high[i];
    for (size_t k = 0; k < FLTX_SHUFFLE_ROUNDS; k += 2) {
#pragma GCC unroll 8
        for (size_t i = 0; i < n; i++) l[i] = half_round(s->key[k], s->a, h[i], l[i]);
#pragma GCC unroll 8
        for (size_t i = 0; i < n; i++) h[i] = half_round(s->key[k + 1], s->b, l[i], h[i]);
    }
    for (size_t i = 0; i < n; i++) x[i] = h[i] * s->a + l[i];
}

// Numbers from their halves, `used` of them.
typedef union halves {
    uint32_t at[GROUPS * GROUP];
    numbers in[GROUPS];
} halves;

static void permute_halves(const flt_shuffle *s, size_t used, const halves *low, const halves *high, uint32_t *x) {
    halves made;
    if (used <= GROUP)
        rounds(s, 1, low->in, high->in, made.in);
    else if (used <= 4 * GROUP)
        rounds(s, 4, low->in, high->in, made.in);
    else
        rounds(s, GROUPS, low->in, high->in, made.in);
    memcpy(x, made.at, used * sizeof *x);
}

static void permute(const flt_shuffle *s, size_t n, uint32_t *x) {
    halves low = {{0}}, high = {{0}};
    for (size_t begin = 0; begin < n; begin += GROUP) {
        const size_t used = n - begin < GROUP ? n - begin : GROUP;
        for (size_t i = 0; i < used; i++) {
            low.at[i] = x[begin + i] % s->a;
            high.at[i] = x[begin + i] / s->a;
        }
        permute_halves(s, used, &low, &high, x + begin);
    }
}

// Numbers that follow one another need a division for the first alone.
static void permute_range(const flt_shuffle *s, uint32_t first, size_t n, uint32_t *x) {
    uint32_t next_low = first % s->a, next_high = first / s->a;
    halves low = {{0}}, high = {{0}};
    for (size_t begin = 0; begin < n; begin += GROUPS * GROUP) {
        const size_t used = n - begin < GROUPS * GROUP ? n - begin : GROUPS * GROUP;
        for (size_t i = 0; i < used; i++) {
            low.at[i] = next_low;
            high.at[i] = next_high;
            const uint32_t end = ++next_low == s->a;
            next_low = end != 0 ? 0 : next_low;
            next_high += end;
        }
        permute_halves(s, used, &low, &high, x + begin);
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
