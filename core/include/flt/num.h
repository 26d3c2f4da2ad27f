// SPDX-License-Identifier: MIT
// Dense linear algebra, Fourier transforms, vector functions and reductions: the numerical ground of the project.
//
// OpenBLAS and FFTW are behind this header; no other folder includes theirs. BLAS runs single-threaded inside: threads are ours
// (flt_num_init). All matrices are row-major.
#ifndef FLTX_NUM_H
#define FLTX_NUM_H

#include "flt/error.h"
#include "flt/random.h"

FLTX_BEGIN_DECLS

// ---- the machine
// Pins OpenBLAS to one thread, once per process; called by every constructor that needs it. Safe from any thread.
void flt_num_init(void);
// Threads that may call flt_gemm at the same time: 1 with Debian's serial OpenBLAS, which is not thread-safe, else `wanted`.
int flt_num_threads(int wanted);
// "OpenBLAS 0.3.21 SkylakeX pthread" (", not used" behind it where it has no kernels for this machine and ours do everything),
// "fftw-3.3.10-sse2-avx", "avx512"
const char *flt_num_blas(void);
const char *flt_num_fftw(void);
const char *flt_num_isa(void); // kernels in use: "avx512", "avx2" or "portable"; FLT_ISA in the environment forces one

// Flush-to-zero for the calling thread; returns the previous state for flt_num_ftz_restore. No-ops where unsupported.
unsigned flt_num_ftz(void);
void flt_num_ftz_restore(unsigned saved);

// ---- dense products.  C [m, n] = alpha op(A) op(B) + beta C; op(A) [m, k], op(B) [k, n]; ld* = row lengths as stored.
// beta = 0 overwrites C whatever it holds; C overlaps neither A nor B. Sizes are checked against int by debug assertions only:
// callers check at creation.
void flt_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, flt_real alpha, const flt_real *a, size_t lda, const flt_real *b,
              size_t ldb, flt_real beta, flt_real *c, size_t ldc);
// C = op(A) op(B) + D, with the bits of C += op(A) op(B) on a copy of D. Rows of D are as far apart as those of C; D may be C.
void flt_gemm_onto(bool ta, bool tb, size_t m, size_t n, size_t k, const flt_real *a, size_t lda, const flt_real *b, size_t ldb,
                   const flt_real *d, flt_real *c, size_t ldc);
flt_real flt_dot(size_t n, const flt_real *x, const flt_real *y);    // fixed order: see flt_sum
void flt_axpy(size_t n, flt_real a, const flt_real *x, flt_real *y); // y += a x
// FLTE_RANGE unless every size fits BLAS's int.
flt_err flt_gemm_check(const char *who, size_t m, size_t n, size_t k);

// Many products with one B [k, n], which lies in panels: in the order in which the kernels of this machine read it.
size_t flt_panels_size(size_t k, size_t n); // how many numbers they hold
void flt_panels_fill(size_t k, size_t n, const flt_real *b, size_t ldb, flt_real *panels);

// C [m, n] = alpha A B + D - s, with s [m] taken off the rows; D, s: NULL counts as zeros. D may be C.
typedef struct flt_panels_product {
    size_t m, n, k;
    flt_real alpha;
    const flt_real *a, *panels, *d, *s;
    flt_real *c;
    size_t lda, ldd, ldc;
} flt_panels_product;
void flt_panels_multiply(const flt_panels_product *p); // k > 0
// Rows l of x, y [k, n] turned by angles whose cosines and sines are given: to_x = c x + s y, to_y = c y - s x, all in panels.
void flt_panels_turn(size_t k, size_t n, const flt_real *cosine, const flt_real *sine, const flt_real *x, const flt_real *y,
                     flt_real *to_x, flt_real *to_y);

// ---- symmetric matrices, in double
// a [n, n], of which both triangles are read, is overwritten; w [n]: eigenvalues in ascending order, v [n, n]: row i is the i-th
// eigenvector; work [3 n]. False where a is not finite; w and v are then unspecified.
bool flt_eigen_symmetric(size_t n, double *a, double *w, double *v, double *work);
// Rows of x [n, n] -> an orthonormal basis whose first i rows span what the first i rows of x do (any, where those are
// dependent); x = L Q with L_ii >= 0. work [3 n].
void flt_orthonormal_rows(size_t n, double *x, double *work);

// ---- vector functions, element-wise, in place allowed.  Largest relative error in float: exp 1e-7 (results below the smallest
// normal number are 0, arguments above 88.72 give +inf), log 1e-7, tanh 2e-7; sin and cos 1.2e-7 absolute for |x| <= 1e4, beyond
// by libm. In double: 4e-16 each. NaN stays NaN. An element's result does not depend on its place in the array.
void flt_vexp(size_t n, const flt_real *x, flt_real *y);
void flt_vlog(size_t n, const flt_real *x, flt_real *y);
void flt_vtanh(size_t n, const flt_real *x, flt_real *y);
void flt_vsincos(size_t n, const flt_real *x, flt_real *sine, flt_real *cosine);

// cos and sin of 2 pi u for phases u in turns (as sincospi of 2u), reduced in double: u may be as large as 1e12.  Either output
// may be NULL.
void flt_turns(size_t n, const double *u, flt_real *cosine, flt_real *sine);

// ---- reductions in a fixed order (blocks of 64 lanes, then pairwise): the same bits for any number of threads
flt_real flt_sum(size_t n, const flt_real *x);
double flt_sum_squares(size_t n, const flt_real *x);             // accumulated in double
flt_real flt_max(size_t n, const flt_real *x);                   // -inf for n = 0; NaN when any element is NaN
bool flt_all_finite(size_t n, const flt_real *x, size_t *first); // *first: index of the first NaN or infinity; may be NULL

// ---- real Fourier transforms, batched, contiguous rows.  forward: X_k = sum_n x_n e^{-2 pi i k n / N}, k = 0 .. N/2;
// inverse: x_n = (1/N) sum_k X_k e^{+2 pi i k n / N} over the full Hermitian spectrum: inverse(forward(x)) = x.
// Spectra are interleaved (re, im), N/2 + 1 pairs a row; the inverse takes the imaginary parts of X_0 and X_{N/2} as 0. Plans are
// made under one mutex (ESTIMATE); one is used by one thread at a time. Errors: FLTE_RANGE (n = 0, batch = 0, n beyond 2^30),
// FLTE_NOMEM.
typedef struct flt_fft flt_fft;
flt_err flt_fft_create(size_t n, size_t batch, flt_fft **out);
void flt_fft_destroy(flt_fft *p);
void flt_fft_forward(flt_fft *p, const flt_real *x /* [batch, n] */, flt_real *spectrum /* [batch, n/2+1, 2] */);
void flt_fft_inverse(flt_fft *p, const flt_real *spectrum, flt_real *x); // inputs are preserved
size_t flt_fft_good_size(size_t at_least);                               // next 2^a 3^b 5^c

// ---- random features
// omega [m, d]: rows orthogonal within each block of d, norms chi_d (Performer's ORF); drawn in double from `r`. Errors:
// FLTE_RANGE (d = 0), FLTE_NOMEM.
flt_err flt_orthogonal_gaussian(flt_rng r, size_t m, size_t d, flt_real *omega);
// omega [m, d]: independent N(0, 1).
void flt_gaussian(flt_rng r, size_t m, size_t d, flt_real *omega);

FLTX_END_DECLS

#endif
