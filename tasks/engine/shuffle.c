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

void flt_shuffle_range(const flt_shuffle *s, uint32_t first, size_t count, uint32_t *to) {
    const minibatch_kernels *k = FLTX_ISA_PICK(minibatch_kernels);
    for (size_t i = 0; i < count; i++) to[i] = first + (uint32_t)i;
    k->permute(s, count, to);
    for (size_t i = 0; i < count; i++)
        while (to[i] >= s->n) k->permute(s, 1, &to[i]);
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
