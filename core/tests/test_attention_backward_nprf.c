// SPDX-License-Identifier: MIT
// Gradients of nprf against differences of loops (see attention_gradient.h), by tiles and by transforms.
#include "attention_gradient.h"

// x / |x| or x as it is; returns -|x|^2/2.
static long double oracle_row(const backward *b, const long double *in, long double *x) {
    const size_t d = b->p.d;
    const bool normalise = strstr(b->p.params, "normalise=false") == NULL;
    long double square = 0;
    for (size_t c = 0; c < d; c++) square += in[c] * in[c];
    for (size_t c = 0; c < d; c++) x[c] = normalise ? in[c] / sqrtl(square) : in[c];
    return normalise ? -0.5L : -square / 2;
}

static void oracle_phi(const backward *b, size_t h, const long double *in, long double *phi) {
    const size_t d = b->p.d, m = b->m;
    const long double *omega = oracle_arg(b, "omega", 2, h);
    long double *x = take(d, sizeof *x);
    for (size_t i = 0; i < b->p.N; i++) {
        const long double half = oracle_row(b, in + i * d, x);
        for (size_t f = 0; f < m; f++) {
            phi[i * m + f] = half;
            for (size_t c = 0; c < d; c++) phi[i * m + f] += omega[f * d + c] * x[c];
            phi[i * m + f] = expl(phi[i * m + f]);
        }
    }
    flt_free(x);
}

static void nprf_weights(const backward *b, size_t h, const long double *q, const long double *k, long double *A) {
    const size_t N = b->p.N, m = b->m;
    const long double *lags = oracle_arg(b, "lag_bias", 1, h);
    long double *x = take(N * m, sizeof *x), *y = take(N * m, sizeof *y);
    oracle_phi(b, h, q, x);
    oracle_phi(b, h, k, y);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            long double sum = 0;
            for (size_t f = 0; f < m; f++) sum += x[i * m + f] * y[j * m + f];
            A[i * N + j] = sum * expl(lags[j + N - 1 - i]);
        }
    flt_free(x);
    flt_free(y);
}

static const char *const ways[] = {"crossover=1000000", "crossover=1", "crossover=1000000,normalise=false",
                                   "crossover=1,normalise=false"};

static backward start_nprf(const char *params, size_t N, size_t s, bool causal, double bias) {
    backward b = start_with(nprf_weights, "nprf", params, N, s, causal);
    b.m = 3 + s;
    add_arg(&b.p, "omega", s % 2 ? b.p.H : 0, 2, (size_t[]){b.m, b.p.d}, -1.5, 1.5);
    add_arg(&b.p, "lag_bias", s % 3 ? b.p.H : 0, 1, (size_t[]){2 * N - 1}, -bias, bias);
    return b;
}

// A row of one coordinate is nothing but a sign when it is normalised: nothing to compare.
static bool has_directions(size_t s, size_t way) {
    return shapes[s % SHAPES][2] > 1 || way >= 2;
}

Test(attention_backward_nprf, tiles_and_transforms) {
    for (size_t n = 0; n < SIZES; n++)
        for (size_t s = 0; s < 4; s++)
            for (size_t way = 0; way < 4; way++) {
                if ((sizes[n] > 32 && way != (s + n) % 4) || !has_directions(s, way)) continue;
                backward b = start_nprf(ways[way], sizes[n], s, (s + n + way / 2) % 2, 1.5);
                check_all(&b);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Offsets over many orders of magnitude: rows that a transform would spoil are left to tiles, weights that leave the range of the
// products are formed by themselves.
Test(attention_backward_nprf, hard_rows) {
    for (size_t way = 0; way < 4; way++)
        for (size_t causal = 0; causal < 2; causal++) {
            backward b = start_nprf(ways[way], 97, way % 2 ? 0 : 2, causal, 40);
            for (size_t i = 0; i < b.p.B * b.p.H * b.p.N * b.p.d; i++) b.p.k[i] *= 8;
            check_all(&b);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Inputs times three and thirty, a huge key, a key and a query of zeros, equal keys: gradients stay finite.
Test(attention_backward_nprf, extreme_inputs) {
    for (size_t k = 0; k < 4 * 2 * 2; k++) {
        backward b = start_nprf(ways[k % 4], 130, 2, k / 4 % 2, 3);
        const size_t d = b.p.d, n = b.p.B * b.p.H * b.p.N * d;
        for (size_t i = 0; i < n; i++) b.p.q[i] *= k < 8 ? 3 : 30, b.p.k[i] *= k < 8 ? 3 : 30;
        for (size_t c = 0; c < d; c++) {
            b.p.k[50 * d + c] *= 50, b.p.k[51 * d + c] = 0, b.p.q[52 * d + c] = 0;
            for (size_t j = 70; j < 90; j++) b.p.k[j * d + c] = b.p.k[70 * d + c];
        }
        prepare(&b);
        differentiate(&b);
        for (size_t t = 0; t < 3; t++) {
            size_t first = 0;
            cr_assert(flt_all_finite(b.count[t], b.d[t], &first), "%s: d%s[%zu]", label(&b.p), inputs3[t], first);
        }
        for (size_t t = 0; t < b.p.n_args; t++)
            for (size_t i = 0; i < b.count[3 + t]; i++) cr_assert(isfinite(b.dargs[t][i]), "%s: argument %zu", label(&b.p), t);
        drop(&b);
    }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// An encoding's plan has no table of lags to differentiate in, but the encoding's own arguments.
Test(attention_backward_nprf, names) {
    backward b = start_with(nprf_weights, "nprf", "rpe=gaussian,m=4", 9, 0, false);
    double x[17];
    const flt_attention_gradient wrong = {"lag_bias", x};
    add_arg(&b.p, "scale", 0, 0, NULL, 1, 2);
    prepare(&b);
    flt_attention *a = plan_of(&b.p);
    const flt_attention_pass pass = {b.p.q, b.p.k, b.p.v, b.p.out, b.dout, b.d[0], b.d[1], b.d[2], 1, &wrong};
    cr_assert(eq(int, flt_attention_backward(a, &pass), FLTE_NAME));
    cr_assert(strstr(flt_error(), "scale") != NULL, "%s", flt_error());
    flt_attention_destroy(a);
    drop(&b);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Passes of one plan that want omega's gradient, do not, and want it again: the same bits.
Test(attention_backward_nprf, omega_left_out) {
    backward b = start_nprf(ways[0], 130, 2, true, 1);
    prepare(&b);
    flt_attention *a = plan_of(&b.p);
    double *again = take(b.count[3], sizeof *again);
    flt_real *dk = reals(b.count[1]);
    flt_attention_gradient omega = {"omega", b.dargs[0]};
    flt_attention_pass pass = {b.p.q, b.p.k, b.p.v, b.p.out, b.dout, b.d[0], b.d[1], b.d[2], 1, &omega};
    flt_attention_forward(a, b.p.q, b.p.k, b.p.v, b.p.out);
    cr_assert(eq(int, flt_attention_backward(a, &pass), FLTE_OK));
    pass.dk = dk, pass.n_args = 0;
    cr_assert(eq(int, flt_attention_backward(a, &pass), FLTE_OK));
    cr_assert(eq(int, memcmp(dk, b.d[1], b.count[1] * sizeof *dk), 0));
    omega.data = again, pass.n_args = 1;
    cr_assert(eq(int, flt_attention_backward(a, &pass), FLTE_OK));
    cr_assert(eq(int, memcmp(again, b.dargs[0], b.count[3] * sizeof *again), 0));
    flt_attention_destroy(a);
    flt_free(again), flt_free(dk);
    drop(&b);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// All gradients but that of the offsets, which is not asked for.
static void check_without_offsets(backward *b) {
    prepare(b);
    flt_free(b->dargs[1]);
    b->dargs[1] = NULL;
    differentiate(b);
    check_loss(b);
    check_gradients(b);
}

// Without a gradient in the offsets a band and its sums do: clipped offsets, and none at all; wild keys as well.
Test(attention_backward_nprf, bands) {
    static const size_t reaches[] = {0, 5};
    for (size_t r = 0; r < 2; r++)
        for (int causal = 0; causal < 2; causal++)
            for (int wild = 0; wild < 2; wild++) {
                enum { N = 200 };
                backward b = start_nprf(ways[2 * wild], N, 2 * (r % 2), causal, 2);
                const flt_attention_arg *lags = &b.p.args[1];
                double *x = (double *)(uintptr_t)lags->data;
                for (size_t h = 0; h < arg_count(lags) / (2 * N - 1); h++, x += 2 * N - 1)
                    for (size_t z = reaches[r] + 2; z < N; z++)
                        x[N - 1 + z] = x[N + reaches[r]], x[N - 1 - z] = x[N - 2 - reaches[r]];
                for (size_t i = 0; wild && i < b.p.B * b.p.H * N * b.p.d; i++) b.p.k[i] *= 1 + 10 * (flt_real)(i % 700) / 700;
                check_without_offsets(&b);
                drop(&b);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Without a gradient in the offsets transforms take many columns at once; steep offsets and wild keys as well.
Test(attention_backward_nprf, columns) {
    static const size_t lengths[] = {65, 97, 200};
    for (size_t n = 0; n < 3; n++)
        for (size_t s = 0; s < 4; s++)
            for (int causal = 0; causal < 2; causal++) {
                const bool hard = n == 1;
                backward b = start_nprf(ways[hard ? 3 : 1], lengths[n], s, causal, hard ? 30 : 1.5);
                if (!has_directions(s, hard ? 3 : 1)) {
                    drop(&b);
                    continue;
                }
                for (size_t i = 0; hard && i < b.p.B * b.p.H * b.p.N * b.p.d; i++) b.p.k[i] *= 4;
                check_without_offsets(&b);
                drop(&b);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Where the plan has transforms, but the gradients of offsets come sooner by tiles: the same numbers.
Test(attention_backward_nprf, offsets_by_tiles) {
    static const char *const all[] = {"crossover=0", "crossover=1"};
    enum { N = 1900, D = 4, DV = 16, M = 32, LAGS = 2 * N - 1 };
    double *dlags[2];
    flt_real *dk[2];
    for (int way = 0; way < 2; way++) {
        problem p = {.mechanism = "nprf", .params = all[way], .B = 1, .H = 1, .N = N, .d = D, .dv = DV, .backward = true};
        inputs(&p, 1);
        add_arg(&p, "omega", 0, 2, (size_t[]){M, D}, -1.5, 1.5);
        add_arg(&p, "lag_bias", 0, 1, (size_t[]){LAGS}, -1, 1);
        flt_attention *a = plan_of(&p);
        flt_real *dq = reals(N * D), *dv = reals(N * DV);
        dk[way] = reals(N * D), dlags[way] = take(LAGS, sizeof(double));
        const flt_attention_gradient lags = {"lag_bias", dlags[way]};
        flt_attention_forward(a, p.q, p.k, p.v, p.out);
        const flt_attention_pass pass = {p.q, p.k, p.v, p.out, p.v, dq, dk[way], dv, 1, &lags}; // v for dout
        cr_assert(eq(int, flt_attention_backward(a, &pass), FLTE_OK), "%s", flt_error());
        flt_attention_destroy(a);
        flt_free(dq), flt_free(dv);
        drop_problem(&p);
    }
    double error = 0, size = 0, error_lags = 0, size_lags = 0;
    for (size_t i = 0; i < N * D; i++) error += pow((double)dk[0][i] - (double)dk[1][i], 2), size += pow((double)dk[0][i], 2);
    for (size_t i = 0; i < LAGS; i++) error_lags += pow(dlags[0][i] - dlags[1][i], 2), size_lags += pow(dlags[0][i], 2);
    cr_assert(size > 0 && sqrt(error / size) < 200 * FLTX_EPS, "keys: %g", sqrt(error / size) / FLTX_EPS);
    cr_assert(size_lags > 0 && sqrt(error_lags / size_lags) < 200 * FLTX_EPS, "offsets: %g",
              sqrt(error_lags / size_lags) / FLTX_EPS);
    for (int way = 0; way < 2; way++) flt_free(dk[way]), flt_free(dlags[way]);
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
