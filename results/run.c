// SPDX-License-Identifier: MIT
// The life of a run: begin, parameters, artifacts, end.
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <zlib.h>

#include "store.h"

// ---- begin
static flt_err make_uuid(char out[37]) {
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) return flt_fail(FLTE_IO, "results", "the system gives no random bytes");
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); // version 4, variant 1
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (size_t i = 0, n = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out[n++] = '-';
        n += (size_t)snprintf(out + n, 37 - n, "%02x", b[i]);
    }
    return FLTE_OK;
}

static flt_err insert_run(flt_store *s, const flt_run_info *info, const char *argv, const char *command) {
    sqlite3_stmt *st = NULL;
    flt_process self;
    long long env_id = 0;
    char uuid[37], hash[17], folder[4096];
    FLTX_TRY(make_uuid(uuid));
    FLTX_TRY(flt_provenance_store(s, info, &env_id));
    flt_process_self(&self);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)info->registry_hash);
    if (getcwd(folder, sizeof folder) == NULL) folder[0] = 0;
    FLTX_TRY(flt_db_prepare(
        s->db, s->path,
        "INSERT INTO run(uuid, kind, argv, command, folder, registry_hash, boot_id, pid_space, status, env_id, seed, "
        "threads, pid, pid_started, started_us, heartbeat_us) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'running', ?9, ?10, ?11, ?12, ?13, ?14, ?14)",
        &st));
    const char *texts[] = {uuid, info->kind, argv, command, folder, hash, self.boot_id, self.pid_space};
    const long long numbers[] = {env_id, (long long)info->seed, info->threads, self.pid, self.started, s->started_us};
    for (int i = 0; i < 8; i++) sqlite3_bind_text(st, i + 1, texts[i], -1, SQLITE_STATIC);
    for (int i = 0; i < 6; i++) sqlite3_bind_int64(st, i + 9, numbers[i]);
    const flt_err err = flt_db_run(s->db, s->path, "writing the run", st);
    sqlite3_finalize(st);
    s->run_id = err == FLTE_OK ? sqlite3_last_insert_rowid(s->db) : 0;
    return err;
}

// The states of runs survive a power cut, each metric need not.
static flt_err durable(flt_store *s, bool on) {
    return flt_db_exec(s->db, s->path, "preparing", on ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
}

static void reset_run(flt_store *s) {
    s->started_us = flt_store_now_us();
    s->started = s->flushed = flt_store_clock();
    s->progress = NAN;
    s->progress_text[0] = 0;
    s->rows_lost = 0;
    memset(s->seq, 0, sizeof s->seq);
    flt_series_free(&s->series);
    s->pending->n_rows = s->pending->n_cells = s->pending->n_text = 0;
}

flt_err flt_store_begin(flt_store *s, const flt_run_info *info, long long *run_id) {
    FLTX_GIVEN(s, info);
    FLTX_GIVEN(info->kind);
    if (info->argc > 0) FLTX_GIVEN(info->argv);
    char *argv = NULL, *command = NULL;
    flt_err err = FLTE_OK;
    if (run_id != NULL) *run_id = 0;
    FLTX_TRY(flt_store_check(s, "begin", false));
    if (s->mode != FLTX_STORE_WRITE)
        return flt_fail(FLTE_INTERNAL, "results", "%s: begin: the store was opened for reading", s->path);
    if (s->run_id != 0) return flt_fail(FLTE_INTERNAL, "results", "%s: begin: run %lld has not ended", s->path, s->run_id);
    reset_run(s);
    FLTX_GO(err, done, flt_command_text(info->argc, info->argv, &argv, &command));
    FLTX_GO(err, done, durable(s, true));
    FLTX_GO(err, done, flt_db_begin(s->db, s->path));
    err = flt_db_commit(s->db, s->path, insert_run(s, info, argv, command));
    if (err != FLTE_OK) s->run_id = 0;
    const flt_err back = durable(s, false);
    if (err == FLTE_OK) err = back;
    if (run_id != NULL) *run_id = s->run_id;
done:
    flt_free(argv);
    flt_free(command);
    return err;
}

// ---- parameters and artifacts
// The number that a text is, whole: "3", "1e-3"; not "", "0x10", "nan", "3 ".
static bool parse_number(const char *value, double *out) {
    char *end = NULL;
    if (value[0] == 0 || strspn(value, "+-.0123456789eE") != strlen(value)) return false;
    *out = strtod(value, &end);
    return *end == 0 && isfinite(*out);
}

flt_err flt_store_param(flt_store *s, const char *name, const char *value) {
    FLTX_GIVEN(s, name, value);
    double number = 0;
    FLTX_TRY(flt_store_check(s, "param", true));
    FLTX_TRY(flt_sink_room(s, FLTX_REC_PARAM, strlen(name) + strlen(value) + 2));
    const bool is_number = parse_number(value, &number);
    const flt_field fields[] = {flt_text_field("name", name), flt_text_field("value", value), flt_num_field("number", number)};
    FLTX_TRY(flt_pending_fields(s->pending, s->kinds, FLTX_REC_PARAM, 0, is_number ? 3 : 2, fields));
    return flt_sink_due(s);
}

static flt_err checksum(const char *path, long long *bytes, unsigned long *crc) {
    unsigned char block[1 << 14];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    if (fd < 0) return flt_fail(FLTE_IO, "results", "%s: cannot be read: %s", path, strerror(errno));
    *bytes = 0;
    *crc = crc32(0, NULL, 0);
    while ((n = read(fd, block, sizeof block)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0) continue;
        *crc = crc32(*crc, block, (uInt)n);
        *bytes += n;
    }
    const int number = errno;
    close(fd);
    return n == 0 ? FLTE_OK : flt_fail(FLTE_IO, "results", "%s: cannot be read: %s", path, strerror(number));
}

flt_err flt_store_artifact(flt_store *s, const char *kind, const char *path) {
    FLTX_GIVEN(s, kind, path);
    sqlite3_stmt *st = NULL;
    long long bytes = 0;
    unsigned long crc = 0;
    char sum[24];
    FLTX_TRY(flt_store_check(s, "artifact", true));
    FLTX_TRY(checksum(path, &bytes, &crc));
    snprintf(sum, sizeof sum, "crc32:%08lx", crc);
    char *absolute = realpath(path, NULL); // runs are looked at from other folders
    flt_err err = flt_db_prepare(
        s->db, s->path,
        "INSERT OR REPLACE INTO artifact(run_id, path, kind, bytes, checksum, t_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", &st);
    if (err == FLTE_OK) {
        sqlite3_bind_int64(st, 1, s->run_id);
        sqlite3_bind_text(st, 2, absolute == NULL ? path : absolute, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 3, kind, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 4, bytes);
        sqlite3_bind_text(st, 5, sum, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 6, (long long)((flt_store_clock() - s->started) * 1e3));
        err = flt_db_begin(s->db, s->path);
    }
    if (err == FLTE_OK) err = flt_db_commit(s->db, s->path, flt_db_run(s->db, s->path, "writing an artifact", st));
    sqlite3_finalize(st);
    free(absolute);
    return err;
}

// ---- end
static flt_err update_end(flt_store *s, const char *status, int exit_code, const char *message) {
    sqlite3_stmt *st = NULL;
    FLTX_TRY(flt_db_prepare(
        s->db, s->path,
        "UPDATE run SET status = ?2, exit_code = ?3, message = nullif(?4, ''), ended_us = ?5, heartbeat_us = ?5, rows_lost = ?6 "
        "WHERE run_id = ?1",
        &st));
    sqlite3_bind_int64(st, 1, s->run_id);
    sqlite3_bind_text(st, 2, status, -1, SQLITE_STATIC);
    sqlite3_bind_int(st, 3, exit_code);
    if (message != NULL) sqlite3_bind_text(st, 4, message, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 5, flt_store_now_us());
    sqlite3_bind_int64(st, 6, s->rows_lost);
    const flt_err err = flt_db_run(s->db, s->path, "ending the run", st);
    sqlite3_finalize(st);
    return err;
}

flt_err flt_store_end(flt_store *s, const char *status, int exit_code, const char *message) {
    FLTX_GIVEN(s, status);
    FLTX_TRY(flt_store_check(s, "end", true));
    if (strcmp(status, "done") != 0 && strcmp(status, "failed") != 0 && strcmp(status, "interrupted") != 0)
        return flt_fail(FLTE_INTERNAL, "results", "end: status '%s'; it is done, failed or interrupted", status);
    char lost[1024] = "";
    const flt_err err = flt_store_flush(s); // the status is written in any case
    if (err != FLTE_OK) snprintf(lost, sizeof lost, "%s", flt_error());
    if (err != FLTE_OK && strcmp(status, "done") == 0) { // a run that lost its last rows is not done
        status = "failed";
        exit_code = flt_err_status(err);
        message = lost;
    }
    flt_err end = durable(s, true);
    if (end == FLTE_OK) end = flt_db_begin(s->db, s->path);
    if (end == FLTE_OK) end = flt_db_commit(s->db, s->path, update_end(s, status, exit_code, message));
    (void)durable(s, false);
    s->run_id = 0;
    return err == FLTE_OK ? end : flt_fail(err, "results", "%s", strncmp(lost, "results: ", 9) == 0 ? lost + 9 : lost);
}
