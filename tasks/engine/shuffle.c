// SPDX-License-Identifier: MIT
// A small-domain Feistel network, and the minibatches cut from its orders.
#include "engine/shuffle.h"
#include "engine/kernels/minibatch.h"

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

enum { OUTSIDE = 16 };

// Walks again those of `count` numbers that lie outside, a few at a time.
static void walk(const flt_shuffle *s, const minibatch_kernels *k, size_t count, uint32_t *to) {
    for (size_t i = 0; i < count;) {
        uint32_t x[OUTSIDE];
        size_t at[OUTSIDE], n = 0;
        for (; i < count && n < OUTSIDE; i++)
            if (to[i] >= s->n) at[n] = i, x[n++] = to[i];
        for (size_t left = n; left > 0;) {
            k->permute(s, left, x);
            size_t kept = 0;
            for (size_t j = 0; j < left; j++) {
                to[at[j]] = x[j];
                if (x[j] >= s->n) at[kept] = at[j], x[kept++] = x[j];
            }
            left = kept;
        }
    }
}

void flt_shuffle_range(const flt_shuffle *s, uint32_t first, size_t count, uint32_t *to) {
    const minibatch_kernels *k = FLTX_ISA_PICK(minibatch_kernels);
    k->permute_range(s, first, count, to);
    walk(s, k, count, to);
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
