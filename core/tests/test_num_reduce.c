// SPDX-License-Identifier: MIT
// Reductions: the stated order, bit for bit on each instruction set; accuracy; extremes; the same from two threads at once.
#include "num_support.h"

#include <pthread.h>

static const size_t lengths[] = {0,   1,   2,    15,   16,   17,   63,   64,   65,    100,   127,
                                 128, 200, 1000, 4095, 4096, 4097, 8192, 8193, 12288, 20000, 70001};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths, LONGEST = 70001, BLOCK = 4096 };

// The order that core/num/kernels/reduce.c promises, in scalar code.
static flt_real ordered_sum(size_t n, const flt_real *x) {
    flt_real lanes[64] = {0};
    if (n > BLOCK) {
        const size_t first = (n / BLOCK + 1) / 2 * BLOCK;
        return ordered_sum(first, x) + ordered_sum(n - first, x + first);
    }
    for (size_t i = 0; i < n; i++) lanes[i % 64] += x[i];
    for (size_t half = 32; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) lanes[l] += lanes[l + half];
    return lanes[0];
}

static void sums(void) {
    flt_real *x = reals(LONGEST), *y = reals(LONGEST);
    fill(1, LONGEST, x);
    fill(2, LONGEST, y);
    for (size_t c = 0; c < N_LENGTHS; c++) {
        const size_t n = lengths[c];
        const double growth = 66 + log2((double)n + 1);
        long double sum = 0, dot = 0, squares = 0, size = 0;
        for (size_t i = 0; i < n; i++) {
            sum += x[i], dot += (long double)x[i] * y[i], squares += (long double)x[i] * x[i];
            size += fabsl(x[i]);
        }
        const flt_real got = flt_sum(n, x), want = ordered_sum(n, x);
        cr_assert(eq(int, memcmp(&got, &want, sizeof got), 0), "n=%zu: the order of the sum, %a and %a", n, (double)got,
                  (double)want);
        cr_assert(le(dbl, ratio_of(got, sum, growth, (double)size), 1), "sum, n=%zu", n);
        cr_assert(le(dbl, ratio_of(flt_dot(n, x, y), dot, growth, (double)size), 1), "dot, n=%zu", n);
        cr_assert(le(dbl, fabs(flt_sum_squares(n, x) - (double)squares), growth * 0x1p-52 * (double)squares), "squares, n=%zu",
                  n);
    }
    flt_free(x), flt_free(y);
}
TEST_EVERY_ISA(num_reduce, sums, sums)

static void axpy(void) {
    flt_real x[200], y[201], z[201];
    fill(1, 200, x);
    for (size_t n = 0; n <= 200; n++) {
        fill(2, 201, y);
        memcpy(z, y, sizeof z);
        flt_axpy(n, (flt_real)-0.7, x, z);
        for (size_t i = 0; i < n; i++) {
            const double ratio = ratio_of(z[i], (long double)(flt_real)-0.7 * x[i] + y[i], 2, fabs(x[i]) + fabs(y[i]));
            cr_assert(le(dbl, ratio, 1), "n=%zu i=%zu", n, i);
        }
        cr_assert(eq(int, memcmp(z + n, y + n, (201 - n) * sizeof *y), 0), "n=%zu writes behind its end", n);
    }
}
TEST_EVERY_ISA(num_reduce, axpy, axpy)

static void extremes(void) {
    enum { N = 150 };
    flt_real x[N] = {0};
    size_t first = 0;
    cr_assert(eq(dbl, flt_max(0, x), -INFINITY));
    cr_assert(eq(int, flt_all_finite(0, x, &first), true));
    cr_assert(eq(sz, first, 0));
    for (size_t n = 1; n <= N; n++)
        for (size_t at = 0; at < n; at += n < 40 ? 1 : 7) {
            fill(n, n, x);
            for (size_t i = 0; i < n; i++) x[i] -= 2;
            x[at] = (flt_real)-0.5;
            cr_assert(eq(dbl, flt_max(n, x), -0.5), "n=%zu, the largest at %zu", n, at);
            cr_assert(eq(int, flt_all_finite(n, x, NULL), true));
            for (int bad = 0; bad < 3; bad++) {
                x[at] = (flt_real)(bad == 0 ? NAN : bad == 1 ? INFINITY : -INFINITY);
                cr_assert(eq(int, flt_all_finite(n, x, &first), false), "n=%zu, %g at %zu", n, (double)x[at], at);
                cr_assert(eq(sz, first, at), "n=%zu, %g", n, (double)x[at]);
                if (bad == 0) cr_assert(ne(int, isnan(flt_max(n, x)), 0), "n=%zu, NaN at %zu", n, at);
                if (bad == 1) cr_assert(eq(dbl, flt_max(n, x), INFINITY), "n=%zu, inf at %zu", n, at);
            }
        }
}
TEST_EVERY_ISA(num_reduce, extremes, extremes)

enum { SHARED = 30000 };
typedef struct results {
    const flt_real *x;
    flt_real sum, dot, max, exps[SHARED];
    double squares;
} results;

static void *compute(void *data) {
    results *r = data;
    r->sum = flt_sum(SHARED, r->x);
    r->dot = flt_dot(SHARED, r->x, r->x);
    r->max = flt_max(SHARED, r->x);
    r->squares = flt_sum_squares(SHARED, r->x);
    flt_vexp(SHARED, r->x, r->exps);
    return NULL;
}

Test(num_reduce, the_same_bits_from_two_threads) {
    flt_real *x = reals(SHARED);
    results *all = take(3, sizeof *all);
    pthread_t ids[2];
    fill(4, SHARED, x);
    for (int t = 0; t < 3; t++) all[t].x = x;
    for (int t = 0; t < 2; t++) pthread_create(&ids[t], NULL, compute, &all[t]);
    for (int t = 0; t < 2; t++) pthread_join(ids[t], NULL);
    compute(&all[2]);
    for (int t = 0; t < 2; t++) cr_assert(eq(int, memcmp(&all[t], &all[2], sizeof *all), 0), "thread %d", t);
    flt_free(all), flt_free(x);
}
