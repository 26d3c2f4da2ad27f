// SPDX-License-Identifier: MIT
// What shift-invariant kernels share; see kernel.h.
#include "kernel.h"

#include "flt/memory.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

flt_err flt_rpe_kernel_check(const char *who, const flt_rpe_args *a) {
    if (!isfinite(a->c)) return flt_fail(FLTE_RANGE, who, "the amplitude c is %g; it must be finite", a->c);
    if (!(a->scale > 0.0) || isinf(a->scale))
        return flt_fail(FLTE_RANGE, who, "the length scale is %g; a positive number, in units of the positions, is wanted",
                        a->scale);
    return FLTE_OK;
}

double flt_rpe_norm(size_t l, const double *z) {
    double sum = 0.0;
    if (l == 1) return fabs(z[0]);
    for (size_t k = 0; k < l; k++) sum += z[k] * z[k];
    return sqrt(sum);
}

void flt_rpe_kernel_closed_form(const flt_rpe_args *a, double (*k)(double), size_t n, const double *z, double *f) {
    for (size_t i = 0; i < n; i++) f[i] = a->c * k(flt_rpe_norm(a->l, z + i * a->l) / a->scale);
}

void flt_rpe_kernel_back(const flt_rpe_args *a, double (*k)(double), double (*slope)(double), size_t n, const double *z,
                         const double *df, const flt_rpe_slots *to) {
    for (size_t i = 0; i < n; i++) {
        const double x = flt_rpe_norm(a->l, z + i * a->l) / a->scale;
        *to->c += df[i] * k(x);
        *to->scale -= df[i] * a->c * slope(x) * x / a->scale;
    }
}

void flt_rpe_kernel_weigh(const flt_rpe_kind *kind, const flt_rpe_args *a, size_t r, const double *xi, double *weight) {
    flt_rpe_args unit = *a;
    unit.c = 1.0;
    kind->spectrum(&unit, r, xi, weight);
    for (size_t m = 0; m < r; m++) weight[m] = 1.0 / weight[m];
}

// ---- points

// Lower half: p <= 1/2. Rational approximations by P. J. Acklam, then Halley's step on erfc.
static double lower_quantile(double p) {
    static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                               1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
    static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02, 6.680131188771972e+01,
                               -1.328068155288572e+01};
    static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                               -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
    static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00};
    double x = 0.0;
    if (p < 0.02425) {
        const double q = sqrt(-2.0 * log(p));
        x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
            ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1.0);
    } else {
        const double q = p - 0.5, s = q * q;
        x = (((((a[0] * s + a[1]) * s + a[2]) * s + a[3]) * s + a[4]) * s + a[5]) * q /
            (((((b[0] * s + b[1]) * s + b[2]) * s + b[3]) * s + b[4]) * s + 1.0);
    }
    const double e = 0.5 * erfc(-x / sqrt(2.0)) - p, step = e * sqrt(2.0 * pi) * exp(0.5 * x * x);
    return x - step / (1.0 + 0.5 * x * step);
}

double flt_rpe_normal_quantile(double u) {
    const double p = fmin(fmax(u, 0x1p-60), 1.0 - 0x1p-53); // the ends of the interval have no quantile
    return p <= 0.5 ? lower_quantile(p) : -lower_quantile(1.0 - p);
}

flt_err flt_rpe_draw_cube(const flt_rpe_kind *kind, const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    const size_t width = kind->coordinates(a);
    double *u = NULL;
    FLTX_TRY(flt_alloc(r, width * sizeof *u, &u));
    flt_rng_uniform_double(rng, 0, r * width, u);
    kind->place(a, r, u, xi, rho);
    flt_free(u);
    return FLTE_OK;
}

// ---- Student's t

void flt_rpe_student_place(const flt_rpe_args *a, size_t df, size_t r, const double *u, double *xi, double *rho) {
    const size_t l = a->l, width = l + df;
    for (size_t m = 0; m < r; m++) {
        const double *point = u + m * width;
        double chi2 = 0.0;
        for (size_t k = 0; k < df; k++) chi2 += pow(flt_rpe_normal_quantile(point[l + k]), 2);
        const double sigma = sqrt((double)df / fmax(chi2, 1e-300)) / (FLTX_TWO_PI * a->scale);
        for (size_t k = 0; k < l; k++) xi[m * l + k] = sigma * flt_rpe_normal_quantile(point[k]);
        rho[m] = a->c;
    }
}

void flt_rpe_student_spectrum(const flt_rpe_args *a, size_t df, size_t n, const double *xi, double *g) {
    const double l = (double)a->l, nu = (double)df, unit = FLTX_TWO_PI * a->scale;
    const double norm = exp(lgamma(0.5 * (nu + l)) - lgamma(0.5 * nu)) * pow(unit * unit / (nu * pi), 0.5 * l);
    for (size_t i = 0; i < n; i++) {
        const double t = unit * flt_rpe_norm(a->l, xi + i * a->l);
        g[i] = a->c * norm * pow(1.0 + t * t / nu, -0.5 * (nu + l));
    }
}

void flt_rpe_student_back(const flt_rpe_args *a, size_t df, size_t n, const double *xi, const double *dg,
                          const flt_rpe_slots *to) {
    const double l = (double)a->l, nu = (double)df, unit = FLTX_TWO_PI * a->scale;
    flt_rpe_args one = *a;
    one.c = 1.0;
    for (size_t i = 0; i < n; i++) {
        const double t = unit * flt_rpe_norm(a->l, xi + i * a->l), u = t * t / nu;
        double g = 0.0;
        flt_rpe_student_spectrum(&one, df, 1, xi + i * a->l, &g);
        *to->c += dg[i] * g;
        *to->scale += dg[i] * a->c * g * (l - (nu + l) * u / (1.0 + u)) / a->scale;
    }
}
