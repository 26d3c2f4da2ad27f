// SPDX-License-Identifier: MIT
// Random streams on Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//
// Key: the seed. Counter: (block, stream). Block b of four 32-bit words holds the 64-bit numbers 2b (words 0, 1) and 2b + 1
// (words 2, 3), the low word first.
#include "flt/random.h"

#include <Random123/philox.h>
#include <math.h>

static const double UNIT = 0x1p-53; // spacing of the 53-bit uniforms

typedef struct pair {
    uint64_t a, b;
} pair;

static pair block(flt_rng r, uint64_t b) {
    const philox4x32_ctr_t counter = {{(uint32_t)b, (uint32_t)(b >> 32), (uint32_t)r.stream, (uint32_t)(r.stream >> 32)}};
    const philox4x32_key_t key = {{(uint32_t)r.seed, (uint32_t)(r.seed >> 32)}};
    const philox4x32_ctr_t x = philox4x32(counter, key);
    return (pair){x.v[0] | (uint64_t)x.v[1] << 32, x.v[2] | (uint64_t)x.v[3] << 32};
}

// ---- derived streams

// FNV-1a over a text.
static uint64_t hash(const char *text) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text != '\0'; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h;
}

flt_rng flt_rng_child(flt_rng parent, const char *tag, uint64_t number) {
    // Two blocks chained over the four 64-bit inputs. The constant (the digits of sqrt 2) keeps these blocks apart from the
    // ones that give out numbers.
    const pair h = block((flt_rng){parent.seed ^ 0x6a09e667f3bcc908u, parent.stream}, hash(tag));
    const pair c = block((flt_rng){h.a, h.b}, number);
    return (flt_rng){c.a, c.b};
}

flt_rng flt_rng_make(uint64_t seed, const char *tag, uint64_t number) {
    return flt_rng_child((flt_rng){seed, 0}, tag, number);
}

// ---- bits and uniforms

uint64_t flt_rng_bits(flt_rng r, uint64_t index) {
    const pair p = block(r, index / 2);
    return index % 2 == 0 ? p.a : p.b;
}

static double uniform(uint64_t bits) {
    return (double)(bits >> 11) * UNIT;
}

double flt_rng_uniform_at(flt_rng r, uint64_t index) {
    return uniform(flt_rng_bits(r, index));
}

void flt_rng_uniform_double(flt_rng r, uint64_t index, size_t n, double *out) {
    size_t i = 0;
    if (n > 0 && index % 2 == 1) out[i++] = flt_rng_uniform_at(r, index);
    for (; i + 1 < n; i += 2) {
        const pair p = block(r, (index + i) / 2);
        out[i] = uniform(p.a);
        out[i + 1] = uniform(p.b);
    }
    if (i < n) out[i] = flt_rng_uniform_at(r, index + i);
}

// The nearest flt_real below 1 where rounding would give 1.
static flt_real round_down(double u) {
    const flt_real x = (flt_real)u, last = (flt_real)(1.0 - FLTX_EPS / 2);
    return x < last ? x : last;
}

void flt_rng_uniform(flt_rng r, uint64_t index, size_t n, flt_real *out) {
    double part[64];
    for (size_t i = 0; i < n; i += 64) {
        const size_t m = n - i < 64 ? n - i : 64;
        flt_rng_uniform_double(r, index + i, m, part);
        for (size_t j = 0; j < m; j++) out[i + j] = round_down(part[j]);
    }
}

uint64_t flt_rng_below(flt_rng r, uint64_t index, uint64_t n) {
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)flt_rng_bits(r, index) * n >> 64);
}

void flt_rng_permutation(flt_rng r, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)flt_rng_below(r, i - 1, i);
        const uint32_t kept = out[i - 1];
        out[i - 1] = out[j];
        out[j] = kept;
    }
}

// ---- normals: Box-Muller; 1 - u is in (0, 1], so |x| <= sqrt(106 log 2) = 8.6

typedef struct normal_pair {
    double even, odd;
} normal_pair;

static normal_pair normals(flt_rng r, uint64_t b) {
    const pair p = block(r, b);
    const double radius = sqrt(-2.0 * log(1.0 - uniform(p.a)));
    double sine, cosine;
    sincos(FLTX_TWO_PI * uniform(p.b), &sine, &cosine);
    return (normal_pair){radius * cosine, radius * sine};
}

double flt_rng_normal_at(flt_rng r, uint64_t index) {
    const normal_pair x = normals(r, index / 2);
    return index % 2 == 0 ? x.even : x.odd;
}

void flt_rng_normal_double(flt_rng r, uint64_t index, size_t n, double *out) {
    size_t i = 0;
    if (n > 0 && index % 2 == 1) out[i++] = flt_rng_normal_at(r, index);
    for (; i + 1 < n; i += 2) {
        const normal_pair x = normals(r, (index + i) / 2);
        out[i] = x.even;
        out[i + 1] = x.odd;
    }
    if (i < n) out[i] = flt_rng_normal_at(r, index + i);
}

void flt_rng_normal(flt_rng r, uint64_t index, size_t n, flt_real *out) {
    double part[64];
    for (size_t i = 0; i < n; i += 64) {
        const size_t m = n - i < 64 ? n - i : 64;
        flt_rng_normal_double(r, index + i, m, part);
        for (size_t j = 0; j < m; j++) out[i + j] = (flt_real)part[j];
    }
}
