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
                if (sizes[s] > 64 && relu != causal) continue;
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

// ---- stochastic positional encodings

enum { K = 3, R = 4, M = 5 }; // sines, realisations, rows of omega

static const long double tau = 6.28318530717958647692528676655900577L;

static long double sine_code(const backward *b, size_t h, bool query, size_t i, size_t c, size_t r) {
    const long double *pos = oracle_arg(b, "pos", 2, h), *z = oracle_arg(b, "z", 3, h) + c * 2 * K * R + r;
    long double sum = 0;
    for (size_t k = 0; k < K; k++) {
        const size_t at = c * K + k;
        const long double phase = tau * oracle_arg(b, "freqs", 2, h)[at] * (pos != NULL ? pos[i] : (long double)i) +
                                  (query ? oracle_arg(b, "phases", 2, h)[at] : 0);
        sum += oracle_arg(b, "gains", 2, h)[at] * (cosl(phase) * z[2 * k * R] + sinl(phase) * z[(2 * k + 1) * R]);
    }
    return sum / sqrtl(2.0L * K);
}

typedef struct lattice { // of a filtered field: position of a token, taps, noise
    size_t n[3], width[3];
} lattice;

static lattice lattice_of(const backward *b) {
    lattice g = {{1, 1, 1}, {1, 1, 1}};
    for (size_t i = 0; i < b->p.n_args; i++) {
        const flt_attention_arg *a = &b->p.args[i];
        for (size_t x = 0; x < b->l && strcmp(a->name, "filter_q") == 0; x++) g.width[x] = a->dim[a->rank - b->l + x];
    }
    for (size_t i = 0; i < b->p.n_args; i++) {
        const flt_attention_arg *a = &b->p.args[i];
        for (size_t x = 0; x < b->l && strcmp(a->name, "noise") == 0; x++) g.n[x] = a->dim[a->rank - b->l + x] - 4 * g.width[x];
    }
    return g;
}

// Token i stands at pos, or at cell i of the grid in row-major order.
static long double conv_code(const backward *b, const lattice *at_grid, size_t h, bool query, size_t i, size_t c, size_t r) {
    const lattice g = *at_grid;
    const size_t taps = g.width[0] * g.width[1] * g.width[2], l = b->l, *w = g.width;
    const long double *pos = oracle_arg(b, "pos", 2, h), *filter = oracle_arg(b, query ? "filter_q" : "filter_k", 1 + l, h);
    const long double *noise = oracle_arg(b, "noise", 2 + l, h);
    size_t cells = 1, p[3] = {i / (g.n[1] * g.n[2]), i / g.n[2] % g.n[1], i % g.n[2]}, size[3];
    if (l == 1) p[0] = i;
    long double sum = 0;
    for (size_t x = 0; x < 3; x++) {
        if (pos != NULL && x < l) p[x] = (size_t)(pos[i * l + x] - pos[x]); // the first token stands at the origin
        size[x] = x < l ? g.n[x] + 4 * w[x] : 1;
        cells *= size[x];
    }
    for (size_t t = 0; t < taps; t++) {
        const size_t at[3] = {t / (w[1] * w[2]), t / w[2] % w[1], t % w[2]};
        size_t cell = 0;
        for (size_t x = 0; x < 3; x++) cell = cell * size[x] + (x < l ? w[x] + p[x] + at[x] : 0);
        sum += filter[c * taps + t] * noise[(r * b->p.d + c) * cells + cell];
    }
    return sum;
}

static void coded(const backward *b, size_t h, bool query, const long double *in, long double *hat) {
    const size_t d = b->p.d;
    const bool conv = strcmp(b->p.mechanism, "spe_conv") == 0;
    const lattice g = lattice_of(b);
    const long double *share = oracle_arg(b, "share", 1, h), *eps = oracle_arg(b, "eps", 2, h);
    for (size_t i = 0; i < b->p.N; i++)
        for (size_t r = 0; r < R; r++) {
            hat[i * R + r] = 0;
            for (size_t c = 0; c < d; c++) {
                long double code = conv ? conv_code(b, &g, h, query, i, c, r) : sine_code(b, h, query, i, c, r);
                if (share != NULL) code = sqrtl(1 - share[c]) * code + sqrtl(share[c]) * eps[c * R + r];
                hat[i * R + r] += in[i * d + c] * code / powl((long double)(d * R), 0.25L);
            }
        }
}

// FAVOR+ of one pair of coded rows.
static long double favor(const backward *b, size_t h, const long double *x, const long double *y) {
    const bool both = strstr(b->p.params, "hyperbolic") != NULL;
    const long double *omega = oracle_arg(b, "omega", 2, h), norm = powl((long double)R, -0.25L);
    long double sum = 0, half = 0;
    for (size_t r = 0; r < R; r++) half += norm * norm * (x[r] * x[r] + y[r] * y[r]) / 2;
    for (size_t f = 0; f < M; f++) {
        long double dot = 0;
        for (size_t r = 0; r < R; r++) dot += norm * omega[f * R + r] * (x[r] + y[r]);
        sum += expl(dot - half) + (both ? expl(-dot - half) : 0);
    }
    return sum;
}

static void spe_weights(const backward *b, size_t h, const long double *q, const long double *k, long double *A) {
    const size_t N = b->p.N;
    long double *x = take(N * R, sizeof *x), *y = take(N * R, sizeof *y);
    coded(b, h, true, q, x);
    coded(b, h, false, k, y);
    for (size_t i = 0; i < N * N; i++) {
        const long double *xi = x + i / N * R, *yj = y + i % N * R;
        long double dot = 0;
        for (size_t r = 0; r < R; r++) dot += xi[r] * yj[r];
        A[i] = strstr(b->p.params, "exact") != NULL ? expl(dot / sqrtl((long double)R)) : favor(b, h, xi, yj);
    }
    flt_free(x);
    flt_free(y);
}

static const char *const kernels[] = {"", "features=hyperbolic", "kernel=exact"};

// Heads of the arguments, a gate and a kernel that change from case to case.
static backward start_spe(const char *mechanism, size_t N, size_t s, bool causal) {
    backward b = start_with(spe_weights, mechanism, kernels[s % 3], N, s, causal);
    const size_t H = b.p.H, d = b.p.d;
    if (s % 3 != 2) add_arg(&b.p, "omega", s % 2 ? H : 0, 2, (size_t[]){M, R}, -1.5, 1.5);
    if (s % 4 != 1) {
        add_arg(&b.p, "share", s % 2 ? 0 : H, 1, &d, 0.1, 0.9);
        add_arg(&b.p, "eps", s % 3 ? H : 0, 2, (size_t[]){d, R}, -1.5, 1.5);
    }
    return b;
}

Test(attention_backward_codes, sines) {
    static const size_t spe_sizes[] = {1, 2, 5, 33, 66};
    for (size_t n = 0; n < 5; n++)
        for (size_t s = 0; s < 12; s++) {
            if (spe_sizes[n] > 30 && s % 12 != n) continue;
            backward b = start_spe("spe_sine", spe_sizes[n], s, s % 2 != n % 2);
            const size_t H = b.p.H, d = b.p.d, h = s % 5 > 2 ? H : 0;
            add_arg(&b.p, "freqs", h, 2, (size_t[]){d, K}, 0, 0.5);
            add_arg(&b.p, "phases", s % 2 ? H : 0, 2, (size_t[]){d, K}, -3, 3);
            add_arg(&b.p, "gains", s % 3 ? 0 : H, 2, (size_t[]){d, K}, 0.2, 2);
            add_arg(&b.p, "z", h, 3, (size_t[]){d, 2 * K, R}, -1.5, 1.5);
            if (s % 4 == 3) add_arg(&b.p, "pos", 0, 2, (size_t[]){spe_sizes[n], 1}, -9, 9);
            check_all(&b);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}

// Grids of one to three axes, full ones in row-major order, and points on them in any order.
Test(attention_backward_codes, filters) {
    static const size_t grids[][3] = {{1, 0, 0}, {7, 0, 0}, {70, 0, 0}, {1, 5, 0}, {4, 6, 0}, {5, 13, 0}, {2, 3, 2}, {3, 2, 11}};
    for (size_t n = 0; n < 8; n++)
        for (size_t s = 0; s < 6; s++) {
            const size_t *g = grids[n], l = g[1] == 0 ? 1 : g[2] == 0 ? 2 : 3;
            const size_t N = g[0] * (l > 1 ? g[1] : 1) * (l > 2 ? g[2] : 1);
            if (N > 40 && s != n % 6) continue;
            backward b = start_spe("spe_conv", N, s + n, s % 2 != n % 2);
            const size_t H = b.p.H, d = b.p.d, h = b.p.H == d ? 0 : s % 3 ? H : 0, w[4] = {d, 3, 1 + s % 3, 2};
            b.l = l;
            add_arg(&b.p, "filter_q", h, 1 + l, w, -1, 1);
            add_arg(&b.p, "filter_k", s % 2 ? H : 0, 1 + l, w, -1, 1);
            add_arg(&b.p, "noise", s % 4 ? 0 : H, 2 + l, (size_t[]){R, d, g[0] + 4 * w[1], g[1] + 4 * w[2], g[2] + 4 * w[3]},
                    -1.5, 1.5);
            if (s % 2) {
                double *pos = add_arg(&b.p, "pos", 0, 2, (size_t[]){N, l}, 0, 1);
                for (size_t i = 0; i < N; i++) { // the grid backwards behind its first cell
                    const size_t at = i == 0 ? 0 : N - i, inner[3] = {l == 1   ? 1
                                                                      : l == 2 ? g[1]
                                                                               : g[1] * g[2],
                                                                      l == 3 ? g[2] : 1, 1};
                    for (size_t x = 0; x < l; x++) pos[i * l + x] = (double)(at / inner[x] % g[x]) - 3;
                }
            }
            check_all(&b);
        }
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
