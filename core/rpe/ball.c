// SPDX-License-Identifier: MIT
// Ball on real offsets, l = 1, 2, 3: a local encoding.
//
//     f(z)  = c where |z| <= v, else 0                                                   c, v > 0
//     g(xi) = c (v/k)^(l/2) J_(l/2)(2 pi v k), k = |xi|:   l = 1: c sin(t)/(pi k), l = 2: c v J_1(t)/k,
//             l = 3: c (sin t - t cos t)/(2 pi^2 k^3), t = 2 pi v k;     at 0 the volume 2 v c, pi v^2 c, 4/3 pi v^3 c
//
// Choromanski, Li et al., AISTATS 2024, arXiv 2302.01925 (local encodings; l = 3 there). The spectrum has no bounded ratio on all
// frequencies: |xi| is drawn up to band/v from an envelope, and the estimate is band-limited (see engine/local.h). Cost O(l) a
// point.
#include "engine/kernel.h"
#include "engine/local.h"

#include <math.h>

extern const flt_rpe_kind flt_rpe_kind_ball;

static flt_err check(const flt_rpe_args *a) {
    const char *who = "encoding ball";
    if (a->l > 3) return flt_fail(FLTE_SHAPE, who, "positions have dimension l = %zu; the ball knows l = 1, 2, 3", a->l);
    return flt_rpe_local_check(who, a);
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    for (size_t i = 0; i < n; i++) f[i] = flt_rpe_norm(a->l, z + i * a->l) <= a->v ? a->c : 0.0;
}

static void spectrum(const flt_rpe_args *a, size_t n, const double *xi, double *g) {
    for (size_t i = 0; i < n; i++) g[i] = a->c * flt_rpe_ball(a->l, a->v, flt_rpe_norm(a->l, xi + i * a->l));
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
    for (size_t i = 0; i < n; i++) {
        const double kappa = flt_rpe_norm(a->l, xi + i * a->l);
        *to->c += dg[i] * flt_rpe_ball(a->l, a->v, kappa);
        *to->v += dg[i] * a->c * flt_rpe_ball_slope(a->l, a->v, kappa);
    }
}

static size_t coordinates(const flt_rpe_args *a) {
    return a->l == 1 ? 1 : a->l + 1;
}

// The length from the envelope, the direction from a normal vector.
static void place(const flt_rpe_args *a, size_t r, const double *u, double *xi, double *rho) {
    const flt_rpe_envelope e = flt_rpe_envelope_of(a->l, a->v, a->band);
    const size_t l = a->l, width = coordinates(a);
    for (size_t m = 0; m < r; m++) {
        const double *point = u + m * width;
        double weight = 0.0, *to = xi + m * l;
        const double kappa = flt_rpe_envelope_place(&e, point[width - 1], &weight);
        for (size_t k = 0; k < l; k++) to[k] = l == 1 ? 1.0 : flt_rpe_normal_quantile(point[k]);
        const double length = fmax(flt_rpe_norm(l, to), 1e-300);
        for (size_t k = 0; k < l; k++) to[k] *= kappa / length;
        rho[m] = a->c * weight * flt_rpe_ball(l, a->v, kappa);
    }
}

static flt_err draw(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    return flt_rpe_draw_cube(&flt_rpe_kind_ball, a, rng, r, xi, rho);
}

static void weigh(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight) {
    const flt_rpe_envelope e = flt_rpe_envelope_of(a->l, a->v, a->band);
    (void)rho;
    for (size_t m = 0; m < r; m++) weight[m] = flt_rpe_envelope_weight(&e, flt_rpe_norm(a->l, xi + m * a->l));
}

const flt_rpe_kind flt_rpe_kind_ball = {
    .kind =
        {
            .name = "ball",
            .summary = "a constant within the distance v, l = 1, 2, 3: arguments c, v, band (default 8)",
            .formula = "f(z) = c where |z| <= v, else 0",
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
