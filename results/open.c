// SPDX-License-Identifier: MIT
// Opening and closing. A file is first looked at without being touched: what is not ours is named and left alone.
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
static flt_err make_uri(const char *path, const char *query, char **out) {
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
    FLTX_TRY(make_uri(path, query, &uri));
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

// ---- looking at a file before opening it
static bool absent_or_empty(const char *path, const char *suffix) {
    char name[4096 + 8];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &st) != 0 || st.st_size == 0;
}

static flt_err look_at_bytes(const char *path, bool *exists, bool *empty) {
    static const char magic[16] = "SQLite format 3";
    char head[sizeof magic] = {0};
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    *exists = fd >= 0 || errno != ENOENT;
    *empty = false;
    if (fd < 0) return *exists ? flt_fail(FLTE_IO, "results", "%s: cannot be read: %s", path, strerror(errno)) : FLTE_OK;
    const bool known = fstat(fd, &st) == 0;
    const ssize_t n = known && S_ISREG(st.st_mode) ? read(fd, head, sizeof head) : 0;
    close(fd);
    if (known && S_ISDIR(st.st_mode)) return flt_fail(FLTE_IO, "results", "%s: is a folder; a database is a file", path);
    if (known && !S_ISREG(st.st_mode)) return flt_fail(FLTE_IO, "results", "%s: is not a regular file", path);
    *empty = known && st.st_size == 0;
    if (*empty || (n == sizeof head && memcmp(head, magic, sizeof magic) == 0)) return FLTE_OK;
    return flt_fail(FLTE_DB, "results", "%s: is not a database; it is left as it is", path);
}

typedef struct identity {
    long long application, version, tables;
} identity;

static flt_err identify(const char *path, bool immutable, identity *out) {
    sqlite3 *db = NULL;
    FLTX_TRY(flt_db_open_read(path, immutable, &db));
    // one transaction: another process may be creating the tables at this moment
    flt_err err = flt_db_exec(db, path, "opening", "BEGIN");
    if (err == FLTE_OK) err = flt_db_int(db, path, "PRAGMA application_id", &out->application);
    if (err == FLTE_OK) err = flt_db_int(db, path, "PRAGMA user_version", &out->version);
    if (err == FLTE_OK) err = flt_db_int(db, path, "SELECT count(*) FROM sqlite_schema", &out->tables);
    sqlite3_close(db);
    return err;
}

static flt_err judge(const char *path, const identity *id) {
    if (id->application != FLTX_APPLICATION_ID && (id->application != 0 || id->tables > 0))
        return flt_fail(FLTE_DB, "results", "%s: is a database of another program; it is left as it is", path);
    if (id->version > flt_schema_version)
        return flt_fail(FLTE_DB, "results",
                        "%s: was written by a newer flt (version %lld of the tables; this one knows up to %d); it is "
                        "left as it is",
                        path, id->version, flt_schema_version);
    return FLTE_OK;
}

// ---- opening for writing
static flt_err look_at_folder(const char *path) {
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", path);
    const char *folder = dirname(copy);
    if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0) return FLTE_OK;
    return flt_fail(FLTE_IO, "results", "%s: folder %s cannot be written: %s", path, folder, strerror(errno));
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
    bool exists = false, empty = false;
    identity id = {0};
    FLTX_TRY(look_at_bytes(s->path, &exists, &empty));
    FLTX_TRY(look_at_folder(s->path));
    if (exists && faccessat(AT_FDCWD, s->path, W_OK, AT_EACCESS) != 0)
        return flt_fail(FLTE_IO, "results", "%s: cannot be written: %s", s->path, strerror(errno));
    if (exists && !empty) {
        FLTX_TRY(identify(s->path, false, &id));
        FLTX_TRY(judge(s->path, &id));
    }
    FLTX_TRY(connect(s->path, "", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &s->db));
    FLTX_TRY(set_journal(s->db, s->path));
    FLTX_TRY(flt_db_exec(s->db, s->path, "opening", "PRAGMA synchronous = NORMAL"));
    FLTX_TRY(flt_db_migrate(s->db, s->path));
    FLTX_TRY(flt_process_register(s->db, s->path));
    flt_process_reap(s->db);
    FLTX_TRY(flt_records_load(s->db, s->path, s->kinds));
    return flt_alloc(1, sizeof *s->pending, &s->pending);
}

// ---- opening for reading
static flt_err migrate_first(const char *path, long long version) {
    flt_store *s = NULL;
    const flt_err err = flt_store_open(path, FLTX_STORE_WRITE, &s);
    flt_store_close(s);
    return err == FLTE_OK
               ? err
               : flt_context(err, "the tables are of version %lld and have to be brought to %d", version, flt_schema_version);
}

static flt_err open_read(flt_store *s) {
    bool exists = false, empty = false;
    identity id = {0};
    FLTX_TRY(look_at_bytes(s->path, &exists, &empty));
    if (!exists)
        return flt_fail(FLTE_IO, "results",
                        "%s: there is no such file; `flt train`, `flt eval` and `flt verify` write one, --db names it", s->path);
    if (empty) return flt_fail(FLTE_DB, "results", "%s: is empty; nothing has been recorded in it", s->path);
    flt_err err = identify(s->path, false, &id);
    // Where neither -wal nor -shm can be made (a read-only disk) and nothing waits in them, the file alone is the database.
    s->immutable = err != FLTE_OK && absent_or_empty(s->path, "-wal");
    if (s->immutable) err = identify(s->path, true, &id);
    FLTX_TRY(err);
    FLTX_TRY(judge(s->path, &id));
    if (id.tables == 0) return flt_fail(FLTE_DB, "results", "%s: has no tables; nothing has been recorded in it", s->path);
    if (id.version < flt_schema_version) FLTX_TRY(migrate_first(s->path, id.version));
    FLTX_TRY(flt_db_open_read(s->path, s->immutable, &s->db));
    return flt_process_register(s->db, s->path);
}

flt_err flt_store_open(const char *path, int mode, flt_store **out) {
    flt_store *s = NULL;
    *out = NULL;
    if (path == NULL || path[0] == 0)
        return flt_fail(FLTE_USAGE, "results", "the name of the database is empty; --db FILE gives one");
    if (strlen(path) >= 4000)
        return flt_fail(FLTE_IO, "results", "the name of the database has %zu letters; at most 3999", strlen(path));
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
