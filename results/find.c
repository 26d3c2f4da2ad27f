// SPDX-License-Identifier: MIT
// The list of runs under a filter.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"

flt_err flt_query_run(flt_store *s, flt_query *q, flt_row_fn row, void *user) {
    sqlite3_stmt *st = NULL;
    int rc = SQLITE_OK;
    FLTX_TRY(q->sql.err);
    FLTX_TRY(flt_db_prepare(s->db, s->path, q->sql.data, &st));
    flt_query_bind_all(q, st);
    flt_err err = flt_rows_emit(s, st, row, user, &rc, NULL);
    if (err == FLTE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) err = flt_db_fail(s->db, rc, s->path, "reading");
    sqlite3_finalize(st);
    return err;
}

// ---- since
static double unit_seconds(const char *unit) {
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(units[i].name, unit) == 0) return units[i].seconds;
    return 0;
}

static flt_err since_us(flt_store *s, const char *text, double *out) {
    char *end = NULL;
    const double n = strtod(text, &end), unit = unit_seconds(end);
    sqlite3_stmt *st = NULL;
    bool known = end != text && unit > 0 && n >= 0 && n * unit < 1e12;
    *out = (double)flt_store_now_us() - n * unit * 1e6;
    if (known) return FLTE_OK;
    FLTX_TRY(flt_db_prepare(s->db, s->path, "SELECT unixepoch(?1, 'utc') WHERE ?1 GLOB '[0-9][0-9][0-9][0-9]-*'", &st));
    sqlite3_bind_text(st, 1, text, -1, SQLITE_STATIC);
    if (sqlite3_step(st) == SQLITE_ROW && sqlite3_column_type(st, 0) == SQLITE_INTEGER) {
        known = true;
        *out = (double)sqlite3_column_int64(st, 0) * 1e6;
    }
    sqlite3_finalize(st);
    return known ? FLTE_OK
                 : flt_fail(FLTE_USAGE, "--since", "'%s': give an age such as 2d, 12h, 30m, 1w, or a date such as 2026-11-21",
                            text);
}

// ---- conditions
static flt_err check_status(const char *status) {
    static const char *const names[] = {"done", "failed", "interrupted", "running", NULL};
    for (size_t i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], status) == 0) return FLTE_OK;
    const char *near = flt_nearest(status, names);
    return flt_fail(FLTE_NAME, "--status", "'%s' is unknown%s%s%s; valid: done, failed, interrupted, running", status,
                    near == NULL ? "" : "; did you mean '", near == NULL ? "" : near, near == NULL ? "" : "'?");
}

static void equal(flt_query *q, const char *expression, const char *text) {
    if (text == NULL) return;
    flt_query_add(q, " AND ");
    flt_query_add(q, expression);
    flt_query_add(q, " = ");
    flt_query_bind_text(q, text);
}

// Each '?' of `sql` is the text.
static void contains(flt_query *q, const char *sql, const char *text) {
    if (text == NULL) return;
    flt_query_add(q, " AND (");
    for (const char *mark; (mark = strchr(sql, '?')) != NULL; sql = mark + 1) {
        flt_text_append(&q->sql, sql, (size_t)(mark - sql));
        flt_query_bind_text(q, text);
    }
    flt_query_add(q, sql);
    flt_query_add(q, ")");
}

static flt_err conditions(flt_store *s, const flt_run_filter *f, flt_query *q, char **words) {
    double since = 0;
    if (f->status != NULL) FLTX_TRY(check_status(f->status));
    flt_query_add(q, " WHERE 1");
    equal(q, "r.kind", f->kind);
    equal(q, STATUS, f->status);
    contains(q, "EXISTS(SELECT 1 FROM tag t WHERE t.run_id = r.run_id AND t.name = ?)", f->tag);
    contains(q,
             "EXISTS(SELECT 1 FROM evaluation v WHERE v.run_id = r.run_id AND (v.task = ? OR substr(v.task, 1, 1 + length(?)) = "
             "? || ':')) OR EXISTS(SELECT 1 FROM param p WHERE p.run_id = r.run_id AND (p.name = 'task' OR p.name GLOB 'task.*') "
             "AND (p.value = ? OR substr(p.value, 1, 1 + length(?)) = ? || ':'))",
             f->task);
    contains(q,
             "EXISTS(SELECT 1 FROM evaluation v WHERE v.run_id = r.run_id AND v.optimizer = ?) OR EXISTS(SELECT 1 FROM param p "
             "WHERE p.run_id = r.run_id AND p.name = 'optimizer' AND p.value = ?)",
             f->optimizer);
    contains(
        q,
        "EXISTS(SELECT 1 FROM ladder l WHERE l.run_id = r.run_id AND l.mechanism = ?) OR EXISTS(SELECT 1 FROM check_result c "
        "WHERE c.run_id = r.run_id AND c.mechanism = ?) OR EXISTS(SELECT 1 FROM param p WHERE p.run_id = r.run_id AND "
        "p.name = 'mechanism' AND p.value = ?)",
        f->mechanism);
    if (f->since != NULL) {
        FLTX_TRY(since_us(s, f->since, &since));
        flt_query_add(q, " AND r.started_us >= ");
        flt_query_bind_number(q, since);
    }
    if (f->where == NULL) return q->sql.err;
    flt_query_add(q, " AND ");
    return flt_where_compile(s, f->where, q, words);
}

static bool listed(const char *name) {
    static const char *const names[] = {"run", "kind", "status", "started", "seconds", "code", "seed", "tags", "command"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static flt_err compile(flt_store *s, const flt_run_filter *f, flt_query *q, char **words) {
    const bool down = f->sort != NULL && f->sort[0] == '-';
    const char *sort = f->sort == NULL ? NULL : f->sort + down;
    flt_query_add(q, "SELECT run, kind, status, started, seconds, code, seed, tags, ");
    if (sort != NULL && !listed(sort)) {
        flt_query_add(q, "sorted AS ");
        flt_query_identifier(q, sort);
        flt_query_add(q, ", ");
    }
    flt_query_add(q, "command FROM (SELECT r.run_id AS run, r.kind, " STATUS " AS status, " STARTED " AS started, " SECONDS
                     " AS seconds, " CODE " AS code, " SEED " AS seed, (SELECT group_concat(t.name, ' ') FROM tag t WHERE "
                     "t.run_id = r.run_id) AS tags, r.command");
    if (sort != NULL) {
        flt_query_add(q, ", ");
        FLTX_TRY(flt_where_value(s, sort, q));
        flt_query_add(q, " AS sorted");
    }
    flt_query_add(q, " FROM run r JOIN env e USING(env_id)");
    FLTX_TRY(conditions(s, f, q, words));
    flt_query_add(q, ") ORDER BY ");
    if (sort != NULL) flt_query_add(q, down ? "sorted IS NULL, sorted DESC, " : "sorted IS NULL, sorted, ");
    flt_query_add(q, "run DESC LIMIT ");
    flt_query_bind_number(q, f->limit == 0 || f->limit > 1000000000 ? -1 : (double)f->limit);
    return q->sql.err;
}

flt_err flt_store_find(flt_store *s, const flt_run_filter *f, flt_row_fn row, void *user) {
    FLTX_GIVEN(s, f);
    flt_query *q = NULL;
    char *words = NULL;
    FLTX_TRY(flt_store_check(s, "query", false));
    FLTX_TRY(flt_alloc(1, sizeof *q, &q));
    flt_err err = compile(s, f, q, &words);
    if (err == FLTE_OK) err = flt_query_run(s, q, row, user);
    flt_free(words);
    flt_free(q->sql.data);
    flt_free(q);
    return err;
}
