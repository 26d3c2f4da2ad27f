// SPDX-License-Identifier: MIT
// How fast a learning curve is beside another one.
#include "flt/evaluate.h"

#include <math.h>

double flt_steps_to_loss(const double *curve, size_t steps, double target) {
    for (size_t t = 0; t < steps; t++) {
        if (!(curve[t] <= target)) continue;
        if (t == 0 || !isfinite(curve[t - 1]) || !isfinite(curve[t])) return (double)(t + 1);
        return (double)t + (curve[t - 1] - target) / (curve[t - 1] - curve[t]);
    }
    return INFINITY;
}

bool flt_diverged(const double *curve, size_t steps) {
    const double last = curve[steps - 1];
    return !isfinite(last) || (curve[0] > 0.0 && last > 2.0 * curve[0]);
}

double flt_speedup(const double *baseline, const double *curve, size_t steps) {
    const double target = steps == 0 ? NAN : baseline[steps - 1];
    if (!isfinite(target)) return NAN;
    if (flt_diverged(curve, steps)) return 0.0;
    const double needed = flt_steps_to_loss(curve, steps, target);
    if (isfinite(needed)) return flt_steps_to_loss(baseline, steps, target) / needed;
    return flt_steps_to_loss(baseline, steps, curve[steps - 1]) / (double)steps;
}
