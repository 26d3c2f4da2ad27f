// SPDX-License-Identifier: MIT
// Random streams: the published vectors, independence of how ranges are cut, moments, distributions, correlations.
#include "../base/normal_fast.h"
#include "flt/memory.h"
#include "flt/random.h"

#include <Random123/philox.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1 << 18 };

// ---- bits

typedef struct vector {
    uint32_t counter[4], key[2], want[4];
} vector;

// The kat_vectors file of Random123, philox4x32 with 10 rounds.
static const vector vectors[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

Test(base_random, known_answers) {
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const vector *v = &vectors[i];
        philox4x32_ctr_t c;
        philox4x32_key_t k;
        memcpy(c.v, v->counter, sizeof c.v);
        memcpy(k.v, v->key, sizeof k.v);
        const philox4x32_ctr_t got = philox4x32(c, k);
        for (int w = 0; w < 4; w++) cr_assert_eq(got.v[w], v->want[w], "vector %zu word %d: %08x", i, w, got.v[w]);
    }
    const flt_rng zero = {0, 0};
    cr_assert_eq(flt_rng_bits(zero, 0), 0xe169c58d6627e8d5u);
    cr_assert_eq(flt_rng_bits(zero, 1), 0x9b00dbd8bc57ac4cu);
}

// Seed, stream and index all reach the cipher, in their halves.
Test(base_random, keying) {
    const uint64_t seed = 0x0123456789abcdefu, stream = 0xfedcba9876543210u, b = 0x1122334455667788u;
    const philox4x32_ctr_t c = {{0x55667788u, 0x11223344u, 0x76543210u, 0xfedcba98u}};
    const philox4x32_key_t k = {{0x89abcdefu, 0x01234567u}};
    const philox4x32_ctr_t x = philox4x32(c, k);
    const flt_rng r = {seed, stream};
    cr_assert_eq(flt_rng_bits(r, 2 * b), x.v[0] | (uint64_t)x.v[1] << 32);
    cr_assert_eq(flt_rng_bits(r, 2 * b + 1), x.v[2] | (uint64_t)x.v[3] << 32);
}

// Stored results depend on these: a change of the derivation must be a decision.
Test(base_random, derived_streams_are_frozen) {
    const flt_rng a = flt_rng_make(42, "omega", 7), b = flt_rng_child(a, "head", 1);
    cr_assert_eq(a.seed, 0x5621b065759c4077u, "%016llx", (unsigned long long)a.seed);
    cr_assert_eq(a.stream, 0x892764f98f6f6e6eu, "%016llx", (unsigned long long)a.stream);
    cr_assert_eq(b.seed, 0x1999d5eaccfae691u, "%016llx", (unsigned long long)b.seed);
    cr_assert_eq(b.stream, 0xdde1d6f7fc8d08b1u, "%016llx", (unsigned long long)b.stream);
}

static int by_value(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Test(base_random, derived_streams_differ) {
    static const char *const tags[] = {"", "a", "b", "ab", "ba", "omega", "omegb"};
    enum { TAGS = sizeof tags / sizeof *tags, SEEDS = 5, NUMBERS = 8, N = TAGS * SEEDS * NUMBERS * 2 };
    static uint64_t seen[N];
    size_t n = 0;
    for (int t = 0; t < TAGS; t++) {
        for (uint64_t s = 0; s < SEEDS; s++) {
            for (uint64_t k = 0; k < NUMBERS; k++) {
                const flt_rng r = flt_rng_make(s, tags[t], k), c = flt_rng_child(r, tags[t], k);
                seen[n++] = flt_rng_bits(r, 0);
                seen[n++] = flt_rng_bits(c, 0);
            }
        }
    }
    qsort(seen, n, sizeof *seen, by_value);
    for (size_t i = 1; i < n; i++) cr_assert_neq(seen[i], seen[i - 1], "two of %zu derived streams start alike", n);
}

// ---- ranges

typedef void fill(flt_rng r, uint64_t index, size_t n, double *out);

static void fill_uniform(flt_rng r, uint64_t index, size_t n, double *out) {
    flt_real x[256];
    flt_rng_uniform(r, index, n, x);
    for (size_t i = 0; i < n; i++) out[i] = (double)x[i];
}

static void fill_normal(flt_rng r, uint64_t index, size_t n, double *out) {
    flt_real x[256];
    flt_rng_normal(r, index, n, x);
    for (size_t i = 0; i < n; i++) out[i] = (double)x[i];
}

typedef struct stream_form {
    const char *name;
    fill *fill;
} stream_form;

static const stream_form forms[] = {
    {"uniform", fill_uniform},
    {"normal", fill_normal},
    {"uniform_double", flt_rng_uniform_double},
    {"normal_double", flt_rng_normal_double},
};

// [first, first + n) equals its parts, whatever the cut, and nothing behind the range is written.
Test(base_random, ranges_join) {
    const flt_rng r = {3, 4};
    double whole[200], part[202];
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        forms[f].fill(r, 5, 200, whole);
        for (size_t first = 0; first < 80; first += 3) {
            for (size_t n = 0; first + n <= 200; n = n * 2 + 1) {
                part[n] = 77.0;
                forms[f].fill(r, 5 + first, n, part);
                cr_assert_eq(memcmp(part, whole + first, n * sizeof *part), 0, "%s [%zu, +%zu)", forms[f].name, first, n);
                cr_assert_eq(part[n], 77.0, "%s [%zu, +%zu) writes behind its end", forms[f].name, first, n);
            }
        }
    }
}

Test(base_random, single_numbers_agree) {
    const flt_rng r = flt_rng_make(1, "x", 0);
    double u[33], x[33];
    const uint64_t base = 0xfffffffeu; // across the carry into the upper word of the counter
    flt_rng_uniform_double(r, 2 * base - 16, 33, u);
    flt_rng_normal_double(r, 2 * base - 16, 33, x);
    for (size_t i = 0; i < 33; i++) {
        cr_assert_eq(u[i], flt_rng_uniform_at(r, 2 * base - 16 + i), "uniform %zu", i);
        cr_assert_eq(x[i], flt_rng_normal_at(r, 2 * base - 16 + i), "normal %zu", i);
        cr_assert_eq(u[i], (double)(flt_rng_bits(r, 2 * base - 16 + i) >> 11) * 0x1p-53, "bits %zu", i);
    }
}

Test(base_random, working_precision_rounds_double) {
    const flt_rng r = {9, 9};
    for (uint64_t i = 0; i < 1000; i++) {
        flt_real u, x;
        flt_rng_uniform(r, i, 1, &u);
        flt_rng_normal(r, i, 1, &x);
        cr_assert_eq(x, (flt_real)flt_rng_normal_at(r, i));
        cr_assert_leq(fabs((double)u - flt_rng_uniform_at(r, i)), FLTX_EPS / 2);
        cr_assert_lt(u, (flt_real)1);
    }
}

// These two, found by search, lie within 2^-25 of 1: rounding to single precision would give 1.
Test(base_random, uniform_stays_below_one) {
    static const uint64_t near[] = {4407839, 15142490};
    const flt_rng r = {11, 0};
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        flt_real u;
        flt_rng_uniform(r, near[i], 1, &u);
        cr_assert_geq(flt_rng_uniform_at(r, near[i]), 1 - 0x1p-25, "index %llu", (unsigned long long)near[i]);
        cr_assert_lt(u, (flt_real)1, "index %llu", (unsigned long long)near[i]);
    }
}

// ---- distributions

static double normal_cdf(double x) {
    return 0.5 * erfc(-x / sqrt(2.0));
}
static double uniform_cdf(double x) {
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// sqrt(n) times the Kolmogorov-Smirnov distance; 1.95 is exceeded by one sample in a thousand.
static double ks(double *x, size_t n, double (*cdf)(double)) {
    double worst = 0;
    qsort(x, n, sizeof *x, by_size);
    for (size_t i = 0; i < n; i++) {
        const double f = cdf(x[i]);
        worst = fmax(worst, fmax(f - (double)i / (double)n, (double)(i + 1) / (double)n - f));
    }
    return worst * sqrt((double)n);
}

// The k-th sample moment against `want`, in standard errors of a variable with E x^2k = `square`.
static double moment_z(const double *x, size_t n, int k, double want, double square) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += pow(x[i], k);
    return (sum / (double)n - want) / sqrt((square - want * want) / (double)n);
}

static void check_normal(const char *what, double *x, size_t n) {
    static const double moment[] = {1, 0, 1, 0, 3, 0, 15, 0, 105, 0, 945, 0, 10395};
    double lagged = 0;
    for (int k = 1; k <= 6; k++) {
        const double z = moment_z(x, n, k, moment[k], moment[2 * k]);
        cr_assert_lt(fabs(z), 4.5, "%s: moment %d is off by %.2f standard errors", what, k, z);
    }
    for (size_t lag = 1; lag <= 64; lag++) {
        lagged = 0;
        for (size_t i = 0; i + lag < n; i++) lagged += x[i] * x[i + lag];
        const double z = lagged / sqrt((double)(n - lag));
        cr_assert_lt(fabs(z), 4.5, "%s: correlation at lag %zu is off by %.2f standard errors", what, lag, z);
    }
    const double d = ks(x, n, normal_cdf);
    cr_assert_lt(d, 1.95, "%s: Kolmogorov-Smirnov %.3f", what, d);
}

Test(base_random, normals_are_normal) {
    double *x = NULL;
    cr_assert_eq(flt_alloc(MANY, sizeof *x, &x), FLTE_OK);
    for (uint64_t s = 0; s < 3; s++) {
        flt_rng_normal_double(flt_rng_make(s, "test", 0), 0, MANY, x);
        check_normal("normal", x, MANY);
    }
    flt_free(x);
}

Test(base_random, uniforms_are_uniform) {
    double *x = NULL;
    cr_assert_eq(flt_alloc(MANY, sizeof *x, &x), FLTE_OK);
    for (uint64_t s = 0; s < 3; s++) {
        flt_rng_uniform_double(flt_rng_make(s, "test", 1), 0, MANY, x);
        for (int k = 1; k <= 6; k++) {
            const double z = moment_z(x, MANY, k, 1.0 / (k + 1), 1.0 / (2 * k + 1));
            cr_assert_lt(fabs(z), 4.5, "seed %d: moment %d is off by %.2f standard errors", (int)s, k, z);
        }
        const double d = ks(x, MANY, uniform_cdf);
        cr_assert_lt(d, 1.95, "seed %d: Kolmogorov-Smirnov %.3f", (int)s, d);
    }
    flt_free(x);
}

// ---- the vectorised normals

enum { GROUPS = 64, FAST = GROUPS * NORMAL_GROUP };

typedef struct table {
    const char *name;
    const normal_fast_kernels *k;
} table;

// The tables that this machine can run; the portable one first.
static size_t tables(table *t) {
    size_t n = 0;
    t[n++] = (table){"portable", &normal_fast_kernels_portable};
#if defined(FLTX_HAVE_X86_KERNELS)
    if (flt_isa_current() >= FLTX_ISA_AVX2) t[n++] = (table){"avx2", &normal_fast_kernels_avx2};
    if (flt_isa_current() >= FLTX_ISA_AVX512) t[n++] = (table){"avx512", &normal_fast_kernels_avx512};
#endif
    return n;
}

Test(base_random, fast_blocks_are_philox) {
    static const uint64_t starts[] = {0, 16, 0xfffffff0u, 0x123456789abcdef0u};
    table t[3];
    for (size_t i = 0, n = tables(t); i < n; i++) {
        for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
            const flt_rng r = {0xa4093822299f31d0u + s, 0x0370734413198a2eu * s};
            uint32_t w[4][NORMAL_LANES];
            t[i].k->blocks(r.seed, r.stream, starts[s], w);
            for (size_t l = 0; l < NORMAL_LANES; l++) {
                const uint64_t b = starts[s] + l; // as flt_rng_bits, whose index does not reach the highest blocks
                const philox4x32_ctr_t c = {{(uint32_t)b, (uint32_t)(b >> 32), (uint32_t)r.stream, (uint32_t)(r.stream >> 32)}};
                const philox4x32_key_t key = {{(uint32_t)r.seed, (uint32_t)(r.seed >> 32)}};
                const philox4x32_ctr_t want = philox4x32(c, key);
                for (int k = 0; k < 4; k++) cr_assert_eq(w[k][l], want.v[k], "%s: block %zu + %zu, word %d", t[i].name, s, l, k);
            }
        }
    }
}

Test(base_random, fast_is_the_same_everywhere) {
    static float first[FAST], other[FAST];
    table t[3];
    const size_t n = tables(t);
    t[0].k->fill(1, 2, 160, GROUPS, first);
    for (size_t i = 1; i < n; i++) {
        t[i].k->fill(1, 2, 160, GROUPS, other);
        for (size_t j = 0; j < FAST; j++)
            cr_assert_eq(other[j], first[j], "%s: number %zu is %a, portable %a", t[i].name, j, (double)other[j],
                         (double)first[j]);
    }
}

// Each number against the same transformation of the same words in double.
Test(base_random, fast_is_accurate) {
    static float x[FAST];
    const double eps = 0x1p-24; // single precision, in both builds
    table t[3];
    tables(t);
    t[0].k->fill(7, 8, 0, GROUPS, x);
    for (size_t g = 0; g < GROUPS; g++) {
        uint32_t w[4][NORMAL_LANES];
        t[0].k->blocks(7, 8, g * NORMAL_LANES, w);
        for (size_t l = 0; l < NORMAL_LANES; l++) {
            for (int half = 0; half < 2; half++) {
                const uint32_t a = w[2 * half][l], b = w[2 * half + 1][l];
                const double radius = sqrt(-2 * log((a >> 2 | 1) * 0x1p-30)), turn = (double)(int32_t)b * 0x1p-31 * atan(1.0);
                const double c = radius * cos(turn) * ((a & 2) != 0 ? -1 : 1), s = radius * sin(turn);
                const float *got = x + g * NORMAL_GROUP + (size_t)half * 2 * NORMAL_LANES + l;
                const double dx = fabs(got[0] - ((a & 1) != 0 ? c : s)), dy = fabs(got[NORMAL_LANES] - ((a & 1) != 0 ? s : c));
                // roundings: 4 in the logarithm, its polynomial, the root, 5 in sine or cosine and their product
                cr_assert_lt(fmax(dx, dy), 8 * eps * radius, "group %zu lane %zu pair %d: %g", g, l, half, fmax(dx, dy) / radius);
            }
        }
    }
}

Test(base_random, fast_ranges_join) {
    static float whole[512], part[513];
    const flt_rng r = {3, 4};
    flt_rng_normal_fast(r, 64, 512, whole);
    for (size_t first = 0; first < 512; first += 64) {
        for (size_t n = 0; first + n <= 512; n += 13) {
            part[n] = 77.0f;
            flt_rng_normal_fast(r, 64 + first, n, part);
            cr_assert_eq(memcmp(part, whole + first, n * sizeof *part), 0, "[%zu, +%zu)", first, n);
            cr_assert_eq(part[n], 77.0f, "[%zu, +%zu) writes behind its end", first, n);
        }
    }
}

Test(base_random, fast_normals_are_normal) {
    double *x = NULL;
    float *f = NULL;
    cr_assert_eq(flt_alloc(MANY, sizeof *x, &x), FLTE_OK);
    cr_assert_eq(flt_alloc(MANY, sizeof *f, &f), FLTE_OK);
    for (uint64_t s = 0; s < 3; s++) {
        flt_rng_normal_fast(flt_rng_make(s, "test", 2), 0, MANY, f);
        for (size_t i = 0; i < MANY; i++) {
            cr_assert_lt(fabsf(f[i]), 6.5f, "seed %d number %zu", (int)s, i);
            x[i] = (double)f[i];
        }
        check_normal("fast", x, MANY);
    }
    flt_free(f);
    flt_free(x);
}

// The two forms of one stream must not share their blocks.
Test(base_random, fast_has_blocks_of_its_own) {
    const flt_rng r = flt_rng_make(1, "test", 3);
    float got[NORMAL_GROUP], shared[NORMAL_GROUP];
    flt_rng_normal_fast(r, 0, NORMAL_GROUP, got);
    normal_fast_kernels_portable.fill(r.seed, r.stream, 0, 1, shared);
    for (size_t i = 0; i < NORMAL_GROUP; i++) cr_assert_neq(got[i], shared[i], "number %zu", i);
}

// ---- integers

Test(base_random, below) {
    const flt_rng r = {5, 6};
    static const uint64_t ranges[] = {1, 2, 3, 10, 1000, (uint64_t)1 << 32, UINT64_MAX};
    for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++)
        for (uint64_t i = 0; i < 1000; i++) cr_assert_lt(flt_rng_below(r, i, ranges[k]), ranges[k]);
    int count[10] = {0};
    for (uint64_t i = 0; i < 100000; i++) count[flt_rng_below(r, i, 10)]++;
    double chi2 = 0;
    for (int d = 0; d < 10; d++) chi2 += (count[d] - 10000.0) * (count[d] - 10000.0) / 10000.0;
    cr_assert_lt(chi2, 27.9, "chi squared %.1f with 9 degrees of freedom", chi2); // one in a thousand
}

Test(base_random, permutations) {
    uint32_t p[257];
    for (size_t n = 0; n <= 257; n = n * 2 + 1) {
        bool seen[257] = {false};
        flt_rng_permutation((flt_rng){1, n}, n, p);
        for (size_t i = 0; i < n; i++) {
            cr_assert_lt(p[i], n, "n = %zu", n);
            cr_assert_not(seen[p[i]], "n = %zu: %u twice", n, p[i]);
            seen[p[i]] = true;
        }
    }
    int count[6] = {0}; // all orders of three, equally often
    for (uint64_t s = 0; s < 60000; s++) {
        flt_rng_permutation((flt_rng){s, 0}, 3, p);
        count[p[0] * 2 + (p[1] > p[2])]++;
    }
    double chi2 = 0;
    for (int i = 0; i < 6; i++) chi2 += (count[i] - 10000.0) * (count[i] - 10000.0) / 10000.0;
    cr_assert_lt(chi2, 20.5, "chi squared %.1f with 5 degrees of freedom", chi2); // one in a thousand
}
