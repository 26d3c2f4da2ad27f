// SPDX-License-Identifier: MIT
// Pending rows to their tables: one write transaction for the batch and the run's heartbeat.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "store.h"

void flt_cell_bind(const flt_store *s, sqlite3_stmt *st, int at, const flt_cell *c) {
    if (c->type == FLTX_CELL_INT) sqlite3_bind_int64(st, at, c->u.i);
    if (c->type == FLTX_CELL_REAL && isfinite(c->u.r)) sqlite3_bind_double(st, at, c->u.r);
    if (c->type == FLTX_CELL_TEXT) sqlite3_bind_text(st, at, s->pending->text + c->u.text, -1, SQLITE_STATIC);
}

// The numbers of a row that are not finite, as JSON: {"final_loss":"nan","test_loss":"inf"}; "" when all are.
static void describe_special(const flt_record_kind *k, const flt_cell *cells, char *out, size_t size) {
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < k->n_columns; i++) {
        if (cells[i].type != FLTX_CELL_REAL || isfinite(cells[i].u.r)) continue;
        n += (size_t)snprintf(out + n, size - n, "%s\"%s\":\"%s\"", n == 0 ? "{" : ",", k->columns[i].name,
                              flt_special_name(cells[i].u.r));
    }
    if (n > 0) snprintf(out + n, size - n, "}");
}

// ---- generic tables: run_id, seq, t_ms, the columns, special
static flt_err prepare_insert(flt_store *s, flt_record_id id) {
    const flt_record_kind *k = &s->kinds[id];
    char sql[64 + FLTX_MAX_COLUMNS * 40];
    size_t n = (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s(run_id, seq, t_ms, special", k->table);
    for (size_t i = 0; i < k->n_columns; i++) n += (size_t)snprintf(sql + n, sizeof sql - n, ", %s", k->columns[i].name);
    n += (size_t)snprintf(sql + n, sizeof sql - n, ") VALUES (?1, ?2, ?3, ?4");
    for (size_t i = 0; i < k->n_columns; i++) n += (size_t)snprintf(sql + n, sizeof sql - n, ", ?%zu", i + 5);
    snprintf(sql + n, sizeof sql - n, ")");
    return flt_db_prepare(s->db, s->path, sql, &s->insert[id]);
}

static flt_err write_record(flt_store *s, const flt_pending_row *row) {
    const flt_record_kind *k = &s->kinds[row->record];
    const flt_cell *cells = s->pending->cells + row->first;
    char special[FLTX_MAX_COLUMNS * 48];
    if (s->insert[row->record] == NULL) FLTX_TRY(prepare_insert(s, row->record));
    sqlite3_stmt *st = s->insert[row->record];
    describe_special(k, cells, special, sizeof special);
    sqlite3_bind_int64(st, 1, s->run_id);
    sqlite3_bind_int64(st, 2, ++s->seq[row->record]);
    sqlite3_bind_int64(st, 3, row->t_ms);
    if (special[0] != 0) sqlite3_bind_text(st, 4, special, -1, SQLITE_STATIC);
    for (size_t i = 0; i < k->n_columns; i++) flt_cell_bind(s, st, (int)i + 5, &cells[i]);
    return flt_db_run(s->db, s->path, "writing records", st);
}

static flt_err write_param(flt_store *s, const flt_pending_row *row) {
    sqlite3_stmt **st = &s->insert[FLTX_REC_PARAM];
    if (*st == NULL)
        FLTX_TRY(flt_db_prepare(s->db, s->path,
                                "INSERT OR REPLACE INTO param(run_id, name, value, number) VALUES (?1, ?2, ?3, ?4)", st));
    sqlite3_bind_int64(*st, 1, s->run_id);
    for (int i = 0; i < 3; i++) flt_cell_bind(s, *st, i + 2, &s->pending->cells[row->first + (size_t)i]);
    return flt_db_run(s->db, s->path, "writing parameters", *st);
}

static flt_err write_row(flt_store *s, const flt_pending_row *row) {
    if (row->record == FLTX_REC_CURVE) return flt_metric_write(s, row);
    return row->record == FLTX_REC_PARAM ? write_param(s, row) : write_record(s, row);
}

// A run that another process took for interrupted (this one was stopped, or its clock jumped) comes back to life here.
static flt_err heartbeat(flt_store *s) {
    if (s->heartbeat == NULL)
        FLTX_TRY(
            flt_db_prepare(s->db, s->path,
                           "UPDATE run SET heartbeat_us = ?2, progress = ?3, progress_text = nullif(?4, ''), rows_lost = ?5, "
                           "status = 'running', message = NULL, ended_us = NULL WHERE run_id = ?1",
                           &s->heartbeat));
    sqlite3_bind_int64(s->heartbeat, 1, s->run_id);
    sqlite3_bind_int64(s->heartbeat, 2, flt_store_now_us());
    if (!isnan(s->progress)) sqlite3_bind_double(s->heartbeat, 3, s->progress);
    sqlite3_bind_text(s->heartbeat, 4, s->progress_text, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s->heartbeat, 5, s->rows_lost);
    return flt_db_run(s->db, s->path, "writing the heartbeat", s->heartbeat);
}

flt_err flt_store_flush(flt_store *s) {
    FLTX_GIVEN(s);
    FLTX_TRY(flt_store_check(s, "flush", true));
    flt_pending *p = s->pending;
    const size_t rows = p->n_rows;
    flt_err err = flt_db_begin(s->db, s->path);
    for (size_t i = 0; i < rows && err == FLTE_OK; i++) err = write_row(s, &p->rows[i]);
    if (err == FLTE_OK) err = flt_metric_write_series(s);
    if (err == FLTE_OK) err = heartbeat(s);
    err = flt_db_commit(s->db, s->path, err);
    flt_series_next_batch(&s->series, err != FLTE_OK);
    p->n_rows = p->n_cells = p->n_text = 0;
    s->flushed = flt_store_clock();
    if (err == FLTE_OK || rows == 0) return err;
    s->rows_lost += (long long)rows;
    return flt_context(err, "%zu records of run %lld were not written", rows, s->run_id);
}
