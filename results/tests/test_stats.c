// SPDX-License-Identifier: MIT
// Statistics against known values; the verdict on identical and on planted timings.
#include <math.h>

#include "../stats.h"
#include "flt/random.h"
#include "support.h"

static void p_is(const char *label, size_t na, const double *a, size_t nb, const double *b, double want, double tolerance) {
    double p = 0, q = 0;
    cr_assert(flt_stat_mann_whitney(na, a, nb, b, &p) == FLTE_OK && flt_stat_mann_whitney(nb, b, na, a, &q) == FLTE_OK, "%s",
              flt_error());
    cr_assert(fabs(p - want) <= tolerance, "%s: p = %.8f, not %.8f", label, p, want);
    cr_assert(fabs(p - q) <= 1e-12, "%s: not symmetric: %.8f and %.8f", label, p, q);
}

Test(stats, mann_whitney_gives_known_values) {
    static const double three[] = {1, 2, 3}, six[] = {4, 5, 6}, low[] = {5, 3, 1, 2, 4}, high[] = {10, 8, 9, 7, 6};
    // Hollander & Wolfe, Nonparametric Statistical Methods, page 69: one-sided p = 0.1272 (32 / 3003 fewer digits)
    static const double term[] = {0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
    static const double early[] = {1.15, 0.88, 0.90, 0.74, 1.21};
    static const double ties_a[] = {1, 2, 2, 3}, ties_b[] = {2, 3, 4, 5}, same[] = {7, 7, 7};
    p_is("3 and 3 apart", 3, three, 3, six, 0.1, 1e-12);
    p_is("5 and 5 apart", 5, low, 5, high, 2.0 / 252, 1e-12);
    p_is("Hollander & Wolfe", 10, term, 5, early, 2 * 0.1272, 1e-4);
    // U = 2.5 of 16, ties 3^3 - 3 + 2^3 - 2 = 30: z = 5 / sqrt(16 / 12 (9 - 30 / 56))
    p_is("ties", 4, ties_a, 4, ties_b, erfc(5.0 / sqrt(16.0 / 12 * (9 - 30.0 / 56)) / sqrt(2)), 1e-12);
    p_is("all equal", 3, same, 3, same, 1.0, 0);
    double p = 0;
    cr_assert(flt_stat_mann_whitney(0, same, 3, same, &p) == FLTE_OK && isnan(p), "an empty sample: %g", p);
}

Test(stats, exact_and_approximate_agree) {
    enum { N = 20 };
    double a[N], b[N], p = 0, u = 0;
    for (int i = 0; i < N; i++) a[i] = i, b[i] = i + 3.5;
    for (int i = 0; i < N * N; i++) u += b[i / N] < a[i % N];
    cr_assert(flt_stat_mann_whitney(N, a, N, b, &p) == FLTE_OK, "%s", flt_error());
    const double near = erfc((N * N / 2.0 - u - 0.5) / sqrt(N * N * (2 * N + 1) / 12.0) / sqrt(2));
    cr_assert(fabs(p - near) < 0.005, "%g and %g", p, near);
}

Test(stats, statistics_give_known_values) {
    static const double x[] = {1, 2, 3, 4, 100, 200, 300, 400};
    cr_assert(flt_stat_mean(4, x) == 2.5 && flt_stat_median(4, x) == 2.5 && flt_stat_median(3, x) == 2, "mean, median");
    cr_assert(flt_stat_iqm(8, x) == (3.0 + 4 + 100 + 200) / 4, "iqm %g", flt_stat_iqm(8, x));
    cr_assert(flt_stat_iqm(1, x) == 1 && isnan(flt_stat_median(0, x)), "one and none");
    flt_interval i;
    cr_assert(flt_stat_bootstrap(flt_stat_mean, 1, x, 0.95, &i) == FLTE_OK && i.estimate == 1 && isnan(i.low), "one value");
    cr_assert(flt_stat_difference(4, x, 4, x + 4, 0.95, &i) == FLTE_OK && i.estimate == 247.5, "difference %g", i.estimate);
    cr_assert(i.low > 97.5 && i.low < i.estimate && i.high > i.estimate && i.high < 397.5, "%g to %g", i.low, i.high);
}

// Groups far apart: within them there is little, between them much. The stratified interval covers, and is far narrower.
Test(stats, strata_cover_the_mean) {
    enum { CASES = 120, PLAIN = 5, GROUPS = 6, EACH = 8, N = GROUPS * EACH };
    int covered = 0;
    double width = 0, plain = 0;
    for (uint64_t k = 0; k < CASES; k++) {
        double x[N], truth = 0;
        size_t group[N];
        flt_interval i, p;
        for (size_t j = 0; j < N; j++) {
            group[j] = j / EACH;
            x[j] = 10.0 * (double)group[j] + flt_rng_normal_at(flt_rng_make(k, "strata", 0), j);
            truth += 10.0 * (double)group[j] / N;
        }
        cr_assert(flt_stat_stratified(flt_stat_mean, N, x, group, 0.95, &i) == FLTE_OK, "%s", flt_error());
        cr_assert(i.low < i.estimate && i.high > i.estimate, "%g of %g to %g", i.estimate, i.low, i.high);
        if (k < PLAIN) {
            cr_assert(flt_stat_bootstrap(flt_stat_mean, N, x, 0.95, &p) == FLTE_OK, "%s", flt_error());
            cr_assert(i.estimate == p.estimate, "%g and %g", i.estimate, p.estimate);
            plain += (p.high - p.low) / PLAIN;
        }
        covered += i.low <= truth && truth <= i.high;
        width += (i.high - i.low) / CASES;
    }
    // 8 values in a group: the percentile interval is narrower than the 95 % one by sqrt(7 / 8), and covers 93 %
    cr_assert(covered >= 0.85 * CASES, "covered %d of %d", covered, CASES);
    cr_assert(fabs(width - 2 * 1.96 * sqrt(7.0 / 8 / N)) < 0.03, "width %g", width);
    cr_assert(plain > 5 * width, "without strata %g", plain);
}

// The interval of a mean of 30 normal numbers: covers the mean in about 95 % of cases (percentile intervals a little less), and
// is as wide as theory says.
Test(stats, bootstrap_covers_the_mean) {
    enum { CASES = 300, N = 30 };
    int covered = 0;
    double width = 0;
    for (uint64_t k = 0; k < CASES; k++) {
        double x[N];
        flt_interval i;
        for (uint64_t j = 0; j < N; j++) x[j] = flt_rng_normal_at(flt_rng_make(k, "coverage", 0), j);
        cr_assert(flt_stat_bootstrap(flt_stat_mean, N, x, 0.95, &i) == FLTE_OK, "%s", flt_error());
        covered += i.low <= 0 && i.high >= 0;
        width += (i.high - i.low) / CASES;
    }
    cr_assert(covered > 265 && covered <= 299, "%d of %d", covered, CASES);
    cr_assert(fabs(width - 2 * 1.96 / sqrt(N)) < 0.06, "width %g", width);
}

static const char *judge(uint64_t seed, double factor) {
    enum { N = 20 };
    double a[N], b[N], p = 0;
    flt_interval ratio;
    const flt_rng r = flt_rng_make(seed, "timings", 0);
    for (uint64_t i = 0; i < N; i++) { // skewed, as timings are
        a[i] = 1e-3 * exp(0.03 * fabs(flt_rng_normal_at(r, i)));
        b[i] = factor * 1e-3 * exp(0.03 * fabs(flt_rng_normal_at(r, N + i)));
    }
    cr_assert(flt_stat_mann_whitney(N, a, N, b, &p) == FLTE_OK && flt_stat_ratio(N, a, N, b, 0.99, &ratio) == FLTE_OK, "%s",
              flt_error());
    return flt_stat_verdict(N, N, &ratio, p);
}

Test(stats, identical_timings_are_rarely_called_slower) {
    enum { CASES = 400 };
    int slower = 0, found = 0, faster = 0;
    for (uint64_t k = 0; k < CASES; k++) {
        slower += strcmp(judge(k, 1.0), "slower") == 0;
        found += strcmp(judge(k, 1.05), "slower") == 0;
        faster += strcmp(judge(k, 0.95), "faster") == 0;
    }
    cr_assert(slower * 100 <= CASES, "%d false alarms in %d", slower, CASES);
    cr_assert(found * 100 >= 95 * CASES && faster * 100 >= 95 * CASES, "5 %% found in %d and %d of %d", found, faster, CASES);
}
