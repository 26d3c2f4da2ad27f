// SPDX-License-Identifier: MIT
// No positional encoding: f(z) = 0, g(xi) = 0. FLT with it is Performer with a constant snippet beside q and k.
#include "flt/rpe.h"

#include <string.h>

static flt_err check(const flt_rpe_args *a) {
    (void)a;
    return FLTE_OK;
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    (void)a, (void)z;
    memset(f, 0, n * sizeof *f);
}

static void nothing_back(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to) {
    (void)a, (void)n, (void)z, (void)df, (void)to; // it has no arguments
}

static flt_err draw(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    flt_rng_normal_double(rng, 0, r * a->l, xi);
    memset(rho, 0, r * sizeof *rho);
    return FLTE_OK;
}

static void spectrum(const flt_rpe_args *a, size_t n, const double *xi, double *g) {
    (void)a, (void)xi;
    memset(g, 0, n * sizeof *g);
}

static void weigh(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight) {
    (void)a, (void)xi, (void)rho;
    memset(weight, 0, r * sizeof *weight);
}

const flt_rpe_kind flt_rpe_kind_none = {
    .kind =
        {
            .name = "none",
            .summary = "no positional encoding",
            .formula = "f(z) = 0",
            .caps = FLTX_RPE_SPECTRUM | FLTX_RPE_EVEN,
        },
    .check = check,
    .closed_form = closed_form,
    .closed_form_back = nothing_back,
    .draw = draw,
    .spectrum = spectrum,
    .spectrum_back = nothing_back,
    .weigh = weigh,
};
