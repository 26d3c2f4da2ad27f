// SPDX-License-Identifier: MIT
// What the tests of core/num share: numbers that do not come from the library, and the ratio by which results are judged.
#ifndef NUM_SUPPORT_H
#define NUM_SUPPORT_H

#include "core/tests/every_isa.h"

#include "flt/memory.h"
#include "flt/num.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PASS = 30 }; // |got - want| / (eps growth scale) may reach this

// splitmix64
static inline uint64_t next_bits(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// uniform in [-1, 1)
static inline double next_real(uint64_t *state) {
    return (double)(next_bits(state) >> 11) * 0x1p-52 - 1.0;
}

static inline void fill(uint64_t seed, size_t n, flt_real *x) {
    for (size_t i = 0; i < n; i++) x[i] = (flt_real)next_real(&seed);
}

// |got - want| / (eps growth scale); infinite for a NaN
static inline double ratio_of(double got, long double want, double growth, double scale) {
    const double error = (double)fabsl((long double)got - want);
    if (isnan(error)) return INFINITY;
    return error == 0 ? 0 : error / (FLTX_EPS * growth * scale);
}

static inline void *take(size_t count, size_t size) {
    void *block = NULL;
    cr_assert(eq(int, flt_alloc(count, size, &block), FLTE_OK));
    return block;
}

static inline flt_real *reals(size_t n) {
    return take(n, sizeof(flt_real));
}

#endif
