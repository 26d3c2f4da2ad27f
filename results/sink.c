// SPDX-License-Identifier: MIT
// The sink of a store: what libraries call while they measure. Calls buffer; a transaction each half second writes.
#include <stdio.h>
#include <string.h>

#include "store.h"

static const double FLUSH_SECONDS = 0.5, HEARTBEAT_SECONDS = 5.0;

static long long elapsed_ms(const flt_store *s) {
    return (long long)((flt_store_clock() - s->started) * 1e3);
}

flt_err flt_sink_room(flt_store *s, flt_record_id record, size_t text_bytes) {
    const size_t cells = s->kinds[record].n_columns;
    if (text_bytes > FLTX_PENDING_TEXT)
        return flt_fail(FLTE_RANGE, "results", "a record of kind '%s' has %zu bytes of text; at most %d are kept",
                        s->kinds[record].name, text_bytes, FLTX_PENDING_TEXT);
    return flt_pending_fits(s->pending, cells, text_bytes) ? FLTE_OK : flt_store_flush(s);
}

flt_err flt_sink_due(flt_store *s) {
    const double waited = flt_store_clock() - s->flushed;
    const bool due = waited >= (s->pending->n_rows > 0 ? FLUSH_SECONDS : HEARTBEAT_SECONDS);
    return due ? flt_store_flush(s) : FLTE_OK;
}

static flt_err metric(void *self, const char *name, uint64_t step, double value) {
    flt_store *s = self;
    FLTX_TRY(flt_store_check(s, "metric", true));
    if (step > INT64_MAX)
        return flt_fail(FLTE_RANGE, "results", "metric '%s': step %llu is above 2^63 - 1", name, (unsigned long long)step);
    FLTX_TRY(flt_sink_room(s, FLTX_REC_CURVE, strlen(name) + 1));
    flt_pending_metric(s->pending, elapsed_ms(s), name, (long long)step, value);
    return flt_sink_due(s);
}

static bool has(size_t n, const flt_field *fields, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].name, name) == 0) return fields[i].is_text ? fields[i].text != NULL : true;
    return false;
}

static flt_err record(void *self, const char *kind, size_t n, const flt_field *fields) {
    flt_store *s = self;
    flt_record_id id = FLTX_N_RECORDS;
    FLTX_TRY(flt_store_check(s, "record", true));
    FLTX_TRY(flt_record_find(kind, &id));
    if (id == FLTX_REC_CURVE && !(has(n, fields, "metric") && has(n, fields, "step") && has(n, fields, "value")))
        return flt_fail(FLTE_INTERNAL, "results", "a record of kind 'curve' needs the fields metric, step and value");
    FLTX_TRY(flt_sink_room(s, id, flt_fields_text(n, fields)));
    FLTX_TRY(flt_pending_fields(s->pending, s->kinds, id, elapsed_ms(s), n, fields));
    return flt_sink_due(s);
}

// Progress has no way to report a failure: the next metric or record does.
static void progress(void *self, double done, const char *status) {
    flt_store *s = self;
    if (s->run_id == 0 || flt_store_check(s, "progress", true) != FLTE_OK) return;
    s->progress = done;
    snprintf(s->progress_text, sizeof s->progress_text, "%s", status == NULL ? "" : status);
    (void)flt_sink_due(s);
}

void flt_sink_bind(flt_store *s) {
    s->sink = (flt_sink){.self = s, .metric = metric, .record = record, .progress = progress};
}

const flt_sink *flt_store_sink(flt_store *s) {
    return &s->sink;
}
