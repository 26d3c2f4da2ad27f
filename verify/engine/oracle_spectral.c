// SPDX-License-Identifier: MIT
// Mechanisms in the frequency domain by sums over all tokens: the matrix of the shortening, the discrete Fourier transform.
#include "engine/oracle_heads.h"

#include "flt/memory.h"

#include <math.h>

#define TWO_PI_L 6.283185307179586476925286766559005768L

// s [K, N]: D_K^T (D_N)[0 .. K-1] = (1/sqrt(N K)) [1 + 2 sum_k cos(pi k (2j+1)/2K) cos(pi k (2n+1)/2N)]
static void shortening(size_t N, size_t K, long double *s) {
    for (size_t j = 0; j < K; j++) {
        for (size_t n = 0; n < N; n++) {
            long double sum = 1.0L;
            for (size_t k = 1; k < K; k++)
                sum += 2.0L * cosl(TWO_PI_L * (long double)(k * (2 * j + 1)) / (4.0L * (long double)K)) *
                       cosl(TWO_PI_L * (long double)(k * (2 * n + 1)) / (4.0L * (long double)N));
            s[j * N + n] = sum / sqrtl((long double)N * (long double)K);
        }
    }
}

static void apply(size_t K, size_t N, size_t width, const long double *s, const flt_real *x, long double *y) {
    for (size_t j = 0; j < K; j++) {
        for (size_t c = 0; c < width; c++) {
            y[j * width + c] = 0.0L;
            for (size_t n = 0; n < N; n++) y[j * width + c] += s[j * N + n] * (long double)x[n * width + c];
        }
    }
}

// y [K, dv] = softmax(q k^T / sqrt d) v at the short length; returns the largest logit.
static double attend(size_t K, size_t d, size_t dv, const long double *q, const long double *k, const long double *v,
                     long double *y) {
    long double largest = 0.0L;
    for (size_t i = 0; i < K; i++) {
        long double sum = 0.0L;
        for (size_t c = 0; c < dv; c++) y[i * dv + c] = 0.0L;
        for (size_t j = 0; j < K; j++) {
            long double dot = 0.0L;
            for (size_t c = 0; c < d; c++) dot += q[i * d + c] * k[j * d + c] / sqrtl((long double)d);
            const long double weight = expl(dot); // the range of long double needs no maximum here
            largest = fmaxl(largest, fabsl(dot));
            sum += weight;
            for (size_t c = 0; c < dv; c++) y[i * dv + c] += weight * v[j * dv + c];
        }
        for (size_t c = 0; c < dv; c++) y[i * dv + c] /= sum;
    }
    return (double)largest;
}

flt_err flt_oracle_fourier(const flt_oracle_job *job) {
    const flt_problem *p = job->p;
    const size_t N = p->N, K = flt_problem_keep(p), d = p->d, dv = p->dv;
    long double *s = NULL;
    FLTX_TRY(flt_alloc(K * (N + 2 * d + 2 * dv), sizeof *s, &s));
    long double *q = s + K * N, *k = q + K * d, *v = k + K * d, *y = v + K * dv;
    shortening(N, K, s);
    apply(K, N, d, s, job->q, q);
    apply(K, N, d, s, job->k, k);
    apply(K, N, dv, s, job->v, v);
    *job->exponent = fmax(*job->exponent, attend(K, d, dv, q, k, v, y));
    for (size_t n = 0; n < N; n++) {
        for (size_t c = 0; c < dv; c++) {
            job->out[n * dv + c] = 0.0L;
            for (size_t j = 0; j < K; j++) job->out[n * dv + c] += s[j * N + n] * y[j * dv + c];
        }
    }
    flt_free(s);
    return FLTE_OK;
}

// One frequency of one column through filter and threshold, and its part of the inverse.
static void add_frequency(const flt_oracle_job *job, size_t c, size_t k, long double filter, long double bias) {
    const size_t N = job->p->N, d = job->p->d;
    const long double root = sqrtl((long double)N);
    long double re = 0.0L, im = 0.0L;
    for (size_t n = 0; n < N; n++) {
        const long double angle = TWO_PI_L * (long double)(k * n % N) / (long double)N;
        re += (long double)job->q[n * d + c] * cosl(angle) * filter / root;
        im -= (long double)job->q[n * d + c] * sinl(angle) * filter / root;
    }
    const long double size = hypotl(re, im), eps = 1e-3L, factor = fmaxl(size + bias, 0.0L) / fmaxl(size, eps);
    const long double twice = k == 0 || 2 * k == N ? 1.0L : 2.0L;
    for (size_t n = 0; n < N; n++) {
        const long double angle = TWO_PI_L * (long double)(k * n % N) / (long double)N;
        job->out[n * d + c] += twice * factor * (re * cosl(angle) - im * sinl(angle)) / root;
    }
}

flt_err flt_oracle_fftnet(const flt_oracle_job *job) {
    size_t dim[1];
    const double *base = flt_oracle_draw(job->plan, "base_filter", 1, job->h, dim),
                 *modulation = flt_oracle_draw(job->plan, "modulation", 1, job->h, dim),
                 *bias = flt_oracle_draw(job->plan, "bias", 1, job->h, dim);
    for (size_t i = 0; i < job->p->N * job->p->d; i++) job->out[i] = 0.0L;
    for (size_t c = 0; c < job->p->d; c++)
        for (size_t k = 0; k <= job->p->N / 2; k++)
            add_frequency(job, c, k, (long double)base[k] + (long double)modulation[k], (long double)bias[k]);
    return FLTE_OK;
}
