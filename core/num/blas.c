// SPDX-License-Identifier: MIT
// Dense products through OpenBLAS, whatever its variant, always one thread inside:
//   pthread  one call pins it for the whole process;
//   openmp   it asks OpenMP for the number of threads at every call, so each call is made with that number set to 1;
//   serial   Debian's build has no locks and answers wrongly to two threads at once: flt_num_threads keeps callers to one.
#include "flt/num.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>

#ifdef FLTX_DOUBLE
#define GEMM cblas_dgemm
#else
#define GEMM cblas_sgemm
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool openmp_inside;
static char identity[128];

static void init(void) {
    static const char *const variants[] = {"serial", "pthread", "openmp"};
    const int variant = openblas_get_parallel();
    char version[32] = "?";
    openmp_inside = variant == OPENBLAS_OPENMP;
    // with OpenMP inside this would also set the caller's own number of threads
    if (!openmp_inside) openblas_set_num_threads(1);
    if (sscanf(openblas_get_config(), "OpenBLAS %31s", version) != 1) snprintf(version, sizeof version, "?");
    snprintf(identity, sizeof identity, "OpenBLAS %s %s %s", version, openblas_get_corename(),
             variant >= 0 && variant < 3 ? variants[variant] : "?");
}

void flt_num_init(void) {
    pthread_once(&once, init);
}

int flt_num_threads(int wanted) {
    if (wanted < 1 || openblas_get_parallel() == OPENBLAS_SEQUENTIAL) return 1;
    return wanted;
}

const char *flt_num_blas(void) {
    flt_num_init();
    return identity;
}

flt_err flt_gemm_check(const char *who, size_t m, size_t n, size_t k) {
    if (m <= INT_MAX && n <= INT_MAX && k <= INT_MAX) return FLTE_OK;
    return flt_fail(FLTE_RANGE, who, "a product of [%zu, %zu] and [%zu, %zu] was asked; BLAS takes sizes up to %d", m, k, k, n,
                    INT_MAX);
}

// C = beta C, without reading C where beta is 0
static void scale(size_t m, size_t n, flt_real beta, flt_real *c, size_t ldc) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

void flt_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, flt_real alpha, const flt_real *a, size_t lda, const flt_real *b,
              size_t ldb, flt_real beta, flt_real *c, size_t ldc) {
    assert(m <= INT_MAX && n <= INT_MAX && k <= INT_MAX && lda <= INT_MAX && ldb <= INT_MAX && ldc <= INT_MAX);
    if (m == 0 || n == 0) return;
    if (k == 0) {
        scale(m, n, beta, c, ldc);
        return;
    }
    flt_num_init();
    const int threads = openmp_inside ? omp_get_max_threads() : 1;
    if (threads != 1) omp_set_num_threads(1);
    GEMM(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, alpha, a,
         (int)lda, b, (int)ldb, beta, c, (int)ldc);
    if (threads != 1) omp_set_num_threads(threads);
}
