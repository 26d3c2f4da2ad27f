// SPDX-License-Identifier: MIT
// What local encodings on real offsets share; see local.h.
#include "local.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

flt_err flt_rpe_local_check(const char *who, const flt_rpe_args *a) {
    if (!isfinite(a->c)) return flt_fail(FLTE_RANGE, who, "the value c is %g; it must be finite", a->c);
    if (!(a->v > 0.0) || isinf(a->v))
        return flt_fail(FLTE_RANGE, who, "the half-width v is %g; a positive number is wanted", a->v);
    if (!(a->band >= 1.0) || a->band > 1e9)
        return flt_fail(FLTE_RANGE, who, "the band is %g; 1 to 1e9 is wanted, in units of 1/v", a->band);
    return FLTE_OK;
}

flt_rpe_envelope flt_rpe_envelope_of(size_t l, double v, double band) {
    // volume of the unit ball = height of the tail: 2 = 1/(pi k), pi = 1/(pi k^1.5), 4 pi/3 = 1/(pi k^2)
    const double meet[] = {1.0 / (2.0 * pi), pow(pi, -4.0 / 3.0), sqrt(3.0) / (2.0 * pi)}, sphere[] = {2.0, 2.0 * pi, 4.0 * pi};
    const double k0 = meet[l - 1] / v, end = band / v, s = sphere[l - 1];
    flt_rpe_envelope e = {.l = l, .k0 = k0, .end = end, .inner = s * pow(k0, (double)l) / (double)l};
    if (l == 1) e.outer = s * k0 * log(end / k0);
    if (l == 2) e.outer = s * pow(k0, 1.5) * 2.0 * (sqrt(end) - sqrt(k0));
    if (l == 3) e.outer = s * k0 * k0 * (end - k0);
    return e;
}

double flt_rpe_envelope_weight(const flt_rpe_envelope *e, double kappa) {
    const double total = e->inner + e->outer;
    return kappa < e->k0 ? total : total * pow(kappa / e->k0, 0.5 * (double)(e->l + 1));
}

double flt_rpe_envelope_place(const flt_rpe_envelope *e, double u, double *weight) {
    const double total = e->inner + e->outer, mass = u * total;
    *weight = total;
    if (mass < e->inner) return e->k0 * pow(mass / e->inner, 1.0 / (double)e->l);
    const double s = (mass - e->inner) / e->outer, root = sqrt(e->k0) + s * (sqrt(e->end) - sqrt(e->k0));
    const double kappa = e->l == 1 ? e->k0 * pow(e->end / e->k0, s) : e->l == 2 ? root * root : e->k0 + s * (e->end - e->k0);
    *weight = flt_rpe_envelope_weight(e, kappa);
    return kappa;
}

double flt_rpe_ball(size_t l, double v, double kappa) {
    const double t = 2.0 * pi * v * kappa;
    if (l == 1) return t < 1e-4 ? 2.0 * v * (1.0 - t * t / 6.0) : 2.0 * v * sin(t) / t;
    if (l == 2) return t < 1e-4 ? pi * v * v * (1.0 - t * t / 8.0) : v * j1(t) / kappa;
    // sin t - t cos t = t^3/3 (1 - t^2/10 + t^4/280 - ..): the series where the difference loses digits
    const double bracket = t < 0.05 ? 1.0 / 3.0 - t * t / 30.0 + t * t * t * t / 840.0 : (sin(t) - t * cos(t)) / (t * t * t);
    return 4.0 * pi * v * v * v * bracket;
}

double flt_rpe_ball_slope(size_t l, double v, double kappa) {
    const double t = 2.0 * pi * v * kappa;
    if (l == 1) return 2.0 * cos(t);
    if (l == 2) return 2.0 * pi * v * j0(t);
    return 4.0 * pi * v * v * (t < 1e-4 ? 1.0 - t * t / 6.0 : sin(t) / t);
}
