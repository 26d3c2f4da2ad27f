// SPDX-License-Identifier: MIT
// Memory of the inner problems.
#include "meta/engine/arms.h"

#include "flt/memory.h"

flt_err flt_arms_create(size_t particles, size_t tasks, flt_arms *out) {
    *out = (flt_arms){.particles = particles, .tasks = tasks};
    FLTX_TRY(flt_alloc(tasks, sizeof *out->task, &out->task));
    for (size_t k = 0; k < tasks; k++) out->task[k].rows = (particles - k + tasks - 1) / tasks;
    return flt_alloc(particles, 2 * sizeof *out->dead, &out->dead);
}

flt_err flt_arms_size(flt_arms *a, size_t k, size_t params, size_t words) {
    flt_arm_block *b = &a->task[k];
    size_t param_bytes = 0, state_bytes = 0;
    if (!flt_mul_ok(params, 2 * sizeof *b->param, &param_bytes)) param_bytes = SIZE_MAX;
    if (!flt_mul_ok(words, 2 * sizeof *b->state, &state_bytes)) state_bytes = SIZE_MAX;
    b->params = params;
    b->words = words;
    FLTX_TRY(flt_alloc(b->rows, param_bytes, &b->param));
    return flt_alloc(b->rows, state_bytes, &b->state);
}

void flt_arms_destroy(flt_arms *a) {
    for (size_t k = 0; a->task != NULL && k < a->tasks; k++) {
        flt_free(a->task[k].param);
        flt_free(a->task[k].state);
    }
    flt_free(a->task);
    flt_free(a->dead);
    *a = (flt_arms){0};
}

flt_arm flt_arms_at(const flt_arms *a, size_t particle, size_t arm) {
    const flt_arm_block *b = &a->task[particle % a->tasks];
    const size_t row = 2 * (particle / a->tasks) + arm;
    return (flt_arm){b->param + row * b->params, b->state + row * b->words, a->dead + 2 * particle + arm};
}
