// SPDX-License-Identifier: MIT
// Convolutions of many columns, for each instruction set, against sums in long double.
#include "num_support.h"

#include "../attention/engine/convolve.h"

enum { MOST = 400 };

typedef struct numbers {
    size_t n, keys, from, rows, shift, columns, ldx, ldy;
    bool flip;
    flt_real *kernel, *x, *wx, *y, *wy, *phi, *sum;
} numbers;

static long double want(const numbers *s, bool weighted, size_t i, size_t col) {
    long double z = 0;
    for (size_t j = 0; j < s->keys; j++)
        z += (long double)s->kernel[(s->flip ? j + s->from + s->n - s->shift - i : s->shift + i + s->n - j - s->from) % s->n] *
             s->x[j * s->ldx + col] * (weighted ? s->wx[j] : 1);
    return z;
}

static double size_of(const numbers *s) {
    return sqrt((double)s->keys) * log2((double)s->n); // of a sum of numbers below one
}

static void check_columns(const numbers *s, const flt_real *before) {
    for (size_t i = 0; i < s->rows; i++) {
        for (size_t c = 0; c < s->columns; c++) {
            const long double y = before[i * s->ldy + c] + s->wy[i] * want(s, true, i, c);
            cr_assert(le(dbl, ratio_of(s->y[i * s->ldy + c], y, 1, size_of(s)), 2), "n=%zu i=%zu c=%zu", s->n, i, c);
        }
        for (size_t c = s->columns; c < s->ldy; c++) cr_assert(eq(dbl, s->y[i * s->ldy + c], before[i * s->ldy + c]));
    }
}

static void check_sums(const numbers *s) {
    for (size_t i = 0; i < s->rows; i++) {
        long double sum = 1;
        for (size_t c = 0; c < s->columns; c++) sum += s->phi[i * s->ldy + c] * want(s, false, i, c);
        cr_assert(le(dbl, ratio_of(s->sum[i], sum, 1, size_of(s) * sqrt((double)s->columns)), 4), "n=%zu i=%zu", s->n, i);
    }
}

static void check_one(const flt_att_convolver *kernel, numbers *s) {
    flt_real *half = reals(s->n + 2), *spectrum = reals(2 * s->n), *twiddles = reals(flt_att_convolve_twiddles(s->n) + 1),
             *room = reals(s->n * kernel->width), *before = reals(s->rows * s->ldy);
    flt_fft *fft = NULL;
    cr_assert(eq(int, flt_fft_create(s->n, 1, &fft), FLTE_OK));
    flt_fft_forward(fft, s->kernel, half);
    flt_att_convolve_fill(s->n, twiddles);
    flt_att_convolve_order(s->n, half, spectrum);
    flt_att_convolution c = {.n = s->n,
                             .twiddles = twiddles,
                             .spectrum = spectrum,
                             .keys = s->keys,
                             .rows = s->rows,
                             .shift = s->shift,
                             .columns = s->columns,
                             .ldx = s->ldx,
                             .ldy = s->ldy,
                             .x = s->x,
                             .wx = s->wx,
                             .y = s->y,
                             .wy = s->wy,
                             .room = room,
                             .from = s->from,
                             .flip = s->flip};
    memcpy(before, s->y, s->rows * s->ldy * sizeof *before);
    kernel->convolve(&c);
    check_columns(s, before);
    c.y = NULL, c.wx = NULL, c.sum = s->sum, c.phi = s->phi, c.ldp = s->ldy;
    for (size_t i = 0; i < s->rows; i++) s->sum[i] = 1;
    kernel->convolve(&c);
    check_sums(s);
    flt_fft_destroy(fft);
    flt_free(half), flt_free(spectrum), flt_free(twiddles), flt_free(room), flt_free(before);
}

static void convolutions(void) {
    const flt_att_convolver *kernel = FLTX_ISA_PICK(flt_att_convolver);
    static const size_t lengths[] = {16, 32, 48, 64, 96, 128, 192, 256, 384};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (size_t less = 0; less < 3; less++) {
            numbers s = {
                .n = lengths[l], .shift = less == 1 ? lengths[l] / 2 : less, .columns = kernel->width - less * 3 % kernel->width};
            s.flip = l % 2, s.from = less == 2 ? s.n / 4 : 0;
            s.keys = less == 0 ? s.n : s.n / 2 - less, s.rows = less == 0 ? s.n : s.n / 2 - less;
            s.ldx = s.columns + less, s.ldy = s.columns + 2 * less;
            s.kernel = reals(s.n), s.x = reals(s.keys * s.ldx), s.wx = reals(s.keys), s.y = reals(s.rows * s.ldy);
            s.wy = reals(s.rows), s.phi = reals(s.rows * s.ldy), s.sum = reals(s.rows);
            fill(l, s.n, s.kernel), fill(2, s.keys * s.ldx, s.x), fill(3, s.keys, s.wx), fill(4, s.rows * s.ldy, s.y);
            fill(5, s.rows, s.wy), fill(6, s.rows * s.ldy, s.phi);
            check_one(kernel, &s);
            flt_free(s.kernel), flt_free(s.x), flt_free(s.wx), flt_free(s.y), flt_free(s.wy), flt_free(s.phi), flt_free(s.sum);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
TEST_EVERY_ISA(attention_convolve, convolutions, convolutions)

// The next 2^a or 3 2^a.
Test(attention_convolve, lengths) {
    for (size_t least = 1; least < MOST; least++) {
        const size_t n = flt_att_convolve_size(least);
        size_t odd = n;
        while (odd % 2 == 0) odd /= 2;
        cr_assert(n >= least && n >= 16 && (odd == 1 || odd == 3), "%zu -> %zu", least, n);
        cr_assert(n <= 32 || 2 * n < 3 * least, "%zu -> %zu", least, n);
    }
}
