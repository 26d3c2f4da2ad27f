// SPDX-License-Identifier: MIT
// What checks of random estimates share: sample moments, their distance from known moments in standard errors, slopes.
//
// False alarms. Every statistic may lie 7 standard errors from what is claimed. A normal variable does so with probability
// 2.6e-12, Student's t with 63 degrees of freedom (slopes) with 2e-9; a full run has some 10^3 of the former and some 20 of the
// latter, which makes 4e-8. Means of n >= 10^5 positive features are skewed by at most 0.08 where |q + k|^2 <= 2, which may raise
// their share by exp(0.08 7^3 / 6) = 100: the family as a whole stays below 1e-6. Seeds are fixed, so that a run that passed once
// passes again.
#ifndef FLTX_STATISTICS_H
#define FLTX_STATISTICS_H

#include "flt/verify.h"

#define FLTX_Z_LIMIT 7.0
enum { FLTX_SLOPE_GROUPS = 64 };

typedef struct flt_moments {
    double n, mean, squares; // squares: sum of (x - mean)^2
} flt_moments;

void flt_moments_add(flt_moments *s, double x);
double flt_moments_variance(const flt_moments *s);

// Distances in standard errors, of the mean and of the variance, when x has this mean, variance and fourth central moment.
double flt_mean_z(const flt_moments *s, double mean, double variance);
double flt_variance_z(const flt_moments *s, double variance, double fourth);

// |z| within the limit; z below it (a variance that may be smaller, but not larger).
flt_err flt_check_z(flt_check_context *c, const char *mechanism, const char *label, double z);
flt_err flt_check_at_most(flt_check_context *c, const char *mechanism, const char *label, double z);

// Slope of log rms against log size: error [sizes, draws], draws a multiple of the groups. Each group of draws gives a slope; the
// interval is 7 standard errors of their mean to both sides, and has to hold `want`, or (below) to reach at least as far down.
typedef struct flt_slopes {
    size_t sizes, draws;
    const double *size, *error;
    double want;
    bool below;
} flt_slopes;
flt_err flt_check_slope(flt_check_context *c, const char *mechanism, const char *label, const flt_slopes *s);

#endif
