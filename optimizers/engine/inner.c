// SPDX-License-Identifier: MIT
// One step of an inner problem, and the seeds that name inner problems.
#include "engine/inner.h"

#include "flt/memory.h"
#include "flt/random.h"

#include <math.h>

static const uint64_t evaluation_bit = UINT64_C(1) << 63;

uint64_t flt_training_seed(uint64_t seed, uint64_t particle, uint64_t episode) {
    return flt_rng_bits(flt_rng_make(seed, "meta/episode", particle), episode) & ~evaluation_bit;
}

uint64_t flt_evaluation_seed(uint64_t seed) {
    return flt_rng_bits(flt_rng_make(seed, "evaluate/run", 0), 0) | evaluation_bit;
}

static flt_err create(const flt_weights *w, const flt_params *params, const char *task, flt_objective_maker make, flt_inner *p) {
    FLTX_TRY(make(task, &p->objective));
    FLTX_TRY(flt_optimizer_create(w->kind, params == NULL ? w->params : params, &p->objective->layout, &p->optimizer));
    p->params = p->objective->layout.total;
    p->state = flt_optimizer_state_words(p->optimizer);
    return flt_alloc(p->params, sizeof *p->grad, &p->grad);
}

flt_err flt_inner_create(const flt_weights *w, const flt_params *params, const char *task, flt_objective_maker make,
                         flt_inner *out) {
    *out = (flt_inner){0};
    const flt_err err = create(w, params, task, make, out);
    if (err != FLTE_OK)
        flt_inner_destroy(out);
    else if (w->theta != NULL)
        flt_optimizer_bind(out->optimizer, w->theta);
    return err;
}

void flt_inner_destroy(flt_inner *p) {
    if (p == NULL) return;
    flt_optimizer_destroy(p->optimizer);
    flt_objective_destroy(p->objective);
    flt_free(p->grad);
    *p = (flt_inner){0};
}

void flt_inner_begin(flt_inner *p, uint64_t seed, flt_real *param, flt_real *state) {
    p->objective->init(p->objective->self, seed, param);
    flt_optimizer_init(p->optimizer, state);
}

flt_real flt_inner_step(flt_inner *p, uint64_t seed, uint64_t t, bool always, flt_real *param, flt_real *state) {
    const flt_batch batch = {.seed = seed, .split = FLTX_TRAIN, .step = t};
    const flt_real loss = p->objective->gradient(p->objective->self, batch, param, p->grad);
    if (always || isfinite(loss)) flt_optimizer_step(p->optimizer, t, loss, p->grad, param, state);
    return loss;
}
