// SPDX-License-Identifier: MIT
// Memory planning: values whose lives do not overlap share memory. In the order of the steps each value takes the smallest gap
// that fits (best fit) between the values alive, or the place of an input that dies there and may be overwritten. Outputs and
// constants live for ever.
#include <string.h>

#include "graph/engine/exec.h"

typedef struct span {
    size_t begin, end;
    size_t value; // SIZE_MAX: scratch
} span;

typedef struct planner {
    flt_exec *e;
    bool share;
    span *live; // by ascending begin
    size_t n;
} planner;

// Place of `bytes`: the smallest gap that fits, else the end. `at`: where the span belongs in the list.
static size_t best_gap(const planner *p, size_t bytes, size_t *at) {
    size_t best = SIZE_MAX, begin = 0, end = 0;
    for (size_t i = 0; i <= p->n; i++) {
        const size_t gap = i < p->n ? p->live[i].begin - end : SIZE_MAX - 1;
        if (gap >= bytes && gap < best) {
            best = gap;
            begin = end;
            *at = i;
        }
        if (i < p->n) end = p->live[i].end;
    }
    return begin;
}

static flt_err take(planner *p, size_t count, size_t value, size_t *offset) {
    size_t bytes = 0, at = 0;
    if (!flt_mul_ok(count, sizeof(flt_real), &bytes) || bytes > PTRDIFF_MAX / 2)
        return flt_fail(FLTE_NOMEM, "executor", "a buffer of %zu elements does not fit in the address space", count);
    bytes = (bytes + FLTX_ALIGN - 1) / FLTX_ALIGN * FLTX_ALIGN;
    *offset = best_gap(p, bytes, &at);
    if (*offset + bytes > PTRDIFF_MAX / 2)
        return flt_fail(FLTE_NOMEM, "executor", "buffers of more than %zu bytes do not fit in the address space", *offset);
    memmove(p->live + at + 1, p->live + at, (p->n - at) * sizeof *p->live);
    p->live[at] = (span){.begin = *offset, .end = *offset + bytes, .value = value};
    p->n++;
    if (*offset + bytes > p->e->bytes) p->e->bytes = *offset + bytes;
    return FLTE_OK;
}

static void drop(planner *p, size_t value) {
    for (size_t i = 0; i < p->n; i++) {
        if (p->live[i].value != value) continue;
        memmove(p->live + i, p->live + i + 1, (p->n - i - 1) * sizeof *p->live);
        p->n--;
        return;
    }
}

// Whether step s may write its result over its input k: computed, not read later, as large, and every read of it in this step
// is one that may be overwritten.
static bool may_overwrite(const flt_exec *e, size_t s, size_t k) {
    const size_t v = e->read[e->first[s] + k];
    const flt_value *x = &e->value[v], *y = &e->value[e->made[s]];
    if (x->kind != FLTX_VALUE_COMPUTED || x->last != s || x->count != y->count) return false;
    for (size_t i = 0; e->first[s] + i < e->first[s + 1]; i++)
        if (e->read[e->first[s] + i] == v && (i >= 32 || (e->kind[s]->in_place >> i & 1) == 0)) return false;
    return true;
}

// Hands the memory of a dying input to the result.
static bool in_place(planner *p, size_t s) {
    flt_exec *e = p->e;
    for (size_t k = 0; p->share && e->first[s] + k < e->first[s + 1]; k++) {
        const size_t v = e->read[e->first[s] + k], y = e->made[s];
        if (!may_overwrite(e, s, k)) continue;
        e->value[y].offset = e->value[v].offset;
        for (size_t i = 0; i < p->n; i++)
            if (p->live[i].value == v) p->live[i].value = y;
        return true;
    }
    return false;
}

static flt_err place(planner *p, size_t s, size_t *scratch) {
    flt_exec *e = p->e;
    flt_value *y = &e->value[e->made[s]];
    if (y->last != SIZE_MAX && !in_place(p, s)) FLTX_TRY(take(p, y->count, e->made[s], &y->offset));
    if (e->step[s].scratch_count > 0) {
        FLTX_TRY(take(p, e->step[s].scratch_count, SIZE_MAX, scratch));
        if (p->share) drop(p, SIZE_MAX);
    }
    for (size_t i = e->first[s]; p->share && i < e->first[s + 1]; i++) {
        const flt_value *x = &e->value[e->read[i]];
        if (x->kind == FLTX_VALUE_COMPUTED && x->last == s) drop(p, e->read[i]);
    }
    return FLTE_OK;
}

flt_err flt_exec_plan(flt_exec *e, unsigned flags, size_t *scratch) {
    planner p = {.e = e, .share = (flags & FLTX_EXEC_NO_SHARING) == 0};
    FLTX_TRY(flt_alloc(e->n_values + e->n_steps + 1, sizeof *p.live, &p.live));
    flt_err err = FLTE_OK;
    for (size_t v = 0; v < e->n_values && err == FLTE_OK; v++) {
        flt_value *x = &e->value[v];
        const bool forever = x->kind == FLTX_VALUE_CONSTANT || (x->kind == FLTX_VALUE_COMPUTED && x->last == SIZE_MAX);
        if (forever) err = take(&p, x->count, v, &x->offset);
    }
    for (size_t s = 0; s < e->n_steps && err == FLTE_OK; s++) err = place(&p, s, &scratch[s]);
    flt_free(p.live);
    return err;
}
