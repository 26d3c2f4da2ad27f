// SPDX-License-Identifier: MIT
// Laplace (exponential, Matern 1/2) kernel, any position dimension l: a cusp at the origin, a heavy tail in frequency.
//
//     f(z)  = c exp(-|z| / scale)                                                        c, scale > 0
//     g(xi) = c Gamma((1+l)/2) / Gamma(1/2) (4 pi scale^2)^(l/2) (1 + (2 pi scale |xi|)^2)^(-(1+l)/2);   l = 1: 2 c scale / (1 +
//     ..)
//
// |z| is the Euclidean length, so that turning the positions changes nothing; the product of one-dimensional kernels of Rahimi
// and Recht (NeurIPS 2007) has the sum of |z_k| there. g/c is a Cauchy density; drawn from it the ratio is c throughout. Its
// heavy tail costs float accuracy only where phases leave double's range. Cost O(l) a point.
#include "engine/kernel.h"

#include <math.h>

enum { DF = 1 };

static double kernel(double x) {
    return exp(-x);
}

static double slope(double x) {
    return -exp(-x);
}

static flt_err check(const flt_rpe_args *a) {
    return flt_rpe_kernel_check("encoding laplace", a);
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

extern const flt_rpe_kind flt_rpe_kind_laplace;

static flt_err draw(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    return flt_rpe_draw_cube(&flt_rpe_kind_laplace, a, rng, r, xi, rho);
}

static void weigh(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight) {
    (void)rho;
    flt_rpe_kernel_weigh(&flt_rpe_kind_laplace, a, r, xi, weight);
}

const flt_rpe_kind flt_rpe_kind_laplace = {
    .kind =
        {
            .name = "laplace",
            .summary = "exponential decay with the distance: arguments c (default 1), scale",
            .formula = "f(z) = c exp(-|z| / scale)",
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
