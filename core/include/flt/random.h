// SPDX-License-Identifier: MIT
// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011; the Random123 library).
//
// Number `index` of stream (seed, stream) is a pure function of the three: any thread may ask for any range, and asking for
// [0, 10) equals asking for [0, 4) and [4, 10). Values are computed in double from 53 random bits (normals: Box-Muller on the
// pair 2j, 2j + 1) and rounded to flt_real, except in the _fast forms.
#ifndef FLTX_RANDOM_H
#define FLTX_RANDOM_H

#include "flt/real.h"

FLTX_BEGIN_DECLS

typedef struct flt_rng {
    uint64_t seed, stream;
} flt_rng;

// Derives an independent stream: hashes (parent, tag, number). Used as flt_rng_child(root, "omega", head).
flt_rng flt_rng_make(uint64_t seed, const char *tag, uint64_t number);
flt_rng flt_rng_child(flt_rng parent, const char *tag, uint64_t number);

uint64_t flt_rng_bits(flt_rng r, uint64_t index);                         // 64 random bits
void flt_rng_uniform(flt_rng r, uint64_t index, size_t n, flt_real *out); // [0, 1): what would round to 1 is rounded down
void flt_rng_normal(flt_rng r, uint64_t index, size_t n, flt_real *out);  // N(0, 1)
void flt_rng_uniform_double(flt_rng r, uint64_t index, size_t n, double *out);
void flt_rng_normal_double(flt_rng r, uint64_t index, size_t n, double *out);
double flt_rng_uniform_at(flt_rng r, uint64_t index);
double flt_rng_normal_at(flt_rng r, uint64_t index);
uint64_t flt_rng_below(flt_rng r, uint64_t index, uint64_t n); // 0 .. n-1, bias below 2^-64 n; 0 for n = 0

// N(0, 1) in single-precision arithmetic from 32-bit uniforms, vectorised (measured: AVX-512 1.0, AVX2 1.3, SSE2 2.3 ns each;
// flt_rng_normal 25 ns). |x| < 6.5. The numbers differ from flt_rng_normal's and are independent of them; index must be a
// multiple of 64. Same bits from every instruction set and every compiler that rounds as IEEE 754 says.
void flt_rng_normal_fast(flt_rng r, uint64_t index, size_t n, float *out);

// out [n]: a permutation of 0 .. n-1 (Fisher-Yates), n <= 2^32.
void flt_rng_permutation(flt_rng r, size_t n, uint32_t *out);

FLTX_END_DECLS

#endif
