// SPDX-License-Identifier: MIT
// Gradients of linear, nprf and the stochastic positional encodings against differences of loops; see attention_gradient.h.
#include "attention_gradient.h"

// ---- linear

static long double phi(bool relu, long double x) {
    if (relu) return fmaxl(x, 0) + (long double)(flt_real)1e-3;
    return x > 0 ? x + 1 : expl(x);
}

static void linear_weights(const backward *b, size_t h, const long double *q, const long double *k, long double *A) {
    const size_t N = b->p.N, d = b->p.d;
    const bool relu = strstr(b->p.params, "relu") != NULL;
    (void)h;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            A[i * N + j] = 0;
            for (size_t c = 0; c < d; c++) A[i * N + j] += phi(relu, q[i * d + c]) * phi(relu, k[j * d + c]);
        }
}

// Differences must not come near the kink at zero, where relu + 1e-3 changes by its own size.
static void avoid_zero(size_t n, flt_real *x) {
    for (size_t i = 0; i < n; i++) x[i] += x[i] < 0 ? (flt_real)-0.1 : (flt_real)0.1;
}

Test(attention_backward_codes, linear) {
    for (size_t s = 0; s < SIZES; s++)
        for (int causal = 0; causal < 2; causal++)
            for (int relu = 0; relu < 2; relu++) {
                backward b =
                    start_with(linear_weights, "linear", relu ? "features=relu" : "", sizes[s], s + (size_t)relu, causal);
                const size_t n = b.p.B * b.p.H * b.p.N * b.p.d;
                avoid_zero(n, b.p.q);
                avoid_zero(n, b.p.k);
                check_all(&b);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

Test(attention_backward_codes, linear_has_no_arguments) {
    backward b = start_with(linear_weights, "linear", "", 5, 0, true);
    double x = 1;
    const flt_attention_gradient wrong = {"omega", &x};
    const flt_attention_arg arg = {"omega", 1, {1}, &x};
    prepare(&b);
    flt_attention *a = plan_of(&b.p);
    const flt_attention_pass pass = {b.p.q, b.p.k, b.p.v, b.p.out, b.dout, b.d[0], b.d[1], b.d[2], 1, &wrong};
    cr_assert(eq(int, flt_attention_backward(a, &pass), FLTE_NAME));
    cr_assert(eq(int, flt_attention_update(a, 1, &arg), FLTE_NAME));
    cr_assert(eq(int, flt_attention_update(a, 0, NULL), FLTE_OK));
    flt_attention_destroy(a);
    drop(&b);
}
