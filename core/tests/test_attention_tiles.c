// SPDX-License-Identifier: MIT
// The features of linear attention's tiles, for each instruction set, against long double; what may not be there to see.
#include "num_support.h"

#include "../attention/engine/tiles.h"

enum { ROWS = 7, PAD = 3 };
static const size_t widths[] = {1, 3, 8, 16, 33, 64, 77};

// |got - exp(x)| in units of eps exp(x); x has been rounded, hence its size counts as well
static double judge_exp(flt_real got, long double x) {
    const long double want = expl(x);
    if (want < 2 * (long double)FLTX_EPS * (1 - (long double)FLTX_EPS))
        return (double)fabsl(got - want) <= FLTX_EPS ? 0 : INFINITY;
    return ratio_of(got, want, 1 + (double)fabsl(x), (double)want);
}

static void keys(void) {
    const flt_att_tiles *tiles = FLTX_ISA_PICK(flt_att_tiles);
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        const size_t F = widths[w], ld = F + PAD;
        flt_real *u = reals(ROWS * F), *c = reals(F), *phi = reals(ROWS * ld), *sum = reals(F);
        fill(w, ROWS * F, u), fill(w + 9, F, c), fill(1, ROWS * ld, phi);
        for (size_t i = 0; i < ROWS * F; i++) u[i] *= 60;
        for (size_t i = 0; i < ROWS * F; i++) u[i] = u[i] > 29 ? 29 : u[i]; // and c >= -1
        const flt_real behind = phi[F];
        cr_assert(eq(int, tiles->key_sums(ROWS, F, u, c, phi, ld, sum), false));
        for (size_t f = 0; f < F; f++) {
            long double want = 0;
            for (size_t i = 0; i < ROWS; i++) {
                want += phi[i * ld + f];
                cr_assert(le(dbl, judge_exp(phi[i * ld + f], (long double)u[i * F + f] - c[f]), 2), "F=%zu f=%zu", F, f);
            }
            cr_assert(le(dbl, ratio_of(sum[f], want, ROWS, (double)want), 1), "F=%zu f=%zu", F, f);
        }
        cr_assert(eq(dbl, phi[F], behind), "written between rows");
        u[(ROWS - 1) * F + F - 1] = c[F - 1] + FLTX_ATT_CAP + (flt_real)0.01;
        cr_assert(eq(int, tiles->key_sums(ROWS, F, u, c, phi, ld, sum), true), "F=%zu: the last number exceeds the scale", F);
        cr_assert(eq(int, tiles->key_sums(ROWS - 1, F, u, c, phi, ld, sum), false), "F=%zu: it is another row's", F);
        flt_free(u), flt_free(c), flt_free(phi), flt_free(sum);
    }
}
TEST_EVERY_ISA(attention_tiles, keys, keys)

static void queries(void) {
    const flt_att_tiles *tiles = FLTX_ISA_PICK(flt_att_tiles);
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        const size_t F = widths[w];
        flt_real *u = reals(ROWS * F), *c = reals(F), *z = reals(F), *phi = reals(ROWS * F), den[ROWS];
        fill(w, ROWS * F, u), fill(w + 9, F, c), fill(w + 5, F, z);
        for (size_t i = 0; i < ROWS * F; i++) u[i] *= 40;
        for (size_t f = 0; f < F; f++) z[f] += 2;
        tiles->query_features(ROWS, F, u, c, z, phi, den);
        for (size_t i = 0; i < ROWS; i++) {
            flt_real top = (flt_real)-INFINITY;
            long double want = 0;
            for (size_t f = 0; f < F; f++) top = (flt_real)fmax((double)top, (double)(u[i * F + f] + c[f]));
            for (size_t f = 0; f < F; f++) {
                const flt_real x = u[i * F + f] + c[f] - top;
                cr_assert(le(dbl, judge_exp(phi[i * F + f], x), 2), "F=%zu i=%zu f=%zu", F, i, f);
                want += (long double)phi[i * F + f] * z[f];
            }
            cr_assert(le(dbl, ratio_of(den[i], want, (double)F, (double)want), 1), "F=%zu i=%zu", F, i);
        }
        tiles->query_features(ROWS, F, u, c, z, u, den);
        cr_assert(eq(int, memcmp(u, phi, ROWS * F * sizeof *u), 0), "F=%zu: in place", F);
        flt_free(u), flt_free(c), flt_free(z), flt_free(phi);
    }
}
TEST_EVERY_ISA(attention_tiles, queries, queries)

// One number that is too small, wherever it lies, or is none; what is behind the last does not count.
static void limits(void) {
    const flt_att_tiles *tiles = FLTX_ISA_PICK(flt_att_tiles);
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        const size_t n = widths[w];
        flt_real *x = reals(n + 1);
        for (size_t i = 0; i < n; i++) x[i] = 2;
        x[n] = 0;
        cr_assert(eq(int, tiles->all_above(n, x, 1), true), "n=%zu", n);
        for (size_t i = 0; i < 2 * n; i++) {
            x[i % n] = i < n ? 1 : (flt_real)NAN;
            cr_assert(eq(int, tiles->all_above(n, x, 1), false), "n=%zu i=%zu", n, i);
            x[i % n] = 2;
        }
        flt_free(x);
    }
}
TEST_EVERY_ISA(attention_tiles, limits, limits)

// A NaN stays one whatever its bits, and says nothing about the scale; what is masked weighs nothing.
static void special_values(void) {
    enum { F = 37 };
    const flt_att_tiles *tiles = FLTX_ISA_PICK(flt_att_tiles);
    flt_real u[F], c[F] = {0}, phi[F], sum[F];
    for (size_t f = 0; f < F; f++) {
        u[f] = (flt_real)NAN;
        unsigned char bytes[sizeof *u];
        memcpy(bytes, &u[f], sizeof bytes);
        bytes[0] = (unsigned char)(f * 7), bytes[1] ^= (unsigned char)f; // the lowest bits on machines like ours
        memcpy(&u[f], bytes, sizeof bytes);
    }
    cr_assert(eq(int, tiles->key_sums(1, F, u, c, phi, F, sum), false));
    for (size_t f = 0; f < F; f++) cr_assert(isnan(phi[f]) && isnan(sum[f]), "f=%zu: %g", f, (double)phi[f]);
    for (size_t f = 0; f < F; f++) u[f] = f % 2 ? (flt_real)-INFINITY : (flt_real)-1e30;
    cr_assert(eq(int, tiles->key_sums(1, F, u, c, phi, F, sum), false));
    for (size_t f = 0; f < F; f++) cr_assert(eq(dbl, phi[f], 0), "f=%zu: %g", f, (double)phi[f]);
}
TEST_EVERY_ISA(attention_tiles, special_values, special_values)
