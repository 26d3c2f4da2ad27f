// SPDX-License-Identifier: MIT
// Matern kernel of order 3/2, any position dimension l: once differentiable at the origin.
//
//     f(z)  = c (1 + t) exp(-t), t = sqrt(3) |z| / scale                                 c, scale > 0
//     g(xi) = c Gamma((3+l)/2) / Gamma(3/2) (4 pi scale^2 / 3)^(l/2) (1 + (2 pi scale |xi|)^2 / 3)^(-(3+l)/2)
//
// Rasmussen and Williams 2006, section 4.2.1, with xi in cycles: g/c is the density of Student's t in l dimensions, 3 degrees of
// freedom, over 2 pi scale. Drawn from it the ratio is c throughout. Cost O(l) a point.
#include "engine/kernel.h"

#include <math.h>

enum { DF = 3 };

static double kernel(double x) {
    const double t = sqrt(3.0) * x;
    return (1.0 + t) * exp(-t);
}

static double slope(double x) {
    return -3.0 * x * exp(-sqrt(3.0) * x);
}

static flt_err check(const flt_rpe_args *a) {
    return flt_rpe_kernel_check("encoding matern32", a);
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    flt_rpe_kernel_closed_form(a, kernel, n, z, f);
}

static void spectrum(const flt_rpe_args *a, size_t n, const double *xi, double *g) {
    flt_rpe_student_spectrum(a, DF, n, xi, g);
}

static void closed_form_back(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to) {
    flt_rpe_kernel_back(a, kernel, slope, n, z, df, to);
}

static void spectrum_back(const flt_rpe_args *a, size_t n, const double *xi, const double *dg, const flt_rpe_slots *to) {
    flt_rpe_student_back(a, DF, n, xi, dg, to);
}

static size_t coordinates(const flt_rpe_args *a) {
    return a->l + DF;
}

static void place(const flt_rpe_args *a, size_t r, const double *u, double *xi, double *rho) {
    flt_rpe_student_place(a, DF, r, u, xi, rho);
}

extern const flt_rpe_kind flt_rpe_kind_matern32;

static flt_err draw(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    return flt_rpe_draw_cube(&flt_rpe_kind_matern32, a, rng, r, xi, rho);
}

static void weigh(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight) {
    (void)rho;
    flt_rpe_kernel_weigh(&flt_rpe_kind_matern32, a, r, xi, weight);
}

const flt_rpe_kind flt_rpe_kind_matern32 = {
    .kind =
        {
            .name = "matern32",
            .summary = "Matern kernel of order 3/2: arguments c (default 1), scale",
            .formula = "f(z) = c (1 + t) exp(-t), t = sqrt(3) |z| / scale",
            .cost = "O(l) a point",
            .citation = "Rasmussen and Williams, Gaussian processes for machine learning, MIT Press 2006, section 4.2.1",
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
