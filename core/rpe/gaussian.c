// SPDX-License-Identifier: MIT
// Gaussian kernel, any position dimension l.
//
//     f(z)  = c exp(-|z|^2 / (2 scale^2))                                                c, scale > 0
//     g(xi) = c (2 pi scale^2)^(l/2) exp(-2 pi^2 scale^2 |xi|^2)
//
// Rahimi and Recht, NeurIPS 2007: g/c is N(0, I / (2 pi scale)^2), so that the ratio is c throughout. It is the mixture of one
// component with mu = 0, s2 = 1 / (2 pi^2 scale^2), by the length that one thinks in. Cost O(l) a point.
#include "engine/kernel.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static double kernel(double x) {
    return exp(-0.5 * x * x);
}

static double slope(double x) {
    return -x * exp(-0.5 * x * x);
}

static flt_err check(const flt_rpe_args *a) {
    return flt_rpe_kernel_check("encoding gaussian", a);
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    flt_rpe_kernel_closed_form(a, kernel, n, z, f);
}

static void spectrum(const flt_rpe_args *a, size_t n, const double *xi, double *g) {
    const double top = a->c * pow(2.0 * pi * a->scale * a->scale, 0.5 * (double)a->l);
    for (size_t i = 0; i < n; i++) {
        const double t = 2.0 * pi * a->scale * flt_rpe_norm(a->l, xi + i * a->l);
        g[i] = top * exp(-0.5 * t * t);
    }
}

static void closed_form_back(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to) {
    flt_rpe_kernel_back(a, kernel, slope, n, z, df, to);
}

static void spectrum_back(const flt_rpe_args *a, size_t n, const double *xi, const double *dg, const flt_rpe_slots *to) {
    const double top = pow(2.0 * pi * a->scale * a->scale, 0.5 * (double)a->l);
    for (size_t i = 0; i < n; i++) {
        const double t = 2.0 * pi * a->scale * flt_rpe_norm(a->l, xi + i * a->l), g = dg[i] * top * exp(-0.5 * t * t);
        *to->c += g;
        *to->scale += a->c * g * ((double)a->l - t * t) / a->scale;
    }
}

static size_t coordinates(const flt_rpe_args *a) {
    return a->l;
}

static void place(const flt_rpe_args *a, size_t r, const double *u, double *xi, double *rho) {
    for (size_t i = 0; i < r * a->l; i++) xi[i] = flt_rpe_normal_quantile(u[i]) / (2.0 * pi * a->scale);
    for (size_t m = 0; m < r; m++) rho[m] = a->c;
}

extern const flt_rpe_kind flt_rpe_kind_gaussian;

static flt_err draw(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    return flt_rpe_draw_cube(&flt_rpe_kind_gaussian, a, rng, r, xi, rho);
}

static void weigh(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight) {
    (void)rho;
    flt_rpe_kernel_weigh(&flt_rpe_kind_gaussian, a, r, xi, weight);
}

const flt_rpe_kind flt_rpe_kind_gaussian = {
    .kind =
        {
            .name = "gaussian",
            .summary = "Gaussian kernel: arguments c (default 1), scale",
            .formula = "f(z) = c exp(-|z|^2 / (2 scale^2))",
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
