// SPDX-License-Identifier: MIT
// Frequencies of an encoding by other means than independent draws.
//
//   orthogonal  points whose first l coordinates are Phi of Gaussian rows, orthogonal in blocks of l: directions repel each other
//   qmc         Halton's sequence, each digit permuted at random: every point alone is uniform, so the estimate stays unbiased,
//               and together they fill the cube evenly: error near 1/r where independent draws have r^-1/2
//   quadrature  l = 1: the midpoint rule xi_m = (m + 1/2) h on the frequency axis, rho_m = r h (g(xi_m) + g(-xi_m)). What it adds
//               up to is f with images at multiples of 1/h, cut off at r h; h is the one of 40 candidates whose mean square error
//               on the offsets up to `span` is least. No randomness, no bias for the features to average out.
//
// Owen, A randomized Halton algorithm in R, 2017, arXiv 1706.02808; Felix Yu et al., Orthogonal random features, NeurIPS 2016.
#include "kernel.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <string.h>

static const uint32_t primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53};
enum { MAX_WIDTH = sizeof primes / sizeof *primes, MAX_BASE = 53, MAX_DIGITS = 53 };

// ---- points of the unit cube

// Coordinate `axis` of points 0 .. r-1, `stride` apart.
static void halton(flt_rng rng, size_t axis, size_t r, size_t stride, double *u) {
    const uint32_t base = primes[axis];
    uint32_t order[MAX_DIGITS][MAX_BASE];
    size_t digits = 0;
    for (double weight = 1.0; weight > 0x1p-53; weight /= base, digits++)
        flt_rng_permutation(flt_rng_child(rng, "digit", axis * MAX_DIGITS + digits), base, order[digits]);
    for (size_t m = 0; m < r; m++) {
        double weight = 1.0, sum = 0.0;
        size_t rest = m;
        for (size_t k = 0; k < digits; k++, rest /= base)
            sum += (FLTX_BUG(NO_SCRAMBLE) ? rest % base : order[k][rest % base]) * (weight /= base);
        u[m * stride] = fmin(sum, 1.0 - 0x1p-53);
    }
}

static flt_err fill_qmc(const flt_rpe_kind *kind, flt_rng rng, size_t r, size_t width, double *u) {
    if (width > MAX_WIDTH)
        return flt_fail(FLTE_UNSUPPORTED, kind->kind.name, "qmc would need %zu coordinates a point; it has %d", width, MAX_WIDTH);
    for (size_t k = 0; k < width; k++) halton(rng, k, r, width, u + k);
    return FLTE_OK;
}

static flt_err fill_orthogonal(flt_rng rng, size_t l, size_t r, size_t width, double *u) {
    flt_real *rows = NULL;
    FLTX_TRY(flt_alloc(r, l * sizeof *rows, &rows));
    flt_rng_uniform_double(flt_rng_child(rng, "others", 0), 0, r * width, u);
    const flt_err err = flt_orthogonal_gaussian(flt_rng_child(rng, "orthogonal", 0), r, l, rows);
    for (size_t i = 0; err == FLTE_OK && i < r * l; i++) u[i / l * width + i % l] = 0.5 * erfc(-(double)rows[i] / sqrt(2.0));
    flt_free(rows);
    return err;
}

static flt_err place_points(const flt_rpe_kind *kind, const flt_rpe_args *a, flt_rpe_sampling how, flt_rng rng, size_t r,
                            double *xi, double *rho) {
    const size_t width = kind->coordinates(a);
    double *u = NULL;
    FLTX_TRY(flt_alloc(r, width * sizeof *u, &u));
    const flt_err err = how == FLTX_RPE_QMC ? fill_qmc(kind, rng, r, width, u) : fill_orthogonal(rng, a->l, r, width, u);
    if (err == FLTE_OK) kind->place(a, r, u, xi, rho);
    flt_free(u);
    return err;
}

// ---- the rule on the frequency axis

enum { OFFSETS = 65, STEPS = 40 };

static void rule(const flt_rpe_kind *kind, const flt_rpe_args *a, double h, size_t r, double *xi, double *rho) {
    for (size_t m = 0; m < r; m++) {
        const double both[2] = {((double)m + 0.5) * h, -((double)m + 0.5) * h};
        double g[2];
        kind->spectrum(a, 2, both, g);
        xi[m] = both[0];
        rho[m] = (double)r * h * (FLTX_BUG(HALF_RULE) ? g[0] : g[0] + g[1]);
    }
}

static double rule_error(size_t r, const double *xi, const double *rho, const double *z, const double *f) {
    double error = 0.0;
    for (size_t i = 0; i < OFFSETS; i++) {
        double sum = 0.0;
        for (size_t m = 0; m < r; m++) sum += rho[m] * cos(FLTX_TWO_PI * xi[m] * z[i]);
        error += pow(sum / (double)r - f[i], 2);
    }
    return error;
}

static void best_rule(const flt_rpe_kind *kind, const flt_rpe_args *a, double span, size_t r, double *xi, double *rho) {
    double z[OFFSETS], f[OFFSETS], least = INFINITY, best = 0.0;
    for (size_t i = 0; i < OFFSETS; i++) z[i] = span * (double)i / (OFFSETS - 1);
    kind->closed_form(a, OFFSETS, z, f);
    double h = 1.0 / (8.0 * span);
    for (size_t k = 0; k < STEPS; k++, h *= 1.25) {
        rule(kind, a, h, r, xi, rho);
        const double error = rule_error(r, xi, rho, z, f);
        if (error < least) least = error, best = h;
    }
    rule(kind, a, best > 0.0 ? best : h, r, xi, rho);
}

flt_err flt_rpe_draw(const flt_rpe_kind *kind, const flt_rpe_args *a, flt_rpe_sampling how, double span, flt_rng rng, size_t r,
                     double *xi, double *rho) {
    FLTX_GIVEN(kind, a);
    if (r > 0) FLTX_GIVEN(xi, rho);
    if (kind->draw == NULL)
        return flt_fail(FLTE_UNSUPPORTED, kind->kind.name, "it has no spectrum that frequencies could be drawn from");
    if (how == FLTX_RPE_MC || kind->place == NULL) {
        FLTX_TRY(kind->draw(a, rng, r, xi, rho));
        for (size_t m = 8; FLTX_BUG(REPEATED_FREQUENCIES) && m < r; m++) {
            memcpy(xi + m * a->l, xi + m % 8 * a->l, a->l * sizeof *xi);
            rho[m] = rho[m % 8];
        }
        return FLTE_OK;
    }
    if (how != FLTX_RPE_QUADRATURE) return place_points(kind, a, how, rng, r, xi, rho);
    if (a->l != 1)
        return flt_fail(FLTE_UNSUPPORTED, kind->kind.name,
                        "quadrature is a rule on one frequency axis, but positions have l = %zu; these can: mc, orthogonal, qmc",
                        a->l);
    best_rule(kind, a, span > 0.0 ? span : 1.0, r, xi, rho);
    return FLTE_OK;
}

// ---- weights

static bool is_rule(const flt_rpe_kind *kind, flt_rpe_sampling how) {
    return how == FLTX_RPE_QUADRATURE && kind->place != NULL;
}

void flt_rpe_weigh(const flt_rpe_kind *kind, const flt_rpe_args *a, flt_rpe_sampling how, size_t r, const double *xi,
                   const double *rho, double *weight) {
    if (!is_rule(kind, how)) {
        kind->weigh(a, r, xi, rho, weight);
        return;
    }
    for (size_t m = 0; m < r; m++) weight[m] = 2.0 * (double)r * (2.0 * xi[0]); // h = 2 xi_0
}

enum { BLOCK = 64 };

void flt_rpe_ratio(const flt_rpe_kind *kind, const flt_rpe_args *a, bool even, size_t r, const double *xi, const double *weight,
                   double *rho) {
    kind->spectrum(a, r, xi, rho);
    for (size_t m = 0; even && m < r; m += BLOCK) { // l = 1
        double turned[BLOCK], g[BLOCK];
        const size_t n = r - m < BLOCK ? r - m : BLOCK;
        for (size_t i = 0; i < n; i++) turned[i] = -xi[m + i];
        kind->spectrum(a, n, turned, g);
        for (size_t i = 0; i < n; i++) rho[m + i] = 0.5 * (rho[m + i] + g[i]);
    }
    for (size_t m = 0; m < r; m++) rho[m] = weight[m] != 0.0 ? rho[m] * weight[m] : 0.0;
}
