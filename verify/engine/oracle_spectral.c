// SPDX-License-Identifier: MIT
// Mechanisms in the frequency domain by sums over all tokens: the matrix of the shortening, the discrete Fourier transform.
#include "engine/oracle_heads.h"

#include "flt/memory.h"

#include <math.h>

#define TWO_PI_L 6.283185307179586476925286766559005768L

// table [n] = cos(2 pi i / n)
static void fill_cosines(size_t n, long double *table) {
    for (size_t i = 0; i < n; i++) table[i] = cosl(TWO_PI_L * (long double)i / (long double)n);
}

// s [K, N]: D_K^T (D_N)[0 .. K-1] = (1/sqrt(N K)) [1 + 2 sum_k cos(pi k (2j+1)/2K) cos(pi k (2n+1)/2N)]; room [4K + 4N]
static void shortening(size_t N, size_t K, long double *room, long double *s) {
    long double *on_k = room, *on_n = room + 4 * K;
    fill_cosines(4 * K, on_k);
    fill_cosines(4 * N, on_n);
    for (size_t j = 0; j < K; j++) {
        for (size_t n = 0; n < N; n++) {
            long double sum = 1.0L;
            for (size_t k = 1; k < K; k++) sum += 2.0L * on_k[k * (2 * j + 1) % (4 * K)] * on_n[k * (2 * n + 1) % (4 * N)];
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
    FLTX_TRY(flt_alloc(K * (N + 2 * d + 2 * dv) + 4 * (K + N), sizeof *s, &s));
    long double *q = s + K * N, *k = q + K * d, *v = k + K * d, *y = v + K * dv;
    shortening(N, K, y + K * dv, s);
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

// One frequency of one column through filter and threshold, and its part of the inverse. cosine, sine [N]: of 2 pi i / N
static void add_frequency(const flt_oracle_job *job, const long double *cosine, const long double *sine, size_t c, size_t k,
                          const long double filter_bias[2]) {
    const size_t N = job->p->N, d = job->p->d;
    const long double root = sqrtl((long double)N), filter = filter_bias[0], bias = filter_bias[1];
    long double re = 0.0L, im = 0.0L;
    for (size_t n = 0; n < N; n++) {
        re += (long double)job->q[n * d + c] * cosine[k * n % N] * filter / root;
        im -= (long double)job->q[n * d + c] * sine[k * n % N] * filter / root;
    }
    const long double size = hypotl(re, im), eps = 1e-3L, factor = fmaxl(size + bias, 0.0L) / fmaxl(size, eps);
    const long double twice = k == 0 || 2 * k == N ? 1.0L : 2.0L;
    for (size_t n = 0; n < N; n++) job->out[n * d + c] += twice * factor * (re * cosine[k * n % N] - im * sine[k * n % N]) / root;
}

flt_err flt_oracle_fftnet(const flt_oracle_job *job) {
    const size_t N = job->p->N;
    size_t dim[1];
    const double *base = flt_oracle_draw(job->plan, "base_filter", 1, job->h, dim),
                 *modulation = flt_oracle_draw(job->plan, "modulation", 1, job->h, dim),
                 *bias = flt_oracle_draw(job->plan, "bias", 1, job->h, dim);
    long double *cosine = NULL;
    FLTX_TRY(flt_alloc(2 * N, sizeof *cosine, &cosine));
    fill_cosines(N, cosine);
    for (size_t i = 0; i < N; i++) cosine[N + i] = sinl(TWO_PI_L * (long double)i / (long double)N);
    for (size_t i = 0; i < N * job->p->d; i++) job->out[i] = 0.0L;
    for (size_t c = 0; c < job->p->d; c++) {
        for (size_t k = 0; k <= N / 2; k++) {
            const long double filter_bias[2] = {(long double)base[k] + (long double)modulation[k], (long double)bias[k]};
            add_frequency(job, cosine, cosine + N, c, k, filter_bias);
        }
    }
    flt_free(cosine);
    return FLTE_OK;
}
