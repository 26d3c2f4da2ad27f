// SPDX-License-Identifier: MIT
// Real transforms: naive sums in long double, then the properties that FFTW's own tests use (linearity, impulse, shift,
// Parseval). The growth of a transform of length n is log2 n + 1, its scale the norm of the input.
#include "num_support.h"

static const size_t lengths[] = {1, 2, 3, 5, 7, 8, 16, 17, 64, 100, 257};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths, BATCH = 3 };

typedef struct fixture {
    flt_fft *plan;
    size_t n, pairs;
    flt_real *x, *y, *z;    // [BATCH, n]
    flt_real *fx, *fy, *fz; // [BATCH, pairs, 2]
} fixture;

static fixture setup(size_t n) {
    fixture f = {.n = n, .pairs = n / 2 + 1};
    cr_assert(eq(int, flt_fft_create(n, BATCH, &f.plan), FLTE_OK), "n=%zu: %s", n, flt_error());
    flt_real **rows[] = {&f.x, &f.y, &f.z};
    flt_real **spectra[] = {&f.fx, &f.fy, &f.fz};
    for (int i = 0; i < 3; i++) {
        *rows[i] = reals(BATCH * n);
        *spectra[i] = reals(BATCH * f.pairs * 2);
        fill(n + (size_t)i, BATCH * n, *rows[i]);
    }
    return f;
}

static void teardown(fixture *f) {
    flt_real *blocks[] = {f->x, f->y, f->z, f->fx, f->fy, f->fz};
    for (int i = 0; i < 6; i++) flt_free(blocks[i]);
    flt_fft_destroy(f->plan);
}

static double growth(size_t n) {
    return log2((double)n) + 1;
}

static double norm(size_t n, const flt_real *x) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

// Component part (0: cos, 1: -sin) of X_k.
static long double naive(const flt_real *x, size_t n, size_t k, int part) {
    long double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const long double angle = -2 * acosl(-1) * (long double)(i * k % n) / n;
        sum += x[i] * (part ? sinl(angle) : cosl(angle));
    }
    return sum;
}

Test(num_fft, forward_equals_the_sum) {
    for (size_t c = 0; c < N_LENGTHS; c++) {
        fixture f = setup(lengths[c]);
        flt_fft_forward(f.plan, f.x, f.fx);
        for (size_t b = 0; b < BATCH; b++)
            for (size_t k = 0; k < 2 * f.pairs; k++) {
                const flt_real *row = f.x + b * f.n;
                const double ratio =
                    ratio_of(f.fx[b * 2 * f.pairs + k], naive(row, f.n, k / 2, k % 2), growth(f.n), norm(f.n, row));
                cr_assert(le(dbl, ratio, PASS), "n=%zu row=%zu k=%zu part=%zu: ratio %g", f.n, b, k / 2, k % 2, ratio);
            }
        teardown(&f);
    }
}

// (1/n) sum over the full spectrum, whatever stands in the imaginary parts that a Hermitian spectrum does not have
Test(num_fft, inverse_equals_the_sum) {
    for (size_t c = 0; c < N_LENGTHS; c++) {
        fixture f = setup(lengths[c]);
        const size_t n = f.n;
        fill(7, BATCH * f.pairs * 2, f.fx);
        flt_fft_inverse(f.plan, f.fx, f.y);
        for (size_t b = 0; b < BATCH; b++)
            for (size_t i = 0; i < n; i++) {
                const flt_real *s = f.fx + b * 2 * f.pairs;
                long double sum = 0;
                for (size_t k = 0; k < n; k++) {
                    const size_t l = k < f.pairs ? k : n - k;
                    const long double angle = 2 * acosl(-1) * (long double)(i * k % n) / n;
                    const bool real = l == 0 || 2 * l == n;
                    sum += s[2 * l] * cosl(angle) - (real ? 0 : (k == l ? 1 : -1) * s[2 * l + 1]) * sinl(angle);
                }
                const double ratio = ratio_of(f.y[b * n + i], sum / n, growth(n), norm(2 * f.pairs, s) / sqrt((double)n));
                cr_assert(le(dbl, ratio, PASS), "n=%zu row=%zu i=%zu: ratio %g", n, b, i, ratio);
            }
        teardown(&f);
    }
}

Test(num_fft, round_trip_preserves_both_inputs) {
    static const size_t more[] = {1024, 2187, 4099, 10000};
    for (size_t c = 0; c < N_LENGTHS + 4; c++) {
        fixture f = setup(c < N_LENGTHS ? lengths[c] : more[c - N_LENGTHS]);
        memcpy(f.y, f.x, BATCH * f.n * sizeof *f.x);
        flt_fft_forward(f.plan, f.x, f.fx);
        cr_assert(eq(int, memcmp(f.x, f.y, BATCH * f.n * sizeof *f.x), 0), "n=%zu: forward changed its input", f.n);
        memcpy(f.fy, f.fx, BATCH * f.pairs * 2 * sizeof *f.x);
        flt_fft_inverse(f.plan, f.fx, f.z);
        cr_assert(eq(int, memcmp(f.fx, f.fy, BATCH * f.pairs * 2 * sizeof *f.x), 0), "n=%zu: inverse changed its input", f.n);
        for (size_t i = 0; i < BATCH * f.n; i++) {
            const double ratio = ratio_of(f.z[i], f.x[i], growth(f.n), 1);
            cr_assert(le(dbl, ratio, PASS), "n=%zu i=%zu: ratio %g", f.n, i, ratio);
        }
        teardown(&f);
    }
}

Test(num_fft, linearity) {
    for (size_t c = 0; c < N_LENGTHS; c++) {
        fixture f = setup(lengths[c]);
        for (size_t i = 0; i < BATCH * f.n; i++) f.z[i] = (flt_real)0.75 * f.x[i] - (flt_real)1.5 * f.y[i];
        flt_fft_forward(f.plan, f.x, f.fx);
        flt_fft_forward(f.plan, f.y, f.fy);
        flt_fft_forward(f.plan, f.z, f.fz);
        const double scale = norm(BATCH * f.n, f.x) + 2 * norm(BATCH * f.n, f.y);
        for (size_t k = 0; k < BATCH * 2 * f.pairs; k++) {
            const double ratio = ratio_of(f.fz[k], 0.75L * f.fx[k] - 1.5L * f.fy[k], growth(f.n), scale);
            cr_assert(le(dbl, ratio, PASS), "n=%zu k=%zu: ratio %g", f.n, k, ratio);
        }
        teardown(&f);
    }
}

// x(i - 1) has the spectrum X_k e^{-2 pi i k / n}: fails for a wrong sign of the exponent
Test(num_fft, impulse_and_shift) {
    for (size_t c = 0; c < N_LENGTHS; c++) {
        fixture f = setup(lengths[c]);
        const size_t n = f.n;
        memset(f.z, 0, BATCH * n * sizeof *f.z);
        f.z[0] = 1;
        for (size_t i = 0; i < n; i++) f.y[(i + 1) % n] = f.x[i];
        flt_fft_forward(f.plan, f.x, f.fx);
        flt_fft_forward(f.plan, f.y, f.fy);
        flt_fft_forward(f.plan, f.z, f.fz);
        for (size_t k = 0; k < f.pairs; k++) {
            const long double angle = -2 * acosl(-1) * k / n, re = f.fx[2 * k], im = f.fx[2 * k + 1];
            double ratio = fmax(ratio_of(f.fz[2 * k], 1, 1, 1), ratio_of(f.fz[2 * k + 1], 0, 1, 1));
            cr_assert(le(dbl, ratio, PASS), "impulse, n=%zu k=%zu: ratio %g", n, k, ratio);
            ratio = fmax(ratio_of(f.fy[2 * k], re * cosl(angle) - im * sinl(angle), growth(n), norm(n, f.x)),
                         ratio_of(f.fy[2 * k + 1], re * sinl(angle) + im * cosl(angle), growth(n), norm(n, f.x)));
            cr_assert(le(dbl, ratio, PASS), "shift, n=%zu k=%zu: ratio %g", n, k, ratio);
        }
        teardown(&f);
    }
}

Test(num_fft, parseval) {
    for (size_t c = 0; c < N_LENGTHS; c++) {
        fixture f = setup(lengths[c]);
        flt_fft_forward(f.plan, f.x, f.fx);
        long double time = 0, frequency = 0;
        for (size_t i = 0; i < f.n; i++) time += (long double)f.x[i] * f.x[i];
        for (size_t k = 0; k < 2 * f.pairs; k++) {
            const bool mirrored = k / 2 != 0 && k / 2 * 2 != f.n;
            frequency += (mirrored ? 2 : 1) * (long double)f.fx[k] * f.fx[k];
        }
        const double ratio = ratio_of((double)(frequency / f.n), time, growth(f.n), (double)time);
        cr_assert(le(dbl, ratio, PASS), "n=%zu: ratio %g", f.n, ratio);
        teardown(&f);
    }
}

// the same bits wherever the rows lie, alone or in a batch
Test(num_fft, bits_do_not_depend_on_the_address) {
    for (size_t c = 0; c < N_LENGTHS; c++) {
        fixture f = setup(lengths[c]);
        const size_t n = f.n, s = 2 * f.pairs;
        flt_fft *one = NULL;
        flt_real *x = reals(n + 5), *spectrum = reals(s + 5), *back = reals(n + 5);
        cr_assert(eq(int, flt_fft_create(n, 1, &one), FLTE_OK));
        flt_fft_forward(f.plan, f.x, f.fx);
        flt_fft_inverse(f.plan, f.fx, f.y);
        for (size_t b = 0; b < BATCH; b++)
            for (size_t shift = 0; shift < 5; shift++) {
                memcpy(x + shift, f.x + b * n, n * sizeof *x);
                flt_fft_forward(one, x + shift, spectrum + (shift + b) % 5);
                cr_assert(eq(int, memcmp(spectrum + (shift + b) % 5, f.fx + b * s, s * sizeof *x), 0),
                          "forward, n=%zu row=%zu shift=%zu", n, b, shift);
                flt_fft_inverse(one, spectrum + (shift + b) % 5, back + shift);
                cr_assert(eq(int, memcmp(back + shift, f.y + b * n, n * sizeof *x), 0), "inverse, n=%zu row=%zu shift=%zu", n, b,
                          shift);
            }
        flt_fft_destroy(one);
        flt_free(x);
        flt_free(spectrum);
        flt_free(back);
        teardown(&f);
    }
}

Test(num_fft, good_sizes) {
    static const size_t cases[][2] = {{0, 1}, {1, 1}, {7, 8}, {11, 12}, {13, 15}, {97, 100}, {1025, 1080}, {65537, 65610}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        cr_assert(eq(sz, flt_fft_good_size(cases[c][0]), cases[c][1]), "at least %zu", cases[c][0]);
}

Test(num_fft, constructor) {
    flt_fft *p = (flt_fft *)&p;
    cr_assert(eq(int, flt_fft_create(0, 1, &p), FLTE_RANGE));
    cr_assert(eq(ptr, p, NULL));
    cr_assert(eq(int, flt_fft_create(8, 0, &p), FLTE_RANGE));
    cr_assert(eq(int, flt_fft_create((size_t)1 << 40, 1, &p), FLTE_RANGE));
    flt_fft_destroy(NULL);
    const size_t live = flt_live_blocks();
    for (long n = 0;; n++) {
        flt_fail_alloc_after(n);
        const flt_err err = flt_fft_create(8, 2, &p);
        flt_fail_alloc_after(-1);
        if (err == FLTE_OK) break;
        cr_assert(eq(int, err, FLTE_NOMEM), "allocation %ld", n);
        cr_assert(eq(ptr, p, NULL), "allocation %ld", n);
        cr_assert(eq(sz, flt_live_blocks(), live), "allocation %ld", n);
    }
    flt_fft_destroy(p);
    cr_assert(eq(sz, flt_live_blocks(), live));
}
