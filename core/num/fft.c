// SPDX-License-Identifier: MIT
// Real Fourier transforms by FFTW, a row at a time.
//
// One plan for each direction, made for 64-byte aligned rows; a row that lies elsewhere passes through an aligned scratch row, so
// that the bits of a transform never depend on where its data lie. The inverse reads from the scratch row in any case: FFTW
// destroys the input of its complex-to-real transforms, and 1/N is folded into the copy. Cost per row 2.5 N log2 N flops and one
// copy.
#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"

#include <fftw3.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#ifdef FLTX_DOUBLE
#define FFTW(name) fftw_##name
#else
#define FFTW(name) fftwf_##name
#endif

struct flt_fft {
    size_t n, batch, pairs; // pairs = n/2 + 1
    flt_real *row;          // [n]
    flt_real *spectrum;     // [pairs, 2]
    FFTW(plan) forward, inverse;
};

// only FFTW's execution is thread-safe
static pthread_mutex_t planner = PTHREAD_MUTEX_INITIALIZER;

static flt_err plan(flt_fft *p) {
    FFTW(complex) *spectrum = (FFTW(complex) *)p->spectrum;
    pthread_mutex_lock(&planner);
    p->forward = FFTW(plan_dft_r2c_1d)((int)p->n, p->row, spectrum, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
    p->inverse = FFTW(plan_dft_c2r_1d)((int)p->n, spectrum, p->row, FFTW_ESTIMATE | FFTW_DESTROY_INPUT);
    pthread_mutex_unlock(&planner);
    if (p->forward == NULL || p->inverse == NULL) return flt_fail(FLTE_INTERNAL, "fft", "FFTW made no plan for length %zu", p->n);
    return FLTE_OK;
}

flt_err flt_fft_create(size_t n, size_t batch, flt_fft **out) {
    FLTX_GIVEN(out);
    flt_fft *p = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    if (n == 0 || batch == 0 || n > INT_MAX / 2)
        return flt_fail(FLTE_RANGE, "fft", "%zu rows of length %zu were asked; at least 1 row and lengths 1 to %d are allowed",
                        batch, n, INT_MAX / 2);
    FLTX_GO(err, fail, flt_alloc(1, sizeof *p, &p));
    *p = (flt_fft){.n = n, .batch = batch, .pairs = n / 2 + 1};
    FLTX_GO(err, fail, flt_alloc(n, sizeof(flt_real), &p->row));
    FLTX_GO(err, fail, flt_alloc(2 * p->pairs, sizeof(flt_real), &p->spectrum));
    FLTX_GO(err, fail, plan(p));
    *out = p;
    return FLTE_OK;
fail:
    flt_fft_destroy(p);
    return err;
}

void flt_fft_destroy(flt_fft *p) {
    if (p == NULL) return;
    pthread_mutex_lock(&planner);
    if (p->forward != NULL) FFTW(destroy_plan)(p->forward);
    if (p->inverse != NULL) FFTW(destroy_plan)(p->inverse);
    pthread_mutex_unlock(&planner);
    flt_free(p->spectrum);
    flt_free(p->row);
    flt_free(p);
}

static bool aligned(const flt_real *x) {
    return (uintptr_t)x % FLTX_ALIGN == 0;
}

void flt_fft_forward(flt_fft *p, const flt_real *x, flt_real *spectrum) {
    for (size_t b = 0; b < p->batch; b++, x += p->n, spectrum += 2 * p->pairs) {
        flt_real *out = aligned(spectrum) ? spectrum : p->spectrum;
        flt_real *in = p->row;
        if (aligned(x))
            in = (flt_real *)(uintptr_t)x; // the plan preserves its input
        else
            memcpy(in, x, p->n * sizeof *x);
        FFTW(execute_dft_r2c)(p->forward, in, (FFTW(complex) *)out);
        if (out != spectrum) memcpy(spectrum, out, 2 * p->pairs * sizeof *out);
        for (size_t k = 0; FLTX_BUG(FFT_SIGN) && k < p->pairs; k++) spectrum[2 * k + 1] *= -1;
    }
}

// The imaginary parts of X_0 and, for even N, of X_{N/2} do not exist in a Hermitian spectrum; what is stored there is not read.
static void load_scaled(const flt_fft *p, const flt_real *spectrum) {
    const flt_real scale = FLTX_BUG(FFT_SCALE) ? 1 : (flt_real)(1.0 / (double)p->n);
    for (size_t i = 0; i < 2 * p->pairs; i++) p->spectrum[i] = scale * spectrum[i];
    p->spectrum[1] = 0;
    if (p->n % 2 == 0) p->spectrum[p->n + 1] = 0;
}

void flt_fft_inverse(flt_fft *p, const flt_real *spectrum, flt_real *x) {
    for (size_t b = 0; b < p->batch; b++, x += p->n, spectrum += 2 * p->pairs) {
        flt_real *out = aligned(x) ? x : p->row;
        load_scaled(p, spectrum);
        FFTW(execute_dft_c2r)(p->inverse, (FFTW(complex) *)p->spectrum, out);
        if (out != x) memcpy(x, out, p->n * sizeof *out);
    }
}

size_t flt_fft_good_size(size_t at_least) {
    for (size_t n = at_least > 0 ? at_least : 1;; n++) {
        size_t rest = n;
        while (rest % 2 == 0) rest /= 2;
        while (rest % 3 == 0) rest /= 3;
        while (rest % 5 == 0) rest /= 5;
        if (rest == 1) return n;
    }
}

const char *flt_num_fftw(void) {
    return FFTW(version);
}
