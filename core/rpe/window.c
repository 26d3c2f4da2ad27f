// SPDX-License-Identifier: MIT
// Window over integer offsets, l = 1: f(z) = c where |z| <= v, else 0; v a non-negative integer.
//
//     g(xi) = c sin((2v+1) pi xi) / sin(pi xi), xi in [-1/2, 1/2]     (the Dirichlet kernel, period 1)
//
// Frequencies are a rule, not random: the midpoint rule with 2r nodes on [-1/2, 1/2], whose nodes pair up as +-xi because g is
// even, so that r frequencies (m + 1/2)/(2r) with rho = g do. It is exact for every offset |z| < 2r - v; a longer offset meets
// the next image of the window, with the sign changed. Cost O(1) a point.
// The box of the paper lives on real offsets and decays too slowly for a Gaussian proposal; on integers this one has no bias.
#include "flt/rpe.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static flt_err check(const flt_rpe_args *a) {
    const char *who = "encoding window";
    if (a->l != 1) return flt_fail(FLTE_SHAPE, who, "positions have dimension l = %zu; only l = 1 is a window", a->l);
    if (!(a->v >= 0.0) || a->v > 1e9 || a->v != floor(a->v))
        return flt_fail(FLTE_RANGE, who, "the half-width v is %g; a whole number from 0 to 1e9 is wanted", a->v);
    if (!isfinite(a->c)) return flt_fail(FLTE_RANGE, who, "the value c is %g; it must be finite", a->c);
    return FLTE_OK;
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    for (size_t i = 0; i < n; i++) f[i] = fabs(z[i]) <= a->v ? a->c : 0.0;
}

static void spectrum(const flt_rpe_args *a, size_t n, const double *xi, double *g) {
    const double width = 2.0 * a->v + 1.0;
    for (size_t i = 0; i < n; i++) {
        const double x = xi[i] - rint(xi[i]), s = sin(pi * x); // g has period 1
        g[i] = a->c * (fabs(s) < 1e-12 ? width : sin(width * pi * x) / s);
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

static void spectrum_back(const flt_rpe_args *a, size_t n, const double *xi, const double *dg, const flt_rpe_slots *to) {
    flt_rpe_args one = *a;
    one.c = 1.0;
    for (size_t i = 0; i < n; i++) {
        double g = 0.0;
        spectrum(&one, 1, xi + i, &g);
        *to->c += dg[i] * g;
    }
}

static flt_err draw(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    (void)rng;
    for (size_t m = 0; m < r; m++) xi[m] = ((double)m + 0.5) / (2.0 * (double)r);
    spectrum(a, r, xi, rho);
    return FLTE_OK;
}

static void weigh(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight) {
    (void)a, (void)xi, (void)rho;
    for (size_t m = 0; m < r; m++) weight[m] = 1.0;
}

const flt_rpe_kind flt_rpe_kind_window = {
    .kind =
        {
            .name = "window",
            .summary = "a constant within v steps, zero beyond, on integer positions: arguments c, v",
            .formula = "f(z) = c if |z| <= v, else 0",
            .cost = "O(1) a point",
            .citation = "local encodings: arXiv 2302.01925; on integers: the Dirichlet kernel",
            .caps = FLTX_RPE_SPECTRUM | FLTX_RPE_GRID | FLTX_RPE_EVEN,
        },
    .args = {{"c", NAN}, {"v", NAN, true}},
    .check = check,
    .closed_form = closed_form,
    .closed_form_back = closed_form_back,
    .draw = draw,
    .spectrum = spectrum,
    .spectrum_back = spectrum_back,
    .weigh = weigh,
};
