// SPDX-License-Identifier: MIT
// Lengths of episodes.
#include "meta/engine/truncation.h"

#include "flt/random.h"
#include "meta/engine/choice.h"

#include <math.h>
#include <string.h>

static const char who[] = "meta-training";
enum { LOG_UNIFORM, CONSTANT, CURRICULUM };

uint64_t flt_truncation_growth(const flt_meta_config *c) {
    const bool grows = c->truncation != NULL && strcmp(c->truncation, "curriculum") == 0;
    return !grows ? 0 : c->curriculum_steps > 0 ? c->curriculum_steps : c->outer_steps;
}

flt_err flt_truncation_make(const flt_meta_config *c, flt_truncation *out) {
    size_t kind = 0;
    FLTX_TRY(flt_choice("truncation", c->truncation, "log-uniform, constant, curriculum", &kind));
    if (c->unroll_min == 0 || c->unroll_min > c->unroll_max)
        return flt_fail(FLTE_RANGE, who, "unrolls of %zu to %zu steps; allowed: 1 <= shortest <= longest", c->unroll_min,
                        c->unroll_max);
    if (kind == CONSTANT && c->unroll_min != c->unroll_max)
        return flt_fail(FLTE_RANGE, who, "constant truncation with unrolls of %zu to %zu steps; give one length", c->unroll_min,
                        c->unroll_max);
    if (kind != CURRICULUM && c->curriculum_steps > 0)
        return flt_fail(FLTE_USAGE, who, "a curriculum over %llu outer steps with %s truncation; it needs truncation curriculum",
                        (unsigned long long)c->curriculum_steps, flt_choice_name(c->truncation, "log-uniform"));
    *out = (flt_truncation){.seed = c->seed,
                            .shortest = (double)c->unroll_min,
                            .longest = (double)c->unroll_max,
                            .growth = (double)flt_truncation_growth(c),
                            .in_phase = c->in_phase};
    return FLTE_OK;
}

uint64_t flt_truncation_length(const flt_truncation *t, size_t particle, uint64_t episode, uint64_t step) {
    const double low = log(t->shortest), full = log(t->longest + 1.0), first = log(t->shortest + 1.0);
    const double grown = t->growth > 0.0 ? fmin((double)step / t->growth, 1.0) : 1.0;
    const double high = grown < 1.0 ? first + grown * (full - first) : full;
    const double u = flt_rng_uniform_at(flt_rng_make(t->seed, "meta/unroll", particle), episode);
    const double x = floor(exp(low + u * (high - low)));
    return (uint64_t)fmin(fmax(x, t->shortest), t->longest);
}

uint64_t flt_truncation_first(const flt_truncation *t, size_t particle) {
    const uint64_t length = flt_truncation_length(t, particle, 0, 0);
    return t->in_phase ? length : 1 + flt_rng_below(flt_rng_make(t->seed, "meta/phase", particle), 0, length);
}
