// SPDX-License-Identifier: MIT
// Fourier Transformer against the matrix of its shortening in long double, lengthened or not; keep given in each way.
#include "attention_support.h"

static long double entry(size_t N, size_t K, size_t j, size_t n) {
    const long double pi = 3.141592653589793238462643383279503L;
    long double sum = 1;
    for (size_t k = 1; k < K; k++) sum += 2 * cosl(pi * k * (2 * j + 1) / (2.0L * K)) * cosl(pi * k * (2 * n + 1) / (2.0L * N));
    return sum / sqrtl((long double)N * K);
}

static void shorten(size_t N, size_t K, size_t width, const long double *s, const flt_real *x, flt_real *y) {
    for (size_t j = 0; j < K; j++)
        for (size_t c = 0; c < width; c++) {
            long double sum = 0;
            for (size_t n = 0; n < N; n++) sum += s[j * N + n] * x[n * width + c];
            y[j * width + c] = (flt_real)sum;
        }
}

// The output of one head; short inputs are rounded to flt_real, as in the mechanism.
static void oracle(const problem *p, size_t bh, size_t K, bool lengthen, long double *want) {
    const size_t N = p->N, d = p->d, dv = p->dv;
    long double *s = take(K * N, sizeof *s), *weight = take(K * K, sizeof *s), *cut = take(K * dv, sizeof *s);
    flt_real *q = reals(K * d), *k = reals(K * d), *v = reals(K * dv);
    for (size_t i = 0; i < K * N; i++) s[i] = entry(N, K, i / N, i % N);
    shorten(N, K, d, s, p->q + bh * N * d, q);
    shorten(N, K, d, s, p->k + bh * N * d, k);
    shorten(N, K, dv, s, p->v + bh * N * dv, v);
    oracle_exact(K, d, q, k, NULL, weight);
    oracle_average(K, dv, false, weight, v, cut);
    for (size_t i = 0; i < (lengthen ? N : K) * dv; i++) {
        want[i] = lengthen ? 0 : cut[i];
        for (size_t j = 0; j < K && lengthen; j++) want[i] += s[j * N + i / dv] * cut[j * dv + i % dv];
    }
    flt_free(s);
    flt_free(weight);
    flt_free(cut);
    flt_free(q);
    flt_free(k);
    flt_free(v);
}

static void try_case(size_t N, size_t K, bool lengthen) {
    char text[80];
    problem p = {.mechanism = "fourier", .B = 2, .H = 1, .N = N, .d = 19, .dv = 5, .seed = N + K, .threads = 2};
    snprintf(text, sizeof text, "keep=%zu,lengthen=%s", K, lengthen ? "true" : "false");
    p.params = text;
    inputs(&p, 1);
    flt_attention *a = plan_of(&p);
    const size_t rows = lengthen ? N : K;
    cr_assert(eq(sz, flt_attention_rows(a), rows), "%s", label(&p));
    long double *want = take(rows * p.dv, sizeof *want);
    flt_attention_forward(a, p.q, p.k, p.v, p.out);
    for (size_t bh = 0; bh < 2; bh++) {
        oracle(&p, bh, K, lengthen, want);
        const double ratio = judge_rows(rows * p.dv, p.out + bh * rows * p.dv, want);
        cr_assert(le(dbl, ratio, PASS), "%s", label(&p));
    }
    flt_free(want);
    flt_attention_destroy(a);
    drop_problem(&p);
}

Test(attention_fourier, agrees_with_its_matrix) {
    static const size_t sizes[] = {1, 2, 3, 5, 16, 17, 64, 97};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t K = 1; K <= sizes[i]; K += 1 + sizes[i] / 4)
            for (int lengthen = 0; lengthen < 2; lengthen++) try_case(sizes[i], K, lengthen);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

static flt_err rows_with(const char *params, const double *keep, size_t *rows) {
    problem p = {.mechanism = "fourier", .B = 1, .H = 1, .N = 50, .d = 2, .dv = 2, .params = params};
    flt_attention *a = NULL;
    if (keep != NULL) p.args[p.n_args++] = (flt_attention_arg){.name = "keep", .rank = 1, .dim = {1}, .data = keep};
    const flt_err err = try_plan(&p, &a);
    if (err == FLTE_OK) *rows = flt_attention_rows(a);
    flt_attention_destroy(a);
    return err;
}

Test(attention_fourier, keep_may_be_a_number_a_ratio_or_an_argument) {
    const double keep = 12, part = 12.5, many = 51;
    size_t rows = 0;
    cr_assert(eq(int, rows_with("lengthen=false", NULL, &rows), FLTE_OK));
    cr_assert(eq(sz, rows, 50));
    cr_assert(eq(int, rows_with("lengthen=false,ratio=0.21", NULL, &rows), FLTE_OK));
    cr_assert(eq(sz, rows, 11));
    cr_assert(eq(int, rows_with("lengthen=false,ratio=0.2", NULL, &rows), FLTE_OK));
    cr_assert(eq(sz, rows, 10));
    cr_assert(eq(int, rows_with("lengthen=false", &keep, &rows), FLTE_OK));
    cr_assert(eq(sz, rows, 12));
    cr_assert(eq(int, rows_with("", &part, &rows), FLTE_RANGE));
    cr_assert(eq(int, rows_with("", &many, &rows), FLTE_RANGE));
    cr_assert(eq(int, rows_with("keep=51", NULL, &rows), FLTE_RANGE));
    cr_assert(eq(int, rows_with("keep=5", &keep, &rows), FLTE_USAGE));
}
