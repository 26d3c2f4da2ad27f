// SPDX-License-Identifier: MIT
// Shift-invariant and local encodings: closed form and spectrum against radial quadrature in 1 to 3 dimensions, draws against
// the closed form (kernels) or its band-limited part (box, ball), published values, buckets of T5.
#include "num_support.h"

#include "../rpe/engine/kernel.h"

static const double pi = 3.14159265358979323846;

static const flt_rpe_kind *kind_of(const char *name) {
    const flt_rpe_kind *kind = NULL;
    cr_assert(eq(int, flt_rpe_find(name, &kind), FLTE_OK), "%s", flt_error());
    return kind;
}

// The radial part of e^{2 pi i xi.z} over the sphere of radius s, times its area.
static double wave(size_t l, double s, double k) {
    const double t = 2 * pi * s * k;
    if (l == 1) return 2 * cos(t);
    if (l == 2) return 2 * pi * s * j0(t);
    return 4 * pi * s * s * (t < 1e-5 ? 1 - t * t / 6 : sin(t) / t);
}

typedef void (*radial)(const flt_rpe_args *a, size_t n, const double *x, double *y);

// int over |x| <= end of what(x) e^{2 pi i x.at} by Simpson's rule in the square root of the radius, which resolves the origin.
static double transform(radial what, const flt_rpe_args *a, double end, double at) {
    enum { NODES = 8000 };
    const double h = sqrt(end) / NODES;
    double sum = 0;
    for (int i = 1; i <= NODES; i++) {
        const double x = h * i;
        double point[3] = {x * x, 0, 0}, value = 0;
        what(a, 1, point, &value);
        sum += (i == NODES ? 1 : i % 2 ? 4 : 2) * 2 * x * value * wave(a->l, x * x, at);
    }
    return sum * h / 3;
}

static const struct {
    const char *name;
    double reach; // in length scales: beyond it f (cauchy: g) is below 1e-13
    bool from_spectrum;
} kernels[] = {
    {"gaussian", 8, false}, {"laplace", 32, false}, {"matern32", 22, false}, {"matern52", 18, false}, {"cauchy", 6, true}};
enum { KERNELS = sizeof kernels / sizeof *kernels };

Test(rpe_kernels, are_transform_pairs) {
    for (size_t i = 0; i < KERNELS; i++)
        for (size_t l = 1; l <= 3; l++)
            for (double x = 0; x < 1.5; x += 0.45) {
                const flt_rpe_kind *kind = kind_of(kernels[i].name);
                const flt_rpe_args a = {.l = l, .c = 1.3, .scale = 0.7};
                const double point[3] = {x, 0, 0};
                double want = 0, scale = 0, got = 0;
                if (kernels[i].from_spectrum) {
                    kind->closed_form(&a, 1, point, &want);
                    kind->closed_form(&a, 1, (double[3]){0}, &scale);
                    got = transform(kind->spectrum, &a, kernels[i].reach / a.scale, x);
                } else {
                    kind->spectrum(&a, 1, point, &want);
                    kind->spectrum(&a, 1, (double[3]){0}, &scale);
                    got = transform(kind->closed_form, &a, kernels[i].reach * a.scale, x);
                }
                // Simpson's error, h^4 times a fourth derivative, is below 1e-9 here
                cr_assert(lt(dbl, fabs(got - want), 1e-8 * scale), "%s l %zu at %g: %g, wanted %g", kernels[i].name, l, x, got,
                          want);
            }
}

// (1/r) sum rho cos(2 pi xi.z) and its standard error
static double estimate(size_t l, size_t r, const double *xi, const double *rho, const double *z, double *error) {
    double sum = 0, square = 0;
    for (size_t m = 0; m < r; m++) {
        double turns = 0;
        for (size_t k = 0; k < l; k++) turns += xi[m * l + k] * z[k];
        const double x = rho[m] * cos(2 * pi * turns);
        sum += x;
        square += x * x;
    }
    const double mean = sum / (double)r;
    *error = sqrt(fmax(square / (double)r - mean * mean, 0) / (double)r);
    return mean;
}

enum { R = 40000 };

Test(rpe_kernels, draws_have_a_constant_ratio_and_estimate_the_closed_form) {
    double *xi = take(R * 3, sizeof *xi), *rho = take(R, sizeof *rho);
    for (size_t i = 0; i < KERNELS; i++)
        for (size_t l = 1; l <= 3; l++) {
            const flt_rpe_kind *kind = kind_of(kernels[i].name);
            const flt_rpe_args a = {.l = l, .c = -0.8, .scale = 0.4};
            cr_assert(eq(int, kind->draw(&a, flt_rng_make(i, "test", l), R, xi, rho), FLTE_OK));
            for (size_t m = 0; m < R; m++) cr_assert(eq(dbl, rho[m], -0.8), "%s", kernels[i].name);
            for (double x = 0; x < 1.2; x += 0.17) {
                const double z[3] = {x, -0.3 * x, 0.5 * x};
                double f = 0, error = 0;
                kind->closed_form(&a, 1, z, &f);
                const double got = estimate(l, R, xi, rho, z, &error);
                cr_assert(le(dbl, fabs(got - f), 5 * error + 1e-14), "%s l %zu z %g: %g of %g", kernels[i].name, l, x, got, f);
            }
        }
    flt_free(xi);
    flt_free(rho);
}

// ---- local encodings

Test(rpe_kernels, ball_has_the_published_values) {
    static const struct {
        size_t l;
        double k, g;
    } known[] = {{3, 0, 2.144661},   {3, 0.3, 1.694955},  {3, 1.1, -0.179469}, {3, 2.4, -0.040507},
                 {2, 0.3, 1.490767}, {2, 1.1, -0.247046}, {2, 2.4, -0.072929}, {1, 0, 1.6}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const flt_rpe_args a = {.l = known[i].l, .c = 1, .v = 0.8};
        double g = 0;
        kind_of("ball")->spectrum(&a, 1, (double[3]){known[i].k, 0, 0}, &g);
        cr_assert(lt(dbl, fabs(g - known[i].g), 1.1e-6 /* published to six digits */), "l %zu k %g: %g", known[i].l, known[i].k,
                  g);
    }
}

Test(rpe_kernels, ball_and_box_are_transform_pairs) {
    for (size_t l = 1; l <= 3; l++)
        for (double k = 0; k < 4; k += 0.013) {
            const flt_rpe_args a = {.l = l, .c = 1.5, .v = 0.8};
            double g = 0, top = 0;
            kind_of("ball")->spectrum(&a, 1, (double[3]){k, 0, 0}, &g);
            kind_of("ball")->spectrum(&a, 1, (double[3]){0}, &top);
            const double want = transform(kind_of("ball")->closed_form, &a, a.v * (1 - 1e-15), k);
            cr_assert(lt(dbl, fabs(g - want), 1e-10 * top), "ball l %zu k %g: %.12g, wanted %.12g", l, k, g, want);
        }
    const flt_rpe_args one = {.l = 1, .c = 1, .v = 0.8}, three = {.l = 3, .c = 2, .v = 0.8};
    const double xi[3] = {0.3, -0.7, 1.9};
    double each[3], g = 0;
    kind_of("box")->spectrum(&one, 3, xi, each);
    kind_of("box")->spectrum(&three, 1, xi, &g);
    cr_assert(lt(dbl, fabs(g - 2 * each[0] * each[1] * each[2]), 1e-15), "a box is the product of its axes");
    kind_of("ball")->spectrum(&one, 3, xi, each + 0);
    cr_assert(lt(dbl, fabs(each[2] - sin(2 * pi * 0.8 * 1.9) / (pi * 1.9)), 1e-15));
}

// The mean is the mask cut off at band/v: 1.054 at the centre and .533 just inside for l = 1, v = 0.8, 2 cycles.
Test(rpe_kernels, local_draws_estimate_the_band_limited_mask) {
    double *xi = take(R * 3, sizeof *xi), *rho = take(R, sizeof *rho);
    for (int box = 0; box < 2; box++)
        for (size_t l = 1; l <= (box ? 1 : 3); l++) {
            const flt_rpe_kind *kind = kind_of(box ? "box" : "ball");
            const flt_rpe_args a = {.l = l, .c = 1, .v = 0.8, .band = 1.6};
            cr_assert(eq(int, kind->draw(&a, flt_rng_make(5, "test", l), R, xi, rho), FLTE_OK));
            for (double x = 0; x < 1.6; x += 0.1) {
                const double z[3] = {x * sqrt(l == 1   ? 1
                                              : l == 2 ? 0.5
                                                       : 1 / 3.0),
                                     x * sqrt(l == 2 ? 0.5 : 1 / 3.0), -x * sqrt(1 / 3.0)};
                double error = 0;
                const double want = transform(kind->spectrum, &a, 2, x), got = estimate(l, R, xi, rho, z, &error);
                cr_assert(lt(dbl, fabs(got - want), 5 * error), "box %d l %zu z %g: %g of %g", box, l, x, got, want);
                if (l == 1 && x == 0) cr_assert(lt(dbl, fabs(want - 1.054), 1e-3), "%g", want);
            }
            for (size_t m = 0; m < R; m++) cr_assert(lt(dbl, fabs(rho[m]), 8.0), "box %d l %zu rho[%zu] = %g", box, l, m, rho[m]);
        }
    flt_free(xi);
    flt_free(rho);
}

// Axes are drawn apart and with both signs: the mean of a box in 2 dimensions is the product of the band-limited axes.
Test(rpe_kernels, box_draws_factor_over_the_axes) {
    double *xi = take(R * 2, sizeof *xi), *rho = take(R, sizeof *rho), error = 0;
    const flt_rpe_args a = {.l = 2, .c = 1, .v = 0.8, .band = 3}, axis = {.l = 1, .c = 1, .v = 0.8};
    cr_assert(eq(int, kind_of("box")->draw(&a, flt_rng_make(9, "test", 0), R, xi, rho), FLTE_OK));
    for (double x = 0; x < 1.3; x += 0.3)
        for (double y = -1; y < 1.3; y += 0.4) {
            const double want =
                transform(kind_of("box")->spectrum, &axis, 3 / 0.8, x) * transform(kind_of("box")->spectrum, &axis, 3 / 0.8, y);
            const double got = estimate(2, R, xi, rho, (double[2]){x, y}, &error);
            cr_assert(lt(dbl, fabs(got - want), 5 * error), "(%g, %g): %g of %g", x, y, got, want);
        }
    flt_free(xi);
    flt_free(rho);
}

Test(rpe_kernels, closed_forms_of_local_masks) {
    const flt_rpe_args a = {.l = 2, .c = 1.5, .v = 0.8, .band = 8};
    const double z[8] = {0.7, 0.7, 0.8, 0, 0.9, 0, 0, 0}, ball[4] = {0, 1.5, 0, 1.5}, box[4] = {1.5, 1.5, 0, 1.5};
    double f[4];
    kind_of("ball")->closed_form(&a, 4, z, f);
    for (size_t i = 0; i < 4; i++) cr_assert(eq(dbl, f[i], ball[i]), "ball %zu", i);
    kind_of("box")->closed_form(&a, 4, z, f);
    for (size_t i = 0; i < 4; i++) cr_assert(eq(dbl, f[i], box[i]), "box %zu", i);
}

// ---- encodings without a spectrum

// With T5's defaults: a bucket a lag up to 7, then logarithmic; keys after the query come second.
Test(rpe_kernels, t5_buckets_are_those_of_t5) {
    static const double first[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91};
    double buckets[32];
    const flt_rpe_args a = {.l = 1, .n_buckets = 32, .buckets = buckets, .max_distance = 128};
    for (size_t b = 0; b < 32; b++) buckets[b] = (double)b;
    for (double lag = 0; lag < 400; lag++) {
        double want = 0, f = 0;
        while (want < 15 && first[(size_t)want + 1] <= lag) want++;
        kind_of("t5_buckets")->closed_form(&a, 1, &lag, &f);
        cr_assert(eq(dbl, f, want), "key %g steps before its query", lag);
        kind_of("t5_buckets")->closed_form(&a, 1, &(double){-lag}, &f);
        cr_assert(eq(dbl, f, lag == 0 ? 0 : 16 + want), "key %g steps after its query", lag);
    }
}

Test(rpe_kernels, penalties_on_the_distance) {
    const flt_rpe_args a = {.l = 2, .slope = 0.25, .decay = 0.5};
    const double z[4] = {3, -4, 0, 0};
    double f[2];
    kind_of("alibi")->closed_form(&a, 2, z, f);
    cr_assert(eq(dbl, f[0], -1.25));
    kind_of("exponential")->closed_form(&a, 2, z, f);
    cr_assert(lt(dbl, fabs(exp(f[0]) - 0x1p-5), 1e-16));
    cr_assert(lt(dbl, fabs(f[1]), 1e-300));
}

Test(rpe_kernels, normal_quantile_inverts_the_distribution) {
    for (double u = 1e-300; u < 1e-17; u *= 1e3) cr_assert(lt(dbl, flt_rpe_normal_quantile(u), -8.3), "clamped at %g", u);
    for (double p = 0x1p-50; p < 0.999; p = p < 0.01 ? 1.37 * p : p + 0.0037) {
        const double x = flt_rpe_normal_quantile(p), got = 0.5 * erfc(-x / sqrt(2.0));
        cr_assert(lt(dbl, fabs(got - p), 1e-14 * p * (1 + x * x)), "p %g: x %g gives %g", p, x, got);
        cr_assert(lt(dbl, fabs(flt_rpe_normal_quantile(1 - p) + x), 1e-9 + 1e-15 / p), "p %g is symmetric", p);
    }
}

Test(rpe_kernels, bad_arguments_are_refused) {
    static const double one[5] = {1, 1, 1, 1, 1};
    const struct {
        const char *kind;
        flt_rpe_args a;
        flt_err err;
    } cases[] = {
        {"gaussian", {.l = 1, .c = 1}, FLTE_RANGE},
        {"laplace", {.l = 1, .c = NAN, .scale = 1}, FLTE_RANGE},
        {"matern32", {.l = 1, .c = 1, .scale = -1}, FLTE_RANGE},
        {"matern52", {.l = 1, .c = 1, .scale = INFINITY}, FLTE_RANGE},
        {"cauchy", {.l = 1, .c = 1, .scale = NAN}, FLTE_RANGE},
        {"box", {.l = 1, .c = 1, .v = 0, .band = 8}, FLTE_RANGE},
        {"box", {.l = 1, .c = 1, .v = 1, .band = 0.5}, FLTE_RANGE},
        {"ball", {.l = 4, .c = 1, .v = 1, .band = 8}, FLTE_SHAPE},
        {"ball", {.l = 3, .c = NAN, .v = 1, .band = 8}, FLTE_RANGE},
        {"alibi", {.l = 1, .slope = NAN}, FLTE_RANGE},
        {"exponential", {.l = 1, .decay = 0}, FLTE_RANGE},
        {"exponential", {.l = 1, .decay = 1.5}, FLTE_RANGE},
        {"t5_buckets", {.l = 1, .max_distance = 128}, FLTE_SHAPE},
        {"t5_buckets", {.l = 2, .n_buckets = 4, .buckets = one, .max_distance = 128}, FLTE_SHAPE},
        {"t5_buckets", {.l = 1, .n_buckets = 5, .buckets = one, .max_distance = 128}, FLTE_SHAPE},
        {"t5_buckets", {.l = 1, .n_buckets = 4, .buckets = one, .max_distance = 1}, FLTE_RANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flt_error_clear();
        cr_assert(eq(int, kind_of(cases[i].kind)->check(&cases[i].a), cases[i].err), "case %zu: %s", i, flt_error());
        cr_assert(gt(sz, strlen(flt_error()), 20), "case %zu", i);
    }
}
