// SPDX-License-Identifier: MIT
// One table of tensors serves writing and reading. Whole files are checked before anything of them is used (engine/sealed.h).
#include "meta/engine/checkpoint.h"

#include "engine/sealed.h"
#include "flt/memory.h"
#include "meta/engine/fingerprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SCHEDULE_FIELDS = 5 }; // episode, t, length, dead arms: whole numbers far below 2^53
enum { COUNTERS = 4, TEXTS = 2 + COUNTERS };
static const char *const text_key[TEXTS] = {"format", "config", "steps", "inner_steps", "clipped", "skipped"};
static const char format_name[] = "flt meta-training checkpoint 1";

typedef struct table {
    const flt_arms *arms; // all of them
    size_t n;
    flt_tensor *entry; // views of the live state
    char (*name)[64];
    double *schedule;           // [P, SCHEDULE_FIELDS]
    char counter[COUNTERS][32]; // texts of the counters
    char *config;               // fingerprint
    const char *text[TEXTS];    // in the order of text_key
} table;

static size_t tensor_bytes(const flt_tensor *t) {
    return t->count * (t->dtype == FLTX_F64 ? sizeof(double) : sizeof(float));
}

static void add(table *t, const char *name, flt_dtype dtype, const void *data, size_t rank, const size_t *dim) {
    flt_tensor *e = &t->entry[t->n];
    snprintf(t->name[t->n], sizeof t->name[t->n], "%s", name);
    *e = (flt_tensor){.name = t->name[t->n], .dtype = dtype, .rank = rank, .count = 1, .data = data};
    for (size_t i = 0; i < rank; i++) {
        e->dim[i] = dim[i];
        e->count *= dim[i];
    }
    t->n++;
}

static void table_destroy(table *t) {
    flt_free(t->entry);
    flt_free(t->name);
    flt_free(t->schedule);
    flt_free(t->config);
}

static flt_err table_allocate(const flt_outer *o, table *t) {
    const size_t most = 5 + 2 * t->arms->tasks;
    FLTX_TRY(flt_alloc(most, sizeof *t->entry, &t->entry));
    FLTX_TRY(flt_alloc(most, sizeof *t->name, &t->name));
    FLTX_TRY(flt_alloc(o->particles.count, SCHEDULE_FIELDS * sizeof *t->schedule, &t->schedule));
    return flt_fingerprint(o->config, o->weights, &t->config);
}

static flt_err table_create(const flt_outer *o, const flt_arms *arms, table *t) {
    const size_t P = o->particles.count;
    char name[64];
    *t = (table){.arms = arms};
    const flt_err err = table_allocate(o, t);
    if (err != FLTE_OK) return err;
    add(t, "theta", FLTX_DTYPE, o->weights->theta, 1, (size_t[]){o->n});
    add(t, "adam.m", FLTX_F64, o->optimizer.m, 1, (size_t[]){o->n});
    add(t, "adam.v", FLTX_F64, o->optimizer.v, 1, (size_t[]){o->n});
    add(t, "schedule", FLTX_F64, t->schedule, 2, (size_t[]){P, SCHEDULE_FIELDS});
    if (o->particles.sum != NULL) add(t, "perturbation_sum", FLTX_DTYPE, o->particles.sum, 2, (size_t[]){P, o->n});
    for (size_t k = 0; k < arms->tasks; k++) {
        const flt_arm_block *b = &arms->task[k];
        snprintf(name, sizeof name, "task.%zu.param", k);
        add(t, name, FLTX_DTYPE, b->param, 3, (size_t[]){b->rows / 2, 2, b->params});
        snprintf(name, sizeof name, "task.%zu.state", k);
        if (b->words > 0) add(t, name, FLTX_DTYPE, b->state, 3, (size_t[]){b->rows / 2, 2, b->words});
    }
    return FLTE_OK;
}

static void schedule_out(const flt_outer *o, const table *t) {
    double *row = t->schedule;
    for (size_t i = 0; i < o->particles.count; i++, row += SCHEDULE_FIELDS) {
        const flt_place *at = &o->particles.place[i];
        row[0] = (double)at->episode;
        row[1] = (double)at->t;
        row[2] = (double)at->length;
        row[3] = t->arms->dead[2 * i];
        row[4] = t->arms->dead[2 * i + 1];
    }
}

static void schedule_in(flt_outer *o, const table *t) {
    const double *row = t->schedule;
    for (size_t i = 0; i < o->particles.count; i++, row += SCHEDULE_FIELDS) {
        o->particles.place[i] = (flt_place){(uint64_t)row[0], (uint64_t)row[1], (uint64_t)row[2]};
        t->arms->dead[2 * i] = row[3] != 0.0;
        t->arms->dead[2 * i + 1] = row[4] != 0.0;
    }
}

// ---- writing
static void texts_out(const flt_outer *o, table *t) {
    const uint64_t counter[COUNTERS] = {o->counts.steps, o->counts.inner_steps, o->counts.clipped, o->counts.skipped};
    t->text[0] = format_name;
    t->text[1] = t->config;
    for (int i = 0; i < COUNTERS; i++) {
        snprintf(t->counter[i], sizeof t->counter[i], "%" PRIu64, counter[i]);
        t->text[2 + i] = t->counter[i];
    }
}

static flt_err write_table(const table *t, const char *path) {
    flt_sealed file;
    flt_err err = flt_sealed_create(format_name, &file);
    for (size_t i = 0; i < t->n && err == FLTE_OK; i++) err = flt_sealed_tensor(&file, &t->entry[i]);
    for (int i = 1; i < TEXTS && err == FLTE_OK; i++) err = flt_sealed_text(&file, text_key[i], t->text[i]);
    if (err == FLTE_OK) err = flt_sealed_save(&file, path);
    flt_sealed_destroy(&file);
    return err;
}

static flt_err write_file(flt_outer *o, const flt_arms *arms, const char *path) {
    table t = {0};
    flt_err err = table_create(o, arms, &t);
    if (err == FLTE_OK) {
        schedule_out(o, &t);
        texts_out(o, &t);
        err = write_table(&t, path);
    }
    table_destroy(&t);
    return err;
}

// ---- ranks: rank 0 holds all arms for the time it takes
static flt_err make_whole(const flt_outer *o, flt_arms *whole) {
    const flt_err err = flt_ranks_me(o->config->ranks) == 0 ? flt_arms_like(&o->arms, 0, 2 * o->particles.count, whole) : FLTE_OK;
    return flt_ranks_agree(o->config->ranks, err);
}

static flt_err save_ranks(flt_outer *o, const char *path) {
    flt_arms whole = {0};
    flt_err err = make_whole(o, &whole);
    if (err == FLTE_OK) err = o->workers.gather(o->workers.self, &whole);
    if (err == FLTE_OK) {
        if (flt_ranks_me(o->config->ranks) == 0) err = write_file(o, &whole, path);
        err = flt_ranks_agree(o->config->ranks, err);
    }
    flt_arms_destroy(&whole);
    return err;
}

flt_err flt_checkpoint_save(flt_outer *o, const char *path) {
    return o->workers.gather == NULL ? write_file(o, &o->arms, path) : save_ranks(o, path);
}

// ---- reading
static flt_err read_counters(const char *path, const flt_tensors *file, flt_outer_counts *out) {
    uint64_t counter[COUNTERS];
    for (int i = 0; i < COUNTERS; i++) FLTX_TRY(flt_sealed_count(path, file, text_key[2 + i], &counter[i]));
    *out = (flt_outer_counts){counter[0], counter[1], counter[2], counter[3]};
    return FLTE_OK;
}

static flt_err check_tensors(const char *path, const flt_tensors *file, const table *t) {
    for (size_t i = 0; i < t->n; i++) {
        const flt_tensor *e = &t->entry[i], *x = flt_tensors_find(file, e->name);
        if (x == NULL || x->dtype != e->dtype) return flt_sealed_damaged(path, "a tensor of the checkpoint is missing");
        FLTX_TRY(flt_tensor_expect(path, x, e->rank, e->dim));
    }
    return FLTE_OK;
}

static flt_err take(flt_outer *o, const char *path, const flt_tensors *file, const table *t) {
    flt_outer_counts counts;
    FLTX_TRY(flt_sealed_check(path, file, format_name, TEXTS - 1, text_key + 1));
    const char *config = flt_tensors_meta(file, text_key[1]);
    FLTX_TRY(flt_fingerprint_match(path, config == NULL ? "" : config, t->config));
    FLTX_TRY(read_counters(path, file, &counts));
    if (counts.steps > o->config->outer_steps)
        return flt_fail(FLTE_USAGE, path, "the checkpoint is at outer step %" PRIu64 ", beyond the %" PRIu64 " asked for",
                        counts.steps, o->config->outer_steps);
    FLTX_TRY(check_tensors(path, file, t));
    for (size_t i = 0; i < t->n; i++) {
        const flt_tensor *e = &t->entry[i];
        void *live = NULL;
        memcpy(&live, &e->data, sizeof live); // the table looks at the live state as constant
        memcpy(live, flt_tensors_find(file, e->name)->data, tensor_bytes(e));
    }
    schedule_in(o, t);
    o->counts = counts;
    return FLTE_OK;
}

static flt_err read_file(flt_outer *o, const flt_arms *arms, const char *path) {
    table t = {0};
    flt_tensors *file = NULL;
    FLTX_TRY(flt_tensors_read(path, &file));
    flt_err err = table_create(o, arms, &t);
    if (err == FLTE_OK) err = take(o, path, file, &t);
    table_destroy(&t);
    flt_tensors_destroy(file);
    return err;
}

// What every rank needs of what rank 0 has read.
static flt_err spread(flt_outer *o, const flt_arms *whole) {
    const flt_ranks *r = o->config->ranks;
    const size_t P = o->particles.count;
    FLTX_TRY(r->broadcast(r->self, 0, o->weights->theta, o->n * sizeof *o->weights->theta));
    FLTX_TRY(r->broadcast(r->self, 0, o->optimizer.m, o->n * sizeof *o->optimizer.m));
    FLTX_TRY(r->broadcast(r->self, 0, o->optimizer.v, o->n * sizeof *o->optimizer.v));
    FLTX_TRY(r->broadcast(r->self, 0, &o->counts, sizeof o->counts));
    FLTX_TRY(r->broadcast(r->self, 0, o->particles.place, P * sizeof *o->particles.place));
    if (o->particles.sum != NULL) FLTX_TRY(r->broadcast(r->self, 0, o->particles.sum, P * o->n * sizeof *o->particles.sum));
    return o->workers.scatter(o->workers.self, whole);
}

static flt_err load_ranks(flt_outer *o, const char *path) {
    const flt_ranks *r = o->config->ranks;
    flt_arms whole = {0};
    flt_err err = make_whole(o, &whole);
    if (err == FLTE_OK) {
        if (r->me == 0) err = read_file(o, &whole, path);
        err = flt_ranks_agree(r, err);
    }
    if (err == FLTE_OK) err = spread(o, &whole);
    flt_arms_destroy(&whole);
    return err;
}

flt_err flt_checkpoint_load(flt_outer *o, const char *path) {
    return o->workers.scatter == NULL ? read_file(o, &o->arms, path) : load_ranks(o, path);
}
