// SPDX-License-Identifier: MIT
#include "engine/sets.h"

#include "flt/memory.h"
#include "flt/results_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 15, MOST = 256 }; // columns: without those that are the same in all rows of a run

typedef struct number {
    char name[200];
    double value;
} number;

typedef struct reader {
    flt_table *table;
    flt_err err;
    size_t n;
    number numbers[MOST];
} reader;

static void keep(reader *r, const char *metric, const char *const *values, const char *value) {
    if (value == NULL || r->n == MOST) return;
    number *x = &r->numbers[r->n++];
    snprintf(x->name, sizeof x->name, "%s/%.80s/%.80s", metric, values[1], values[0]);
    x->value = strtod(value, NULL);
}

static bool read_row(void *user, size_t n, const char *const *names, const char *const *values) {
    static const struct {
        const char *column, *metric;
    } kept[] = {{"speedup", "speedup"}, {"low_95", "speedup_low"}, {"high_95", "speedup_high"}, {"vs_best", "speedup_best"}};
    reader *r = user;
    if (r->table == NULL) r->err = flt_table_create(SHOWN, names, &r->table);
    if (r->err == FLTE_OK) r->err = flt_table_row(r->table, values);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof kept / sizeof *kept; k++)
            if (strcmp(names[i], kept[k].column) == 0) keep(r, kept[k].metric, values, values[i]);
    return r->err == FLTE_OK;
}

static flt_err read_rows(flt_session *s, reader *r) {
    flt_store *store = flt_session_store(s);
    if (store == NULL) return FLTE_OK;
    FLTX_TRY(flt_store_flush(store));
    FLTX_TRY(flt_store_speedups(store, flt_session_run(s), NULL, NULL, read_row, r));
    FLTX_TRY(r->err);
    for (size_t i = 0; i < r->n; i++) FLTX_TRY(flt_sink_metric(flt_session_sink(s), r->numbers[i].name, 0, r->numbers[i].value));
    return FLTE_OK;
}

flt_err flt_sets_table(flt_session *s, flt_table **out) {
    static const char *const empty[] = {"tasks"};
    reader *r = NULL;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *r, &r));
    flt_err err = read_rows(s, r);
    if (err == FLTE_OK && r->table == NULL) err = flt_table_create(1, empty, &r->table);
    if (err == FLTE_OK)
        *out = r->table;
    else
        flt_table_destroy(r->table);
    flt_free(r);
    return err;
}
