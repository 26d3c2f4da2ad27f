// SPDX-License-Identifier: MIT
// Whether the process of a run is still there. A pid alone lies: it is reused, other machines and containers have it too. So a
// process is a pid, its start time, the boot of the machine and the pid namespace; where these cannot be compared, a heartbeat
// that stopped decides.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store.h"

enum { REBOOT_SECONDS = 60 }; // the same host under another boot: the run is gone, unless two machines share the name

// State and start time from /proc/PID/stat: fields 3 and 22; the name in field 2 may hold blanks and brackets.
static bool read_stat(long long pid, char *state, long long *started) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) return false;
    const size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *p = strrchr(text, ')');
    if (p == NULL || p[1] != ' ') return false;
    *state = p[2];
    for (int field = 2; field < 22 && p != NULL; field++) p = strchr(p + 1, ' ');
    if (p == NULL) return false;
    *started = strtoll(p + 1, NULL, 10);
    return true;
}

static void read_line(const char *path, char *out, size_t size) {
    FILE *f = fopen(path, "re");
    out[0] = 0;
    if (f == NULL) return;
    if (fgets(out, (int)size, f) == NULL) out[0] = 0;
    out[strcspn(out, "\n")] = 0;
    fclose(f);
}

void flt_process_self(flt_process *out) {
    char state = 0;
    *out = (flt_process){.pid = getpid()};
    if (!read_stat(out->pid, &state, &out->started)) out->started = 0;
    read_line("/proc/sys/kernel/random/boot_id", out->boot_id, sizeof out->boot_id);
    const ssize_t n = readlink("/proc/self/ns/pid", out->pid_space, sizeof out->pid_space - 1);
    out->pid_space[n > 0 ? n : 0] = 0;
}

static bool process_gone(long long pid, long long started) {
    char state = 0;
    long long since = 0;
    if (pid <= 0) return false;
    if (!read_stat(pid, &state, &since)) return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
    return state == 'Z' || state == 'X' || (started != 0 && since != started);
}

typedef struct local {
    flt_process self;
    char host[128];
} local;

static const char *text_of(sqlite3_value *v) {
    const char *text = (const char *)sqlite3_value_text(v);
    return text == NULL ? "" : text;
}

static bool is_local(const local *l, const char *boot_id, const char *pid_space) {
    return boot_id[0] != 0 && strcmp(boot_id, l->self.boot_id) == 0 && strcmp(pid_space, l->self.pid_space) == 0;
}

// flt_gone(boot_id, pid_space, pid, pid_started)
static void sql_gone(sqlite3_context *context, int n, sqlite3_value **v) {
    const local *l = sqlite3_user_data(context);
    (void)n;
    const bool gone =
        is_local(l, text_of(v[0]), text_of(v[1])) && process_gone(sqlite3_value_int64(v[2]), sqlite3_value_int64(v[3]));
    sqlite3_result_int(context, gone);
}

// flt_status(status, host, boot_id, pid_space, pid, pid_started, heartbeat_us)
static void sql_status(sqlite3_context *context, int n, sqlite3_value **v) {
    const local *l = sqlite3_user_data(context);
    const char *boot = text_of(v[2]);
    (void)n;
    bool gone = false;
    if (strcmp(text_of(v[0]), "running") == 0) {
        const double silent = (double)(flt_store_now_us() - sqlite3_value_int64(v[6])) * 1e-6;
        const bool rebooted = strcmp(text_of(v[1]), l->host) == 0 && strcmp(boot, l->self.boot_id) != 0;
        if (is_local(l, boot, text_of(v[3])))
            gone = process_gone(sqlite3_value_int64(v[4]), sqlite3_value_int64(v[5]));
        else
            gone = silent > (rebooted ? REBOOT_SECONDS : FLTX_STALE_SECONDS);
    }
    if (gone)
        sqlite3_result_text(context, "interrupted", -1, SQLITE_STATIC);
    else
        sqlite3_result_value(context, v[0]);
}

flt_err flt_process_register(sqlite3 *db, const char *path) {
    const int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
    local *l[2] = {NULL, NULL}; // one for each function: SQLite frees what it was given, also when registering fails
    for (int i = 0; i < 2; i++) {
        FLTX_TRY(flt_alloc(1, sizeof *l[i], &l[i]));
        flt_process_self(&l[i]->self);
        gethostname(l[i]->host, sizeof l[i]->host - 1);
        const int rc = i == 0 ? sqlite3_create_function_v2(db, "flt_gone", 4, flags, l[i], sql_gone, NULL, NULL, flt_free)
                              : sqlite3_create_function_v2(db, "flt_status", 7, flags, l[i], sql_status, NULL, NULL, flt_free);
        if (rc != SQLITE_OK) return flt_db_fail(db, rc, path, "opening");
    }
    return FLTE_OK;
}

void flt_process_reap(sqlite3 *db) {
    sqlite3_stmt *st = NULL;
    const char *found = "SELECT 1 FROM run WHERE status = 'running' AND flt_gone(boot_id, pid_space, pid, pid_started)";
    const bool any = sqlite3_prepare_v2(db, found, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    if (!any) return; // the common case writes nothing
    sqlite3_exec(db,
                 "UPDATE run SET status = 'interrupted', message = 'killed: its process was found gone', ended_us = "
                 "heartbeat_us WHERE status = 'running' AND "
                 "flt_gone(boot_id, pid_space, pid, pid_started)",
                 NULL, NULL, NULL);
}
