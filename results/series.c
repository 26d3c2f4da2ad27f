// SPDX-License-Identifier: MIT
// The metrics of a run by (name, subject, task, seed): a hash table, so that a row costs no lookup in the file.
#include <math.h>
#include <string.h>

#include "store.h"

static uint64_t add_text(uint64_t hash, const char *text) {
    do {
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u; // FNV-1a
    } while (*text++ != 0);
    return hash;
}

static bool same(const flt_series *x, const char *name, const char *subject, const char *task, long long seed) {
    return x->seed == seed && strcmp(x->name, name) == 0 && strcmp(x->subject, subject) == 0 && strcmp(x->task, task) == 0;
}

// The slot that holds the series, or the free one where it belongs.
static flt_series *look(const flt_series_map *m, const char *name, const char *subject, const char *task, long long seed) {
    const uint64_t hash = add_text(add_text(add_text(0xcbf29ce484222325u + (uint64_t)seed, name), subject), task);
    size_t i = (size_t)(hash ^ hash >> 32) & (m->size - 1);
    while (m->slots[i].name != NULL && !same(&m->slots[i], name, subject, task, seed)) i = (i + 1) & (m->size - 1);
    return &m->slots[i];
}

// Twice the size, a power of two; at most half of the slots are taken.
static flt_err grow(flt_series_map *m) {
    flt_series_map bigger = {.n = m->n, .size = m->size == 0 ? 64 : 2 * m->size};
    FLTX_TRY(flt_alloc(bigger.size, sizeof *bigger.slots, &bigger.slots));
    for (size_t i = 0; i < m->size; i++) {
        const flt_series *x = &m->slots[i];
        if (x->name != NULL) *look(&bigger, x->name, x->subject, x->task, x->seed) = *x;
    }
    flt_free(m->slots);
    *m = bigger;
    return FLTE_OK;
}

static void clear_batch(flt_series *x) {
    x->points = x->not_finite = 0;
    x->last_step = INT64_MIN;
    x->last_value = x->least = x->most = NAN;
}

flt_err flt_series_find(flt_series_map *m, const char *name, const char *subject, const char *task, long long seed,
                        flt_series **out) {
    const size_t a = strlen(name) + 1, b = strlen(subject) + 1, c = strlen(task) + 1;
    if (2 * (m->n + 1) > m->size) FLTX_TRY(grow(m));
    flt_series *x = look(m, name, subject, task, seed);
    if (x->name == NULL) {
        char *block = NULL;
        FLTX_TRY(flt_alloc(a + b + c, 1, &block));
        *x = (flt_series){.name = memcpy(block, name, a),
                          .subject = memcpy(block + a, subject, b),
                          .task = memcpy(block + a + b, task, c),
                          .seed = seed};
        clear_batch(x);
        m->n++;
    }
    *out = x;
    return FLTE_OK;
}

void flt_series_add(flt_series *x, long long step, double value) {
    x->points++;
    if (!isfinite(value))
        x->not_finite++;
    else {
        x->least = fmin(x->least, value); // NAN gives way
        x->most = fmax(x->most, value);
    }
    if (step < x->last_step) return;
    x->last_step = step;
    x->last_value = value;
}

void flt_series_next_batch(flt_series_map *m, bool forget_ids) {
    for (size_t i = 0; i < m->size; i++) {
        if (m->slots[i].name == NULL) continue;
        clear_batch(&m->slots[i]);
        if (forget_ids) m->slots[i].metric_id = 0;
    }
}

void flt_series_free(flt_series_map *m) {
    for (size_t i = 0; i < m->size; i++) flt_free(m->slots[i].name);
    flt_free(m->slots);
    *m = (flt_series_map){0};
}
