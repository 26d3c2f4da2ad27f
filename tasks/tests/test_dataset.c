// SPDX-License-Identifier: MIT
// The shipped digits: what is in them, how they are split, how they are shared; and the order of minibatches.
#include "core/tests/every_isa.h"
#include "engine/dataset.h"
#include "engine/shuffle.h"
#include "flt/memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const flt_dataset *digits(void) {
    const flt_dataset *d = NULL;
    cr_assert_eq(flt_dataset_open("test", "digits", &d), FLTE_OK, "%s", flt_error());
    return d;
}

static uint64_t mix(uint64_t h, unsigned char x) {
    return (h ^ x) * 0x100000001b3u;
}

// FNV-1a over the 64 pixels and the label of a row.
static uint64_t row_hash(const flt_dataset *d, size_t i) {
    const unsigned char *place = d->pixels + i * 100;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t y = 1; y <= 8; y++)
        for (size_t x = 1; x <= 8; x++) h = mix(h, place[y * 10 + x]);
    return mix(h, d->labels[i]);
}

// The constants come from the csv file, read by another program: the sum of the rows' hashes does not depend on their order.
Test(dataset, holds_the_shipped_table) {
    static const size_t per_class[10] = {178, 182, 177, 183, 181, 182, 181, 179, 174, 180};
    const flt_dataset *d = digits();
    size_t count[10] = {0}, ink = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < d->first[3]; i++) {
        cr_assert_lt(d->labels[i], 10, "row %zu", i);
        count[d->labels[i]]++;
        sum += row_hash(d, i);
        for (size_t k = 0; k < 100; k++) ink += d->pixels[i * 100 + k];
    }
    for (size_t c = 0; c < 10; c++) cr_assert_eq(count[c], per_class[c], "class %zu: %zu", c, count[c]);
    cr_assert_eq(ink, 561718, "%zu", ink);
    cr_assert_eq(sum, 0xb1c670a6c8285a09u, "0x%llx", (unsigned long long)sum);
    cr_assert(d->height == 8 && d->width == 8 && d->classes == 10 && d->scale == 1.0 / 16.0);
}

Test(dataset, frames_are_zero) {
    const flt_dataset *d = digits();
    for (size_t i = 0; i < d->first[3]; i++)
        for (size_t y = 0; y < 10; y++)
            for (size_t x = 0; x < 10; x++)
                if (y == 0 || y == 9 || x == 0 || x == 9) cr_assert_eq(d->pixels[i * 100 + y * 10 + x], 0, "row %zu", i);
}

Test(dataset, splits_are_80_10_10_and_balanced) {
    const flt_dataset *d = digits();
    static const size_t want[3] = {1437, 180, 180};
    for (int s = 0; s < 3; s++) {
        const size_t n = flt_dataset_rows(d, (flt_split)s);
        size_t count[10] = {0};
        cr_assert_eq(n, want[s], "split %d holds %zu rows", s, n);
        for (size_t i = d->first[s]; i < d->first[s + 1]; i++) count[d->labels[i]]++;
        for (size_t c = 0; c < 10; c++) {
            const double mean = (double)n / 10, deviation = sqrt(mean * 0.9);
            cr_assert_lt(fabs((double)count[c] - mean), 4 * deviation, "split %d, class %zu: %zu rows", s, c, count[c]);
        }
    }
}

// The table has no equal rows (checked outside), so that rows of two splits are different images when all hashes differ.
Test(dataset, splits_share_no_image) {
    const flt_dataset *d = digits();
    static uint64_t h[1797];
    for (size_t i = 0; i < 1797; i++) h[i] = row_hash(d, i);
    for (size_t i = 0; i < 1797; i++)
        for (size_t j = 0; j < i; j++) cr_assert_neq(h[i], h[j], "rows %zu and %zu are equal", i, j);
}

static void *open_digits(void *out) {
    *(const flt_dataset **)out = digits();
    return NULL;
}

Test(dataset, threads_share_one_table) {
    const size_t before = flt_live_blocks();
    pthread_t thread[8];
    const flt_dataset *d[8] = {NULL};
    for (size_t i = 0; i < 8; i++) cr_assert_eq(pthread_create(&thread[i], NULL, open_digits, &d[i]), 0);
    for (size_t i = 0; i < 8; i++) pthread_join(thread[i], NULL);
    for (size_t i = 0; i < 8; i++) {
        cr_assert(d[i] == d[0] && d[i] != NULL, "thread %zu", i);
        flt_dataset_close(d[i]);
    }
    cr_assert_eq(flt_live_blocks(), before);
}

Test(dataset, survives_failing_allocations) {
    const size_t before = flt_live_blocks();
    const flt_dataset *d = NULL;
    flt_err err = FLTE_NOMEM;
    long n = 0;
    for (; n < 50 && err != FLTE_OK; n++) {
        flt_fail_alloc_after(n);
        err = flt_dataset_open("test", "digits", &d);
        flt_fail_alloc_after(-1);
        cr_assert(err == FLTE_OK || (err == FLTE_NOMEM && d == NULL), "request %ld: %s", n, flt_error());
        cr_assert_eq(flt_live_blocks(), before, "request %ld leaks", n);
    }
    cr_assert(err == FLTE_OK && n > 1, "%ld", n);
}

// ---- order of minibatches

Test(shuffle, is_a_bijection) {
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 7, 10, 180, 1437, 54000};
    static unsigned char seen[54000];
    static uint32_t to[54000];
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const uint32_t n = sizes[k];
        for (uint64_t key = 0; key < 5; key++) {
            const flt_shuffle s = flt_shuffle_make(flt_rng_make(key, "test", 0), n);
            memset(seen, 0, n);
            flt_shuffle_range(&s, 0, n, to);
            for (uint32_t i = 0; i < n; i++) {
                cr_assert(to[i] < n && !seen[to[i]], "n = %u, key %d: %u goes to %u", n, (int)key, i, to[i]);
                seen[to[i]] = 1;
            }
        }
    }
}

Test(shuffle, ranges_agree) {
    uint32_t all[1437], part[300];
    const flt_shuffle s = flt_shuffle_make(flt_rng_make(1, "test", 0), 1437);
    flt_shuffle_range(&s, 0, 1437, all);
    for (uint32_t first = 0; first + 300 <= 1437; first += 97) {
        const size_t count = 1 + first % 300;
        flt_shuffle_range(&s, first, count, part);
        cr_assert_eq(memcmp(part, all + first, count * sizeof *part), 0, "from %u, %zu rows", first, count);
    }
}

// As written down: rounds one by one, walked again while outside.
static uint32_t place_of(const flt_shuffle *s, uint32_t i) {
    do {
        uint32_t half[2] = {i % s->a, i / s->a};
        const uint32_t size[2] = {s->a, s->b};
        for (size_t k = 0; k < FLTX_SHUFFLE_ROUNDS; k++) {
            uint32_t x = half[1 - k % 2] + s->key[k];
            x = (x ^ x >> 16) * 0x85ebca6bu;
            x = (x ^ x >> 13) * 0xc2b2ae35u;
            x ^= x >> 16;
            half[k % 2] = (half[k % 2] + (uint32_t)((uint64_t)x * size[k % 2] >> 32)) % size[k % 2];
        }
        i = half[1] * s->a + half[0];
    } while (i >= s->n);
    return i;
}

static void follows_its_definition(void) {
    static const uint32_t sizes[] = {1, 2, 5, 10, 26, 1437, 54000};
    uint32_t to[80];
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const flt_shuffle s = flt_shuffle_make(flt_rng_make(k, "test", 1), sizes[k]);
        for (uint32_t count = 1; count <= 80 && count <= s.n; count++) {
            const uint32_t first = (s.n - count) / 3;
            flt_shuffle_range(&s, first, count, to);
            for (uint32_t i = 0; i < count; i++)
                cr_assert_eq(to[i], place_of(&s, first + i), "%s, n = %u, %u from %u: number %u", flt_num_isa(), s.n, count,
                             first, i);
        }
    }
}

TEST_EVERY_ISA(shuffle, follows_its_definition, follows_its_definition)

// Over many keys, where i goes and where j goes are uniform and independent: chi-square over the 90 pairs of 10 rows.
Test(shuffle, pairs_are_uniform_over_keys) {
    enum { N = 10, KEYS = 45000, CELLS = N * (N - 1) };
    static size_t count[N][N];
    const double expected = (double)KEYS / CELLS;
    uint32_t to[N];
    for (int pair = 0; pair < 3; pair++) {
        double chi2 = 0.0;
        memset(count, 0, sizeof count);
        for (uint64_t key = 0; key < KEYS; key++) {
            const flt_shuffle s = flt_shuffle_make(flt_rng_make(key, "test", (uint64_t)pair), N);
            flt_shuffle_range(&s, 0, N, to);
            count[to[0]][to[1 + 4 * pair]]++;
        }
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++)
                if (i != j) chi2 += pow((double)count[i][j] - expected, 2) / expected;
        // 89 degrees of freedom: mean 89, standard deviation sqrt(2 * 89) = 13.3
        cr_assert_lt(chi2, 89 + 5 * 13.3, "pair (0, %d): chi-square %.1f", 1 + 4 * pair, chi2);
    }
}

Test(minibatch, epochs_hold_every_row_once) {
    enum { N = 1437, ROWS = 64, EPOCHS = 3 };
    static uint32_t row[ROWS];
    static size_t seen[EPOCHS + 1][N];
    for (uint64_t step = 0; step * ROWS < EPOCHS * N; step++) {
        flt_minibatch_rows((flt_batch){7, FLTX_TRAIN, step}, N, ROWS, row);
        for (size_t i = 0; i < ROWS; i++) seen[(step * ROWS + i) / N][row[i]]++;
    }
    for (size_t e = 0; e < EPOCHS; e++)
        for (size_t i = 0; i < N; i++) cr_assert_eq(seen[e][i], 1, "epoch %zu holds row %zu %zu times", e, i, seen[e][i]);
}

static size_t equal_rows(flt_batch a, flt_batch b, size_t n, size_t rows) {
    uint32_t x[64], y[64];
    size_t equal = 0;
    flt_minibatch_rows(a, n, rows, x);
    flt_minibatch_rows(b, n, rows, y);
    for (size_t i = 0; i < rows; i++) equal += x[i] == y[i];
    return equal;
}

Test(minibatch, depends_on_seed_split_and_step_alone) {
    const flt_batch a = {3, FLTX_TRAIN, 11};
    cr_assert_eq(equal_rows(a, a, 1437, 64), 64);
    cr_assert_lt(equal_rows(a, (flt_batch){4, FLTX_TRAIN, 11}, 1437, 64), 5, "seed");
    cr_assert_lt(equal_rows(a, (flt_batch){3, FLTX_VALID, 11}, 1437, 64), 5, "split");
    cr_assert_eq(equal_rows(a, (flt_batch){3, FLTX_TRAIN, 12}, 1437, 64), 0, "two steps of one epoch");
}

Test(minibatch, may_be_larger_than_the_split) {
    uint32_t row[64];
    size_t seen[5] = {0};
    flt_minibatch_rows((flt_batch){1, FLTX_TEST, UINT64_MAX / 60}, 5, 60, row);
    for (size_t i = 0; i < 60; i++) {
        cr_assert_lt(row[i], 5);
        seen[row[i]]++;
    }
    for (size_t i = 0; i < 5; i++) cr_assert(seen[i] >= 11 && seen[i] <= 13, "row %zu: %zu times", i, seen[i]);
}
