// SPDX-License-Identifier: MIT
// Writing metrics: their names, their values, and the row of table series that sums up each.
#include <math.h>

#include "store.h"

const char *flt_special_name(double x) {
    return isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
}

static void bind_number(sqlite3_stmt *st, int at, double x) {
    if (isfinite(x)) sqlite3_bind_double(st, at, x);
}

static flt_err prepare(flt_store *s, sqlite3_stmt **st, const char *sql) {
    return *st == NULL ? flt_db_prepare(s->db, s->path, sql, st) : FLTE_OK;
}

static void bind_name(sqlite3_stmt *st, const flt_series *x) {
    sqlite3_bind_text(st, 1, x->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, x->subject, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, x->task, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, x->seed);
}

static flt_err find_id(flt_store *s, flt_series *x) {
    FLTX_TRY(prepare(s, &s->find_name,
                     "SELECT metric_id FROM metric_name WHERE name = ?1 AND subject = ?2 AND task = ?3 AND seed = ?4"));
    FLTX_TRY(prepare(s, &s->add_name, "INSERT INTO metric_name(name, subject, task, seed) VALUES (?1, ?2, ?3, ?4)"));
    bind_name(s->find_name, x);
    const int rc = sqlite3_step(s->find_name);
    if (rc == SQLITE_ROW) x->metric_id = sqlite3_column_int64(s->find_name, 0);
    const flt_err err = rc == SQLITE_ROW || rc == SQLITE_DONE ? FLTE_OK : flt_db_fail(s->db, rc, s->path, "writing metrics");
    sqlite3_reset(s->find_name);
    if (err != FLTE_OK || rc == SQLITE_ROW) return err;
    bind_name(s->add_name, x);
    FLTX_TRY(flt_db_run(s->db, s->path, "writing metrics", s->add_name));
    x->metric_id = sqlite3_last_insert_rowid(s->db);
    return FLTE_OK;
}

static const char *text_of(const flt_store *s, const flt_cell *c) {
    return c->type == FLTX_CELL_TEXT ? s->pending->text + c->u.text : "";
}

// The cells of a curve: metric, subject, task, seed, step, value (record.c).
flt_err flt_metric_write(flt_store *s, const flt_pending_row *row) {
    const flt_cell *cells = s->pending->cells + row->first;
    const long long seed = cells[3].type == FLTX_CELL_INT ? cells[3].u.i : -1, step = cells[4].u.i;
    const double value = cells[5].u.r;
    flt_series *x = NULL;
    sqlite3_stmt **insert = &s->insert[FLTX_REC_CURVE];
    FLTX_TRY(flt_series_find(&s->series, text_of(s, &cells[0]), text_of(s, &cells[1]), text_of(s, &cells[2]), seed, &x));
    if (x->metric_id == 0) FLTX_TRY(find_id(s, x));
    FLTX_TRY(
        prepare(s, insert,
                "INSERT OR REPLACE INTO metric(run_id, metric_id, step, value, special, t_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
    sqlite3_bind_int64(*insert, 1, s->run_id);
    sqlite3_bind_int64(*insert, 2, x->metric_id);
    sqlite3_bind_int64(*insert, 3, step);
    bind_number(*insert, 4, value);
    if (!isfinite(value)) sqlite3_bind_text(*insert, 5, flt_special_name(value), -1, SQLITE_STATIC);
    sqlite3_bind_int64(*insert, 6, row->t_ms);
    flt_series_add(x, step, value);
    return flt_db_run(s->db, s->path, "writing metrics", *insert);
}

static flt_err write_series(flt_store *s, const flt_series *x) {
    FLTX_TRY(
        prepare(s, &s->add_series,
                "INSERT INTO series(run_id, metric_id, points, not_finite, last_step, last_value, last_special, least, most) "
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET "
                "points = points + excluded.points, not_finite = not_finite + excluded.not_finite, "
                "last_value = iif(excluded.last_step < last_step, last_value, excluded.last_value), "
                "last_special = iif(excluded.last_step < last_step, last_special, excluded.last_special), "
                "last_step = max(last_step, excluded.last_step), "
                "least = min(coalesce(least, excluded.least), coalesce(excluded.least, least)), "
                "most = max(coalesce(most, excluded.most), coalesce(excluded.most, most))"));
    sqlite3_stmt *st = s->add_series;
    const long long numbers[] = {s->run_id, x->metric_id, x->points, x->not_finite, x->last_step};
    for (int i = 0; i < 5; i++) sqlite3_bind_int64(st, i + 1, numbers[i]);
    bind_number(st, 6, x->last_value);
    if (!isfinite(x->last_value)) sqlite3_bind_text(st, 7, flt_special_name(x->last_value), -1, SQLITE_STATIC);
    bind_number(st, 8, x->least);
    bind_number(st, 9, x->most);
    return flt_db_run(s->db, s->path, "writing metrics", st);
}

flt_err flt_metric_write_series(flt_store *s) {
    for (size_t i = 0; i < s->series.size; i++)
        if (s->series.slots[i].points > 0) FLTX_TRY(write_series(s, &s->series.slots[i]));
    return FLTE_OK;
}
