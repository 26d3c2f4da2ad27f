// SPDX-License-Identifier: MIT
// Snippets reproduce the mask: <a_i, b_j> = (1/r) sum rho cos(2 pi xi.(r_i - r_j)) to rounding, positions up to 1e6 included; the
// window's quadrature is exact; draws of the mixture average to its closed form within a 5 sigma interval.
//
// It would fail for a cosine swapped with a sine, a missing 1/r, a density without its (2 pi)^(l/2), phases reduced in single
// precision.
#include "flt/verify.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/rpe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TWO_PI_L 6.283185307179586476925286766559005768L

enum { N = 24, R = 32 };

static flt_err snippets(flt_check_context *c, size_t l, double spread) {
    double pos[N * 3], xi[R * 3], rho[R];
    flt_real a[N * 2 * R], b[N * 2 * R];
    char label[96];
    const flt_rng rng = flt_rng_make(c->config->seed, "snippets", l);
    flt_rng_uniform_double(flt_rng_child(rng, "pos", 0), 0, N * l, pos);
    flt_rng_normal_double(flt_rng_child(rng, "xi", 0), 0, R * l, xi);
    flt_rng_normal_double(flt_rng_child(rng, "rho", 0), 0, R, rho);
    for (size_t i = 0; i < N * l; i++) pos[i] = floor(pos[i] * spread * 1024.0) / 1024.0; // exact in single precision
    flt_rpe_snippets(N, l, pos, R, xi, rho, 2 * R, a, b);
    long double error = 0.0L, scale = 0.0L;
    for (size_t f = 0; f < R; f++) scale += (long double)(rho[f] * rho[f]) / R;
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++) {
            long double got = 0.0L, want = 0.0L;
            for (size_t f = 0; f < 2 * R; f++) got += (long double)a[i * 2 * R + f] * (long double)b[j * 2 * R + f];
            for (size_t f = 0; f < R; f++) {
                long double phase = 0.0L;
                for (size_t x = 0; x < l; x++)
                    phase += (long double)xi[f * l + x] * ((long double)pos[i * l + x] - (long double)pos[j * l + x]);
                want += (long double)rho[f] * cosl(TWO_PI_L * (phase - floorl(phase))) / R;
            }
            error += (got - want) * (got - want);
        }
    }
    // double positions at `spread` carry a phase error of their own
    const double growth = 2.0 + spread * 2.2e-16 * 10.0 / FLTX_EPS;
    snprintf(label, sizeof label, "l=%zu positions to %g", l, spread);
    return flt_check_case(c, "snippets", label, (double)sqrtl(error / (N * N)) / (FLTX_EPS * growth * (double)sqrtl(scale)));
}

// Window: c inside, 0 outside, exactly, while N - 1 + v stays below the number of midpoints.
static flt_err window(flt_check_context *c) {
    const flt_rpe_kind *kind = NULL;
    const flt_rpe_args args = {.l = 1, .c = 1.5, .v = 3};
    double xi[R * 2], rho[R * 2], worst = 0.0;
    FLTX_TRY(flt_rpe_find("window", &kind));
    FLTX_TRY(kind->draw(&args, flt_rng_make(c->config->seed, "window", 0), 2 * R, xi, rho));
    for (int lag = -20; lag <= 20; lag++) {
        double f = 0.0, z = lag, want = 0.0;
        kind->closed_form(&args, 1, &z, &want);
        for (size_t i = 0; i < 2 * R; i++) f += rho[i] * cos(FLTX_TWO_PI * xi[i] * lag) / (2 * R);
        worst = fmax(worst, fabs(f - want));
        if (want != (abs(lag) <= 3 ? 1.5 : 0.0)) worst = INFINITY;
    }
    return flt_check_case(c, "window", "quadrature with 64 midpoints, c=1.5 v=3", worst / (2.2e-16 * 64.0 * 7.0 * 1.5));
}

// Draws with ratio rho = g/p: the mean of rho cos over n frequencies is f(z) within 5 standard errors.
static flt_err unbiased(flt_check_context *c, size_t l) {
    enum { DRAWS = 20000 };
    const flt_rpe_kind *kind = NULL;
    const double w[2] = {0.7, -0.4}, mu[6] = {0.3, -0.2, 0.1, 0.5, 0.2, -0.4}, s2[2] = {0.5, 0.8};
    const flt_rpe_args args = {.l = l, .t = 2, .w = w, .mu = mu, .s2 = s2};
    double *xi = NULL, *rho = NULL, worst = 0.0;
    char label[64];
    FLTX_TRY(flt_rpe_find("gaussian_mixture", &kind));
    flt_err err = flt_alloc(DRAWS * l, sizeof *xi, &xi);
    if (err == FLTE_OK) err = flt_alloc(DRAWS, sizeof *rho, &rho);
    if (err == FLTE_OK) {
        flt_rng_normal_double(flt_rng_make(c->config->seed, "unbiased", l), 0, DRAWS * l, xi);
        flt_rpe_gaussian_ratio(kind, &args, DRAWS, xi, rho);
    }
    for (size_t trial = 0; trial < 6 && err == FLTE_OK; trial++) {
        double z[3] = {0.13 * (double)trial, 0.05 * (double)trial, -0.07 * (double)trial}, f = 0.0, sum = 0.0, squares = 0.0;
        kind->closed_form(&args, 1, z, &f);
        for (size_t i = 0; i < DRAWS; i++) {
            double phase = 0.0;
            for (size_t a = 0; a < l; a++) phase += xi[i * l + a] * z[a];
            const double x = rho[i] * cos(FLTX_TWO_PI * phase);
            sum += x;
            squares += x * x;
        }
        const double mean = sum / DRAWS, error = sqrt((squares / DRAWS - mean * mean) / DRAWS);
        worst = fmax(worst, fabs(mean - f) / error);
    }
    flt_free(xi);
    flt_free(rho);
    FLTX_TRY(err);
    snprintf(label, sizeof label, "l=%zu largest |z| of 6 offsets, %d draws", l, DRAWS);
    return flt_check_claim(c, "gaussian_mixture", label, worst < 5.0, worst);
}

static flt_err run(flt_check_context *c) {
    for (size_t l = 1; l <= 3; l++) {
        FLTX_TRY(snippets(c, l, 1.0));
        FLTX_TRY(snippets(c, l, 1e6));
        FLTX_TRY(unbiased(c, l));
    }
    return window(c);
}

const flt_check_kind flt_check_kind_encoding = {
    .kind = {.name = "encoding",
             .summary = "snippets reproduce their mask, and draws average to the closed form",
             .formula = "<a_i, b_j> = (1/r) sum rho cos(2 pi xi.(r_i - r_j)), E = f(r_i - r_j)",
             .citation = "arXiv 2302.01925",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
