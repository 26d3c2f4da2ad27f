// SPDX-License-Identifier: MIT
// The meta-loss of a part.
#include "meta/engine/loss.h"

#include "meta/engine/choice.h"

#include <math.h>

flt_err flt_meta_loss_make(const flt_meta_config *c, flt_meta_loss *out) {
    size_t reduction = 0;
    FLTX_TRY(flt_choice("reduction of the meta-loss", c->reduction, "mean, last, min", &reduction));
    if (!(c->loss_power >= 0.0) || c->loss_power > 100.0)
        return flt_fail(FLTE_RANGE, "meta-training", "the power of the meta-loss's weights is %g; allowed: 0 to 100",
                        c->loss_power);
    if (c->loss_power > 0.0 && reduction != FLTX_MEAN)
        return flt_fail(FLTE_UNSUPPORTED, "meta-training", "weights are those of a mean; the reduction of the meta-loss is %s",
                        c->reduction);
    *out = (flt_meta_loss){(flt_reduction)reduction, c->log_loss, c->held_out, c->loss_power};
    return FLTE_OK;
}

// Known minima are subtracted under the logarithm.
static double transform(const flt_meta_loss *m, const flt_objective *o, double loss) {
    if (!m->logarithm) return loss / o->normaliser;
    const double excess = o->has_minimum ? loss - o->minimum : loss;
    return log(1e-6 + fmax(excess, 0.0) / o->normaliser);
}

static double take(flt_inner *inner, flt_unroll *unroll, flt_arm arm, flt_batch batch) {
    if (unroll != NULL) return flt_unroll_step(unroll, arm.param, arm.state);
    return flt_inner_step(inner, batch.seed, batch.step, false, arm.param, arm.state);
}

static double judge(bool held_out, flt_inner *inner, flt_unroll *unroll, flt_arm arm, flt_batch batch) {
    const flt_objective *o = inner->objective;
    double held = NAN;
    if (*arm.dead) return NAN;
    if (held_out) held = o->gradient(o->self, (flt_batch){batch.seed, FLTX_VALID, batch.step}, arm.param, NULL);
    const double loss = take(inner, unroll, arm, batch);
    if (!isfinite(loss)) *arm.dead = true;
    return held_out ? held : loss;
}

double flt_meta_loss_step(const flt_meta_loss *m, flt_inner *inner, flt_unroll *unroll, flt_arm arm, flt_batch batch, bool counts,
                          double *counted) {
    const flt_objective *o = inner->objective;
    const double loss = judge(m->held_out && counts, inner, unroll, arm, batch);
    const bool clip = *arm.dead || !(loss <= o->clip_loss);
    *counted = clip ? NAN : loss;
    return transform(m, o, clip ? o->clip_loss : loss);
}

double flt_meta_loss_weight(const flt_meta_loss *m, uint64_t t, uint64_t length) {
    return m->power > 0.0 ? (m->power + 1) * pow(((double)t + 0.5) / (double)length, m->power) : 1.0;
}

double flt_meta_loss_add(const flt_meta_loss *m, double so_far, double x, size_t i) {
    if (m->reduction == FLTX_MEAN) return so_far + x;
    return m->reduction == FLTX_LAST || i == 0 ? x : fmin(so_far, x);
}

double flt_meta_loss_part(const flt_meta_loss *m, double so_far, double last, bool dead, size_t steps) {
    if (m->reduction == FLTX_MEAN) return so_far;
    return (double)steps * (m->reduction == FLTX_LEAST && dead ? last : so_far);
}

// d meta-loss / d loss
static double slope_of(const flt_meta_loss *m, const flt_objective *o, double loss) {
    if (!m->logarithm) return 1.0 / o->normaliser;
    const double excess = o->has_minimum ? loss - o->minimum : loss;
    return excess > 0.0 ? 1.0 / (1e-6 * o->normaliser + excess) : 0.0;
}

// The step whose loss alone counts; `steps`: none.
static size_t only_step(const flt_meta_loss *m, bool dead, size_t steps, const double *loss) {
    size_t least = steps;
    if (m->reduction == FLTX_LAST) return isnan(loss[steps - 1]) ? steps : steps - 1;
    for (size_t i = 0; i < steps && !dead; i++)
        if (!isnan(loss[i]) && (least == steps || loss[i] < loss[least])) least = i;
    return least;
}

void flt_meta_loss_slopes(const flt_meta_loss *m, const flt_objective *o, bool dead, size_t steps, double *loss) {
    if (m->reduction == FLTX_MEAN) {
        for (size_t i = 0; i < steps; i++) loss[i] = isnan(loss[i]) ? 0.0 : slope_of(m, o, loss[i]);
        return;
    }
    const size_t only = only_step(m, dead, steps, loss);
    for (size_t i = 0; i < steps; i++) loss[i] = i == only ? (double)steps * slope_of(m, o, loss[i]) : 0.0;
}
