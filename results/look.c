// SPDX-License-Identifier: MIT
// Looking at a file before it is opened, without a change to it or beside it: what is not ours is named and left as it is.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flt/tensorfile.h"
#include "store.h"

static bool absent_or_empty(const char *path, const char *suffix) {
    char name[FLTX_MAX_PATH + 16];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &st) != 0 || st.st_size == 0;
}

static flt_err look_at_bytes(const char *path, flt_look *out) {
    char head[FLTX_DATABASE_HEAD] = {0};
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); // a pipe must not block
    out->exists = fd >= 0 || errno != ENOENT;
    if (fd < 0) return out->exists ? flt_fail(FLTE_IO, "results", "%s: cannot be read: %s", path, strerror(errno)) : FLTE_OK;
    const bool known = fstat(fd, &st) == 0;
    const ssize_t n = known && S_ISREG(st.st_mode) ? read(fd, head, sizeof head) : 0;
    close(fd);
    if (known && S_ISDIR(st.st_mode)) return flt_fail(FLTE_IO, "results", "%s: is a folder; a database is a file", path);
    if (known && !S_ISREG(st.st_mode)) return flt_fail(FLTE_IO, "results", "%s: is not a regular file", path);
    out->empty = known && st.st_size == 0;
    if (out->empty || (n > 0 && flt_database_head((size_t)n, head))) return FLTE_OK;
    return flt_fail(FLTE_DB, "results", "%s: is not a database; it is left as it is", path);
}

static flt_err look_inside(const char *path, bool immutable, flt_look *out) {
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

static flt_err judge(const char *path, const flt_look *x) {
    if (x->application != FLTX_APPLICATION_ID && (x->application != 0 || x->tables > 0))
        return flt_fail(FLTE_DB, "results", "%s: is a database of another program; it is left as it is", path);
    if (x->version > flt_schema_version)
        return flt_fail(
            FLTE_DB, "results",
            "%s: was written by a newer flt (its tables are of version %lld, this program knows up to %d); it is left "
            "as it is",
            path, x->version, flt_schema_version);
    return FLTE_OK;
}

// With no journal beside it the file is looked at alone, which leaves no -wal and -shm beside a stranger's file. What this finds
// strange may be a file that another process is just filling: the second look waits for locks and decides.
flt_err flt_look_at(const char *path, flt_look *out) {
    *out = (flt_look){0};
    FLTX_TRY(look_at_bytes(path, out));
    if (!out->exists || out->empty) return FLTE_OK;
    out->quiet = absent_or_empty(path, "-wal") && absent_or_empty(path, "-journal");
    flt_err err = look_inside(path, out->quiet, out);
    const bool ours = err == FLTE_OK && out->application == FLTX_APPLICATION_ID;
    if (out->quiet && !ours && !(absent_or_empty(path, "-wal") && absent_or_empty(path, "-journal"))) {
        out->quiet = false;
        err = look_inside(path, false, out);
    }
    return err == FLTE_OK ? judge(path, out) : err;
}
