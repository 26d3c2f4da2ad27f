// SPDX-License-Identifier: MIT
// Gaussian mixture in the frequency domain, any position dimension l, T components (AISTATS 2024, arXiv 2302.01925).
//
//     g(xi) = sum_t w_t exp(-|xi - mu_t|^2 / s2_t)                                    w [T], mu [T, l], s2 [T] > 0
//     f(z)  = sum_t w_t (pi s2_t)^(l/2) exp(-pi^2 s2_t |z|^2) cos(2 pi mu_t . z)
//
// The spectrum is real, so only the even part of a mask can be had. Cost O(T l) a point.
// The proposal is the mixture of the components' own normals, p = sum_t c_t N(mu_t, s2_t/2) with c_t ~ |w_t| (pi s2_t)^(l/2):
// |rho| <= C = sum_t |w_t| (pi s2_t)^(l/2), and rho = C exactly when no weight is negative. (The published code draws from
// N(0, I), which has infinite variance for s2 >= 4.)
#include "engine/kernel.h"

#include "flt/plant.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static flt_err check(const flt_rpe_args *a) {
    const char *who = "encoding gaussian_mixture";
    if (a->t == 0 || a->w == NULL || a->mu == NULL || a->s2 == NULL)
        return flt_fail(FLTE_SHAPE, who, "the arguments w [T], mu [T, l] and s2 [T] are needed, T >= 1");
    for (size_t t = 0; t < a->t; t++) {
        if (!(a->s2[t] > 0.0) || isinf(a->s2[t]))
            return flt_fail(FLTE_RANGE, who, "s2[%zu] is %g; variances are positive", t, a->s2[t]);
    }
    return FLTE_OK;
}

static double amplitude(const flt_rpe_args *a, size_t t) {
    return a->w[t] * pow(pi * a->s2[t], FLTX_BUG(WRONG_DIMENSION) ? 0.5 : 0.5 * (double)a->l);
}

static void closed_form(const flt_rpe_args *a, size_t n, const double *z, double *f) {
    memset(f, 0, n * sizeof *f);
    for (size_t t = 0; t < a->t; t++) {
        const double amp = amplitude(a, t), *mu = a->mu + t * a->l;
        for (size_t i = 0; i < n; i++) {
            double z2 = 0.0, turns = 0.0;
            for (size_t k = 0; k < a->l; k++) {
                const double x = z[i * a->l + k];
                z2 += x * x;
                turns += mu[k] * x;
            }
            const double decay = pi * pi * a->s2[t] * z2;
            if (decay < 745.0) f[i] += amp * exp(-decay) * cos(FLTX_TWO_PI * (turns - rint(turns)));
        }
    }
}

static void spectrum(const flt_rpe_args *a, size_t n, const double *xi, double *g) {
    memset(g, 0, n * sizeof *g);
    for (size_t t = 0; t < a->t; t++) {
        for (size_t i = 0; i < n; i++) {
            double d2 = 0.0;
            for (size_t k = 0; k < a->l; k++) d2 += pow(xi[i * a->l + k] - a->mu[t * a->l + k], 2);
            g[i] += a->w[t] * exp(-d2 / a->s2[t]);
        }
    }
}

// With e = exp(-pi^2 s2 |z|^2), a = w (pi s2)^(l/2): df/dw = a e cos / w, df/ds2 = a e cos (l / (2 s2) - pi^2 |z|^2), df/dmu = -2
// pi z a e sin.
static void closed_form_back(const flt_rpe_args *a, size_t n, const double *z, const double *df, const flt_rpe_slots *to) {
    const double l = (double)a->l;
    for (size_t t = 0; t < a->t; t++) {
        const double unit = pow(pi * a->s2[t], 0.5 * l), *mu = a->mu + t * a->l;
        for (size_t i = 0; i < n; i++) {
            const double *at = z + i * a->l;
            double z2 = 0.0, turns = 0.0;
            for (size_t k = 0; k < a->l; k++) z2 += at[k] * at[k], turns += mu[k] * at[k];
            const double decay = pi * pi * a->s2[t] * z2, phase = FLTX_TWO_PI * (turns - rint(turns));
            if (!(decay < 745.0)) continue;
            const double e = df[i] * unit * exp(-decay), even = e * cos(phase), odd = -FLTX_TWO_PI * a->w[t] * e * sin(phase);
            to->w[t] += even;
            to->s2[t] += a->w[t] * even * (0.5 * l / a->s2[t] - pi * pi * z2);
            for (size_t k = 0; k < a->l; k++) to->mu[t * a->l + k] += odd * at[k];
        }
    }
}

// With E = exp(-|xi - mu|^2 / s2): dg/dw = E, dg/dmu = 2 w E (xi - mu) / s2 = -dg/dxi, dg/ds2 = w E |xi - mu|^2 / s2^2
static void spectrum_back(const flt_rpe_args *a, size_t n, const double *xi, const double *dg, const flt_rpe_slots *to) {
    for (size_t t = 0; t < a->t; t++) {
        const double s2 = a->s2[t], *mu = a->mu + t * a->l;
        for (size_t i = 0; i < n; i++) {
            const double *at = xi + i * a->l;
            double d2 = 0.0;
            for (size_t k = 0; k < a->l; k++) d2 += (at[k] - mu[k]) * (at[k] - mu[k]);
            const double e = dg[i] * exp(-d2 / s2);
            to->w[t] += e;
            to->s2[t] += a->w[t] * e * d2 / (s2 * s2);
            for (size_t k = 0; k < a->l; k++) {
                const double x = 2.0 * a->w[t] * e * (at[k] - mu[k]) / s2;
                to->mu[t * a->l + k] += x;
                if (to->xi != NULL) to->xi[i * a->l + k] -= x;
            }
        }
    }
}

// What component t has of the proposal, times C; all alike while every weight is 0, so that training can start there.
static double share(const flt_rpe_args *a, bool none, size_t t) {
    return none ? pow(pi * a->s2[t], 0.5 * (double)a->l) : fabs(amplitude(a, t));
}

static double total_share(const flt_rpe_args *a, bool *none) {
    double total = 0.0;
    *none = true;
    for (size_t t = 0; t < a->t; t++) *none &= a->w[t] == 0.0;
    for (size_t t = 0; t < a->t; t++) total += share(a, *none, t);
    return total;
}

// The component at this level of the shares.
static size_t choose(const flt_rpe_args *a, bool none, double level) {
    size_t t = 0;
    for (double sum = share(a, none, 0); t + 1 < a->t && sum <= level; sum += share(a, none, t)) t++;
    return t;
}

// rho = g/p at one frequency: C times the average sign of the weights under the components' responsibilities, which is formed
// in the log domain since far from every component g and p both underflow.
static double ratio(const flt_rpe_args *a, double total, const double *xi) {
    double top = -INFINITY, plus = 0.0, both = 0.0;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t t = 0; t < a->t; t++) {
            double d2 = 0.0;
            if (a->w[t] == 0.0) continue;
            for (size_t k = 0; k < a->l; k++) d2 += pow(xi[k] - a->mu[t * a->l + k], 2);
            const double e = log(fabs(a->w[t])) - d2 / a->s2[t];
            if (pass == 0) {
                top = fmax(top, e);
            } else {
                plus += copysign(exp(e - top), a->w[t]);
                both += exp(e - top);
            }
        }
    }
    return both > 0.0 ? total * plus / both : 0.0;
}

// The component of frequency m is chosen by a stratified uniform: the r frequencies share out in proportion to the c_t up to
// rounding, which keeps the estimate unbiased and takes the variance of the choice away.
static flt_err draw(const flt_rpe_args *a, flt_rng rng, size_t r, double *xi, double *rho) {
    const flt_rng choice = flt_rng_child(rng, "component", 0), normal = flt_rng_child(rng, "normal", 0);
    bool none = false;
    const double total = total_share(a, &none);
    flt_rng_normal_double(normal, 0, r * a->l, xi);
    for (size_t m = 0; m < r; m++) {
        const size_t t = choose(a, none, total * ((double)m + flt_rng_uniform_at(choice, m)) / (double)r);
        for (size_t k = 0; k < a->l; k++) xi[m * a->l + k] = a->mu[t * a->l + k] + sqrt(0.5 * a->s2[t]) * xi[m * a->l + k];
        rho[m] = ratio(a, total, xi + m * a->l);
    }
    return FLTE_OK;
}

static size_t coordinates(const flt_rpe_args *a) {
    return a->l + 1;
}

// The last coordinate chooses the component.
static void place(const flt_rpe_args *a, size_t r, const double *u, double *xi, double *rho) {
    bool none = false;
    const double total = total_share(a, &none);
    for (size_t m = 0; m < r; m++) {
        const double *point = u + m * (a->l + 1);
        const size_t t = choose(a, none, total * point[a->l]);
        for (size_t k = 0; k < a->l; k++)
            xi[m * a->l + k] = a->mu[t * a->l + k] + sqrt(0.5 * a->s2[t]) * flt_rpe_normal_quantile(point[k]);
        rho[m] = ratio(a, total, xi + m * a->l);
    }
}

// 1/p = C / sum_t |w_t| exp(-|xi - mu_t|^2 / s2_t)
static void weigh(const flt_rpe_args *a, size_t r, const double *xi, const double *rho, double *weight) {
    bool none = false;
    const double total = total_share(a, &none);
    (void)rho;
    for (size_t m = 0; m < r; m++) {
        double p = 0.0;
        for (size_t t = 0; t < a->t; t++) {
            double d2 = 0.0;
            for (size_t k = 0; k < a->l; k++) d2 += pow(xi[m * a->l + k] - a->mu[t * a->l + k], 2);
            p += (none ? 1.0 : fabs(a->w[t])) * exp(-d2 / a->s2[t]);
        }
        weight[m] = total / p;
    }
}

const flt_rpe_kind flt_rpe_kind_gaussian_mixture = {
    .kind =
        {
            .name = "gaussian_mixture",
            .summary = "a mixture of Gaussians in the frequency domain: arguments w [T], mu [T, l], s2 [T]",
            .formula = "f(z) = sum_t w_t (pi s2_t)^(l/2) exp(-pi^2 s2_t |z|^2) cos(2 pi mu_t.z)",
            .cost = "O(T l) a point",
            .citation = "Choromanski, Li et al., Learning a Fourier transform for linear relative positional encodings in "
                        "Transformers, AISTATS 2024, arXiv 2302.01925",
            .caps = FLTX_RPE_SPECTRUM | FLTX_RPE_EVEN,
        },
    .args = {{"w", NAN}, {"mu", NAN}, {"s2", NAN}},
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
