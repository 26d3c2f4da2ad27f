// SPDX-License-Identifier: MIT
// Random features converge as Monte Carlo does: the root-mean-square error of the mask falls as r^-1/2, that of the kernel as
// m^-1/2.
//
// Slopes of log error against log size, least squares over four sizes, 400 draws each: a correct program stays in [-0.57, -0.43],
// and only where |q + k|^2 <= 2, since beyond that the log-normal tails of positive features hide from sampling. It would fail
// for features that repeat, a seed that is ignored, a missing 1/r or 1/m.
#include "flt/verify.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/rpe.h"

#include <math.h>
#include <stdio.h>

enum { SIZES = 4, DRAWS = 400, WIDTH = 8, LARGEST = 256 };
static const size_t sizes[SIZES] = {16, 40, 100, LARGEST};

// Least-squares slope of y against x.
static double slope(const double *x, const double *y) {
    double sx = 0.0, sy = 0.0, sxx = 0.0, sxy = 0.0;
    for (int i = 0; i < SIZES; i++) sx += x[i], sy += y[i], sxx += x[i] * x[i], sxy += x[i] * y[i];
    return (SIZES * sxy - sx * sy) / (SIZES * sxx - sx * sx);
}

// (1/r) sum rho cos(2 pi xi z) - f(z) for one draw of r frequencies.
static double mask_error(const flt_rpe_kind *kind, const flt_rpe_args *args, flt_rng rng, size_t r, double z) {
    double xi[LARGEST], rho[LARGEST], f = 0.0, sum = 0.0;
    flt_rng_normal_double(rng, 0, r, xi);
    flt_rpe_gaussian_ratio(kind, args, r, xi, rho);
    kind->closed_form(args, 1, &z, &f);
    for (size_t i = 0; i < r; i++) sum += rho[i] * cos(FLTX_TWO_PI * xi[i] * z);
    return sum / (double)r - f;
}

// (1/m) sum exp(omega.(x + y) - (|x|^2 + |y|^2) / 2) / exp(x.y) - 1 with |x + y|^2 = 2.
static double kernel_error(flt_rng rng, size_t m) {
    flt_real omega[LARGEST * WIDTH];
    const double x = sqrt(0.5 / WIDTH), squares = WIDTH * x * x; // x = y, all entries equal: |x|^2 = |y|^2 = x.y = 1/2
    double sum = 0.0;
    flt_gaussian(rng, m, WIDTH, omega);
    for (size_t i = 0; i < m; i++) {
        double dot = 0.0;
        for (size_t a = 0; a < WIDTH; a++) dot += (double)omega[i * WIDTH + a] * 2.0 * x;
        sum += exp(dot - squares);
    }
    return sum / (double)m / exp(squares) - 1.0;
}

static flt_err judge(flt_check_context *c, const char *what, const char *label, const double *rms) {
    double x[SIZES], y[SIZES];
    for (int i = 0; i < SIZES; i++) x[i] = log((double)sizes[i]), y[i] = log(rms[i]);
    const double s = slope(x, y);
    return flt_check_claim(c, what, label, s > -0.57 && s < -0.43, s);
}

static flt_err mask(flt_check_context *c) {
    const flt_rpe_kind *kind = NULL;
    const double w = 0.9, mu = 0.4, s2 = 0.7;
    const flt_rpe_args args = {.l = 1, .t = 1, .w = &w, .mu = &mu, .s2 = &s2};
    const flt_rng root = flt_rng_make(c->config->seed, "mask slope", 0);
    double rms[SIZES];
    FLTX_TRY(flt_rpe_find("gaussian_mixture", &kind));
    for (size_t i = 0; i < SIZES; i++) {
        double sum = 0.0;
        for (size_t t = 0; t < DRAWS; t++) {
            const double e = mask_error(kind, &args, flt_rng_child(root, "draw", i * DRAWS + t), sizes[i], 0.3);
            sum += e * e;
        }
        rms[i] = sqrt(sum / DRAWS);
    }
    return judge(c, "gaussian_mixture", "slope of the mask's error in r", rms);
}

static flt_err kernel(flt_check_context *c) {
    const flt_rng root = flt_rng_make(c->config->seed, "kernel slope", 0);
    double rms[SIZES];
    for (size_t i = 0; i < SIZES; i++) {
        double sum = 0.0;
        for (size_t t = 0; t < DRAWS; t++) {
            const double e = kernel_error(flt_rng_child(root, "draw", i * DRAWS + t), sizes[i]);
            sum += e * e;
        }
        rms[i] = sqrt(sum / DRAWS);
    }
    return judge(c, "positive features", "slope of the kernel's error in m", rms);
}

static flt_err run(flt_check_context *c) {
    FLTX_TRY(mask(c));
    return kernel(c);
}

const flt_check_kind flt_check_kind_convergence = {
    .kind = {.name = "convergence",
             .summary = "errors of mask and kernel fall as the inverse square root of frequencies and features",
             .formula = "log rms = const - (1/2) log size, slope in [-0.57, -0.43]",
             .caps = FLTX_CHECK_QUICK | FLTX_CHECK_FULL},
    .run = run};
