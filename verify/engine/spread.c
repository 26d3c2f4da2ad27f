// SPDX-License-Identifier: MIT
// A record as bytes: part, number of fields (METRIC: a metric, with a step and a value), its name, and for each field its name, a
// letter and a text or number. Texts end with 0.
#include "engine/spread.h"

#include "flt/memory.h"

#include <string.h>

#define METRIC UINT32_MAX
enum { MOST_FIELDS = 64 };

// ---- keeping
static flt_err put(flt_spread *s, const void *data, size_t bytes) {
    if (s->used + bytes > s->room) {
        const size_t room = 2 * (s->used + bytes) + 4096;
        unsigned char *grown = NULL;
        FLTX_TRY(flt_alloc(room, 1, &grown));
        if (s->used > 0) memcpy(grown, s->bytes, s->used);
        flt_free(s->bytes);
        s->bytes = grown;
        s->room = room;
    }
    memcpy(s->bytes + s->used, data, bytes);
    s->used += bytes;
    return FLTE_OK;
}

static flt_err put_text(flt_spread *s, const char *text) {
    return put(s, text, strlen(text) + 1);
}

static flt_err put_head(flt_spread *s, uint32_t fields, const char *name) {
    FLTX_TRY(put(s, &s->part, sizeof s->part));
    FLTX_TRY(put(s, &fields, sizeof fields));
    return put_text(s, name);
}

static flt_err on_metric(void *self, const char *name, uint64_t step, double value) {
    flt_spread *s = self;
    FLTX_TRY(put_head(s, METRIC, name));
    FLTX_TRY(put(s, &step, sizeof step));
    return put(s, &value, sizeof value);
}

static flt_err on_record(void *self, const char *kind, size_t n, const flt_field *fields) {
    flt_spread *s = self;
    if (n > MOST_FIELDS) return flt_fail(FLTE_INTERNAL, kind, "a record of %zu fields; allowed: %d", n, MOST_FIELDS);
    FLTX_TRY(put_head(s, (uint32_t)n, kind));
    for (size_t i = 0; i < n; i++) {
        FLTX_TRY(put_text(s, fields[i].name));
        FLTX_TRY(put(s, fields[i].is_text ? "t" : "n", 1));
        if (fields[i].is_text)
            FLTX_TRY(put_text(s, fields[i].text == NULL ? "" : fields[i].text));
        else
            FLTX_TRY(put(s, &fields[i].number, sizeof fields[i].number));
    }
    return FLTE_OK;
}

static void on_progress(void *self, double done, const char *status) {
    flt_sink_progress(((flt_spread *)self)->next, done, status);
}
static bool on_stopped(void *self) {
    return flt_sink_stopped(((flt_spread *)self)->next);
}

void flt_spread_begin(const flt_sink *next, flt_spread *out) {
    *out = (flt_spread){.next = next, .sink = {out, on_metric, on_record, on_progress, on_stopped}};
}

void flt_spread_end(flt_spread *s) {
    flt_free(s->bytes);
    *s = (flt_spread){0};
}

// ---- saying
typedef struct reader {
    const unsigned char *at, *end;
} reader;

static void take(reader *r, void *out, size_t bytes) {
    memcpy(out, r->at, bytes);
    r->at += bytes;
}

static const char *take_text(reader *r) {
    const char *text = (const char *)r->at;
    r->at += strlen(text) + 1;
    return text;
}

static flt_err say_record(reader *r, const flt_sink *to) {
    flt_field field[MOST_FIELDS];
    uint32_t n = 0;
    take(r, &n, sizeof n);
    const char *name = take_text(r);
    if (n == METRIC) {
        uint64_t step = 0;
        double value = 0.0;
        take(r, &step, sizeof step);
        take(r, &value, sizeof value);
        return flt_sink_metric(to, name, step, value);
    }
    for (uint32_t i = 0; i < n; i++) {
        field[i] = (flt_field){.name = take_text(r)};
        field[i].is_text = *r->at++ == 't';
        if (field[i].is_text)
            field[i].text = take_text(r);
        else
            take(r, &field[i].number, sizeof field[i].number);
    }
    return flt_sink_record(to, name, n, field);
}

// What follows of this part.
static flt_err say_part(reader *r, uint32_t part, const flt_sink *to) {
    while (r->at < r->end) {
        uint32_t there = 0;
        memcpy(&there, r->at, sizeof there);
        if (there != part) return FLTE_OK;
        r->at += sizeof there;
        FLTX_TRY(say_record(r, to));
    }
    return FLTE_OK;
}

// *all: everyone's bytes, those of rank k from offset[k] on.
static flt_err bring(const flt_spread *s, const flt_ranks *r, size_t *offset, unsigned char **all) {
    uint64_t *size = NULL;
    const size_t R = (size_t)r->count;
    flt_err err = flt_alloc(R, sizeof *size, &size);
    if (err == FLTE_OK) size[r->me] = s->used;
    err = flt_ranks_cells(r, R, sizeof *size, size, err);
    for (size_t k = 0; err == FLTE_OK && k < R; k++) offset[k + 1] = offset[k] + (size_t)size[k];
    flt_free(size);
    FLTX_TRY(err);
    FLTX_TRY(flt_ranks_agree(r, flt_alloc(offset[R] + 1, 1, all)));
    if (s->used > 0) memcpy(*all + offset[r->me], s->bytes, s->used);
    return r->exchange(r->self, *all, offset);
}

static flt_err say_all(const flt_ranks *r, uint32_t parts, const int *owner, const size_t *offset, const unsigned char *all,
                       const flt_sink *to) {
    reader *from = NULL;
    FLTX_TRY(flt_alloc((size_t)r->count, sizeof *from, &from));
    flt_err err = FLTE_OK;
    for (int k = 0; k < r->count; k++) from[k] = (reader){all + offset[k], all + offset[k + 1]};
    for (uint32_t i = 0; i < parts && err == FLTE_OK; i++) err = say_part(&from[owner[i]], i, to);
    flt_free(from);
    return err;
}

flt_err flt_spread_say(flt_spread *s, const flt_ranks *r, uint32_t parts, const int *owner, flt_err ran) {
    size_t *offset = NULL;
    unsigned char *all = NULL;
    flt_err err = flt_ranks_agree(r, ran);
    if (err != FLTE_OK) {
        reader own = {s->bytes, s->bytes + s->used};
        for (uint32_t i = 0; r->me == 0 && i < parts; i++) (void)say_part(&own, i, s->next);
        return err;
    }
    err = flt_ranks_agree(r, flt_alloc((size_t)r->count + 1, sizeof *offset, &offset));
    if (err == FLTE_OK) err = bring(s, r, offset, &all);
    if (err == FLTE_OK) err = flt_ranks_agree(r, r->me == 0 ? say_all(r, parts, owner, offset, all, s->next) : FLTE_OK);
    flt_free(offset);
    flt_free(all);
    return err;
}
