// SPDX-License-Identifier: MIT
// Exact attention against long double loops: every form of bias, shared and per head, causal or not, sizes around the tiles.
#include "attention_support.h"

static const size_t sizes[] = {1, 2, 3, 5, 31, 32, 33, 64, 97, 128, 129, 200};
enum { SIZES = sizeof sizes / sizeof *sizes };
typedef enum form { NONE, MATRIX, LAGS, MIXTURE, MIXTURE_POINTS, WINDOW, TABLE, FORMS } form;

static const size_t shapes[][4] = {{1, 1, 3, 2}, {2, 3, 1, 5}, {1, 2, 8, 1}, {3, 1, 32, 8}, {1, 2, 130, 67}}; // B, H, d, dv
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void add_form(problem *p, form f, size_t heads) {
    const size_t N = p->N, l = f == MIXTURE_POINTS ? 2 : 1, lags = 2 * N - 1;
    if (f == MATRIX) add_arg(p, "bias", heads, 2, (size_t[]){N, N}, -2, 2);
    if (f == LAGS || f == TABLE) add_arg(p, "lag_bias", heads, 1, &lags, -2, 2);
    if (f == TABLE) p->params = "rpe=lag_table";
    if (f == WINDOW) {
        add_arg(p, "c", heads, 0, NULL, 1, 2);
        double *v = add_arg(p, "v", heads, 0, NULL, 1, 2);
        for (size_t h = 0; h < (heads ? heads : 1); h++) v[h] = 3;
    }
    if (f == MIXTURE_POINTS) add_arg(p, "pos", 0, 2, (size_t[]){N, l}, -2, 2);
    if (f != MIXTURE && f != MIXTURE_POINTS) return;
    add_arg(p, "w", heads, 1, (size_t[]){3}, -1, 1);
    add_arg(p, "mu", heads, 2, (size_t[]){3, l}, -0.5, 0.5);
    add_arg(p, "s2", heads, 1, (size_t[]){3}, 0.01, 0.5);
}

static long double mixture(size_t l, const double *w, const double *mu, const double *s2, const long double *z) {
    const long double pi = 3.14159265358979323846264338327950288L;
    long double f = 0;
    for (size_t t = 0; t < 3; t++) {
        long double z2 = 0, dot = 0;
        for (size_t c = 0; c < l; c++) z2 += z[c] * z[c], dot += mu[t * l + c] * z[c];
        f += w[t] * powl(pi * s2[t], l / 2.0L) * expl(-pi * pi * s2[t] * z2) * cosl(2 * pi * dot);
    }
    return f;
}

static void oracle_bias(const problem *p, form f, size_t h, long double *bias) {
    const size_t N = p->N, n = p->n_args;
    const flt_attention_arg *a = p->args;
    const double *matrix = arg_head(n, a, "bias", 2, h), *lags = arg_head(n, a, "lag_bias", 1, h),
                 *pos = arg_head(n, a, "pos", 2, h);
    const double *w = arg_head(n, a, "w", 1, h), *mu = arg_head(n, a, "mu", 2, h), *s2 = arg_head(n, a, "s2", 1, h);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            long double z[2] = {(long double)i - (long double)j, 0}, *b = &bias[i * N + j];
            *b = 0;
            if (pos != NULL) z[0] = (long double)pos[2 * i] - pos[2 * j], z[1] = (long double)pos[2 * i + 1] - pos[2 * j + 1];
            if (f == MATRIX) *b = matrix[i * N + j];
            if (lags != NULL) *b = lags[j + N - 1 - i];
            if (f == WINDOW) *b = fabsl(z[0]) <= 3 ? *arg_head(n, a, "c", 0, h) : 0;
            if (w != NULL) *b = mixture(pos != NULL ? 2 : 1, w, mu, s2, z);
        }
}

static void compare(const problem *p, form f) {
    const size_t N = p->N;
    long double *bias = take(N * N, sizeof *bias), *weight = take(N * N, sizeof *weight), *want = take(N * p->dv, sizeof *want);
    for (size_t bh = 0; bh < p->B * p->H; bh++) {
        oracle_bias(p, f, bh % p->H, bias);
        oracle_exact(N, p->d, p->q + bh * N * p->d, p->k + bh * N * p->d, bias, weight);
        oracle_average(N, p->dv, p->causal, weight, p->v + bh * N * p->dv, want);
        const double ratio = judge_rows(N * p->dv, p->out + bh * N * p->dv, want);
        cr_assert(le(dbl, ratio, PASS), "%s form %d, batch and head %zu", label(p), f, bh);
    }
    flt_free(bias);
    flt_free(weight);
    flt_free(want);
}

static void try_case(form f, size_t N, const size_t *shape, bool causal) {
    problem p = {
        .mechanism = "exact", .B = shape[0], .H = shape[1], .N = N, .d = shape[2], .dv = shape[3], .causal = causal, .seed = N};
    p.threads = 1 + (int)(N % 2);
    inputs(&p, 2.0);
    add_form(&p, f, N % 3 == 0 ? p.H : 0);
    run_problem(&p);
    compare(&p, f);
    drop_problem(&p);
}

Test(attention_exact, agrees_with_loops) {
    for (size_t s = 0; s < SIZES; s++)
        for (form f = NONE; f < FORMS; f++)
            for (int causal = 0; causal < 2; causal++) try_case(f, sizes[s], shapes[(s + (size_t)f) % SHAPES], causal);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// A bias given as a matrix, as lags, and as an encoding is the same attention.
Test(attention_exact, forms_agree) {
    enum { N = 70 };
    problem p = {.mechanism = "exact", .B = 1, .H = 2, .N = N, .d = 5, .dv = 4, .causal = true, .seed = 4};
    long double *want = take(2 * N * 4, sizeof *want);
    inputs(&p, 1.0);
    double *lags = add_arg(&p, "lag_bias", 0, 1, (size_t[]){2 * N - 1}, -1, 1);
    run_problem(&p);
    for (size_t i = 0; i < 2 * N * 4; i++) want[i] = p.out[i];
    p.params = "rpe=lag_table";
    run_problem(&p);
    cr_assert(le(dbl, judge_rows(2 * N * 4, p.out, want), PASS), "lag_table");
    p.params = "";
    double *bias = add_arg(&p, "bias", 0, 2, (size_t[]){N, N}, 0, 1);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) bias[i * N + j] = lags[j + N - 1 - i];
    flt_free(lags);
    p.args[0] = p.args[--p.n_args];
    run_problem(&p);
    cr_assert(le(dbl, judge_rows(2 * N * 4, p.out, want), PASS), "matrix");
    flt_free(want);
    drop_problem(&p);
}

// lag_bias alone goes by index, whatever the positions; with rpe=lag_table it goes by the positions' differences.
Test(attention_exact, lag_bias_by_index_or_by_position) {
    enum { N = 9 };
    problem p = {.mechanism = "exact", .B = 1, .H = 1, .N = N, .d = 2, .dv = 3, .seed = 5};
    inputs(&p, 1.0);
    double *lags = add_arg(&p, "lag_bias", 0, 1, (size_t[]){2 * N - 1}, -1, 1);
    run_problem(&p);
    long double first[N * 3];
    for (size_t i = 0; i < N * 3; i++) first[i] = p.out[i];
    double *pos = add_arg(&p, "pos", 0, 2, (size_t[]){N, 1}, 0, 1);
    run_problem(&p);
    cr_assert(eq(dbl, judge_rows(N * 3, p.out, first), 0), "by index: positions change nothing");
    for (size_t i = 0; i < N; i++) pos[i] = (double)(N - 1 - i); // the sequence backwards
    p.params = "rpe=lag_table";
    run_problem(&p);
    cr_assert(gt(dbl, judge_rows(N * 3, p.out, first), 1e3), "by position: the order counts");
    for (size_t i = 0; i < N - 1; i++) {
        const double t = lags[i];
        lags[i] = lags[2 * N - 2 - i];
        lags[2 * N - 2 - i] = t;
    }
    run_problem(&p);
    cr_assert(le(dbl, judge_rows(N * 3, p.out, first), PASS), "backwards twice");
    drop_problem(&p);
}

// Logits in the thousands, a huge key and a tiny one: softmax picks one key, nothing overflows.
Test(attention_exact, extreme_inputs) {
    static const double scales[] = {3, 30, 1e4, 1e15};
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
        for (int causal = 0; causal < 2; causal++) {
            problem p = {.mechanism = "exact", .B = 1, .H = 1, .N = 150, .d = 16, .dv = 3, .causal = causal, .seed = 6};
            inputs(&p, scales[s]);
            for (size_t c = 0; c < p.d; c++) p.k[50 * p.d + c] *= 100, p.k[51 * p.d + c] = 0;
            run_problem(&p);
            size_t first = 0;
            cr_assert(flt_all_finite(p.N * p.dv, p.out, &first), "scale %g: element %zu", scales[s], first);
            drop_problem(&p);
        }
}
