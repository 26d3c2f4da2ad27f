// SPDX-License-Identifier: MIT
// Gradients of exact attention, performer and flt against differences of loops; see attention_gradient.h.
#include "attention_gradient.h"

static const long double tau = 6.28318530717958647692528676655900577L;

// ---- the loops

// Ratios of frequency m: given, or g/p of the mixture.
static long double oracle_rho(const backward *b, size_t h, size_t m) {
    const size_t l = b->l;
    const long double *rho = oracle_arg(b, "rho", 1, h), *xi = oracle_arg(b, "xi", 2, h) + m * l;
    if (rho != NULL) return rho[m];
    const long double *w = oracle_arg(b, "w", 1, h), *mu = oracle_arg(b, "mu", 2, h), *s2 = oracle_arg(b, "s2", 1, h);
    long double g = 0, x2 = 0;
    for (size_t t = 0; t < 3; t++) {
        long double d2 = 0;
        for (size_t c = 0; c < l; c++) d2 += (xi[c] - mu[t * l + c]) * (xi[c] - mu[t * l + c]);
        g += w[t] * expl(-d2 / s2[t]);
    }
    for (size_t c = 0; c < l; c++) x2 += xi[c] * xi[c];
    return g * powl(tau, l / 2.0L) * expl(x2 / 2);
}

// x [d + 2r] of token i: input over d^(1/4), snippet (rho on the query's side); returns -|x|^2/2.
static long double oracle_input(const backward *b, size_t h, size_t i, bool query, const long double *in, long double *x) {
    const size_t d = b->p.d, r = b->r, l = b->l;
    const long double *xi = oracle_arg(b, "xi", 2, h), *pos = oracle_arg(b, "pos", 2, h);
    long double square = 0;
    for (size_t c = 0; c < d; c++) x[c] = in[c] / powl((long double)d, 0.25L);
    for (size_t m = 0; m < r; m++) {
        const long double rho = (query ? oracle_rho(b, h, m) : 1) / sqrtl((long double)r);
        long double turns = 0;
        for (size_t c = 0; c < l; c++) turns += xi[m * l + c] * (pos != NULL ? pos[i * l + c] : (long double)i);
        x[d + m] = rho * cosl(tau * turns);
        x[d + r + m] = rho * sinl(tau * turns);
    }
    for (size_t c = 0; c < d + 2 * r; c++) square += x[c] * x[c];
    return -square / 2;
}

static void oracle_phi(const backward *b, size_t h, bool query, const long double *in, long double *phi) {
    const size_t d = b->p.d, D = d + 2 * b->r, m = b->m;
    const bool both = strstr(b->p.params, "hyperbolic") != NULL;
    const long double *omega = oracle_arg(b, "omega", 2, h);
    long double *x = take(D, sizeof *x);
    for (size_t i = 0; i < b->p.N; i++) {
        const long double half = oracle_input(b, h, i, query, in + i * d, x);
        for (size_t f = 0; f < m; f++) {
            long double dot = 0;
            for (size_t c = 0; c < D; c++) dot += omega[f * D + c] * x[c];
            phi[i * 2 * m + f] = expl(dot + half);
            phi[i * 2 * m + m + f] = both ? expl(half - dot) : 0;
        }
    }
    flt_free(x);
}

static void oracle_weights(const backward *b, size_t h, const long double *q, const long double *k, long double *A) {
    const size_t N = b->p.N, d = b->p.d, F = 2 * b->m;
    const bool exact = strcmp(b->p.mechanism, "exact") == 0;
    const long double *lag = oracle_arg(b, "lag_bias", 1, h), *bias = oracle_arg(b, "bias", 2, h);
    long double *pq = exact ? NULL : take(N * F, sizeof *pq), *pk = exact ? NULL : take(N * F, sizeof *pk);
    if (!exact) oracle_phi(b, h, true, q, pq), oracle_phi(b, h, false, k, pk);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            long double s = 0;
            if (exact) {
                for (size_t c = 0; c < d; c++) s += q[i * d + c] * k[j * d + c];
                s = expl(s / sqrtl((long double)d) + (lag != NULL ? lag[j + N - 1 - i] : 0) +
                         (bias != NULL ? bias[i * N + j] : 0));
            } else {
                for (size_t f = 0; f < F; f++) s += pq[i * F + f] * pk[j * F + f];
            }
            A[i * N + j] = s;
        }
    flt_free(pq);
    flt_free(pk);
}

// ---- cases

static backward start(const char *mechanism, const char *params, size_t N, size_t shape, bool causal) {
    return start_with(oracle_weights, mechanism, params, N, shape, causal);
}

static void add_features(backward *b, size_t heads, size_t m, size_t r, size_t l) {
    const size_t D = b->p.d + 2 * r;
    b->m = m, b->r = r, b->l = l;
    add_arg(&b->p, "omega", heads, 2, (size_t[]){m, D}, -1.5, 1.5);
}

Test(attention_backward, performer) {
    for (size_t s = 0; s < SIZES; s++)
        for (int causal = 0; causal < 2; causal++)
            for (int both = 0; both < 2; both++) {
                backward b =
                    start("performer", both ? "features=hyperbolic" : "features=positive", sizes[s], s + (size_t)both, causal);
                add_features(&b, s % 2 ? b.p.H : 0, 5 + s, 0, 0);
                check_all(&b);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// rho given, shared or not; or of a mixture; positions given in two dimensions or not at all; with the table and without.
Test(attention_backward, fourier) {
    for (size_t s = 0; s < SIZES; s++)
        for (int causal = 0; causal < 2; causal++)
            for (int mixture = 0; mixture < 2; mixture++) {
                backward b = start("flt", s % 2 ? "table_mib=0" : "features=hyperbolic", sizes[s], s, causal);
                const size_t l = 1 + (s + (size_t)mixture) % 2, r = 1 + s % 3, H = b.p.H;
                add_features(&b, s % 3 ? H : 0, 7, r, l);
                add_arg(&b.p, "xi", s % 2 ? H : 0, 2, (size_t[]){r, l}, -0.5, 0.5);
                if (l == 2) add_arg(&b.p, "pos", 0, 2, (size_t[]){sizes[s], l}, -2, 2);
                if (mixture) {
                    add_arg(&b.p, "w", s % 2 ? 0 : H, 1, (size_t[]){3}, -0.3, 0.3);
                    add_arg(&b.p, "mu", s % 3 ? 0 : H, 2, (size_t[]){3, l}, -0.5, 0.5);
                    add_arg(&b.p, "s2", 0, 1, (size_t[]){3}, 0.3, 1.0);
                } else {
                    add_arg(&b.p, "rho", s % 2 ? 0 : H, 1, &r, -1, 1);
                }
                check_all(&b);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Without a bias, with lags, with a matrix; shared or not.
Test(attention_backward, exact) {
    for (size_t s = 0; s < SIZES; s++)
        for (int causal = 0; causal < 2; causal++)
            for (int form = 0; form < 3; form++) {
                backward b = start("exact", "", sizes[s], s + (size_t)form, causal);
                const size_t N = sizes[s], heads = s % 2 ? b.p.H : 0;
                if (form == 1) add_arg(&b.p, "lag_bias", heads, 1, (size_t[]){2 * N - 1}, -1, 1);
                if (form == 2) add_arg(&b.p, "bias", heads, 2, (size_t[]){N, N}, -1, 1);
                check_all(&b);
            }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Keys whose log features climb far past the cap, or fall: the causal scale moves within tiles and between them.
Test(attention_backward, moving_scales) {
    for (int grow = 0; grow < 2; grow++)
        for (int causal = 0; causal < 2; causal++) {
            backward b = start("performer", "features=positive", 130, 0, causal);
            add_features(&b, 0, 6, 0, 0);
            for (size_t i = 0; i < 130; i++) {
                const flt_real f = (flt_real)(grow ? 9.0 - 0.069 * (double)i : 0.069 * (double)i); // |k|^2 falls: features climb
                for (size_t c = 0; c < 3; c++) b.p.k[i * 3 + c] = f * (flt_real)(1 + 0.1 * (double)b.p.k[i * 3 + c]);
            }
            check_all(&b);
        }
}

// Features of keys are kept for the last tiles alone where there are many: a sequence whose tail asks for nothing has the
// gradients of one without it, of which all are kept.
Test(attention_backward, beyond_what_is_kept) {
    enum { LONG = 600, SHORT = 480, D = 2 };
    backward a = {.p = {.mechanism = "performer", .params = "m=4096", .B = 1, .H = 1, .N = LONG, .d = D, .dv = D}}, b;
    a.p.causal = true, b = a, b.p.N = SHORT;
    inputs(&a.p, 1.0), inputs(&b.p, 1.0);
    const flt_real *from[3] = {a.p.q, a.p.k, a.p.v};
    flt_real *to[3] = {b.p.q, b.p.k, b.p.v};
    for (size_t t = 0; t < 3; t++) memcpy(to[t], from[t], SHORT * D * sizeof *to[t]);
    prepare(&a), prepare(&b);
    memset(a.dout + SHORT * D, 0, (LONG - SHORT) * D * sizeof *a.dout);
    memcpy(b.dout, a.dout, SHORT * D * sizeof *b.dout);
    differentiate(&a), differentiate(&b);
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < SHORT * D; i++)
            cr_assert(le(dbl, fabs((double)(a.d[t][i] - b.d[t][i])), 1e3 * FLTX_EPS), "d%s[%zu]: %g, %g", inputs3[t], i,
                      (double)a.d[t][i], (double)b.d[t][i]);
    drop(&a), drop(&b);
}

static void run_with(const backward *b, int threads, flt_real *d, double *dargs) {
    backward c = *b;
    size_t n = 0;
    c.p.threads = threads;
    differentiate(&c);
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < c.count[t]; i++) d[n++] = c.d[t][i];
    n = 0;
    for (size_t t = 0; t < c.p.n_args; t++)
        for (size_t i = 0; i < c.count[3 + t]; i++) dargs[n++] = c.dargs[t][i];
}

static void add_all(backward *b, bool exact, size_t N) {
    if (exact) {
        add_arg(&b->p, "lag_bias", 0, 1, (size_t[]){2 * N - 1}, -1, 1);
        return;
    }
    add_features(b, 0, 8, 2, 1);
    add_arg(&b->p, "xi", 0, 2, (size_t[]){2, 1}, -0.5, 0.5);
    add_arg(&b->p, "rho", 0, 1, (size_t[]){2}, -1, 1);
}

// Two threads and more of them than heads: exact attention then goes by rows and by columns.
Test(attention_backward, bits_do_not_depend_on_threads) {
    static const char *const names[] = {"flt", "exact"};
    for (size_t k = 0; k < 2 * 2 * 2; k++) {
        backward b = start(names[k / 2 % 2], "", 200, 1, k % 2);
        add_all(&b, k / 2 % 2, 200);
        prepare(&b);
        size_t n = b.count[0] + b.count[1] + b.count[2], m = 0;
        for (size_t t = 0; t < b.p.n_args; t++) m += b.count[3 + t];
        flt_real *d1 = reals(n), *d2 = reals(n);
        double *a1 = take(m, sizeof *a1), *a2 = take(m, sizeof *a2);
        run_with(&b, 1, d1, a1);
        run_with(&b, k / 4 == 0 ? 2 : 9, d2, a2);
        cr_assert(eq(int, memcmp(d1, d2, n * sizeof *d1), 0), "%s: inputs", label(&b.p));
        cr_assert(eq(int, memcmp(a1, a2, m * sizeof *a1), 0), "%s: arguments", label(&b.p));
        flt_free(d1), flt_free(d2), flt_free(a1), flt_free(a2);
        drop(&b);
    }
}

// Logits that rise with the second tile of keys, far past what a row's scale bears: the weights of the first are formed again,
// with the same bits whether a head is one thread's or not.
Test(attention_backward, rising_logits) {
    for (int causal = 0; causal < 2; causal++) {
        backward b = start("exact", "", 200, 0, causal);
        for (size_t i = 3 * 128; i < 3 * 200; i++) b.p.k[i] *= 20;
        prepare(&b);
        const size_t n = b.count[0] + b.count[1] + b.count[2];
        flt_real *whole = reals(n), *parts = reals(n);
        run_with(&b, 9, parts, NULL);
        run_with(&b, 1, whole, NULL);
        cr_assert(eq(int, memcmp(whole, parts, n * sizeof *whole), 0), "%s", label(&b.p));
        check_gradients(&b);
        flt_free(whole), flt_free(parts);
        drop(&b);
    }
}

// Inputs times three and more, one huge key: gradients stay finite.
Test(attention_backward, extreme_inputs) {
    static const char *const names[] = {"flt", "performer", "exact"};
    static const double scales[] = {3, 30};
    for (size_t k = 0; k < 3 * 2 * 2; k++) {
        backward b = {.p = {.mechanism = names[k / 4], .B = 1, .H = 2, .N = 130, .d = 16, .dv = 3, .seed = k}};
        b.p.causal = k % 2, b.p.params = "";
        inputs(&b.p, scales[k / 2 % 2]);
        for (size_t c = 0; c < 16; c++) b.p.k[50 * 16 + c] *= 50, b.p.k[51 * 16 + c] = 0;
        prepare(&b);
        differentiate(&b);
        for (size_t t = 0; t < 3; t++) {
            size_t first = 0;
            cr_assert(flt_all_finite(b.count[t], b.d[t], &first), "%s scale %g: d%s[%zu]", label(&b.p), scales[k / 2 % 2],
                      inputs3[t], first);
        }
        drop(&b);
    }
}

Test(attention_backward, refusals) {
    backward b = start("performer", "", 4, 0, false);
    add_features(&b, 0, 3, 0, 0);
    prepare(&b);
    flt_attention *a = plan_of(&b.p);
    const flt_attention_gradient wrong = {"rho", b.dargs[0]};
    const flt_attention_pass pass = {b.p.q, b.p.k, b.p.v, b.p.out, b.dout, b.d[0], b.d[1], b.d[2], 1, &wrong};
    cr_assert(eq(int, flt_attention_backward(a, &pass), FLTE_NAME));
    cr_assert(strstr(flt_error(), "omega") != NULL, "%s", flt_error());
    flt_attention_destroy(a);
    b.p.backward = false;
    a = plan_of(&b.p);
    cr_assert(eq(int, flt_attention_backward(a, &pass), FLTE_UNSUPPORTED));
    flt_attention_destroy(a);
    drop(&b);
}
