// SPDX-License-Identifier: MIT
// Weights of perturbations.
#include "meta/engine/difference.h"

#include "meta/engine/choice.h"

#include <math.h>

enum { PLAIN, SIGN, RMS };

flt_err flt_difference_make(const flt_meta_config *c, flt_difference *out) {
    FLTX_TRY(flt_choice("treatment of loss differences", c->difference, "plain, sign, rms", &out->kind));
    out->clip = c->difference_clip;
    if (!(out->clip >= 0.0))
        return flt_fail(FLTE_RANGE, "meta-training", "the clip of differences is %g; it must not be negative (0: no clipping)",
                        out->clip);
    if (out->kind == SIGN && out->clip > 0.0)
        return flt_fail(FLTE_USAGE, "meta-training",
                        "a clip of %g beside difference sign, which leaves nothing to clip; give one", out->clip);
    return FLTE_OK;
}

static double root_mean_square(const flt_particles *p, const double *weight) {
    double sum = 0.0, steps = 0.0;
    for (size_t i = 0; i < p->count; i++) {
        for (size_t k = 0; k < p->parts[i]; k++) {
            const double s = (double)p->part[i * p->most_parts + k].steps, d = weight[i * p->most_parts + k];
            sum += d * d / s;
            steps += s;
        }
    }
    return sqrt(sum / steps);
}

// NaN stays NaN, so that the outer step is skipped and counted.
static double treat(const flt_difference *d, double root, double steps, double x) {
    if (d->kind == SIGN) return isnan(x) ? x : steps * ((x > 0.0) - (x < 0.0));
    if (d->kind == RMS && root > 0.0) x /= root;
    if (d->clip == 0.0 || !(fabs(x) > d->clip * steps)) return x;
    return copysign(d->clip * steps, x);
}

void flt_difference_weigh(const flt_difference *d, const flt_particles *p, const double *loss, double *weight) {
    const size_t K = p->most_parts;
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->parts[i]; k++) weight[i * K + k] = loss[2 * i * K + k] - loss[(2 * i + 1) * K + k];
    const double root = d->kind == RMS ? root_mean_square(p, weight) : 0.0;
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->parts[i]; k++)
            weight[i * K + k] = treat(d, root, (double)p->part[i * K + k].steps, weight[i * K + k]);
}
