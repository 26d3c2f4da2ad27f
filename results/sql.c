// SPDX-License-Identifier: MIT
// SQLite's codes as the project's codes and sentences; small helpers around statements.
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "store.h"

// SQLite forgets the errno of a write that failed inside a commit; a limit on the size of files is then the usual reason.
static const char *out_of_space(sqlite3 *db, int rc) {
    struct rlimit limit;
    const int number = db == NULL ? 0 : sqlite3_system_errno(db);
    if ((rc & 0xff) == SQLITE_FULL || ((rc & 0xff) == SQLITE_IOERR && (number == ENOSPC || number == EDQUOT)))
        return "the disk is full";
    if ((rc & 0xff) != SQLITE_IOERR || (number != 0 && number != EFBIG)) return NULL;
    const bool limited = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return limited ? "the limit on the size of files was reached" : NULL;
}

flt_err flt_db_fail(sqlite3 *db, int rc, const char *path, const char *doing) {
    const char *message = db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(db);
    const char *space = out_of_space(db, rc);
    if (space != NULL) return flt_fail(FLTE_DB, "results", "%s: %s: %s; rows committed before are safe", path, doing, space);
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return flt_fail(FLTE_NOMEM, "results", "%s: %s: out of memory", path, doing);
    case SQLITE_READONLY:
        return flt_fail(FLTE_DB, "results", "%s: %s: the file or its folder cannot be written", path, doing);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return flt_fail(FLTE_DB, "results", "%s: %s: the file is damaged (%s); nothing was changed", path, doing, message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return flt_fail(FLTE_DB, "results", "%s: %s: another process held the database for more than %d s", path, doing,
                        FLTX_BUSY_MS / 1000);
    case SQLITE_CANTOPEN:
        return flt_fail(FLTE_IO, "results", "%s: %s: the file cannot be opened (%s)", path, doing,
                        db != NULL && sqlite3_system_errno(db) != 0 ? strerror(sqlite3_system_errno(db)) : message);
    default:
        return flt_fail(FLTE_DB, "results", "%s: %s: %s", path, doing, message);
    }
}

flt_err flt_db_exec(sqlite3 *db, const char *path, const char *doing, const char *sql) {
    const int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? FLTE_OK : flt_db_fail(db, rc, path, doing);
}

flt_err flt_db_prepare(sqlite3 *db, const char *path, const char *sql, sqlite3_stmt **out) {
    const int rc = sqlite3_prepare_v2(db, sql, -1, out, NULL);
    return rc == SQLITE_OK ? FLTE_OK : flt_db_fail(db, rc, path, "preparing a statement");
}

flt_err flt_db_int(sqlite3 *db, const char *path, const char *sql, long long *out) {
    sqlite3_stmt *st = NULL;
    *out = 0;
    FLTX_TRY(flt_db_prepare(db, path, sql, &st));
    const int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(st, 0);
    const flt_err err = rc == SQLITE_ROW || rc == SQLITE_DONE ? FLTE_OK : flt_db_fail(db, rc, path, "reading");
    sqlite3_finalize(st);
    return err;
}

flt_err flt_db_begin(sqlite3 *db, const char *path) {
    return flt_db_exec(db, path, "writing", "BEGIN IMMEDIATE");
}

// A failed statement may have rolled back by itself (disk full): then there is nothing to roll back.
flt_err flt_db_commit(sqlite3 *db, const char *path, flt_err err) {
    if (err == FLTE_OK) err = flt_db_exec(db, path, "writing", "COMMIT");
    if (err != FLTE_OK && !sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}

flt_err flt_db_run(sqlite3 *db, const char *path, const char *doing, sqlite3_stmt *st) {
    const int rc = sqlite3_step(st);
    const flt_err err = rc == SQLITE_DONE || rc == SQLITE_ROW ? FLTE_OK : flt_db_fail(db, rc, path, doing);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return err;
}
