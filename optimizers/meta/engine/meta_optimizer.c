// SPDX-License-Identifier: MIT
// Adam and AdamW on theta, as in optimizers/adamw.c at the default decays of moments, in double: theta's own rounding is the only
// one that stays.
#include "meta/engine/meta_optimizer.h"

#include "flt/memory.h"
#include "meta/engine/choice.h"

#include <math.h>
#include <string.h>

static const char who[] = "meta-training";
enum { ADAM, ADAMW };

uint64_t flt_meta_optimizer_end(const flt_meta_config *c) {
    if (c->outer_schedule == NULL || strcmp(c->outer_schedule, "constant") == 0) return 0;
    return c->outer_schedule_steps > 0 ? c->outer_schedule_steps : c->outer_steps;
}

static flt_err read_rate(const flt_meta_config *c, flt_rate *out) {
    size_t schedule = 0;
    FLTX_TRY(flt_choice("schedule of the outer rate", c->outer_schedule, "constant, cosine, linear", &schedule));
    if (!(c->outer_lr >= 0.0) || !isfinite(c->outer_lr))
        return flt_fail(FLTE_RANGE, who, "the outer learning rate is %g; it must not be negative", c->outer_lr);
    if (!(c->outer_final >= 0.0 && c->outer_final <= 1.0))
        return flt_fail(FLTE_RANGE, who, "the outer rate ends at %g of its peak; allowed: 0 to 1", c->outer_final);
    if (schedule == FLTX_CONSTANT && c->outer_final > 0.0)
        return flt_fail(FLTE_USAGE, who,
                        "an outer rate that ends at %g of its peak under schedule constant; it needs cosine or linear",
                        c->outer_final);
    if (schedule == FLTX_CONSTANT && c->outer_schedule_steps > 0)
        return flt_fail(FLTE_USAGE, who,
                        "an outer rate that ends at outer step %llu under schedule constant; it needs cosine or linear",
                        (unsigned long long)c->outer_schedule_steps);
    const uint64_t end = flt_meta_optimizer_end(c);
    if (schedule != FLTX_CONSTANT && end <= c->outer_warmup)
        return flt_fail(FLTE_RANGE, who,
                        "a %s schedule that ends at outer step %llu with a warm-up of %llu; the end must be later",
                        c->outer_schedule, (unsigned long long)end, (unsigned long long)c->outer_warmup);
    *out = (flt_rate){.peak = c->outer_lr,
                      .final = c->outer_final,
                      .schedule = (flt_schedule)schedule,
                      .warmup = (double)c->outer_warmup,
                      .total = (double)end};
    return FLTE_OK;
}

static flt_err configure(const flt_meta_config *c, flt_meta_optimizer *out) {
    size_t kind = 0, clip_by = 0;
    FLTX_TRY(flt_choice("outer optimizer", c->outer_optimizer, "adam, adamw", &kind));
    FLTX_TRY(flt_choice("way to clip", c->clip_by, "norm, element", &clip_by));
    FLTX_TRY(read_rate(c, &out->rate));
    if (!(c->clip >= 0.0)) return flt_fail(FLTE_RANGE, who, "clip is %g; it must not be negative (0: no clipping)", c->clip);
    if (!(c->outer_weight_decay >= 0.0) || !isfinite(c->outer_weight_decay))
        return flt_fail(FLTE_RANGE, who, "the outer weight decay is %g; it must not be negative", c->outer_weight_decay);
    if (kind == ADAM && c->outer_weight_decay > 0.0)
        return flt_fail(FLTE_USAGE, who, "a weight decay of %g with outer optimizer adam; decay needs adamw",
                        c->outer_weight_decay);
    out->decay = c->outer_weight_decay;
    out->clip = c->clip;
    out->by_element = clip_by == 1;
    return FLTE_OK;
}

flt_err flt_meta_optimizer_check(const flt_meta_config *c) {
    flt_meta_optimizer unused;
    return configure(c, &unused);
}

flt_err flt_meta_optimizer_create(const flt_meta_config *c, size_t n, flt_meta_optimizer *out) {
    *out = (flt_meta_optimizer){.n = n};
    FLTX_TRY(configure(c, out));
    FLTX_TRY(flt_alloc(n, sizeof *out->m, &out->m));
    return flt_alloc(n, sizeof *out->v, &out->v);
}

void flt_meta_optimizer_destroy(flt_meta_optimizer *o) {
    flt_free(o->m);
    flt_free(o->v);
    *o = (flt_meta_optimizer){0};
}

static bool moves(const flt_meta_optimizer *o, size_t j) {
    return o->frozen == NULL || !o->frozen[j];
}

static double norm(const flt_meta_optimizer *o, const double *x) {
    double sum = 0.0;
    for (size_t j = 0; j < o->n; j++)
        if (moves(o, j)) sum += x[j] * x[j];
    return sqrt(sum);
}

static double clipped(const flt_meta_optimizer *o, double shrink, double g) {
    if (!o->by_element || o->clip == 0.0) return g * shrink;
    return fmin(fmax(g, -o->clip), o->clip);
}

// The decay acts before Adam's own step and is a part of the update that update_norm measures.
static void adam(flt_meta_optimizer *o, double rate, double t, double shrink, const double *gradient, flt_real *theta) {
    const double b1 = 0.9, b2 = 0.999, eps = 1e-8;
    const double step = rate / (1.0 - pow(b1, t)), root = 1.0 / sqrt(1.0 - pow(b2, t));
    double moved = 0.0;
    for (size_t j = 0; j < o->n; j++) {
        if (!moves(o, j)) continue;
        const double g = clipped(o, shrink, gradient[j]);
        o->m[j] = b1 * o->m[j] + (1.0 - b1) * g;
        o->v[j] = b2 * o->v[j] + (1.0 - b2) * g * g;
        double update = step * o->m[j] / (sqrt(o->v[j]) * root + eps);
        if (o->decay > 0.0) update += rate * o->decay * (double)theta[j];
        moved += update * update;
        theta[j] = (flt_real)((double)theta[j] - update);
    }
    o->update_norm = sqrt(moved);
}

bool flt_meta_optimizer_step(flt_meta_optimizer *o, uint64_t step, uint64_t update, const double *gradient, flt_real *theta) {
    o->grad_norm = norm(o, gradient);
    o->update_norm = 0.0;
    if (!isfinite(o->grad_norm)) return false;
    const double shrink = o->clip > 0.0 && o->grad_norm > o->clip ? o->clip / o->grad_norm : 1.0;
    adam(o, flt_rate_at(&o->rate, step), (double)update + 1.0, shrink, gradient, theta);
    return true;
}
