// SPDX-License-Identifier: MIT
// Dense products: our own kernels for small ones, OpenBLAS for large ones, one thread inside in either case.
//
// OpenBLAS comes in three variants:
//   pthread  one call pins it to one thread for the whole process;
//   openmp   it asks OpenMP for the number of threads at every call, so each call is made with that number set to 1;
//   serial   Debian's build has no locks and answers wrongly to two threads at once: flt_num_threads keeps callers to one.
// And it chooses its kernels by the processor's name: on one that is newer than the library it falls back to those of 2004, at a
// fifth of the speed. Where it has none as wide as ours, ours do everything.
#include "flt/num.h"
#include "num/kernels/gemm.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#ifdef FLTX_DOUBLE
#define GEMM cblas_dgemm
#else
#define GEMM cblas_sgemm
#endif

// Multiplications up to which our kernels are at least as fast as OpenBLAS's own for the same instruction set (measured).
static const double small_vector = 1 << 22, small_portable = 1 << 15;

static struct machine {
    const num_gemm *kernels;
    double small; // larger products go to OpenBLAS
    bool panels;  // products with panels are ours
    bool openmp;  // OpenBLAS takes its number of threads from OpenMP
    bool serial;  // OpenBLAS must not be called from two threads
    char identity[128];
} machine;

// Bytes of the vectors in OpenBLAS's kernels for a processor; 16 for those of SSE and, as far as we care, of other machines.
static size_t vector_bytes(const char *core) {
    static const char *const wide[] = {"SkylakeX", "Cooperlake", "SapphireRapids"}, *const middle[] = {"Haswell", "Zen"};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (strcmp(core, wide[i]) == 0) return 64;
    for (size_t i = 0; i < sizeof middle / sizeof *middle; i++)
        if (strcmp(core, middle[i]) == 0) return 32;
    return 16;
}

static void init(void) {
    static const char *const variants[] = {"serial", "pthread", "openmp"};
    const int variant = openblas_get_parallel();
    char version[32] = "?";
    machine.kernels = FLTX_ISA_PICK(num_gemm);
    const bool wide = vector_bytes(openblas_get_corename()) >= machine.kernels->vector_bytes;
    machine.small = !wide ? INFINITY : machine.kernels->vector_bytes > 16 ? small_vector : small_portable;
    machine.panels = machine.small > small_portable;
    machine.openmp = variant == OPENBLAS_OPENMP;
    machine.serial = variant == OPENBLAS_SEQUENTIAL && wide;
    // with OpenMP inside this would also set the caller's own number of threads
    if (!machine.openmp) openblas_set_num_threads(1);
    if (sscanf(openblas_get_config(), "OpenBLAS %31s", version) != 1) snprintf(version, sizeof version, "?");
    snprintf(machine.identity, sizeof machine.identity, "OpenBLAS %s %s %s%s", version, openblas_get_corename(),
             variant >= 0 && variant < 3 ? variants[variant] : "?", wide ? "" : ", not used");
}

void flt_num_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init);
}

int flt_num_threads(int wanted) {
    flt_num_init();
    return wanted < 1 || machine.serial ? 1 : wanted;
}

const char *flt_num_blas(void) {
    flt_num_init();
    return machine.identity;
}

flt_err flt_gemm_check(const char *who, size_t m, size_t n, size_t k) {
    FLTX_GIVEN(who);
    if (m <= INT_MAX && n <= INT_MAX && k <= INT_MAX) return FLTE_OK;
    return flt_fail(FLTE_RANGE, who, "a product of [%zu, %zu] and [%zu, %zu] was asked; BLAS takes sizes up to %d", m, k, k, n,
                    INT_MAX);
}

// C = beta C, without reading C where beta is 0
static void scale(const num_product *p, flt_real beta) {
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) p->c[i * p->ldc + j] = beta == 0 ? 0 : beta * p->c[i * p->ldc + j];
}

static void call_kernels(num_product *p, flt_real beta) {
    if (beta != 0 && beta != 1) scale(p, beta);
    if (beta != 0) p->d = p->c, p->ldd = p->ldc;
    machine.kernels->multiply(p);
}

static void call_library(const num_product *p, flt_real beta) {
    const int threads = machine.openmp ? omp_get_max_threads() : 1;
    if (threads != 1) omp_set_num_threads(1);
    GEMM(CblasRowMajor, p->ta ? CblasTrans : CblasNoTrans, p->tb ? CblasTrans : CblasNoTrans, (int)p->m, (int)p->n, (int)p->k,
         p->alpha, p->a, (int)p->lda, p->b, (int)p->ldb, beta, p->c, (int)p->ldc);
    if (threads != 1) omp_set_num_threads(threads);
}

void flt_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, flt_real alpha, const flt_real *a, size_t lda, const flt_real *b,
              size_t ldb, flt_real beta, flt_real *c, size_t ldc) {
    assert(m <= INT_MAX && n <= INT_MAX && k <= INT_MAX && lda <= INT_MAX && ldb <= INT_MAX && ldc <= INT_MAX);
    if (m == 0 || n == 0) return;
    num_product p = {.ta = ta, .tb = tb, .m = m, .n = n, .k = k, .alpha = alpha};
    p.a = a, p.lda = lda, p.b = b, p.ldb = ldb, p.c = c, p.ldc = ldc;
    if (n == 1 && ldc == 1) { // a column in one piece is a row: C' = B' A'
        p.ta = !tb, p.a = b, p.lda = ldb;
        p.tb = !ta, p.b = a, p.ldb = lda;
        p.m = 1, p.n = m, p.ldc = m;
    }
    flt_num_init();
    if (k == 0 || alpha == 0)
        scale(&p, beta);
    else if ((double)m * (double)n * (double)k <= machine.small)
        call_kernels(&p, beta);
    else
        call_library(&p, beta);
}

void flt_gemm_onto(bool ta, bool tb, size_t m, size_t n, size_t k, const flt_real *a, size_t lda, const flt_real *b, size_t ldb,
                   const flt_real *d, flt_real *c, size_t ldc) {
    num_product p = {.ta = ta, .tb = tb, .m = m, .n = n, .k = k, .alpha = 1};
    p.a = a, p.lda = lda, p.b = b, p.ldb = ldb, p.c = c, p.ldc = ldc, p.d = d, p.ldd = ldc;
    flt_num_init();
    if (m > 0 && n > 1 && k > 0 && (double)m * (double)n * (double)k <= machine.small) {
        machine.kernels->multiply(&p);
        return;
    }
    for (size_t i = 0; i < m && d != c; i++) memcpy(c + i * ldc, d + i * ldc, n * sizeof *c);
    flt_gemm(ta, tb, m, n, k, 1, a, lda, b, ldb, 1, c, ldc);
}

// ---- products in panels: where OpenBLAS is left more than the small products, it has B as it is

size_t flt_panels_size(size_t k, size_t n) {
    flt_num_init();
    const size_t panel = machine.panels ? machine.kernels->panel : 1;
    return k * ((n + panel - 1) / panel * panel);
}

void flt_panels_fill(size_t k, size_t n, const flt_real *b, size_t ldb, flt_real *panels) {
    if (machine.panels)
        machine.kernels->fill_panels(k, n, b, ldb, panels);
    else
        for (size_t l = 0; l < k; l++) memcpy(panels + l * n, b + l * ldb, n * sizeof *panels);
}

static void start(const flt_panels_product *p) {
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++)
            p->c[i * p->ldc + j] = (p->d == NULL ? 0 : p->d[i * p->ldd + j]) - (p->s == NULL ? 0 : p->s[i]);
}

void flt_panels_multiply(const flt_panels_product *p) {
    const num_product product = {.m = p->m,
                                 .n = p->n,
                                 .k = p->k,
                                 .alpha = p->alpha,
                                 .a = p->a,
                                 .lda = p->lda,
                                 .b = p->panels,
                                 .d = p->d,
                                 .ldd = p->ldd,
                                 .s = p->s,
                                 .c = p->c,
                                 .ldc = p->ldc};
    assert(p->k > 0);
    if (p->m == 0 || p->n == 0) return;
    if (machine.panels) {
        machine.kernels->multiply(&product);
        return;
    }
    start(p);
    flt_gemm(false, false, p->m, p->n, p->k, p->alpha, p->a, p->lda, p->panels, p->n, 1, p->c, p->ldc);
}

void flt_panels_turn(size_t k, size_t n, const flt_real *cosine, const flt_real *sine, const flt_real *x, const flt_real *y,
                     flt_real *to_x, flt_real *to_y) {
    if (machine.panels) {
        machine.kernels->turn_panels(k, n, cosine, sine, x, y, to_x, to_y);
        return;
    }
    for (size_t l = 0; l < k; l++) {
        for (size_t i = l * n; i < (l + 1) * n; i++) {
            to_x[i] = cosine[l] * x[i] + sine[l] * y[i];
            to_y[i] = cosine[l] * y[i] - sine[l] * x[i];
        }
    }
}
