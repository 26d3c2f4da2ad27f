// SPDX-License-Identifier: MIT
// Small statistics for comparisons. Samples are numbers in any order, finite or all infinities of one sign; nothing is changed.
#ifndef FLTX_RESULTS_STATS_H
#define FLTX_RESULTS_STATS_H

#include <stddef.h>

#include "flt/error.h"

typedef struct flt_interval {
    double estimate, low, high; // low and high are NaN with fewer than two values in a sample
} flt_interval;

enum { FLTX_RESAMPLES = 1000 };
// Statistics of one sorted sample.
double flt_stat_mean(size_t n, const double *sorted);
double flt_stat_median(size_t n, const double *sorted);
double flt_stat_iqm(size_t n, const double *sorted); // inter-quartile mean: without floor(n / 4) values at each end

// Percentile bootstrap (Efron) with FLTX_RESAMPLES resamples, the same for the same samples: of a statistic; of the difference
// of means b - a; of the ratio of medians b / a.
flt_err flt_stat_bootstrap(double (*statistic)(size_t, const double *), size_t n, const double *x, double level,
                           flt_interval *out);
// Stratified: x[i] is of group[i], which never falls, and values are drawn anew within their group. low and high are NaN when no
// group has two.
flt_err flt_stat_stratified(double (*statistic)(size_t, const double *), size_t n, const double *x, const size_t *group,
                            double level, flt_interval *out);
flt_err flt_stat_difference(size_t na, const double *a, size_t nb, const double *b, double level, flt_interval *out);
flt_err flt_stat_ratio(size_t na, const double *a, size_t nb, const double *b, double level, flt_interval *out);

// Two-sided p of the Mann-Whitney U test: exact for samples of at most 20 values without ties, else the normal approximation
// with corrections for ties and continuity. NaN when a sample is empty.
flt_err flt_stat_mann_whitney(size_t na, const double *a, size_t nb, const double *b, double *p);

// Verdict on timings b against a: "slower" or "faster" needs p < 0.002, a 99 % interval of the ratio that leaves 1 out, and a
// change of more than 1 %: at most 1 % false alarms on identical programs (results/tests/test_stats.c). "too few" below 7 values,
// where p cannot be as small.
const char *flt_stat_verdict(size_t na, size_t nb, const flt_interval *ratio99, double p);

#endif
