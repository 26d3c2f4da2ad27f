// SPDX-License-Identifier: MIT
// Memory of the inner problems.
#include "meta/engine/arms.h"

#include "flt/memory.h"

#include <string.h>

size_t flt_arms_before(size_t tasks, size_t k, size_t number) {
    const size_t particles = number / 2, whole = particles > k ? (particles - k + tasks - 1) / tasks : 0;
    return 2 * whole + (number % 2 == 1 && particles % tasks == k);
}

flt_err flt_arms_create(size_t tasks, size_t first, size_t count, flt_arms *out) {
    *out = (flt_arms){.first = first, .count = count, .tasks = tasks};
    FLTX_TRY(flt_alloc(tasks, sizeof *out->task, &out->task));
    for (size_t k = 0; k < tasks; k++)
        out->task[k].rows = flt_arms_before(tasks, k, first + count) - flt_arms_before(tasks, k, first);
    return flt_alloc(count, sizeof *out->dead, &out->dead);
}

flt_err flt_arms_size(flt_arms *a, size_t k, size_t params, size_t words) {
    flt_arm_block *b = &a->task[k];
    size_t param_bytes = 0, state_bytes = 0;
    if (!flt_mul_ok(params, sizeof *b->param, &param_bytes)) param_bytes = SIZE_MAX;
    if (!flt_mul_ok(words, sizeof *b->state, &state_bytes)) state_bytes = SIZE_MAX;
    b->params = params;
    b->words = words;
    FLTX_TRY(flt_alloc(b->rows, param_bytes, &b->param));
    return flt_alloc(b->rows, state_bytes, &b->state);
}

flt_err flt_arms_like(const flt_arms *a, size_t first, size_t count, flt_arms *out) {
    FLTX_TRY(flt_arms_create(a->tasks, first, count, out));
    for (size_t k = 0; k < a->tasks; k++) FLTX_TRY(flt_arms_size(out, k, a->task[k].params, a->task[k].words));
    return FLTE_OK;
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
    const size_t k = particle % a->tasks, number = 2 * particle + arm;
    const flt_arm_block *b = &a->task[k];
    const size_t row = flt_arms_before(a->tasks, k, number) - flt_arms_before(a->tasks, k, a->first);
    return (flt_arm){b->param + row * b->params, b->state + row * b->words, a->dead + (number - a->first)};
}

void flt_arms_copy(const flt_arms *from, flt_arms *to, size_t number) {
    const flt_arm_block *b = &from->task[number / 2 % from->tasks];
    const flt_arm x = flt_arms_at(from, number / 2, number % 2), y = flt_arms_at(to, number / 2, number % 2);
    memcpy(y.param, x.param, b->params * sizeof *x.param);
    memcpy(y.state, x.state, b->words * sizeof *x.state);
    *y.dead = *x.dead;
}
