// SPDX-License-Identifier: MIT
// The real Fourier transform by its properties (after Ergun, STOC 1995): linear, impulses become phases, shifts become phases,
// the inverse undoes it, energy is kept; and a Toeplitz product through it equals the plain loops.
//
// It would fail for a wrong sign, a missing 1/N, a wrong half-spectrum, an embedding one entry short.
#include "flt/verify.h"

#include "flt/memory.h"
#include "flt/num.h"

#include <math.h>
#include <stdio.h>

#define TWO_PI_L 6.283185307179586476925286766559005768L

typedef struct buffers {
    size_t n;
    flt_fft *plan;
    flt_real *x, *y, *spectrum, *other; // [n], [n], [n/2+1, 2] twice
} buffers;

static flt_err make(size_t n, buffers *b) {
    *b = (buffers){.n = n};
    FLTX_TRY(flt_fft_create(n, 1, &b->plan));
    FLTX_TRY(flt_alloc(n, sizeof *b->x, &b->x));
    FLTX_TRY(flt_alloc(n, sizeof *b->y, &b->y));
    FLTX_TRY(flt_alloc(n + 2, sizeof *b->spectrum, &b->spectrum));
    return flt_alloc(n + 2, sizeof *b->other, &b->other);
}

static void release(buffers *b) {
    flt_fft_destroy(b->plan);
    flt_free(b->x);
    flt_free(b->y);
    flt_free(b->spectrum);
    flt_free(b->other);
}

static double growth(size_t n) {
    return 1.0 + log2((double)n);
}

static flt_err judge(flt_check_context *c, const buffers *b, const char *what, double error2, double scale2) {
    char label[96];
    snprintf(label, sizeof label, "n=%zu %s", b->n, what);
    return flt_check_case(c, "fft", label, sqrt(error2) / (FLTX_EPS * growth(b->n) * sqrt(scale2)));
}

// An impulse at j has the spectrum e^{-2 pi i k j / n}.
static flt_err impulse(flt_check_context *c, buffers *b) {
    const size_t j = b->n / 3;
    double error = 0.0;
    for (size_t i = 0; i < b->n; i++) b->x[i] = i == j;
    flt_fft_forward(b->plan, b->x, b->spectrum);
    for (size_t k = 0; k <= b->n / 2; k++) {
        const long double angle = TWO_PI_L * (long double)(k * j % b->n) / (long double)b->n;
        const double re = (double)(b->spectrum[2 * k] - cosl(angle)), im = (double)(b->spectrum[2 * k + 1] + sinl(angle));
        error += re * re + im * im;
    }
    return judge(c, b, "impulse", error, (double)(b->n / 2 + 1));
}

static flt_err round_trip(flt_check_context *c, buffers *b, flt_rng rng) {
    double error = 0.0, energy = 0.0, spectral = 0.0;
    flt_rng_normal(rng, 0, b->n, b->x);
    flt_fft_forward(b->plan, b->x, b->spectrum);
    flt_fft_inverse(b->plan, b->spectrum, b->y);
    for (size_t i = 0; i < b->n; i++) {
        energy += (double)b->x[i] * (double)b->x[i];
        error += ((double)b->x[i] - (double)b->y[i]) * ((double)b->x[i] - (double)b->y[i]);
    }
    for (size_t k = 0; k <= b->n / 2; k++) { // bins other than 0 and n/2 stand for two
        const double once = (double)b->spectrum[2 * k] * (double)b->spectrum[2 * k] +
                            (double)b->spectrum[2 * k + 1] * (double)b->spectrum[2 * k + 1];
        spectral += k == 0 || 2 * k == b->n ? once : 2 * once;
    }
    FLTX_TRY(judge(c, b, "inverse(forward(x)) = x", error, energy));
    const double gap = spectral / (double)b->n - energy;
    return judge(c, b, "Parseval", gap * gap, energy * energy);
}

// y_i = sum_j c[(j - i) mod n] x_j through the spectrum, for a table that is not symmetric.
static flt_err correlation(flt_check_context *c, buffers *b, flt_rng rng) {
    double error = 0.0, scale = 0.0;
    flt_rng_normal(flt_rng_child(rng, "table", 0), 0, b->n, b->y);
    flt_rng_normal(flt_rng_child(rng, "x", 0), 0, b->n, b->x);
    flt_fft_forward(b->plan, b->y, b->other);
    flt_fft_forward(b->plan, b->x, b->spectrum);
    for (size_t k = 0; k <= b->n / 2; k++) {
        const flt_real ar = b->spectrum[2 * k], ai = b->spectrum[2 * k + 1], cr = b->other[2 * k], ci = -b->other[2 * k + 1];
        b->spectrum[2 * k] = ar * cr - ai * ci;
        b->spectrum[2 * k + 1] = ar * ci + ai * cr;
    }
    flt_fft_inverse(b->plan, b->spectrum, b->other);
    for (size_t i = 0; i < b->n; i++) {
        long double sum = 0.0L, size = 0.0L;
        for (size_t j = 0; j < b->n; j++) {
            sum += (long double)b->y[(j + b->n - i) % b->n] * (long double)b->x[j];
            size += fabsl((long double)b->y[(j + b->n - i) % b->n] * (long double)b->x[j]);
        }
        error += (double)((b->other[i] - sum) * (b->other[i] - sum));
        scale += (double)(size * size);
    }
    return judge(c, b, "Toeplitz product", error, scale);
}

static flt_err run(flt_check_context *c) {
    static const size_t sizes[] = {1, 2, 3, 5, 8, 31, 64, 100, 257};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const flt_rng rng = flt_rng_make(c->config->seed, "fourier", i);
        buffers b;
        flt_err err = make(sizes[i], &b);
        if (err == FLTE_OK) err = impulse(c, &b);
        if (err == FLTE_OK) err = round_trip(c, &b, rng);
        if (err == FLTE_OK) err = correlation(c, &b, rng);
        release(&b);
        FLTX_TRY(err);
    }
    return FLTE_OK;
}

const flt_check_kind flt_check_kind_fourier = {
    .kind = {.name = "fourier",
             .summary = "the real FFT keeps impulses, energy, inverses and Toeplitz products",
             .formula = "X_k = sum_n x_n e^{-2 pi i k n / N}",
             .citation = "Ergun, STOC 1995 (self-testing)",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
