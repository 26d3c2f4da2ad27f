// SPDX-License-Identifier: MIT
// Stochastic positional encodings against explicit codes in long double: sines and filters, gated or not, shared and per-head
// arrays, both kernels behind the code, batch and stream, and the codes that a plan reports.
#include "attention_support.h"

typedef struct setting {
    bool conv, gate, exact;
    size_t H, d, dv, K, R, m; // K: sines or taps
    bool per_head;
} setting;

static const setting settings[] = {
    {false, false, false, 1, 5, 3, 2, 7, 6, false}, {false, true, false, 2, 3, 4, 5, 16, 33, true},
    {false, true, true, 2, 8, 1, 1, 4, 1, true},    {true, false, false, 2, 4, 3, 3, 5, 9, true},
    {true, true, false, 1, 1, 2, 1, 3, 4, false},   {true, true, true, 3, 6, 5, 20, 8, 1, false},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static problem make_problem(const setting *s, size_t N, bool causal) {
    problem p = {.mechanism = s->conv ? "spe_conv" : "spe_sine",
                 .B = 2,
                 .H = s->H,
                 .N = N,
                 .d = s->d,
                 .dv = s->dv,
                 .causal = causal,
                 .seed = N + s->R,
                 .threads = 1 + (int)(N % 2)};
    const size_t h = s->per_head ? s->H : 0, d = s->d, R = s->R;
    p.params = s->exact ? "kernel=exact,keep_codes=true" : "keep_codes=true";
    inputs(&p, 1.5);
    if (s->conv) {
        add_arg(&p, "filter_q", h, 2, (size_t[]){d, s->K}, -1, 1);
        add_arg(&p, "filter_k", 0, 2, (size_t[]){d, s->K}, -1, 1);
        add_arg(&p, "noise", h, 3, (size_t[]){R, d, N + 4 * s->K + N % 3}, -2, 2);
    } else {
        add_arg(&p, "freqs", h, 2, (size_t[]){d, s->K}, 0, 0.5);
        add_arg(&p, "phases", 0, 2, (size_t[]){d, s->K}, -3, 3);
        add_arg(&p, "gains", h, 2, (size_t[]){d, s->K}, 0.2, 2);
        add_arg(&p, "z", 0, 3, (size_t[]){d, 2 * s->K, R}, -2, 2);
    }
    if (s->gate) add_arg(&p, "share", h, 1, &d, 0, 1), add_arg(&p, "eps", 0, 2, (size_t[]){d, R}, -2, 2);
    if (!s->exact) add_arg(&p, "omega", h, 2, (size_t[]){s->m, R}, -2, 2);
    return p;
}

static const double *arg(const problem *p, const char *name, size_t rank, size_t h) {
    return arg_head(p->n_args, p->args, name, rank, h);
}

static long double code(const problem *p, const setting *s, size_t h, bool query, size_t i, size_t c, size_t r) {
    const long double two_pi = 6.283185307179586476925286766559006L;
    const size_t length = p->N + 4 * s->K + p->N % 3;
    long double sum = 0;
    for (size_t k = 0; k < s->K && s->conv; k++)
        sum += (long double)arg(p, query ? "filter_q" : "filter_k", 2, h)[c * s->K + k] *
               arg(p, "noise", 3, h)[(r * s->d + c) * length + s->K + i + k];
    for (size_t k = 0; k < s->K && !s->conv; k++) {
        const size_t at = c * s->K + k;
        const long double phase = two_pi * arg(p, "freqs", 2, h)[at] * i + (query ? arg(p, "phases", 2, h)[at] : 0.0L);
        const double *z = arg(p, "z", 3, h) + (c * 2 * s->K + 2 * k) * s->R + r;
        sum += arg(p, "gains", 2, h)[at] / sqrtl(2.0L * s->K) * (cosl(phase) * z[0] + sinl(phase) * z[s->R]);
    }
    if (!s->gate) return sum;
    const long double share = arg(p, "share", 1, h)[c];
    return sqrtl(1 - share) * sum + sqrtl(share) * arg(p, "eps", 2, h)[c * s->R + r];
}

static void code_rows(const problem *p, const setting *s, size_t h, bool query, const flt_real *x, long double *hat) {
    const long double norm = sqrtl(sqrtl((long double)(s->d * s->R)));
    for (size_t i = 0; i < p->N; i++)
        for (size_t r = 0; r < s->R; r++) {
            long double sum = 0;
            for (size_t c = 0; c < s->d; c++) sum += x[i * s->d + c] * code(p, s, h, query, i, c, r);
            hat[i * s->R + r] = sum / norm;
        }
}

// Weights of one head from its codes, which this scales.
static void weigh(const problem *p, const setting *s, size_t h, long double *qhat, long double *khat, long double *weight) {
    const size_t N = p->N, R = s->R, m = s->m;
    long double *fq = take(N * m, sizeof *fq), *fk = take(N * m, sizeof *fk);
    for (size_t i = 0; i < N * R; i++) qhat[i] /= sqrtl(sqrtl((long double)R)), khat[i] /= sqrtl(sqrtl((long double)R));
    if (!s->exact) {
        oracle_features(N, R, m, false, qhat, arg(p, "omega", 2, h), fq);
        oracle_features(N, R, m, false, khat, arg(p, "omega", 2, h), fk);
        oracle_kernel(N, m, fq, fk, weight);
    }
    for (size_t i = 0; i < N * N && s->exact; i++) {
        long double dot = 0;
        for (size_t r = 0; r < R; r++) dot += qhat[i / N * R + r] * khat[i % N * R + r];
        weight[i] = expl(dot);
    }
    flt_free(fq);
    flt_free(fk);
}

// Worst ratio of outputs, and of the codes in `kept` [2] where they are given.
static double worst_ratio(const problem *p, const setting *s, const double *const *kept) {
    const size_t N = p->N, R = s->R;
    long double *hat[2] = {take(N * R, sizeof **hat), take(N * R, sizeof **hat)}, *weight = take(N * N, sizeof *weight),
                *want = take(N * p->dv, sizeof *want);
    flt_real *got = reals(N * R);
    double worst = 0;
    for (size_t bh = 0; bh < p->B * p->H; bh++) {
        for (int side = 0; side < 2; side++) {
            code_rows(p, s, bh % p->H, side == 0, (side == 0 ? p->q : p->k) + bh * N * p->d, hat[side]);
            for (size_t i = 0; kept != NULL && i < N * R; i++) got[i] = (flt_real)kept[side][bh * N * R + i];
            if (kept != NULL) worst = fmax(worst, judge_rows(N * R, got, hat[side]));
        }
        weigh(p, s, bh % p->H, hat[0], hat[1], weight);
        oracle_average(N, p->dv, p->causal, weight, p->v + bh * N * p->dv, want);
        worst = fmax(worst, judge_rows(N * p->dv, p->out + bh * N * p->dv, want));
    }
    flt_free(hat[0]);
    flt_free(hat[1]);
    flt_free(weight);
    flt_free(want);
    flt_free(got);
    return worst;
}

static const double *drawn(const flt_attention *a, const char *name) {
    flt_attention_arg args[MAX_ARGS];
    const size_t n = flt_attention_draws(a, MAX_ARGS, args);
    for (size_t i = 0; i < n; i++)
        if (strcmp(args[i].name, name) == 0) return args[i].data;
    cr_assert(false, "%s is not reported", name);
    return NULL;
}

static void stream(problem *p, flt_attention *a) {
    const size_t heads = p->B * p->H, N = p->N, d = p->d, dv = p->dv;
    flt_real *q = reals(heads * d), *k = reals(heads * d), *v = reals(heads * dv), *out = reals(heads * dv);
    cr_assert(eq(int, flt_attention_begin(a), FLTE_OK), "%s", flt_error());
    for (size_t t = 0; t < N; t++) {
        for (size_t h = 0; h < heads; h++) {
            memcpy(q + h * d, p->q + (h * N + t) * d, d * sizeof *q);
            memcpy(k + h * d, p->k + (h * N + t) * d, d * sizeof *k);
            memcpy(v + h * dv, p->v + (h * N + t) * dv, dv * sizeof *v);
        }
        flt_attention_step(a, q, k, v, out);
        for (size_t h = 0; h < heads; h++) memcpy(p->out + (h * N + t) * dv, out + h * dv, dv * sizeof *out);
    }
    flt_free(q);
    flt_free(k);
    flt_free(v);
    flt_free(out);
}

static void try_setting(const setting *s, size_t N, bool causal) {
    problem p = make_problem(s, N, causal);
    flt_attention *a = plan_of(&p);
    flt_attention_forward(a, p.q, p.k, p.v, p.out);
    const double *kept[2] = {drawn(a, "qhat"), drawn(a, "khat")};
    double ratio = worst_ratio(&p, s, kept);
    cr_assert(le(dbl, ratio, 2 * PASS), "%s R %zu K %zu gate %d", label(&p), s->R, s->K, s->gate);
    if (causal && s->exact) cr_assert(eq(int, flt_attention_begin(a), FLTE_UNSUPPORTED));
    if (causal && !s->exact) {
        stream(&p, a);
        ratio = worst_ratio(&p, s, NULL);
        cr_assert(le(dbl, ratio, 2 * PASS), "%s R %zu K %zu as a stream", label(&p), s->R, s->K);
    }
    flt_attention_destroy(a);
    drop_problem(&p);
}

Test(attention_spe, agrees_with_explicit_codes) {
    static const size_t sizes[] = {1, 2, 5, 33, 64, 65, 130};
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++)
        for (size_t s = 0; s < SETTINGS; s++)
            for (int causal = 0; causal < 2; causal++) try_setting(&settings[s], sizes[n], causal);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

Test(attention_spe, draws_what_is_missing_and_refuses_what_does_not_fit) {
    static const char *const names[] = {"spe_sine", "spe_conv"};
    for (int i = 0; i < 2; i++) {
        problem p = {.mechanism = names[i], .B = 1, .H = 2, .N = 6, .d = 3, .dv = 2, .params = "R=5,m=4"};
        flt_attention *a = NULL;
        inputs(&p, 1);
        add_arg(&p, "share", 0, 1, (size_t[]){3}, 0, 1);
        a = plan_of(&p);
        cr_assert(ne(ptr, (void *)(uintptr_t)drawn(a, "eps"), NULL));
        flt_attention_destroy(a);
        add_arg(&p, "omega", 0, 2, (size_t[]){4, 7}, -1, 1);
        cr_assert(eq(int, try_plan(&p, &a), FLTE_USAGE), "R = 5 is set, omega is 7 wide");
        ((double *)(uintptr_t)p.args[0].data)[1] = 1.5;
        p.n_args = 1;
        cr_assert(eq(int, try_plan(&p, &a), FLTE_RANGE));
        p.n_args = 2;
        drop_problem(&p);
    }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
