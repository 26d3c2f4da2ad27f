// SPDX-License-Identifier: MIT
// Drawing tasks, and choosing among them.
#include "meta/engine/task_pool.h"

#include "flt/memory.h"
#include "flt/random.h"

#include <string.h>

// Tasks that were drawn twice are held once, and keep the weight that this gives them.
static size_t find_or_add(flt_task_pool *p, const char *spec) {
    for (size_t k = 0; k < p->n; k++)
        if (strcmp(p->spec[k], spec) == 0) return k;
    memcpy(p->drawn[p->n], spec, FLTX_SPEC_SIZE);
    p->spec[p->n] = p->drawn[p->n];
    return p->n++;
}

static flt_err draw(const flt_meta_config *c, flt_task_pool *p) {
    FLTX_TRY(flt_alloc(p->groups * p->draws, sizeof *p->drawn, &p->drawn));
    for (size_t g = 0; g < p->groups; g++) {
        const flt_rng r = flt_rng_make(c->seed, "meta/draw", g);
        for (size_t d = 0; d < p->draws; d++) {
            char spec[FLTX_SPEC_SIZE] = "";
            FLTX_TRY(c->sample(c->tasks[g], flt_rng_bits(r, d), spec));
            p->task[g * p->draws + d] = find_or_add(p, spec);
        }
    }
    return FLTE_OK;
}

flt_err flt_task_pool_create(const flt_meta_config *c, flt_task_pool *out) {
    *out = (flt_task_pool){.seed = c->seed, .groups = c->n_tasks, .draws = c->draws > 0 ? c->draws : 1};
    size_t all = 0;
    if (!flt_mul_ok(out->groups, out->draws, &all)) all = SIZE_MAX;
    FLTX_TRY(flt_alloc(all, sizeof *out->spec, &out->spec));
    FLTX_TRY(flt_alloc(all, sizeof *out->task, &out->task));
    if (c->draws > 0) return draw(c, out);
    out->n = out->groups;
    for (size_t g = 0; g < out->groups; g++) {
        out->spec[g] = c->tasks[g];
        out->task[g] = g;
    }
    return FLTE_OK;
}

void flt_task_pool_destroy(flt_task_pool *p) {
    flt_free(p->spec);
    flt_free(p->drawn);
    flt_free(p->task);
    *p = (flt_task_pool){0};
}

size_t flt_task_pool_pick(const flt_task_pool *p, size_t particle, uint64_t episode) {
    const size_t *group = p->task + particle % p->groups * p->draws;
    return p->draws == 1 ? group[0] : group[flt_rng_below(flt_rng_make(p->seed, "meta/task", particle), episode, p->draws)];
}
