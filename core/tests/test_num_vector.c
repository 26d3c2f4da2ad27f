// SPDX-License-Identifier: MIT
// Vector functions against long double over all exponents, for each instruction set; special values; places; flush-to-zero.
#include "num_support.h"

#include <float.h>

#ifdef FLTX_DOUBLE
#define REAL_SMALLEST DBL_MIN
#define REAL_LARGEST  DBL_MAX
enum { DIGITS = 53, LOWEST_EXPONENT = -1022 };
static flt_real from_bits(uint64_t bits) {
    flt_real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
#else
#define REAL_SMALLEST FLT_MIN
#define REAL_LARGEST  FLT_MAX
enum { DIGITS = 24, LOWEST_EXPONENT = -126 };
static flt_real from_bits(uint64_t bits) {
    const uint32_t half = (uint32_t)(bits >> 32);
    flt_real x;
    memcpy(&x, &half, sizeof x);
    return x;
}
#endif

typedef struct function {
    const char *name;
    void (*of)(size_t n, const flt_real *x, flt_real *y);
    long double (*want)(long double x);
    double ulp; // the largest error that flt/simd.h states
} function;

static const function functions[] = {{"exp", flt_vexp, expl, 1.1}, {"log", flt_vlog, logl, 0.9}, {"tanh", flt_vtanh, tanhl, 2.7}};

// Error in units in the last place of `want`; 0 where both are the same infinity or both NaN.
static double ulps(flt_real got, long double want) {
    int exponent = 0;
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    if (fabsl(want) > REAL_LARGEST * (1 + FLTX_EPS / 4)) return got == copysignl(INFINITY, want) ? 0 : INFINITY;
    frexpl(want, &exponent);
    if (exponent <= LOWEST_EXPONENT) exponent = LOWEST_EXPONENT + 1;
    const double error = (double)(fabsl(got - want) / ldexpl(1, exponent - DIGITS));
    return isnan(error) ? INFINITY : error;
}

static double judge(const function *f, flt_real x, flt_real got) {
    const long double want = f->want(x);
    if (f->of == flt_vexp && want < REAL_SMALLEST) return got == 0 || want > REAL_SMALLEST * (1 - 8 * FLTX_EPS) ? 0 : INFINITY;
    return ulps(got, want);
}

// 2^18 bit patterns over all signs, exponents, subnormals, infinities and NaN; a fresh mantissa for each
static void errors(void) {
    enum { CHUNK = 1024 };
    flt_real x[CHUNK], y[CHUNK];
    for (size_t c = 0; c < 3; c++) {
        const function *f = &functions[c];
        uint64_t state = c;
        for (uint64_t chunk = 0; chunk < 256; chunk++) {
            for (uint64_t i = 0; i < CHUNK; i++) x[i] = from_bits((chunk * CHUNK + i) << 46 | next_bits(&state) >> 18);
            f->of(CHUNK, x, y);
            for (size_t i = 0; i < CHUNK; i++) {
                const double error = judge(f, x[i], y[i]);
                cr_assert(le(dbl, error, f->ulp), "%s(%a) = %a: %g ulp", f->name, (double)x[i], (double)y[i], error);
            }
        }
    }
}
TEST_EVERY_ISA(num_vector, errors, errors)

static void special_values(void) {
    const flt_real inf = (flt_real)INFINITY, nan = (flt_real)NAN;
    const flt_real x[] = {0, (flt_real)-0.0,   inf, -inf, nan, -1, REAL_LARGEST, -REAL_LARGEST, REAL_SMALLEST,
                          1, REAL_SMALLEST / 4};
    enum { N = sizeof x / sizeof *x };
    flt_real y[N];
    for (size_t c = 0; c < 3; c++) {
        functions[c].of(N, x, y);
        for (size_t i = 0; i < N; i++)
            cr_assert(le(dbl, judge(&functions[c], x[i], y[i]), functions[c].ulp), "%s(%g) = %g", functions[c].name, (double)x[i],
                      (double)y[i]);
        if (c == 0) cr_assert(eq(dbl, y[3], 0), "exp(-inf), the weight of what is masked");
        if (c == 2) cr_assert(ne(int, signbit(y[1]), 0), "tanh(-0) = -0");
    }
}
TEST_EVERY_ISA(num_vector, special_values, special_values)

// The same bits alone, anywhere in an array, and in place; nothing behind the array is written.
static void places(void) {
    enum { N = 70 };
    flt_real x[N + 1], y[N + 1], z[N + 1], one;
    fill(5, N + 1, x);
    for (size_t i = 0; i <= N; i++) x[i] = (flt_real)fabs(3 * x[i]);
    for (size_t c = 0; c < 3; c++)
        for (size_t n = 0; n <= N; n++) {
            memcpy(z, x, sizeof z);
            y[n] = 77;
            functions[c].of(n, x, y);
            functions[c].of(n, z, z);
            cr_assert(eq(dbl, y[n], 77), "%s, n=%zu writes behind its end", functions[c].name, n);
            cr_assert(eq(int, memcmp(y, z, n * sizeof *y), 0), "%s, n=%zu in place", functions[c].name, n);
            if (n == 0) continue;
            functions[c].of(1, x + n - 1, &one);
            cr_assert(eq(int, memcmp(&one, y + n - 1, sizeof one), 0), "%s, n=%zu: the last element", functions[c].name, n);
        }
}
TEST_EVERY_ISA(num_vector, places, places)

// absolute errors in units of eps: 1 allowed within 1e4, where the reduction is ours, and beyond
static void sines(void) {
    enum { N = 4099 };
    flt_real *x = reals(N), *s = reals(N), *c = reals(N);
    uint64_t state = 9;
    for (size_t i = 0; i < N; i++) x[i] = (flt_real)(next_real(&state) * pow(10, 6 * next_real(&state)));
    x[0] = 10000, x[1] = (flt_real)-10000, x[2] = 0, x[3] = (flt_real)1e30, x[4] = (flt_real)INFINITY, x[5] = (flt_real)NAN;
    flt_vsincos(N, x, s, c);
    for (size_t i = 0; i < N; i++) {
        if (!isfinite(x[i])) {
            cr_assert(ne(int, isnan(s[i]) && isnan(c[i]), 0), "x=%g", (double)x[i]);
            continue;
        }
        const double error = (double)fmaxl(fabsl(s[i] - sinl(x[i])), fabsl(c[i] - cosl(x[i]))) / FLTX_EPS;
        cr_assert(le(dbl, error, 1), "x=%a: %g eps", (double)x[i], error);
    }
    flt_vsincos(N, x, x, c); // in place
    cr_assert(eq(int, memcmp(x + 6, s + 6, (N - 6) * sizeof *x), 0), "in place");
    flt_free(x), flt_free(s), flt_free(c);
}
TEST_EVERY_ISA(num_vector, sines, sines)

// Phases in turns, exact at quarter turns, however many whole turns come with them.
static void turns(void) {
    enum { N = 1000 };
    static const double sizes[] = {1, 1e3, 1e6, 1e9, 1e12, 1e15, 1e18, 1e300};
    double u[N];
    flt_real s[N], c[N], only[N];
    for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
        uint64_t state = z;
        for (size_t i = 0; i < N; i++) u[i] = next_real(&state) * sizes[z];
        flt_turns(N, u, c, s);
        for (size_t i = 0; i < N; i++) {
            const long double angle = 2 * acosl(-1) * remainderl(u[i], 1);
            const double error = (double)fmaxl(fabsl(s[i] - sinl(angle)), fabsl(c[i] - cosl(angle))) / FLTX_EPS;
            cr_assert(le(dbl, error, 1), "u=%a: %g eps", u[i], error);
        }
        flt_turns(N - 3, u, only, NULL);
        cr_assert(eq(int, memcmp(only, c, (N - 3) * sizeof *c), 0), "cosine alone");
        flt_turns(N - 3, u, NULL, only);
        cr_assert(eq(int, memcmp(only, s, (N - 3) * sizeof *s), 0), "sine alone");
    }
    for (int q = -8; q <= 8; q++) {
        static const double sine[] = {0, 1, 0, -1};
        u[0] = 1000000 + q / 4.0;
        flt_turns(1, u, c, s);
        cr_assert(eq(dbl, s[0], sine[(q + 8) % 4]), "sine of %d quarters", q);
        cr_assert(eq(dbl, c[0], sine[(q + 9) % 4]), "cosine of %d quarters", q);
    }
    u[0] = INFINITY, u[1] = NAN;
    flt_turns(2, u, c, s);
    cr_assert(ne(int, isnan(c[0]) && isnan(s[0]) && isnan(c[1]) && isnan(s[1]), 0));
}
TEST_EVERY_ISA(num_vector, turns, turns)

Test(num_vector, unknown_or_missing_instruction_sets_leave_the_best) {
    setenv("FLT_ISA", "abacus", 1);
    const char *best = flt_num_isa();
    cr_assert(eq(int, strcmp(best, "avx512") == 0 || strcmp(best, "avx2") == 0 || strcmp(best, "portable") == 0, true), "%s",
              best);
}

Test(num_vector, flush_to_zero) {
    volatile flt_real small = REAL_SMALLEST, half = (flt_real)0.5;
    const flt_real mask[2] = {-1000, (flt_real)-INFINITY};
    flt_real weight[2];
    cr_assert(gt(dbl, small * half, 0));
    const unsigned saved = flt_num_ftz();
#if defined(__x86_64__)
    cr_assert(eq(dbl, small * half, 0));
#endif
    const unsigned inner = flt_num_ftz();
    flt_vexp(2, mask, weight);
    flt_num_ftz_restore(inner);
#if defined(__x86_64__)
    cr_assert(eq(dbl, small * half, 0), "restored to what it was within");
#endif
    flt_num_ftz_restore(saved);
    cr_assert(gt(dbl, small * half, 0));
    cr_assert(eq(dbl, weight[0], 0));
    cr_assert(eq(dbl, weight[1], 0));
}
