// SPDX-License-Identifier: MIT
// Relative positional encodings: closed forms and spectra are transform pairs, draws estimate or reproduce the closed form,
// snippets multiply to the estimate at any position, bad arguments get a sentence.
#include "num_support.h"

#include "flt/rpe.h"

static const flt_rpe_kind *kind_of(const char *name) {
    const flt_rpe_kind *kind = NULL;
    cr_assert(eq(int, flt_rpe_find(name, &kind), FLTE_OK), "%s", flt_error());
    return kind;
}

// (1/r) sum rho cos(2 pi xi.z)
static long double estimate(size_t l, size_t r, const double *xi, const double *rho, const double *z) {
    long double sum = 0;
    for (size_t m = 0; m < r; m++) {
        long double turns = 0;
        for (size_t k = 0; k < l; k++) turns += (long double)xi[m * l + k] * z[k];
        sum += rho[m] * cosl(6.283185307179586476925286766559006L * turns);
    }
    return sum / (long double)r;
}

static const double weights[] = {0.7, -0.3, 0.4}, centres[] = {0.3, -0.2, 0.1, 0.5, 0.0, -0.4, 0.25, 0.15, -0.35};
static const double variances[] = {0.2, 0.05, 0.6};

static flt_rpe_args mixture(size_t l) {
    return (flt_rpe_args){.l = l, .t = 3, .w = weights, .mu = centres, .s2 = variances};
}

Test(rpe, bits_and_functions_agree) {
    const flt_registry *r = flt_rpe_registry();
    for (size_t i = 0; r->kinds[i] != NULL; i++) {
        const flt_rpe_kind *k = kind_of(r->kinds[i]->name);
        const bool has = (k->kind.caps & FLTX_RPE_SPECTRUM) != 0;
        cr_assert(k->check != NULL && k->closed_form != NULL && k->kind.summary != NULL, "%s", k->kind.name);
        cr_assert(has == (k->draw != NULL) && has == (k->spectrum != NULL), "%s", k->kind.name);
    }
}

// f(z) = int g(xi) cos(2 pi xi z) dxi by the trapezoidal rule, which is spectrally accurate on Gaussians.
Test(rpe, mixture_is_a_transform_pair) {
    const flt_rpe_kind *kind = kind_of("gaussian_mixture");
    const flt_rpe_args a = mixture(1);
    enum { NODES = 4001 };
    double *xi = take(NODES, sizeof *xi), *g = take(NODES, sizeof *g);
    for (size_t i = 0; i < NODES; i++) xi[i] = -8 + 16.0 * (double)i / (NODES - 1);
    kind->spectrum(&a, NODES, xi, g);
    for (double z = -3; z <= 3; z += 0.37) {
        long double sum = 0;
        double f = 0;
        for (size_t i = 0; i < NODES; i++)
            sum += g[i] * cosl(6.283185307179586476925286766559006L * xi[i] * z) * 16 / (NODES - 1);
        kind->closed_form(&a, 1, &z, &f);
        cr_assert(lt(dbl, fabs(f - (double)sum), 1e-13 /* 400 eps of a sum of order one */), "z %g: %g, wanted %Lg", z, f, sum);
    }
    flt_free(xi);
    flt_free(g);
}

// Own proposal: |rho| <= C, so the standard error is at most C/sqrt r. Gaussian proposal: its own ratios give it.
static void try_mixture_draw(size_t l, bool gaussian) {
    enum { R = 40000 };
    const flt_rpe_kind *kind = kind_of("gaussian_mixture");
    const flt_rpe_args a = mixture(l);
    double *xi = take(R * l, sizeof *xi), *rho = take(R, sizeof *rho), bound = 0, square = 0;
    for (size_t t = 0; t < 3; t++) bound += fabs(weights[t]) * pow(3.14159265358979323846 * variances[t], 0.5 * (double)l);
    cr_assert(eq(int, kind->draw(&a, flt_rng_make(7, "test", l), R, xi, rho), FLTE_OK));
    for (size_t m = 0; !gaussian && m < R; m++) cr_assert(le(dbl, fabs(rho[m]), bound * (1 + 1e-12)), "l %zu: rho[%zu]", l, m);
    if (gaussian) flt_rng_normal_double(flt_rng_make(8, "test", l), 0, R * l, xi);
    if (gaussian) flt_rpe_gaussian_ratio(kind, &a, R, xi, rho);
    for (size_t m = 0; m < R; m++) square += rho[m] * rho[m] / R;
    for (size_t i = 0; i < 8; i++) {
        const double z[3] = {0.25 * (double)i, 0.1 * (double)i, -0.2 * (double)i};
        double f = 0;
        kind->closed_form(&a, 1, z, &f);
        const double error = fabs(f - (double)estimate(l, R, xi, rho, z));
        cr_assert(lt(dbl, error, 5 * sqrt(square / R)), "l %zu gaussian %d z %zu: off by %g of %g", l, gaussian, i, error, f);
    }
    flt_free(xi);
    flt_free(rho);
}

Test(rpe, mixture_draws_estimate_the_closed_form) {
    for (size_t l = 1; l <= 3; l++) {
        try_mixture_draw(l, false);
        try_mixture_draw(l, true);
    }
}

Test(rpe, gaussian_ratio_is_g_over_p) {
    const flt_rpe_kind *kind = kind_of("gaussian_mixture");
    const flt_rpe_args a = mixture(2);
    const double xi[4] = {0.5, -1.0, 2.0, 0.3};
    double rho[2], g[2];
    flt_rpe_gaussian_ratio(kind, &a, 2, xi, rho);
    kind->spectrum(&a, 2, xi, g);
    for (size_t m = 0; m < 2; m++) {
        const double p = exp(-0.5 * (xi[2 * m] * xi[2 * m] + xi[2 * m + 1] * xi[2 * m + 1])) / FLTX_TWO_PI;
        cr_assert(lt(dbl, fabs(rho[m] - g[m] / p), 1e-14 * fabs(g[m] / p) + 1e-300), "frequency %zu", m);
    }
}

// With positive weights the own proposal has a constant ratio: the estimate at z = 0 has no error at all.
Test(rpe, mixture_of_positive_weights_is_exact_at_zero) {
    const double w[] = {0.7, 0.3, 0.4}, z = 0;
    const flt_rpe_args a = {.l = 1, .t = 3, .w = w, .mu = centres, .s2 = variances};
    double xi[5], rho[5], f = 0;
    kind_of("gaussian_mixture")->draw(&a, flt_rng_make(1, "test", 0), 5, xi, rho);
    kind_of("gaussian_mixture")->closed_form(&a, 1, &z, &f);
    cr_assert(lt(dbl, fabs(f - (double)estimate(1, 5, xi, rho, &z)), 1e-14));
}

Test(rpe, window_is_exact_for_short_offsets) {
    const flt_rpe_kind *kind = kind_of("window");
    for (size_t v = 0; v < 6; v++)
        for (size_t r = v + 1; r < 40; r += 7) {
            const flt_rpe_args a = {.l = 1, .c = 1.5, .v = (double)v};
            double xi[64], rho[64], far = (double)(2 * r - v), f = 0;
            kind->draw(&a, flt_rng_make(0, "test", 0), r, xi, rho);
            for (double z = -(double)(2 * r - v - 1); z < far; z++) {
                kind->closed_form(&a, 1, &z, &f);
                const double error = fabs(f - (double)estimate(1, r, xi, rho, &z));
                cr_assert(lt(dbl, error, 1e-12), "v %zu r %zu z %g: off by %g", v, r, z, error);
            }
            cr_assert(gt(dbl, fabs((double)estimate(1, r, xi, rho, &far)), 1.4),
                      "v %zu r %zu: the next image is where it is said to be", v, r);
        }
    double g = 0;
    const double whole = 3.0;
    kind->spectrum(&(flt_rpe_args){.l = 1, .c = 2, .v = 3}, 1, &whole, &g);
    cr_assert(eq(dbl, g, 14.0), "g at a whole frequency is c (2 v + 1)");
}

static void fill_table(size_t n, double *b, bool even) {
    uint64_t state = n;
    for (size_t k = 0; k < n; k++) {
        b[n - 1 + k] = next_real(&state);
        b[n - 1 - k] = even || k == 0 ? b[n - 1 + k] : next_real(&state);
    }
}

Test(rpe, lag_table_with_enough_frequencies_is_exact) {
    const flt_rpe_kind *kind = kind_of("lag_table");
    double b[199], xi[128], rho[128];
    for (size_t n = 1; n <= 100; n += 11)
        for (size_t r = n; r <= 128; r += 28) {
            const flt_rpe_args a = {.l = 1, .n = n, .lag_bias = b};
            fill_table(n, b, true);
            cr_assert(eq(int, kind->draw(&a, flt_rng_make(0, "test", 0), r, xi, rho), FLTE_OK), "%s", flt_error());
            for (double z = -(double)(n - 1); z <= (double)(n - 1); z++) {
                double f = 0;
                kind->closed_form(&a, 1, &z, &f);
                cr_assert(eq(dbl, f, b[(size_t)((double)n - 1 - z)]), "convention: b_{j-i} at z = r_i - r_j = %g", z);
                const double ratio = fabs(f - (double)estimate(1, r, xi, rho, &z)) / (FLTX_EPS * log2((double)n + 2));
                cr_assert(lt(dbl, ratio, PASS), "n %zu r %zu z %g", n, r, z);
            }
        }
}

// Fewer frequencies: unbiased. The mean over seeds is within 5 standard errors, |rho| being constant.
Test(rpe, lag_table_with_few_frequencies_is_unbiased) {
    enum { N = 20, R = 7, SEEDS = 4000 };
    const flt_rpe_kind *kind = kind_of("lag_table");
    double b[2 * N - 1], xi[R], rho[R], mean[N] = {0};
    const flt_rpe_args a = {.l = 1, .n = N, .lag_bias = b};
    fill_table(N, b, true);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        cr_assert(eq(int, kind->draw(&a, flt_rng_make(seed, "test", 0), R, xi, rho), FLTE_OK));
        for (size_t k = 0; k < N; k++) mean[k] += (double)estimate(1, R, xi, rho, &(double){(double)k}) / SEEDS;
    }
    for (size_t k = 0; k < N; k++)
        cr_assert(lt(dbl, fabs(mean[k] - b[N - 1 + k]), 5 * fabs(rho[0]) / sqrt(R * SEEDS)), "lag %zu", k);
}

Test(rpe, lag_table_spectrum_is_a_transform_pair) {
    enum { N = 9, NODES = 32 };
    double b[2 * N - 1], xi[NODES], g[NODES];
    const flt_rpe_args a = {.l = 1, .n = N, .lag_bias = b};
    fill_table(N, b, true);
    for (size_t i = 0; i < NODES; i++) xi[i] = ((double)i + 0.5) / NODES - 0.5;
    kind_of("lag_table")->spectrum(&a, NODES, xi, g);
    for (double z = 0; z < N; z++)
        cr_assert(lt(dbl, fabs((double)estimate(1, NODES, xi, g, &z) - b[N - 1 + (size_t)z]), 1e-13), "lag %g", z);
}

Test(rpe, asymmetric_table_is_refused_with_what_can) {
    double b[5] = {1, 2, 3, 2, 1.5}, xi[4], rho[4];
    const flt_rpe_args a = {.l = 1, .n = 3, .lag_bias = b};
    cr_assert(eq(int, kind_of("lag_table")->draw(&a, flt_rng_make(0, "test", 0), 4, xi, rho), FLTE_UNSUPPORTED));
    cr_assert(strstr(flt_error(), "'exact'") != NULL, "%s", flt_error());
    cr_assert(eq(int, kind_of("lag_table")->check(&a), FLTE_OK), "the closed form has nothing against it");
}

Test(rpe, bad_arguments_are_refused) {
    static const double one = 1, zero = 0, bad = NAN;
    const struct {
        const char *kind;
        flt_rpe_args a;
        flt_err err;
    } cases[] = {
        {"gaussian_mixture", {.l = 1}, FLTE_SHAPE},
        {"gaussian_mixture", {.l = 1, .t = 1, .w = &one, .mu = &one}, FLTE_SHAPE},
        {"gaussian_mixture", {.l = 1, .t = 1, .w = &one, .mu = &one, .s2 = &zero}, FLTE_RANGE},
        {"gaussian_mixture", {.l = 1, .t = 1, .w = &one, .mu = &one, .s2 = &bad}, FLTE_RANGE},
        {"window", {.l = 2, .c = 1, .v = 1}, FLTE_SHAPE},
        {"window", {.l = 1, .c = 1, .v = 1.5}, FLTE_RANGE},
        {"window", {.l = 1, .c = 1, .v = -1}, FLTE_RANGE},
        {"window", {.l = 1, .c = NAN, .v = 1}, FLTE_RANGE},
        {"lag_table", {.l = 1}, FLTE_SHAPE},
        {"lag_table", {.l = 2, .n = 1, .lag_bias = &one}, FLTE_SHAPE},
        {"lag_table", {.l = 1, .n = 1, .lag_bias = &bad}, FLTE_NUMERIC},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flt_error_clear();
        cr_assert(eq(int, kind_of(cases[i].kind)->check(&cases[i].a), cases[i].err), "case %zu: %s", i, flt_error());
        cr_assert(gt(sz, strlen(flt_error()), 20), "case %zu", i);
    }
}

// <a_i, b_j> = (1/r) sum rho cos(2 pi xi.(r_i - r_j)) near the origin and a million steps away from it.
static void try_snippets(size_t l, size_t r, double origin) {
    enum { N = 6, MAX_R = 70 };
    double pos[3 * N], xi[3 * MAX_R], rho[MAX_R], size = 0;
    flt_real a[N * 2 * MAX_R], b[N * 2 * MAX_R], only[N * 2 * MAX_R];
    uint64_t state = r;
    for (size_t i = 0; i < N * l; i++) pos[i] = rint(origin * next_real(&state)) + (double)i;
    for (size_t i = 0; i < r * l; i++) xi[i] = 2 * next_real(&state);
    for (size_t m = 0; m < r; m++) rho[m] = next_real(&state), size += fabs(rho[m]) / (double)r;
    flt_rpe_snippets(N, l, pos, r, xi, rho, 2 * r, a, b);
    flt_rpe_snippets(N, l, pos, r, xi, rho, 2 * r, only, NULL);
    cr_assert(eq(int, memcmp(a, only, N * 2 * r * sizeof *a), 0), "one side alone");
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            long double dot = 0;
            double z[3];
            for (size_t c = 0; c < 2 * r; c++) dot += (long double)a[i * 2 * r + c] * b[j * 2 * r + c];
            for (size_t c = 0; c < l; c++) z[c] = pos[i * l + c] - pos[j * l + c];
            // a double holds the phase to eps origin, which single precision does not notice and double precision does
            const double lost = 2.2e-16 * (1 + origin) * FLTX_TWO_PI * 2 * (double)l;
            const double error = fabs((double)(dot - estimate(l, r, xi, rho, z)));
            cr_assert(lt(dbl, error, PASS * (FLTX_EPS + lost) * size), "l %zu r %zu origin %g: (%zu, %zu) off by %g", l, r,
                      origin, i, j, error);
        }
}

Test(rpe, snippets_multiply_to_the_estimate) {
    for (size_t l = 1; l <= 3; l++)
        for (size_t r = 1; r <= 70; r += 23) {
            try_snippets(l, r, 10);
            try_snippets(l, r, 1e6);
        }
}

Test(rpe, lag_bias_of_a_sequence) {
    flt_real bias[9];
    const flt_rpe_args a = {.l = 1, .c = 2, .v = 1};
    cr_assert(eq(int, flt_rpe_lag_bias(kind_of("window"), &a, 5, bias), FLTE_OK));
    for (size_t i = 0; i < 9; i++) cr_assert(eq(dbl, (double)bias[i], i >= 3 && i <= 5 ? 2.0 : 0.0), "index %zu", i);
    double b[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    cr_assert(eq(int, flt_rpe_lag_bias(kind_of("lag_table"), &(flt_rpe_args){.l = 1, .n = 5, .lag_bias = b}, 5, bias), FLTE_OK));
    for (size_t i = 0; i < 9; i++) cr_assert(eq(dbl, (double)bias[i], b[i]), "a table gives itself: index %zu", i);
    cr_assert(eq(int, flt_rpe_lag_bias(kind_of("window"), &a, 0, bias), FLTE_RANGE));
    cr_assert(eq(int, flt_rpe_lag_bias(kind_of("none"), &(flt_rpe_args){.l = 2}, 5, bias), FLTE_SHAPE));
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
