// SPDX-License-Identifier: MIT
// Plain loops for the compiler's vectoriser: a Feistel network over many numbers at once, and images out of their frames.
#include "engine/kernels/minibatch.h"

// ---- shuffling

enum { LANES = 64 };

// A number below m from the round's key and one half: multiply and shift (constants: murmur3's finaliser).
static inline uint32_t noise(uint32_t key, uint32_t half, uint32_t m) {
    uint32_t x = half + key;
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    x ^= x >> 16;
    return (uint32_t)((uint64_t)x * m >> 32);
}

static inline uint32_t plus(uint32_t x, uint32_t y, uint32_t m) {
    const uint32_t sum = x + y; // both < m <= 2^16
    return sum >= m ? sum - m : sum;
}

// Rounds outside, numbers inside: independent chains. Always LANES of them, a number of iterations that the compiler knows.
static void rounds(const flt_shuffle *s, uint32_t low[LANES], uint32_t high[LANES]) {
    for (size_t k = 0; k < FLTX_SHUFFLE_ROUNDS; k += 2) {
        for (size_t i = 0; i < LANES; i++) low[i] = plus(low[i], noise(s->key[k], high[i], s->a), s->a);
        for (size_t i = 0; i < LANES; i++) high[i] = plus(high[i], noise(s->key[k + 1], low[i], s->b), s->b);
    }
}

static void permute(const flt_shuffle *s, size_t n, uint32_t *x) {
    uint32_t low[LANES] = {0}, high[LANES] = {0};
    for (size_t begin = 0; begin < n; begin += LANES) {
        const size_t m = n - begin < LANES ? n - begin : LANES;
        for (size_t i = 0; i < m; i++) {
            low[i] = x[begin + i] % s->a;
            high[i] = x[begin + i] / s->a;
        }
        rounds(s, low, high);
        for (size_t i = 0; i < m; i++) x[begin + i] = high[i] * s->a + low[i];
    }
}

// ---- images.  The usual widths are constants to the compiler.

#define INLINE static inline __attribute__((always_inline))

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

const minibatch_kernels FLTX_ISA_TABLE(minibatch_kernels) = {.permute = permute, .copy = copy, .copy_noisy = copy_noisy};
