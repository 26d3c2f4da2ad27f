// SPDX-License-Identifier: MIT
// Orthonormal DCT-II and its inverse by one real Fourier transform each; see dct.h.
#include "dct.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>

struct flt_att_dct {
    size_t n;
    flt_real *c, *s; // [n/2 + 1]: cos, sin of pi k / 2n
    flt_real *v;     // [n]
    flt_real *wave;  // [n/2 + 1, 2]
    flt_real first, others;
    flt_fft *fft;
};

flt_err flt_att_dct_create(size_t n, flt_att_dct **out) {
    flt_att_dct *p = NULL;
    flt_err err = FLTE_OK;
    const size_t pairs = n / 2 + 1;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->n = n;
    p->first = (flt_real)sqrt(1.0 / (double)n), p->others = (flt_real)sqrt(2.0 / (double)n);
    FLTX_GO(err, failed, flt_alloc(pairs, sizeof *p->c, &p->c));
    FLTX_GO(err, failed, flt_alloc(pairs, sizeof *p->s, &p->s));
    FLTX_GO(err, failed, flt_alloc(n, sizeof *p->v, &p->v));
    FLTX_GO(err, failed, flt_alloc(2 * pairs, sizeof *p->wave, &p->wave));
    FLTX_GO(err, failed, flt_fft_create(n, 1, &p->fft));
    for (size_t k = 0; k < pairs; k++) {
        const double angle = FLTX_TWO_PI / 4 * (double)k / (double)n;
        p->c[k] = (flt_real)cos(angle), p->s[k] = (flt_real)sin(angle);
    }
    *out = p;
    return FLTE_OK;
failed:
    flt_att_dct_destroy(p);
    return err;
}

void flt_att_dct_destroy(flt_att_dct *p) {
    if (p == NULL) return;
    flt_fft_destroy(p->fft);
    flt_free(p->wave);
    flt_free(p->v);
    flt_free(p->s);
    flt_free(p->c);
    flt_free(p);
}

size_t flt_att_dct_bytes(const flt_att_dct *p) {
    return (2 * p->n + 2) * sizeof(flt_real);
}

void flt_att_dct_forward(flt_att_dct *p, const flt_real *x, flt_real *spectrum) {
    const size_t n = p->n;
    for (size_t i = 0; i < n; i += 2) p->v[i / 2] = x[i];
    for (size_t i = 1; i < n; i += 2) p->v[n - 1 - i / 2] = x[i];
    flt_fft_forward(p->fft, p->v, p->wave);
    spectrum[0] = (FLTX_BUG(DCT_CONSTANT) ? p->others : p->first) * p->wave[0];
    for (size_t k = 1; k <= n / 2; k++) { // V_k carries X_k and X_{n-k}
        const flt_real re = p->wave[2 * k], im = p->wave[2 * k + 1];
        spectrum[n - k] = p->others * (p->s[k] * re - p->c[k] * im);
        spectrum[k] = p->others * (p->c[k] * re + p->s[k] * im);
    }
}

void flt_att_dct_inverse(flt_att_dct *p, const flt_real *spectrum, flt_real *x) {
    const size_t n = p->n;
    p->wave[0] = spectrum[0] / p->first, p->wave[1] = 0;
    for (size_t k = 1; k <= n / 2; k++) {
        const flt_real y = spectrum[k] / p->others, z = spectrum[n - k] / p->others;
        p->wave[2 * k] = p->c[k] * y + p->s[k] * z;
        p->wave[2 * k + 1] = p->s[k] * y - p->c[k] * z;
    }
    flt_fft_inverse(p->fft, p->wave, p->v);
    for (size_t i = 0; i < n; i += 2) x[i] = p->v[i / 2];
    for (size_t i = 1; i < n; i += 2) x[i] = p->v[n - 1 - i / 2];
}

void flt_att_columns_out(size_t n, size_t width, const flt_real *x, size_t first, size_t count, size_t ld, flt_real *rows) {
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < count; c++) rows[c * ld + i] = x[i * width + first + c];
}

void flt_att_columns_in(size_t n, size_t width, flt_real *x, size_t first, size_t count, size_t ld, const flt_real *rows) {
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < count; c++) x[i * width + first + c] = rows[c * ld + i];
}
