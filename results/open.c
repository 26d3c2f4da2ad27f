// SPDX-License-Identifier: MIT
// Opening and closing stores, and the connections behind them.
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "store.h"

enum { WAL_TRIES = 500, WAL_WAIT_MS = 10 };

double flt_store_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

long long flt_store_now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

flt_err flt_store_check(const flt_store *s, const char *who, bool running) {
    if (s->pid != getpid())
        return flt_fail(FLTE_INTERNAL, "results", "%s: the store was opened before fork(); open one in each process", who);
    if (!pthread_equal(s->owner, pthread_self()))
        return flt_fail(FLTE_INTERNAL, "results", "%s: called from another thread than the one that opened the store", who);
    if (running && s->run_id == 0) return flt_fail(FLTE_INTERNAL, "results", "%s: no run has begun", who);
    return FLTE_OK;
}

// ---- connections
// A file name as an SQLite URI, so that names such as ":memory:" or "file:x?y" mean files of that name.
flt_err flt_db_uri(const char *path, const char *query, char **out) {
    size_t size = 0;
    *out = NULL;
    if (!flt_mul_ok(strlen(path), 3, &size)) return flt_fail(FLTE_NOMEM, "results", "the name of the file is too long");
    size += strlen(query) + 16;
    FLTX_TRY(flt_alloc(size, 1, out));
    char *p = *out + sprintf(*out, path[0] == '/' ? "file://" : "file:./");
    for (const unsigned char *c = (const unsigned char *)path; *c != 0; c++)
        p += sprintf(p, (*c >= '0' && *c <= 'z' && *c != '?') || *c == '/' || *c == '.' || *c == '-' ? "%c" : "%%%02x", *c);
    sprintf(p, "%s", query);
    return FLTE_OK;
}

static flt_err connect(const char *path, const char *query, int flags, sqlite3 **out) {
    char *uri = NULL;
    *out = NULL;
    FLTX_TRY(flt_db_uri(path, query, &uri));
    const int rc = sqlite3_open_v2(uri, out, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    flt_free(uri);
    flt_err err = rc == SQLITE_OK ? FLTE_OK : flt_db_fail(*out, rc, path, "opening");
    if (err == FLTE_OK) {
        sqlite3_busy_timeout(*out, FLTX_BUSY_MS);
        sqlite3_db_config(*out, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(*out, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        err = flt_db_exec(*out, path, "opening", "PRAGMA foreign_keys = ON");
    }
    if (err == FLTE_OK) return FLTE_OK;
    sqlite3_close(*out);
    *out = NULL;
    return err;
}

flt_err flt_db_open_read(const char *path, bool immutable, sqlite3 **out) {
    FLTX_TRY(connect(path, immutable ? "?immutable=1" : "", SQLITE_OPEN_READONLY, out));
    sqlite3_db_config(*out, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return FLTE_OK;
}

// ---- opening for writing
static flt_err check_writable(const char *path, bool exists) {
    char copy[FLTX_MAX_PATH];
    snprintf(copy, sizeof copy, "%s", path);
    const char *folder = dirname(copy);
    if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0)
        return flt_fail(FLTE_IO, "results", "%s: folder %s cannot be written: %s", path, folder, strerror(errno));
    if (exists && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0)
        return flt_fail(FLTE_IO, "results", "%s: cannot be written: %s", path, strerror(errno));
    return FLTE_OK;
}

// WAL needs memory shared between processes, which network file systems do not give.
static bool on_network(const char *path) {
    struct statfs fs;
    if (statfs(path, &fs) != 0) return false;
    const unsigned long type = (unsigned long)fs.f_type & 0xffffffffu;
    return type == 0x6969 /* NFS */ || type == 0xff534d42 /* CIFS */ || type == 0xfe534d42 /* SMB2 */ || type == 0x517b /* SMB */;
}

// Switching to WAL ignores the busy timeout. A file system that cannot do WAL answers with another mode, which is fine.
static flt_err set_journal(sqlite3 *db, const char *path) {
    const char *sql = on_network(path) ? "PRAGMA journal_mode = DELETE" : "PRAGMA journal_mode = WAL";
    const struct timespec wait = {.tv_nsec = WAL_WAIT_MS * 1000000L};
    int rc = SQLITE_BUSY;
    for (int i = 0; i < WAL_TRIES; i++) {
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
        if ((rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED) break;
        nanosleep(&wait, NULL);
    }
    return rc == SQLITE_OK ? FLTE_OK : flt_db_fail(db, rc, path, "opening");
}

static flt_err open_write(flt_store *s) {
    flt_look look;
    FLTX_TRY(flt_look_at(s->path, &look));
    FLTX_TRY(check_writable(s->path, look.exists));
    FLTX_TRY(connect(s->path, "", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &s->db));
    FLTX_TRY(set_journal(s->db, s->path));
    FLTX_TRY(flt_db_exec(s->db, s->path, "opening", "PRAGMA synchronous = NORMAL"));
    FLTX_TRY(flt_db_migrate(s->db, s->path));
    FLTX_TRY(flt_process_register(s->db, s->path));
    FLTX_TRY(flt_spark_register(s->db, s->path));
    flt_process_reap(s->db);
    FLTX_TRY(flt_records_load(s->db, s->path, s->kinds));
    return flt_alloc(1, sizeof *s->pending, &s->pending);
}

// ---- opening for reading
static flt_err migrate_first(const char *path, long long version) {
    flt_store *s = NULL;
    const flt_err err = flt_store_open(path, FLTX_STORE_WRITE, &s);
    flt_store_close(s);
    if (err == FLTE_OK) return err;
    return flt_context(err, "its tables are of version %lld and have to be brought to %d", version, flt_schema_version);
}

// A read-only connection to a file in WAL mode leaves -wal and -shm beside it; one that may write takes them away when it is the
// last. Where nothing may be written (a read-only disk) and nothing waits in a -wal, the file alone is the database.
static flt_err connect_to_read(flt_store *s, bool quiet) {
    long long version = 0;
    flt_err err = FLTE_OK;
    const bool writable = check_writable(s->path, true) == FLTE_OK;
    if (writable)
        FLTX_TRY(connect(s->path, "", SQLITE_OPEN_READWRITE, &s->db));
    else
        FLTX_TRY(flt_db_open_read(s->path, false, &s->db));
    err = flt_db_exec(s->db, s->path, "opening", "PRAGMA query_only = ON");
    if (err == FLTE_OK) err = flt_db_int(s->db, s->path, "PRAGMA user_version", &version); // takes hold of -wal and -shm
    if (err == FLTE_OK || writable || !quiet) return err;
    sqlite3_close(s->db);
    s->immutable = true;
    return flt_db_open_read(s->path, true, &s->db);
}

static flt_err open_read(flt_store *s) {
    flt_look look;
    FLTX_TRY(flt_look_at(s->path, &look));
    if (!look.exists)
        return flt_fail(FLTE_IO, "results",
                        "%s: there is no such file; `flt train`, `flt eval` and `flt verify` write one, --db names it", s->path);
    if (look.tables == 0) return flt_fail(FLTE_DB, "results", "%s: is empty; nothing has been recorded in it", s->path);
    if (look.version < flt_schema_version) FLTX_TRY(migrate_first(s->path, look.version));
    FLTX_TRY(connect_to_read(s, look.quiet));
    FLTX_TRY(flt_process_register(s->db, s->path));
    return flt_spark_register(s->db, s->path);
}

flt_err flt_store_open(const char *path, int mode, flt_store **out) {
    FLTX_GIVEN(out);
    flt_store *s = NULL;
    *out = NULL;
    if (path == NULL || path[0] == 0)
        return flt_fail(FLTE_USAGE, "results", "the name of the database is empty; --db FILE gives one");
    if (strlen(path) >= FLTX_MAX_PATH)
        return flt_fail(FLTE_IO, "results", "the name of the database has %zu letters; at most %d", strlen(path),
                        FLTX_MAX_PATH - 1);
    FLTX_TRY(flt_alloc(1, sizeof *s, &s));
    s->mode = mode;
    s->pid = getpid();
    s->owner = pthread_self();
    s->sql_seconds = 2.0;
    s->sql_bytes = (size_t)256 << 20;
    s->types = "";
    flt_sink_bind(s);
    flt_err err = flt_strdup(path, &s->path);
    if (err == FLTE_OK) err = mode == FLTX_STORE_WRITE ? open_write(s) : open_read(s);
    if (err == FLTE_OK)
        *out = s;
    else
        flt_store_close(s);
    return err;
}

// In a forked child the connection is left open: closing it would take away files that the parent still uses.
void flt_store_close(flt_store *s) {
    if (s == NULL) return;
    if (s->pid == getpid()) {
        if (s->run_id != 0) (void)flt_store_end(s, "failed", -1, "the program left without ending the run");
        for (int i = 0; i < FLTX_N_RECORDS; i++) sqlite3_finalize(s->insert[i]);
        sqlite3_finalize(s->find_name);
        sqlite3_finalize(s->add_name);
        sqlite3_finalize(s->add_series);
        sqlite3_finalize(s->heartbeat);
        sqlite3_close(s->db);
    }
    flt_series_free(&s->series);
    flt_free(s->pending);
    flt_free(s->path);
    flt_free(s);
}
