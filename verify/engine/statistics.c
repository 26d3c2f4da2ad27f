// SPDX-License-Identifier: MIT
#include "engine/statistics.h"

#include <math.h>
#include <stdio.h>

void flt_moments_add(flt_moments *s, double x) {
    const double from = x - s->mean;
    s->n += 1.0;
    s->mean += from / s->n;
    s->squares += from * (x - s->mean);
}

double flt_moments_variance(const flt_moments *s) {
    return s->squares / (s->n - 1.0);
}

double flt_mean_z(const flt_moments *s, double mean, double variance) {
    return (s->mean - mean) / sqrt(variance / s->n);
}

double flt_variance_z(const flt_moments *s, double variance, double fourth) {
    return (flt_moments_variance(s) - variance) / sqrt((fourth - variance * variance) / s->n);
}

flt_err flt_check_z(flt_check_context *c, const char *mechanism, const char *label, double z) {
    const flt_statistic s = {.value = z, .threshold = FLTX_Z_LIMIT, .holds = fabs(z) <= FLTX_Z_LIMIT};
    return flt_check_statistic(c, mechanism, label, &s);
}

flt_err flt_check_at_most(flt_check_context *c, const char *mechanism, const char *label, double z) {
    const flt_statistic s = {.value = z, .threshold = FLTX_Z_LIMIT, .holds = z <= FLTX_Z_LIMIT};
    return flt_check_statistic(c, mechanism, label, &s);
}

// Least squares through (log size, log rms) of draws from .. from + n - 1.
static double group_slope(const flt_slopes *s, size_t from, size_t n) {
    double sx = 0.0, sy = 0.0, sxx = 0.0, sxy = 0.0;
    const double sizes = (double)s->sizes;
    for (size_t i = 0; i < s->sizes; i++) {
        double squares = 0.0;
        for (size_t t = from; t < from + n; t++) squares += s->error[i * s->draws + t] * s->error[i * s->draws + t];
        const double x = log(s->size[i]), y = 0.5 * log(squares / (double)n);
        sx += x, sy += y, sxx += x * x, sxy += x * y;
    }
    return (sizes * sxy - sx * sy) / (sizes * sxx - sx * sx);
}

flt_err flt_check_slope(flt_check_context *c, const char *mechanism, const char *label, const flt_slopes *s) {
    const size_t n = s->draws / FLTX_SLOPE_GROUPS;
    flt_moments slopes = {0};
    char detail[64];
    for (size_t g = 0; g < FLTX_SLOPE_GROUPS; g++) flt_moments_add(&slopes, group_slope(s, g * n, n));
    const double half = FLTX_Z_LIMIT * sqrt(flt_moments_variance(&slopes) / slopes.n), low = slopes.mean - half,
                 high = slopes.mean + half;
    snprintf(detail, sizeof detail, "interval [%.3f, %.3f]", low, high);
    const flt_statistic value = {.value = slopes.mean,
                                 .threshold = half,
                                 .detail = detail,
                                 .holds = s->below ? low <= s->want : low <= s->want && s->want <= high};
    return flt_check_statistic(c, mechanism, label, &value);
}
