// SPDX-License-Identifier: MIT
// A small-domain Feistel network, and the minibatches cut from its orders.
#include "engine/shuffle.h"

#include <math.h>

flt_shuffle flt_shuffle_make(flt_rng r, uint32_t n) {
    flt_shuffle s = {.n = n};
    s.a = (uint32_t)ceil(sqrt((double)n));
    s.b = (n + s.a - 1) / s.a;
    for (uint64_t k = 0; k < FLTX_SHUFFLE_ROUNDS / 2; k++) {
        const uint64_t bits = flt_rng_bits(r, k);
        s.key[2 * k] = (uint32_t)bits;
        s.key[2 * k + 1] = (uint32_t)(bits >> 32);
    }
    return s;
}

// A number below m from the round's key and one half: two rounds of multiply and shift (constants: murmur3's finaliser).
static inline uint32_t noise(uint32_t key, uint32_t half, uint32_t m) {
    uint32_t x = half + key;
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    x ^= x >> 16;
    return (uint32_t)((uint64_t)x * m >> 32);
}

static inline uint32_t plus(uint32_t x, uint32_t y, uint32_t m) {
    const uint32_t sum = x + y; // both < m <= 2^16 + 1
    return sum >= m ? sum - m : sum;
}

enum { LANES = 64 };

// One pass through the network for n <= LANES numbers below a b, in place. Rounds outside, numbers inside: independent chains.
static void permute(const flt_shuffle *s, size_t n, uint32_t *x) {
    uint32_t low[LANES], high[LANES];
    for (size_t i = 0; i < n; i++) {
        low[i] = x[i] % s->a;
        high[i] = x[i] / s->a;
    }
    for (size_t k = 0; k < FLTX_SHUFFLE_ROUNDS; k += 2) {
        for (size_t i = 0; i < n; i++) low[i] = plus(low[i], noise(s->key[k], high[i], s->a), s->a);
        for (size_t i = 0; i < n; i++) high[i] = plus(high[i], noise(s->key[k + 1], low[i], s->b), s->b);
    }
    for (size_t i = 0; i < n; i++) x[i] = high[i] * s->a + low[i];
}

void flt_shuffle_range(const flt_shuffle *s, uint32_t first, size_t count, uint32_t *to) {
    for (size_t i = 0; i < count; i++) to[i] = first + (uint32_t)i;
    for (size_t i = 0; i < count; i += LANES) permute(s, count - i < LANES ? count - i : LANES, to + i);
    for (size_t i = 0; i < count; i++)
        while (to[i] >= s->n) permute(s, 1, &to[i]);
}

void flt_minibatch_rows(flt_batch which, size_t n, size_t rows, uint32_t *row) {
    static const char *const tags[] = {"rows.train", "rows.valid", "rows.test"};
    const uint64_t begin = which.step * rows;
    uint64_t epoch = begin / n;
    size_t at = (size_t)(begin % n);
    for (size_t i = 0; i < rows; at = 0, epoch++) {
        const flt_shuffle s = flt_shuffle_make(flt_rng_make(which.seed, tags[which.split], epoch), (uint32_t)n);
        const size_t count = rows - i < n - at ? rows - i : n - at;
        flt_shuffle_range(&s, (uint32_t)at, count, row + i);
        i += count;
    }
}
