// SPDX-License-Identifier: MIT
// NPRF by its definition: log weights are those of the feature kernel of normalised q and k plus the lag's b.
#include "engine/oracle_heads.h"

#include "flt/memory.h"

#include <math.h>

static void normalise(size_t n, size_t d, const flt_real *x, long double *out) {
    for (size_t i = 0; i < n; i++) {
        long double squares = 0.0L;
        for (size_t c = 0; c < d; c++) squares += (long double)x[i * d + c] * (long double)x[i * d + c];
        for (size_t c = 0; c < d; c++) out[i * d + c] = (long double)x[i * d + c] / (squares > 0.0L ? sqrtl(squares) : 1.0L);
    }
}

static double largest_of(size_t n, const long double *x) {
    long double top = 0.0L;
    for (size_t i = 0; i < n; i++) top = fmaxl(top, fabsl(x[i]));
    return (double)top;
}

flt_err flt_oracle_nprf(const flt_oracle_job *job) {
    const flt_problem *p = job->p;
    const size_t N = p->N, d = p->d;
    size_t dim[2] = {0}, one[1];
    const double *omega = flt_oracle_draw(job->plan, "omega", 2, job->h, dim),
                 *b = flt_oracle_draw(job->plan, "lag_bias", 1, job->h, one);
    if (omega == NULL || dim[1] != d) return flt_fail(FLTE_INTERNAL, "oracle", "omega is %zu wide; expected %zu", dim[1], d);
    const size_t m = dim[0];
    long double *x = NULL;
    FLTX_TRY(flt_alloc(N * (d + 2 * m), sizeof *x, &x));
    long double *lq = x + N * d, *lk = lq + N * m;
    normalise(N, d, job->q, x);
    flt_oracle_log_features(N, d, m, x, omega, d, lq);
    normalise(N, d, job->k, x);
    flt_oracle_log_features(N, d, m, x, omega, d, lk);
    *job->exponent = fmax(*job->exponent, largest_of(N * m, lq) + largest_of(N * m, lk));
    flt_oracle_kernel(p, m, lq, lk, job->x);
    for (size_t i = 0; i < N * N && b != NULL; i++) job->x[i] += (long double)b[i % N + N - 1 - i / N];
    flt_free(x);
    return FLTE_OK;
}
