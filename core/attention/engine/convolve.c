// SPDX-License-Identifier: MIT
// Lengths, twiddle factors and spectra of convolutions; see convolve.h.
#include "convolve.h"

#include <math.h>

static size_t radix_of(size_t s) {
    return s % 3 == 0 ? 3 : s == 2 ? 2 : 4;
}

size_t flt_att_convolve_size(size_t at_least) {
    size_t n = 16;
    while (n < at_least) n *= 2;
    return n > 32 && n / 4 * 3 >= at_least ? n / 4 * 3 : n;
}

size_t flt_att_convolve_twiddles(size_t n) {
    size_t count = 0;
    for (size_t s = n, radix = radix_of(n); s > 4; s /= radix, radix = radix_of(s)) count += 2 * (radix - 1) * (s / radix);
    return count;
}

// Stage after stage, e^{-2 pi i r k / s} for r = 1 .. radix - 1 of every k.
void flt_att_convolve_fill(size_t n, flt_real *twiddles) {
    for (size_t s = n, radix = radix_of(n); s > 4; s /= radix, radix = radix_of(s)) {
        for (size_t k = 0; k < s / radix; k++) {
            for (size_t r = 1; r < radix; r++) {
                const double angle = -2 * 3.14159265358979323846 * (double)(r * k) / (double)s;
                *twiddles++ = (flt_real)cos(angle);
                *twiddles++ = (flt_real)sin(angle);
            }
        }
    }
}

// The frequency at place p of a transform of length n.
static size_t frequency(size_t n, size_t p) {
    size_t step = 1, at = 0;
    for (size_t s = n, radix = radix_of(n); s > 1; s /= radix, radix = radix_of(s)) {
        at += step * (p / (s / radix));
        p %= s / radix;
        step *= radix;
    }
    return at;
}

void flt_att_convolve_order(size_t n, const flt_real *half, flt_real *spectrum) {
    const flt_real scale = (flt_real)(1.0 / (double)n);
    for (size_t p = 0; p < n; p++) {
        const size_t f = frequency(n, p), from = f <= n / 2 ? f : n - f;
        spectrum[2 * p] = scale * half[2 * from];
        spectrum[2 * p + 1] = scale * (f <= n / 2 ? half[2 * from + 1] : -half[2 * from + 1]);
    }
}
