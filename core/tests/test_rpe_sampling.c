// SPDX-License-Identifier: MIT
// Frequencies by orthogonal rows, scrambled Halton points and a rule: unbiased where they are random, and of lower error.
#include "num_support.h"

#include "flt/rpe.h"

static const double weights[] = {0.7, -0.3}, centres[] = {0.3, -0.2, 0.1, 0.5, 0.0, -0.4}, variances[] = {0.2, 0.6};

static const flt_rpe_kind *kind_of(const char *name) {
    const flt_rpe_kind *kind = NULL;
    cr_assert(eq(int, flt_rpe_find(name, &kind), FLTE_OK), "%s", flt_error());
    return kind;
}

static flt_rpe_args args_of(size_t l) {
    return (flt_rpe_args){
        .l = l, .t = 2, .w = weights, .mu = centres, .s2 = variances, .c = 0.9, .scale = 0.6, .v = 0.8, .band = 4};
}

static double estimate(size_t l, size_t r, const double *xi, const double *rho, const double *z) {
    double sum = 0;
    for (size_t m = 0; m < r; m++) {
        double turns = 0;
        for (size_t k = 0; k < l; k++) turns += xi[m * l + k] * z[k];
        sum += rho[m] * cos(FLTX_TWO_PI * turns);
    }
    return sum / (double)r;
}

typedef struct moments {
    double mean, variance;
} moments;

enum { SEEDS = 1500, R = 24 };

static moments over_seeds(const flt_rpe_kind *kind, size_t l, flt_rpe_sampling how, const double *z) {
    const flt_rpe_args a = args_of(l);
    double xi[3 * R], rho[R], sum = 0, square = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        cr_assert(eq(int, flt_rpe_draw(kind, &a, how, 1, flt_rng_make(seed, "test", l), R, xi, rho), FLTE_OK), "%s", flt_error());
        const double x = estimate(l, R, xi, rho, z);
        sum += x, square += x * x;
    }
    return (moments){sum / SEEDS, fmax(square / SEEDS - pow(sum / SEEDS, 2), 0)};
}

static const char *const names[] = {"gaussian", "laplace", "matern32", "matern52", "cauchy", "gaussian_mixture"};
enum { NAMES = sizeof names / sizeof *names };

Test(rpe_sampling, points_leave_no_bias_and_less_variance) {
    for (size_t i = 0; i < NAMES; i++)
        for (size_t l = 1; l <= 3; l += 2) {
            const flt_rpe_kind *kind = kind_of(names[i]);
            const flt_rpe_args a = args_of(l);
            const double z[3] = {0.4, -0.3, 0.2};
            double f = 0;
            kind->closed_form(&a, 1, z, &f);
            const double plain = over_seeds(kind, l, FLTX_RPE_MC, z).variance;
            for (int how = FLTX_RPE_ORTHOGONAL; how <= FLTX_RPE_QMC; how++) {
                const moments got = over_seeds(kind, l, (flt_rpe_sampling)how, z);
                // qmc: draws share their sequence, so seeds vary less than 1/r; 6 errors leave room for its heavier tail
                cr_assert(lt(dbl, fabs(got.mean - f), 6 * sqrt(got.variance / SEEDS)), "%s l %zu how %d: %g of %g", names[i], l,
                          how, got.mean, f);
                // a variance over 1500 seeds is known to 4 %
                cr_assert(lt(dbl, got.variance, plain * (how == FLTX_RPE_QMC && l == 1 ? 0.7 : 1.2)),
                          "%s l %zu how %d: %g after %g", names[i], l, how, got.variance, plain);
            }
        }
}

// Halton's points are apart by at most the cell of a level: in one dimension a draw of 2^k points has one in each cell of 2^-k.
Test(rpe_sampling, qmc_converges_faster) {
    enum { LARGE = 256 };
    const flt_rpe_kind *kind = kind_of("gaussian");
    const flt_rpe_args a = args_of(1);
    double xi[LARGE], rho[LARGE], f = 0, error[2] = {0};
    kind->closed_form(&a, 1, &(double){0.5}, &f);
    for (int how = FLTX_RPE_MC; how <= FLTX_RPE_QMC; how += FLTX_RPE_QMC)
        for (uint64_t seed = 0; seed < 200; seed++) {
            cr_assert(eq(int, flt_rpe_draw(kind, &a, (flt_rpe_sampling)how, 1, flt_rng_make(seed, "test", 0), LARGE, xi, rho),
                         FLTE_OK));
            error[how == FLTX_RPE_QMC] += pow(estimate(1, LARGE, xi, rho, &(double){0.5}) - f, 2);
        }
    cr_assert(lt(dbl, error[1], error[0] / 100), "%g after %g", error[1], error[0]);
}

// 32 frequencies on a sequence of 64: a mask that is smooth and dies out comes to many digits, a cusp to a few per cent.
Test(rpe_sampling, quadrature_reproduces_smooth_masks) {
    static const struct {
        const char *name;
        double bound;
    } cases[] = {{"gaussian", 1e-8}, {"matern52", 3e-3}, {"matern32", 1e-2}, {"laplace", 0.06}, {"cauchy", 1e-2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const flt_rpe_kind *kind = kind_of(cases[i].name);
        const flt_rpe_args a = {.l = 1, .c = 1, .scale = 6};
        double xi[32], rho[32], worst = 0, f = 0;
        cr_assert(eq(int, flt_rpe_draw(kind, &a, FLTX_RPE_QUADRATURE, 63, flt_rng_make(0, "test", 0), 32, xi, rho), FLTE_OK));
        for (double z = 0; z < 64; z++) {
            kind->closed_form(&a, 1, &z, &f);
            worst = fmax(worst, fabs(estimate(1, 32, xi, rho, &z) - f));
        }
        cr_assert(lt(dbl, worst, cases[i].bound), "%s: %g", cases[i].name, worst);
    }
}

Test(rpe_sampling, rules_stay_and_planes_are_refused) {
    const flt_rpe_args window = {.l = 1, .c = 1, .v = 2}, plane = args_of(2);
    double xi[16], rho[16], again[8];
    for (int how = FLTX_RPE_MC; how <= FLTX_RPE_QUADRATURE; how++) {
        cr_assert(eq(int, flt_rpe_draw(kind_of("window"), &window, (flt_rpe_sampling)how, 9, flt_rng_make(0, "t", 0), 8, xi, rho),
                     FLTE_OK));
        if (how == FLTX_RPE_MC) memcpy(again, rho, sizeof again);
        cr_assert(eq(int, memcmp(rho, again, sizeof again), 0), "a rule is a rule: %d", how);
    }
    cr_assert(eq(int, flt_rpe_draw(kind_of("gaussian"), &plane, FLTX_RPE_QUADRATURE, 9, flt_rng_make(0, "t", 0), 8, xi, rho),
                 FLTE_UNSUPPORTED));
    cr_assert(strstr(flt_error(), "qmc") != NULL, "%s", flt_error());
    cr_assert(eq(sz, flt_live_blocks(), 0));
}
