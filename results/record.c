// SPDX-License-Identifier: MIT
// The kinds of records and their fields. A field is a column of the kind's table, so that a column added to the schema is a field
// that libraries may send, without another list to keep.
#include <stdio.h>
#include <string.h>

#include "store.h"

static const struct {
    const char *name, *table;
} tables[FLTX_N_RECORDS] = {
    [FLTX_REC_CHECK] = {"check", "check_result"},
    [FLTX_REC_LADDER] = {"ladder", "ladder"},
    [FLTX_REC_EVALUATION] = {"evaluation", "evaluation"},
    [FLTX_REC_TIMING] = {"timing", "timing"},
    [FLTX_REC_EVENT] = {"event", "event"},
    [FLTX_REC_CURVE] = {"curve", NULL},
    [FLTX_REC_PARAM] = {"param", NULL},
};

// metric_name and metric are two tables; the order is that of flt_pending_metric and of the writer in flush.c.
static const flt_column curve[] = {{"metric", FLTX_COL_TEXT}, {"subject", FLTX_COL_TEXT}, {"task", FLTX_COL_TEXT},
                                   {"seed", FLTX_COL_INT},    {"step", FLTX_COL_INT},     {"value", FLTX_COL_REAL}};
static const flt_column param[] = {{"name", FLTX_COL_TEXT}, {"value", FLTX_COL_TEXT}, {"number", FLTX_COL_REAL}};

static void set_columns(flt_record_kind *k, size_t n, const flt_column *columns) {
    k->n_columns = n;
    memcpy(k->columns, columns, n * sizeof *columns);
}

static flt_err add_column(flt_record_kind *k, const char *name, const char *type) {
    if (k->n_columns == FLTX_MAX_COLUMNS || strlen(name) >= sizeof k->columns->name)
        return flt_fail(FLTE_INTERNAL, "results", "table %s: column %s: at most %d columns with names of at most %zu letters",
                        k->table, name, FLTX_MAX_COLUMNS, sizeof k->columns->name - 1);
    flt_column *c = &k->columns[k->n_columns++];
    snprintf(c->name, sizeof c->name, "%s", name);
    c->type = strcmp(type, "INTEGER") == 0 ? FLTX_COL_INT : strcmp(type, "REAL") == 0 ? FLTX_COL_REAL : FLTX_COL_TEXT;
    return FLTE_OK;
}

static flt_err load(sqlite3 *db, const char *path, flt_record_kind *k) {
    sqlite3_stmt *st = NULL;
    int rc = SQLITE_ROW;
    flt_err err = FLTE_OK;
    FLTX_TRY(flt_db_prepare(
        db, path, "SELECT name, type FROM pragma_table_info(?1) WHERE name NOT IN ('run_id', 'seq', 't_ms', 'special')", &st));
    sqlite3_bind_text(st, 1, k->table, -1, SQLITE_STATIC);
    while (err == FLTE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(st, 0), *type = (const char *)sqlite3_column_text(st, 1);
        err =
            name == NULL || type == NULL ? flt_db_fail(db, SQLITE_NOMEM, path, "reading the schema") : add_column(k, name, type);
    }
    if (err == FLTE_OK && rc != SQLITE_DONE) err = flt_db_fail(db, rc, path, "reading the schema");
    sqlite3_finalize(st);
    return err;
}

flt_err flt_records_load(sqlite3 *db, const char *path, flt_record_kind kinds[FLTX_N_RECORDS]) {
    for (int i = 0; i < FLTX_N_RECORDS; i++) {
        kinds[i] = (flt_record_kind){.name = tables[i].name, .table = tables[i].table};
        if (kinds[i].table != NULL) FLTX_TRY(load(db, path, &kinds[i]));
    }
    set_columns(&kinds[FLTX_REC_CURVE], sizeof curve / sizeof *curve, curve);
    set_columns(&kinds[FLTX_REC_PARAM], sizeof param / sizeof *param, param);
    return FLTE_OK;
}

flt_err flt_record_find(const char *name, flt_record_id *out) {
    for (int i = 0; i < FLTX_REC_PARAM; i++)
        if (strcmp(tables[i].name, name) == 0) {
            *out = (flt_record_id)i;
            return FLTE_OK;
        }
    return flt_fail(FLTE_INTERNAL, "results",
                    "no record of kind '%s'; the kinds are check, ladder, evaluation, timing, event, curve", name);
}

flt_err flt_record_column(const flt_record_kind *k, const char *field, size_t *out) {
    char names[512] = "";
    const char *column = strcmp(field, "check") == 0 ? "check_name" : field; // CHECK is a word of SQL
    for (size_t i = 0, n = 0; i < k->n_columns; i++) {
        if (strcmp(k->columns[i].name, column) == 0) {
            *out = i;
            return FLTE_OK;
        }
        const int m = snprintf(names + n, sizeof names - n, "%s%s", i == 0 ? "" : ", ", k->columns[i].name);
        if (m > 0 && n + (size_t)m < sizeof names) n += (size_t)m;
    }
    return flt_fail(FLTE_INTERNAL, "results", "a record of kind '%s' has no field '%s'; its fields are %s", k->name, field,
                    names);
}
