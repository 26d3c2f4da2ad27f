// SPDX-License-Identifier: MIT
// Merging another store: runs by uuid, machines by fingerprint, metrics by name; numbers of this file replace those of the other.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "query.h"

// Tables of rows of a run; metric numbers are mapped in the two that have them.
static const char *const copied[] = {"param",      "metric", "series", "check_result", "ladder",
                                     "evaluation", "timing", "event",  "artifact"};
enum { N_COPIED = sizeof copied / sizeof *copied };

static flt_err same_file(const flt_store *s, const char *path) {
    struct stat a, b;
    if (stat(s->path, &a) != 0 || stat(path, &b) != 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino) return FLTE_OK;
    return flt_fail(FLTE_USAGE, "import", "%s: is the store itself", path);
}

// The columns of a table but `left_out`, each as `prefix`"name", in the order of the definition.
static flt_err columns_of(flt_store *s, const char *table, const char *left_out, const char *prefix, flt_query *q) {
    sqlite3_stmt *st = NULL;
    FLTX_TRY(
        flt_db_prepare(s->db, s->path, "SELECT name FROM pragma_table_info(?1) WHERE instr(?2, ' ' || name || ' ') = 0", &st));
    sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, left_out, -1, SQLITE_STATIC);
    int rc = SQLITE_OK;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        flt_query_add(q, ", ");
        flt_query_add(q, prefix);
        flt_query_identifier(q, (const char *)sqlite3_column_text(st, 0));
    }
    if (rc != SQLITE_DONE && q->sql.err == FLTE_OK) q->sql.err = flt_db_fail(s->db, rc, s->path, "reading the schema");
    sqlite3_finalize(st);
    return q->sql.err;
}

static flt_err finish(flt_store *s, flt_query *q) {
    flt_err err = q->sql.err;
    if (err == FLTE_OK) err = flt_db_exec(s->db, s->path, "importing", q->sql.data);
    flt_free(q->sql.data);
    *q = (flt_query){0};
    return err;
}

static flt_err add_machines(flt_store *s, flt_query *q) {
    flt_query_add(q, "INSERT INTO env(env_id");
    FLTX_TRY(columns_of(s, "env", " env_id ", "", q));
    flt_query_add(q, ") SELECT NULL");
    FLTX_TRY(columns_of(s, "env", " env_id ", "x.", q));
    flt_query_add(q, " FROM other.env x WHERE x.fingerprint NOT IN (SELECT fingerprint FROM main.env)");
    return finish(s, q);
}

// temp.merge: old and new number of each run that is to be copied; known = 1 where this file has an older state of it.
static const char plan_sql[] =
    "CREATE TEMP TABLE merge AS SELECT x.run_id AS old, m.run_id AS new, m.run_id IS NOT NULL AS known FROM other.run x LEFT "
    "JOIN "
    "main.run m USING(uuid) WHERE m.run_id IS NULL OR x.heartbeat_us > m.heartbeat_us OR (x.heartbeat_us = m.heartbeat_us AND "
    "x.ended_us IS NOT NULL AND m.ended_us IS NULL);"
    "INSERT OR IGNORE INTO main.metric_name(name, subject, task, seed) SELECT name, subject, task, seed FROM other.metric_name;"
    "CREATE TEMP TABLE rename AS SELECT x.metric_id AS old, m.metric_id AS new FROM other.metric_name x JOIN main.metric_name m "
    "USING(name, subject, task, seed);"
    "CREATE UNIQUE INDEX temp.rename_old ON rename(old)";

static flt_err add_runs(flt_store *s, flt_query *q) {
    static const char own[] = " run_id env_id parent_id ";
    flt_query_add(q, "INSERT INTO main.run(env_id");
    FLTX_TRY(columns_of(s, "run", own, "", q));
    flt_query_add(q, ") SELECT e.env_id");
    FLTX_TRY(columns_of(s, "run", own, "x.", q));
    flt_query_add(q, " FROM other.run x JOIN other.env o USING(env_id) JOIN main.env e ON e.fingerprint = o.fingerprint "
                     "JOIN temp.merge g ON g.old = x.run_id WHERE NOT g.known ORDER BY x.run_id");
    FLTX_TRY(finish(s, q));
    FLTX_TRY(flt_db_exec(
        s->db, s->path, "importing",
        "UPDATE temp.merge SET new = (SELECT m.run_id FROM main.run m JOIN other.run x USING(uuid) WHERE x.run_id = "
        "merge.old);"
        "UPDATE main.run SET (status, exit_code, message, heartbeat_us, ended_us, progress, progress_text, rows_lost) "
        "= (SELECT x.status, x.exit_code, x.message, x.heartbeat_us, x.ended_us, x.progress, x.progress_text, "
        "x.rows_lost FROM other.run x JOIN temp.merge g ON g.old = x.run_id WHERE g.new = main.run.run_id) "
        "WHERE run_id IN (SELECT new FROM temp.merge WHERE known);"));
    return flt_db_exec(
        s->db, s->path, "importing",
        "UPDATE main.run SET parent_id = (SELECT p.run_id FROM other.run x JOIN other.run o ON o.run_id = x.parent_id "
        "JOIN main.run p ON p.uuid = o.uuid WHERE x.uuid = main.run.uuid) WHERE parent_id IS NULL AND run_id IN (SELECT "
        "new FROM temp.merge)");
}

static flt_err add_rows(flt_store *s, const char *table, flt_query *q) {
    const bool named = strcmp(table, "metric") == 0 || strcmp(table, "series") == 0;
    flt_query_add(q, "DELETE FROM main.");
    flt_query_identifier(q, table);
    flt_query_add(q, " WHERE run_id IN (SELECT new FROM temp.merge WHERE known); INSERT INTO main.");
    flt_query_identifier(q, table);
    flt_query_add(q, named ? "(run_id, metric_id" : "(run_id");
    FLTX_TRY(columns_of(s, table, " run_id metric_id ", "", q));
    flt_query_add(q, named ? ") SELECT g.new, n.new" : ") SELECT g.new");
    FLTX_TRY(columns_of(s, table, " run_id metric_id ", "x.", q));
    flt_query_add(q, " FROM temp.merge g JOIN other.");
    flt_query_identifier(q, table);
    flt_query_add(q, " x ON x.run_id = g.old");
    if (named) flt_query_add(q, " JOIN temp.rename n ON n.old = x.metric_id");
    return finish(s, q);
}

static const char words_sql[] = "INSERT OR IGNORE INTO main.tag(run_id, name) SELECT m.run_id, t.name FROM other.tag t JOIN "
                                "other.run x USING(run_id) JOIN main.run "
                                "m USING(uuid);"
                                "INSERT OR IGNORE INTO main.note(run_id, written_us, text) SELECT m.run_id, t.written_us, t.text "
                                "FROM other.note t JOIN other.run x "
                                "USING(run_id) JOIN main.run m USING(uuid)";

static flt_err merge(flt_store *s, flt_query *q, flt_import *out) {
    FLTX_TRY(flt_db_exec(s->db, s->path, "importing", plan_sql));
    FLTX_TRY(flt_db_int(s->db, s->path, "SELECT coalesce(sum(NOT known), 0) FROM temp.merge", &out->added));
    FLTX_TRY(flt_db_int(s->db, s->path, "SELECT coalesce(sum(known), 0) FROM temp.merge", &out->updated));
    FLTX_TRY(flt_db_int(s->db, s->path, "SELECT count(*) FROM other.run", &out->known));
    out->known -= out->added + out->updated;
    FLTX_TRY(add_machines(s, q));
    FLTX_TRY(add_runs(s, q));
    for (size_t i = 0; i < N_COPIED; i++) FLTX_TRY(add_rows(s, copied[i], q));
    return flt_db_exec(s->db, s->path, "importing", words_sql);
}

static flt_err attach(flt_store *s, const flt_store *other) {
    char *uri = NULL;
    sqlite3_stmt *st = NULL;
    FLTX_TRY(flt_db_uri(other->path, other->immutable ? "?immutable=1" : "?mode=ro", &uri));
    flt_err err = flt_db_prepare(s->db, s->path, "ATTACH ?1 AS other", &st);
    if (err == FLTE_OK) {
        sqlite3_bind_text(st, 1, uri, -1, SQLITE_STATIC);
        err = flt_db_run(s->db, other->path, "opening", st);
    }
    sqlite3_finalize(st);
    flt_free(uri);
    return err;
}

flt_err flt_store_import(flt_store *s, const char *path, flt_import *out) {
    FLTX_GIVEN(s, path, out);
    flt_store *other = NULL; // looks at the file, migrates it, and keeps it open
    flt_query *q = NULL;
    *out = (flt_import){0};
    FLTX_TRY(flt_store_check(s, "import", false));
    if (s->mode != FLTX_STORE_WRITE || s->run_id != 0)
        return flt_fail(FLTE_INTERNAL, "results", "%s: import: the store has to be open for writing, without a run", s->path);
    FLTX_TRY(same_file(s, path));
    FLTX_TRY(flt_store_open(path, FLTX_STORE_READ, &other));
    flt_err err = flt_alloc(1, sizeof *q, &q);
    if (err == FLTE_OK) err = attach(s, other);
    if (err == FLTE_OK) {
        err = flt_db_begin(s->db, s->path);
        if (err == FLTE_OK) err = flt_db_commit(s->db, s->path, merge(s, q, out));
        sqlite3_exec(s->db, "DROP TABLE IF EXISTS temp.merge; DROP TABLE IF EXISTS temp.rename; DETACH other", NULL, NULL, NULL);
    }
    if (q != NULL) flt_free(q->sql.data);
    flt_free(q);
    flt_store_close(other);
    return err;
}
