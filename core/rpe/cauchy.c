// SPDX-License-Identifier: MIT
// Cauchy (rational quadratic) kernel, any position dimension l: decays slowly with the distance.
//
//     f(z)  = c / (1 + |z|^2 / scale^2)                                                  c, scale > 0
//     g(xi) = 2 c (pi scale^2)^(l/2) y^(1 - l/2) K_(1 - l/2)(2 y), y = pi scale |xi|;    l = 1: c pi scale exp(-2 pi scale |xi|)
//
// From 1/(1 + x) = int_0^inf exp(-u - u x) du: f is a mixture of Gaussians over u ~ Exp(1), and so is xi given u, with variance
// u / (2 pi^2 scale^2): sampled exactly, the ratio is c throughout. |z| is the Euclidean length, not the product over the axes of
// Rahimi and Recht (NeurIPS 2007). For l >= 2 the spectrum is infinite at 0 (integrably): no rule with a node there.
// Cost O(l) a point of f, a quadrature of 160 exponentials a point of g.
#include "engine/kernel.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static double kernel(double x) {
    return 1.0 / (1.0 + x * x);
}

static double slope(double x) {
    return -2.0 * x / ((1.0 + x * x) * (1.0 + x * x));
}

static flt_err check(const flt_rpe_args *a) {
    return flt_rpe_kernel_check("encoding cauchy", a);
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    flt_rpe_kernel_closed_form(a, kernel, n, z, f);
}

// Modified Bessel function K_order(x) = int_0^inf exp(-x cosh t) cosh(order t) dt. The integrand falls doubly exponentially,
// where the trapezoidal rule converges to rounding error; t up to 8 + log(1/x) is enough for x > 0.
static double bessel_k(double order, double x) {
    enum { NODES = 160 };
    const double end = 8.0 + fmax(0.0, -log(x)), h = end / NODES;
    double sum = 0.5 * exp(-x);
    for (int i = 1; i < NODES; i++) {
        const double t = h * i;
        sum += exp(-x * cosh(t) + fabs(order) * t) * 0.5 * (1.0 + exp(-2.0 * fabs(order) * t));
    }
    return h * sum;
}

static void spectrum(const flt_rpe_args *a, size_t n, const double *xi, double *g) {
    const double l = (double)a->l, order = 1.0 - 0.5 * l, top = 2.0 * a->c * pow(pi * a->scale * a->scale, 0.5 * l);
    for (size_t i = 0; i < n; i++) {
        const double y = pi * a->scale * flt_rpe_norm(a->l, xi + i * a->l);
        if (a->l == 1)
            g[i] = a->c * pi * a->scale * exp(-2.0 * y);
        else
            g[i] = y > 0.0 ? top * pow(y, order) * bessel_k(order, 2.0 * y) : copysign(INFINITY, a->c);
    }
}

static void closed_form_back(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to) {
    flt_rpe_kernel_back(a, kernel, slope, n, z, df, to);
}

// d log g / d log scale = l - 2 y K_(order - 1)(2 y) / K_order(2 y), from K_o'(x) = -K_(o-1)(x) - (o/x) K_o(x)
static void spectrum_back(const flt_rpe_args *a, size_t n, const double *xi, const double *dg, const flt_rpe_slots *to) {
    const double l = (double)a->l, order = 1.0 - 0.5 * l;
    flt_rpe_args one = *a;
    one.c = 1.0;
    for (size_t i = 0; i < n; i++) {
        const double y = pi * a->scale * flt_rpe_norm(a->l, xi + i * a->l);
        double g = 0.0;
        spectrum(&one, 1, xi + i * a->l, &g);
        const double quotient = a->l == 1 ? 1.0 : bessel_k(order - 1.0, 2.0 * y) / bessel_k(order, 2.0 * y);
        *to->c += dg[i] * g;
        *to->scale += dg[i] * a->c * g * (l - 2.0 * y * quotient) / a->scale;
    }
}

static size_t coordinates(const flt_rpe_args *a) {
    return a->l + 1;
}

static void place(const flt_rpe_args *a, size_t r, const double *u, double *xi, double *rho) {
    for (size_t m = 0; m < r; m++) {
        const double *point = u + m * (a->l + 1), sigma = sqrt(-0.5 * log1p(-point[a->l])) / (pi * a->scale);
        for (size_t k = 0; k < a->l; k++) xi[m * a->l + k] = sigma * flt_rpe_normal_quantile(point[k]);
        rho[m] = a->c;
    }
}

extern const flt_rpe_kind flt_rpe_kind_cauchy;

static flt_err draw(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    return flt_rpe_draw_cube(&flt_rpe_kind_cauchy, a, rng, r, xi, rho);
}

static void weigh(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight) {
    (void)rho;
    flt_rpe_kernel_weigh(&flt_rpe_kind_cauchy, a, r, xi, weight);
}

const flt_rpe_kind flt_rpe_kind_cauchy = {
    .kind =
        {
            .name = "cauchy",
            .summary = "slow decay with the distance: arguments c (default 1), scale",
            .formula = "f(z) = c / (1 + |z|^2 / scale^2)",
            .cost = "O(l) a point",
            .citation = "Rahimi and Recht, Random features for large-scale kernel machines, NeurIPS 2007",
            .caps = FLTX_RPE_SPECTRUM | FLTX_RPE_EVEN,
        },
    .args = FLTX_RPE_KERNEL_ARGS,
    .check = check,
    .closed_form = closed_form,
    .closed_form_back = closed_form_back,
    .draw = draw,
    .spectrum = spectrum,
    .spectrum_back = spectrum_back,
    .coordinates = coordinates,
    .place = place,
    .weigh = weigh,
};
