// SPDX-License-Identifier: MIT
// Box on real offsets, any position dimension l: a local encoding.
//
//     f(z)  = c where |z_k| <= v for every axis k, else 0                                c, v > 0
//     g(xi) = c prod_k sin(2 pi v xi_k) / (pi xi_k), with the value 2 v at xi_k = 0
//
// Choromanski, Li et al., AISTATS 2024, arXiv 2302.01925 (local encodings). The spectrum has no bounded ratio on all frequencies:
// each axis draws up to band/v from an envelope, and the estimate is band-limited (see engine/local.h). For whole positions, l =
// 1, the encoding `window` is exact. Cost O(l) a point.
#include "engine/kernel.h"
#include "engine/local.h"

#include <math.h>

extern const flt_rpe_kind flt_rpe_kind_box;

static flt_err check(const flt_rpe_args *a) {
    return flt_rpe_local_check("encoding box", a);
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    for (size_t i = 0; i < n; i++) {
        f[i] = a->c;
        for (size_t k = 0; k < a->l; k++) {
            if (!(fabs(z[i * a->l + k]) <= a->v)) f[i] = 0.0;
        }
    }
}

static void spectrum(const flt_rpe_args *a, size_t n, const double *xi, double *g) {
    for (size_t i = 0; i < n; i++) {
        g[i] = a->c;
        for (size_t k = 0; k < a->l; k++) g[i] *= flt_rpe_ball(1, a->v, fabs(xi[i * a->l + k]));
    }
}

static void closed_form_back(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to) {
    flt_rpe_args one = *a;
    one.c = 1.0;
    for (size_t i = 0; i < n; i++) {
        double f = 0.0;
        closed_form(&one, 1, z + i * a->l, &f);
        *to->c += df[i] * f;
    }
}

// The derivative by v: one axis after the other.
static void spectrum_back(const flt_rpe_args *a, size_t n, const double *xi, const double *dg, const flt_rpe_slots *to) {
    for (size_t i = 0; i < n; i++) {
        double g = 1.0, slope = 0.0;
        for (size_t k = 0; k < a->l; k++) {
            const double kappa = fabs(xi[i * a->l + k]), side = flt_rpe_ball(1, a->v, kappa);
            slope = slope * side + g * flt_rpe_ball_slope(1, a->v, kappa);
            g *= side;
        }
        *to->c += dg[i] * g;
        *to->v += dg[i] * a->c * slope;
    }
}

static size_t coordinates(const flt_rpe_args *a) {
    return a->l;
}

// Both signs of every axis: in more than one dimension cos(2 pi xi.z) is not even in each of them.
static void place(const flt_rpe_args *a, size_t r, const double *u, double *xi, double *rho) {
    const flt_rpe_envelope e = flt_rpe_envelope_of(1, a->v, a->band);
    for (size_t m = 0; m < r; m++) {
        rho[m] = a->c;
        for (size_t k = 0; k < a->l; k++) {
            const double both = 2.0 * u[m * a->l + k] - 1.0;
            double weight = 0.0;
            const double kappa = flt_rpe_envelope_place(&e, fabs(both), &weight);
            xi[m * a->l + k] = copysign(kappa, both);
            rho[m] *= weight * flt_rpe_ball(1, a->v, kappa);
        }
    }
}

static flt_err draw(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    return flt_rpe_draw_cube(&flt_rpe_kind_box, a, rng, r, xi, rho);
}

static void weigh(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight) {
    const flt_rpe_envelope e = flt_rpe_envelope_of(1, a->v, a->band);
    (void)rho;
    for (size_t m = 0; m < r; m++) {
        weight[m] = 1.0;
        for (size_t k = 0; k < a->l; k++) weight[m] *= flt_rpe_envelope_weight(&e, fabs(xi[m * a->l + k]));
    }
}

const flt_rpe_kind flt_rpe_kind_box = {
    .kind =
        {
            .name = "box",
            .summary = "a constant where every coordinate is within v: arguments c, v, band (default 8)",
            .formula = "f(z) = c where |z_k| <= v for every k, else 0",
            .cost = "O(l) a point",
            .citation = "Choromanski, Li et al., AISTATS 2024, arXiv 2302.01925 (local encodings)",
            .caps = FLTX_RPE_SPECTRUM | FLTX_RPE_EVEN,
        },
    .args = {{"c", NAN}, {"v", NAN}, {"band", 8.0, true}},
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
