// SPDX-License-Identifier: MIT
// FFTNet's mixing against discrete Fourier sums in long double; the identity, Parseval, and what it refuses.
#include "attention_support.h"

static void add_frequency(const problem *p, const flt_real *x, size_t c, size_t k, long double filter, long double bias,
                          long double *want) {
    const long double two_pi = 6.283185307179586476925286766559006L, N = p->N;
    long double re = 0, im = 0;
    for (size_t n = 0; n < p->N; n++) {
        const long double angle = two_pi * (k * n % p->N) / N;
        re += x[n * p->d + c] * cosl(angle) * filter / sqrtl(N);
        im -= x[n * p->d + c] * sinl(angle) * filter / sqrtl(N);
    }
    const long double size = hypotl(re, im), factor = fmaxl(size + bias, 0) / fmaxl(size, 1e-3L),
                      twice = k == 0 || 2 * k == p->N ? 1 : 2;
    for (size_t n = 0; n < p->N; n++) {
        const long double angle = two_pi * (k * n % p->N) / N;
        want[n * p->d + c] += twice * factor * (re * cosl(angle) - im * sinl(angle)) / sqrtl(N);
    }
}

static void try_size(size_t N, size_t d, size_t heads) {
    problem p = {.mechanism = "fftnet", .B = 2, .H = 2, .N = N, .d = d, .dv = d, .seed = N, .threads = 1 + (int)(N % 2)};
    const size_t pairs = N / 2 + 1;
    inputs(&p, 1);
    add_arg(&p, "base_filter", heads, 1, &pairs, -1, 2);
    add_arg(&p, "modulation", 0, 1, &pairs, -1, 1);
    add_arg(&p, "bias", heads, 1, &pairs, -0.3, 0.1);
    run_problem(&p);
    long double *want = take(N * d, sizeof *want);
    for (size_t bh = 0; bh < 4; bh++) {
        const double *base = arg_head(p.n_args, p.args, "base_filter", 1, bh % 2),
                     *modulation = arg_head(p.n_args, p.args, "modulation", 1, 0),
                     *bias = arg_head(p.n_args, p.args, "bias", 1, bh % 2);
        memset(want, 0, N * d * sizeof *want);
        for (size_t i = 0; i < d * pairs; i++) {
            const size_t c = i / pairs, k = i % pairs;
            add_frequency(&p, p.q + bh * N * d, c, k, (long double)base[k] + modulation[k], bias[k], want);
        }
        const double ratio = judge_rows(N * d, p.out + bh * N * d, want);
        cr_assert(le(dbl, ratio, PASS), "%s", label(&p));
    }
    flt_free(want);
    drop_problem(&p);
}

Test(attention_fftnet, agrees_with_sums_over_tokens) {
    static const size_t sizes[] = {1, 2, 3, 4, 15, 16, 17, 60, 97, 128};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) try_size(sizes[i], 1 + 18 * (i % 2), i % 3 ? 2 : 0);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Filter 1 and bias 0 leave every frequency above eps alone.
Test(attention_fftnet, without_filter_and_bias_it_is_the_identity) {
    for (size_t N = 1; N < 40; N += 3) {
        problem p = {.mechanism = "fftnet", .B = 1, .H = 1, .N = N, .d = 3, .dv = 3, .seed = N, .params = "eps=1e-30"};
        const size_t pairs = N / 2 + 1;
        inputs(&p, 1);
        add_arg(&p, "bias", 0, 1, &pairs, 0, 0);
        run_problem(&p);
        for (size_t i = 0; i < 3 * N; i++) {
            const double ratio = ratio_of((double)p.out[i], p.q[i], GROWTH, 1);
            cr_assert(le(dbl, ratio, PASS), "N %zu element %zu", N, i);
        }
        drop_problem(&p);
    }
}

Test(attention_fftnet, refuses_values_of_another_width_and_causality) {
    problem p = {.mechanism = "fftnet", .B = 1, .H = 1, .N = 8, .d = 3, .dv = 2};
    flt_attention *a = NULL;
    cr_assert(eq(int, try_plan(&p, &a), FLTE_SHAPE));
    p.dv = 3, p.causal = true;
    cr_assert(eq(int, try_plan(&p, &a), FLTE_UNSUPPORTED));
    cr_assert(strstr(flt_error(), "flt") != NULL, "%s", flt_error());
}

// The context network by loops: its modulation, given to the plain mixing, makes the same output; the layer adds x and norms.
static void network(const problem *p, const double *w0, const double *b0, const double *w2, const double *b2,
                    double *modulation) {
    const size_t D = p->H * p->d, K = p->N / 2 + 1;
    long double hidden[64];
    for (size_t i = 0; i < D; i++) {
        long double sum = b0[i];
        for (size_t c = 0; c < D; c++)
            for (size_t n = 0; n < p->N; n++)
                sum += w0[i * D + c] * (long double)p->q[(c / p->d * p->N + n) * p->d + c % p->d] / p->N;
        hidden[i] = 0.5L * sum * (1 + erfl(sum / sqrtl(2)));
    }
    for (size_t r = 0; r < p->H * K; r++) {
        long double sum = b2[r];
        for (size_t c = 0; c < D; c++) sum += w2[r * D + c] * hidden[c];
        modulation[r] = (double)tanhl(sum);
    }
}

static void norm_by_loops(const problem *p, const double *gain, const double *offset, const flt_real *mixed, long double *want) {
    const size_t D = p->H * p->d;
    for (size_t n = 0; n < p->N; n++) {
        long double mean = 0, square = 0;
        for (size_t c = 0; c < D; c++) {
            const size_t at = (c / p->d * p->N + n) * p->d + c % p->d;
            want[at] = (long double)p->q[at] + mixed[at];
            mean += want[at] / D;
        }
        for (size_t c = 0; c < D; c++) square += powl(want[(c / p->d * p->N + n) * p->d + c % p->d] - mean, 2) / D;
        for (size_t c = 0; c < D; c++) {
            const size_t at = (c / p->d * p->N + n) * p->d + c % p->d;
            want[at] = gain[c] * (want[at] - mean) / sqrtl(square + 1e-5L) + offset[c];
        }
    }
}

static void try_context(size_t N, bool layer) {
    problem p = {.mechanism = "fftnet", .params = layer ? "form=layer" : "form=context", .B = 1, .H = 2, .N = N, .d = 5, .dv = 5};
    const size_t D = 10, K = N / 2 + 1, count = 2 * N * 5;
    p.seed = N;
    inputs(&p, 1);
    const double *w0 = add_arg(&p, "w0", 0, 2, (size_t[]){D, D}, -1, 1), *b0 = add_arg(&p, "b0", 0, 1, &D, -1, 1);
    const double *w2 = add_arg(&p, "w2", 0, 2, (size_t[]){2 * K, D}, -1, 1),
                 *b2 = add_arg(&p, "b2", 0, 1, (size_t[]){2 * K}, -1, 1);
    const double *gain = layer ? add_arg(&p, "gain", 0, 1, &D, 0.5, 2) : NULL;
    const double *offset = layer ? add_arg(&p, "offset", 0, 1, &D, -1, 1) : NULL;
    run_problem(&p);
    problem plain = p;
    plain.params = "", plain.n_args = 0, plain.out = reals(count);
    double *modulation = add_arg(&plain, "modulation", 2, 1, &K, 0, 0);
    network(&p, w0, b0, w2, b2, modulation);
    run_problem(&plain);
    long double *want = take(count, sizeof *want);
    for (size_t i = 0; i < count; i++) want[i] = plain.out[i];
    if (layer) norm_by_loops(&p, gain, offset, plain.out, want);
    const double ratio = judge_rows(count, p.out, want);
    cr_assert(le(dbl, ratio, PASS), "%s", label(&p));
    flt_free(want);
    flt_free(plain.out);
    flt_free(modulation);
    drop_problem(&p);
}

Test(attention_fftnet, context_and_layer) {
    static const size_t sizes[] = {1, 2, 7, 16, 33};
    for (size_t i = 0; i < 5; i++) {
        try_context(sizes[i], false);
        try_context(sizes[i], true);
    }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
