// SPDX-License-Identifier: MIT
// The meta-loss of a part.
#include "meta/engine/loss.h"

#include "meta/engine/choice.h"

#include <math.h>

flt_err flt_meta_loss_make(const flt_meta_config *c, flt_meta_loss *out) {
    size_t reduction = 0;
    FLTX_TRY(flt_choice("reduction of the meta-loss", c->reduction, "mean, last, min", &reduction));
    *out = (flt_meta_loss){.reduction = (flt_reduction)reduction, .logarithm = c->log_loss, .held_out = c->held_out};
    return FLTE_OK;
}

// Known minima are subtracted under the logarithm.
static double transform(const flt_meta_loss *m, const flt_objective *o, double loss) {
    if (!m->logarithm) return loss / o->normaliser;
    const double excess = o->has_minimum ? loss - o->minimum : loss;
    return log(1e-6 + fmax(excess, 0.0) / o->normaliser);
}

static double judge(bool held_out, flt_inner *inner, flt_arm arm, flt_batch batch) {
    const flt_objective *o = inner->objective;
    double held = NAN;
    if (*arm.dead) return NAN;
    if (held_out) held = o->gradient(o->self, (flt_batch){batch.seed, FLTX_VALID, batch.step}, arm.param, NULL);
    const double loss = flt_inner_step(inner, batch.seed, batch.step, false, arm.param, arm.state);
    if (!isfinite(loss)) *arm.dead = true;
    return held_out ? held : loss;
}

double flt_meta_loss_step(const flt_meta_loss *m, flt_inner *inner, flt_arm arm, flt_batch batch, bool counts, bool *clipped) {
    const flt_objective *o = inner->objective;
    const double loss = judge(m->held_out && counts, inner, arm, batch);
    *clipped = *arm.dead || !(loss <= o->clip_loss);
    return transform(m, o, *clipped ? o->clip_loss : loss);
}

double flt_meta_loss_add(const flt_meta_loss *m, double so_far, double x, size_t i) {
    if (m->reduction == FLTX_MEAN) return so_far + x;
    return m->reduction == FLTX_LAST || i == 0 ? x : fmin(so_far, x);
}

double flt_meta_loss_part(const flt_meta_loss *m, double so_far, double last, bool dead, size_t steps) {
    if (m->reduction == FLTX_MEAN) return so_far;
    return (double)steps * (m->reduction == FLTX_LEAST && dead ? last : so_far);
}
