// SPDX-License-Identifier: MIT
// Upkeep: tags, notes, removal, garbage.
#include <ctype.h>
#include <string.h>

#include "query.h"

static flt_err need_writable(const flt_store *s, const char *who) {
    FLTX_TRY(flt_store_check(s, who, false));
    if (s->mode != FLTX_STORE_WRITE)
        return flt_fail(FLTE_INTERNAL, "results", "%s: %s: the store was opened for reading", s->path, who);
    return FLTE_OK;
}

// Runs `sql` in a transaction, with the run as ?1 and the text as ?2.
static flt_err change(flt_store *s, const char *sql, long long run, const char *text) {
    sqlite3_stmt *st = NULL;
    FLTX_TRY(flt_db_prepare(s->db, s->path, sql, &st));
    sqlite3_bind_int64(st, 1, run);
    if (text != NULL) sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
    if (strstr(sql, "?3") != NULL) sqlite3_bind_int64(st, 3, flt_store_now_us());
    flt_err err = flt_db_begin(s->db, s->path);
    if (err == FLTE_OK) err = flt_db_commit(s->db, s->path, flt_db_run(s->db, s->path, "writing", st));
    sqlite3_finalize(st);
    return err;
}

flt_err flt_store_tag(flt_store *s, long long run, const char *name, bool on) {
    FLTX_GIVEN(s, name);
    FLTX_TRY(need_writable(s, "tag"));
    bool fine = name[0] != 0 && strlen(name) <= 64;
    for (const char *p = name; *p != 0; p++) fine = fine && !isspace((unsigned char)*p) && !iscntrl((unsigned char)*p);
    if (!fine) return flt_fail(FLTE_USAGE, "tag", "'%s': a tag is one word of at most 64 bytes", name);
    FLTX_TRY(flt_find_run(s, &run));
    return change(
        s, on ? "INSERT OR IGNORE INTO tag(run_id, name) VALUES (?1, ?2)" : "DELETE FROM tag WHERE run_id = ?1 AND name = ?2",
        run, name);
}

flt_err flt_store_note(flt_store *s, long long run, const char *text) {
    FLTX_GIVEN(s, text);
    FLTX_TRY(need_writable(s, "note"));
    if (text[0] == 0 || strlen(text) > 100000) return flt_fail(FLTE_USAGE, "note", "a note has 1 to 100000 bytes");
    FLTX_TRY(flt_find_run(s, &run));
    return change(s, "INSERT INTO note(run_id, written_us, text) VALUES (?1, ?3, ?2)", run, text);
}

flt_err flt_store_remove(flt_store *s, long long run) {
    FLTX_GIVEN(s);
    long long running = 0;
    sqlite3_stmt *st = NULL;
    FLTX_TRY(need_writable(s, "rm"));
    FLTX_TRY(flt_find_run(s, &run));
    FLTX_TRY(flt_db_prepare(s->db, s->path,
                            "SELECT " STATUS " = 'running' FROM run r JOIN env e USING(env_id) WHERE r.run_id = ?1", &st));
    sqlite3_bind_int64(st, 1, run);
    const int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) running = sqlite3_column_int64(st, 0);
    const flt_err err = rc == SQLITE_ROW ? FLTE_OK : flt_db_fail(s->db, rc, s->path, "reading");
    sqlite3_finalize(st);
    FLTX_TRY(err);
    if (running) return flt_fail(FLTE_USAGE, "rm", "run %lld is running; stop it first", run);
    return change(s, "DELETE FROM run WHERE run_id = ?1", run, NULL); // its rows go with it
}

static flt_err file_bytes(flt_store *s, long long *out) {
    long long pages = 0, size = 0;
    FLTX_TRY(flt_db_int(s->db, s->path, "PRAGMA page_count", &pages));
    FLTX_TRY(flt_db_int(s->db, s->path, "PRAGMA page_size", &size));
    *out = pages * size;
    return FLTE_OK;
}

static flt_err sweep(flt_store *s, const char *sql, long long *removed) {
    FLTX_TRY(flt_db_exec(s->db, s->path, "removing", sql));
    *removed = sqlite3_changes64(s->db);
    return FLTE_OK;
}

static flt_err sweep_all(flt_store *s, flt_gc *out) {
    FLTX_TRY(sweep(s, "DELETE FROM env WHERE env_id NOT IN (SELECT env_id FROM run)", &out->machines));
    return sweep(s,
                 "DELETE FROM metric_name WHERE metric_id NOT IN (SELECT metric_id FROM series) AND NOT EXISTS(SELECT 1 FROM "
                 "metric WHERE metric.metric_id = metric_name.metric_id)",
                 &out->metrics);
}

flt_err flt_store_gc(flt_store *s, flt_gc *out) {
    FLTX_GIVEN(s, out);
    long long live = 0;
    *out = (flt_gc){0};
    FLTX_TRY(need_writable(s, "gc"));
    FLTX_TRY(flt_db_int(s->db, s->path, "SELECT count(*) FROM run WHERE status = 'running'", &live));
    FLTX_TRY(file_bytes(s, &out->bytes_before));
    if (live == 0) { // a running process remembers the numbers of its metrics
        FLTX_TRY(flt_db_begin(s->db, s->path));
        FLTX_TRY(flt_db_commit(s->db, s->path, sweep_all(s, out)));
    }
    FLTX_TRY(flt_db_exec(s->db, s->path, "packing", "VACUUM"));
    FLTX_TRY(flt_db_exec(s->db, s->path, "packing", "PRAGMA wal_checkpoint(TRUNCATE)"));
    return file_bytes(s, &out->bytes_after);
}
