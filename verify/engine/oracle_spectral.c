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

// ---- fftnet

// One frequency of one column through filter and threshold, and its part of the inverse. turn [4N] = cos(2 pi i / 4N)
static void add_frequency(const flt_problem *p, const long double *turn, const flt_real *x, size_t c, size_t k,
                          long double filter, long double bias, long double *out) {
    const size_t N = p->N, d = p->d;
    const long double root = sqrtl((long double)N);
    long double re = 0.0L, im = 0.0L;
    for (size_t n = 0; n < N; n++) {
        const size_t cosine = 4 * k * n % (4 * N), sine = (cosine + 3 * N) % (4 * N); // a quarter turn behind
        re += (long double)x[n * d + c] * turn[cosine] * filter / root;
        im -= (long double)x[n * d + c] * turn[sine] * filter / root;
    }
    const long double size = hypotl(re, im), eps = 1e-3L, factor = fmaxl(size + bias, 0.0L) / fmaxl(size, eps);
    const long double twice = k == 0 || 2 * k == N ? 1.0L : 2.0L;
    for (size_t n = 0; n < N; n++) {
        const size_t cosine = 4 * k * n % (4 * N), sine = (cosine + 3 * N) % (4 * N);
        out[n * d + c] += twice * factor * (re * turn[cosine] - im * turn[sine]) / root;
    }
}

// Modulation of frequency k of head h by the context network; x: all heads of the sequence. hidden [H d].
static void find_hidden(const flt_oracle_job *job, const flt_real *x, long double *hidden) {
    const flt_problem *p = job->p;
    const size_t D = p->H * p->d;
    size_t dim[2];
    const double *w0 = flt_oracle_draw(job->plan, "w0", 2, 0, dim), *b0 = flt_oracle_draw(job->plan, "b0", 1, 0, dim);
    for (size_t i = 0; i < D; i++) {
        long double sum = (long double)b0[i];
        for (size_t c = 0; c < D; c++) {
            long double mean = 0.0L;
            for (size_t n = 0; n < p->N; n++) mean += (long double)x[(c / p->d * p->N + n) * p->d + c % p->d] / (long double)p->N;
            sum += (long double)w0[i * D + c] * mean;
        }
        hidden[i] = 0.5L * sum * (1.0L + erfl(sum / sqrtl(2.0L)));
    }
}

static long double modulation_of(const flt_oracle_job *job, const long double *hidden, size_t h, size_t k) {
    const size_t D = job->p->H * job->p->d, row = h * (job->p->N / 2 + 1) + k;
    size_t dim[2];
    const double *w2 = flt_oracle_draw(job->plan, "w2", 2, 0, dim), *given = flt_oracle_draw(job->plan, "modulation", 1, h, dim);
    if (w2 == NULL) return (long double)given[k];
    long double sum = (long double)flt_oracle_draw(job->plan, "b2", 1, 0, dim)[row];
    for (size_t c = 0; c < D; c++) sum += (long double)w2[row * D + c] * hidden[c];
    return tanhl(sum);
}

// out [H, N, d] of a sequence
static void mix_heads(const flt_oracle_job *job, const long double *turn, const flt_real *x, const long double *hidden,
                      long double *out) {
    const flt_problem *p = job->p;
    const size_t head = p->N * p->d;
    size_t dim[1];
    for (size_t i = 0; i < p->H * head; i++) out[i] = 0.0L;
    for (size_t h = 0; h < p->H; h++) {
        const double *base = flt_oracle_draw(job->plan, "base_filter", 1, h, dim),
                     *bias = flt_oracle_draw(job->plan, "bias", 1, h, dim);
        for (size_t k = 0; k <= p->N / 2; k++) {
            const long double filter = (long double)base[k] + modulation_of(job, hidden, h, k);
            for (size_t c = 0; c < p->d; c++)
                add_frequency(p, turn, x + h * head, c, k, filter, (long double)bias[k], out + h * head);
        }
    }
}

// One token of out, with the residual x, to layer norm over its D numbers.
static void norm_token(const flt_oracle_job *job, const flt_real *x, size_t n, long double *out) {
    const flt_problem *p = job->p;
    const size_t D = p->H * p->d;
    size_t dim[1];
    const double *gain = flt_oracle_draw(job->plan, "gain", 1, 0, dim), *offset = flt_oracle_draw(job->plan, "offset", 1, 0, dim);
    long double mean = 0.0L, square = 0.0L;
    for (size_t c = 0; c < D; c++) {
        const size_t at = (c / p->d * p->N + n) * p->d + c % p->d;
        out[at] += (long double)x[at];
        mean += out[at] / (long double)D;
    }
    for (size_t c = 0; c < D; c++) {
        const long double off = out[(c / p->d * p->N + n) * p->d + c % p->d] - mean;
        square += off * off / (long double)D;
    }
    for (size_t c = 0; c < D; c++) {
        long double *to = &out[(c / p->d * p->N + n) * p->d + c % p->d];
        *to = (long double)gain[c] * (*to - mean) / sqrtl(square + 1e-5L) + (long double)offset[c];
    }
}

flt_err flt_oracle_fftnet(const flt_oracle_job *job) {
    const flt_problem *p = job->p;
    const size_t head = p->N * p->d;
    const flt_real *x = job->q - job->h * head; // the first head of this sequence
    long double *out = NULL;
    size_t dim[2];
    FLTX_TRY(flt_alloc(p->H * (head + p->d) + 4 * p->N, sizeof *out, &out));
    long double *hidden = out + p->H * head, *turn = hidden + p->H * p->d;
    fill_cosines(4 * p->N, turn);
    if (flt_oracle_draw(job->plan, "w0", 2, 0, dim) != NULL) find_hidden(job, x, hidden);
    mix_heads(job, turn, x, hidden, out);
    for (size_t n = 0; n < p->N && flt_oracle_draw(job->plan, "gain", 1, 0, dim) != NULL; n++) norm_token(job, x, n, out);
    for (size_t i = 0; i < head; i++) job->out[i] = out[job->h * head + i];
    flt_free(out);
    return FLTE_OK;
}
