// SPDX-License-Identifier: MIT
// Shared by the tests of the store: a folder of its own for each test, answers as text, a plain connection beside ours.
#ifndef FLTX_RESULTS_TEST_SUPPORT_H
#define FLTX_RESULTS_TEST_SUPPORT_H

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flt/memory.h"
#include "flt/results.h"

__attribute__((unused)) static char folder[64], db_path[96];

__attribute__((unused)) static void enter(void) {
    snprintf(folder, sizeof folder, "/tmp/flt_results_XXXXXX");
    cr_assert(mkdtemp(folder) != NULL, "a folder for the test");
    cr_assert(chmod(folder, 0777) == 0, "chmod");
    snprintf(db_path, sizeof db_path, "%s/t.db", folder);
}

__attribute__((unused)) static void leave(void) {
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert(system(command) == 0, "%s", command);
    cr_assert(flt_live_blocks() == 0, "%zu blocks are still allocated", flt_live_blocks());
}

__attribute__((unused)) static flt_store *open_store(int mode) {
    flt_store *s = NULL;
    cr_assert(flt_store_open(db_path, mode, &s) == FLTE_OK, "open: %s", flt_error());
    return s;
}

__attribute__((unused)) static flt_err begin_run(flt_store *s, long long *run) {
    char words[] = "flt\0train\0--set\0it's";
    char *const argv[] = {words, words + 4, words + 10, words + 16, NULL};
    const flt_run_info info = {.kind = "train",
                               .argc = 4,
                               .argv = argv,
                               .seed = 7,
                               .threads = 2,
                               .registry_hash = 0xabcdefu,
                               .blas = "OpenBLAS",
                               .fftw = "fftw",
                               .isa = "avx2",
                               .precision = "float"};
    return flt_store_begin(s, &info, run);
}

__attribute__((unused)) static long long new_run(flt_store *s) {
    long long run = 0;
    cr_assert(begin_run(s, &run) == FLTE_OK, "begin: %s", flt_error());
    return run;
}

// ---- answers: cells joined by '|', rows ended by '\n'
typedef struct answer {
    char text[1 << 16];
    size_t used, rows;
} answer;

__attribute__((unused)) static bool collect(void *user, size_t n, const char *const *names, const char *const *values) {
    answer *a = user;
    (void)names;
    for (size_t i = 0; i < n && a->used < sizeof a->text - 1; i++) {
        const int k = snprintf(a->text + a->used, sizeof a->text - a->used, "%s%c", values[i] == NULL ? "NULL" : values[i],
                               i + 1 == n ? '\n' : '|');
        a->used += (size_t)k;
    }
    a->rows++;
    return a->used < sizeof a->text - 1;
}

__attribute__((unused)) static const char *ask(flt_store *s, const char *sql) {
    static answer a;
    a.used = a.rows = 0;
    a.text[0] = 0;
    cr_assert(flt_store_sql(s, sql, collect, &a) == FLTE_OK, "%s: %s", sql, flt_error());
    return a.text;
}

__attribute__((unused)) static const char *show(flt_store *s, long long run, const char *part) {
    static answer a;
    a.used = a.rows = 0;
    a.text[0] = 0;
    cr_assert(flt_store_show(s, run, part, collect, &a) == FLTE_OK, "%s: %s", part, flt_error());
    return a.text;
}

// ---- files and processes
typedef struct bytes {
    unsigned char *data;
    size_t n;
} bytes;

__attribute__((unused)) static bytes read_bytes(const char *path) {
    bytes b = {malloc(1 << 20), 0};
    FILE *f = fopen(path, "rb");
    cr_assert(f != NULL && b.data != NULL, "%s", path);
    b.n = fread(b.data, 1, 1 << 20, f);
    fclose(f);
    return b;
}

__attribute__((unused)) static void write_bytes(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    cr_assert(f != NULL && fwrite(data, 1, n, f) == n && fclose(f) == 0, "%s", path);
}

__attribute__((unused)) static void same_bytes(const char *label, const char *path, bytes before) {
    const bytes now = read_bytes(path);
    cr_assert(now.n == before.n && memcmp(now.data, before.data, now.n) == 0, "%s: %s was changed", label, path);
    free(now.data);
    free(before.data);
}

// Runs `body` in a child, without root's rights when `plain_user`; the child's status.
__attribute__((unused)) static int in_child(bool plain_user, int (*body)(void)) {
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        if (plain_user && geteuid() == 0 && seteuid(65534) != 0) _exit(99);
        _exit(body());
    }
    int status = 0;
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Runs SQL through SQLite alone, as another program would.
__attribute__((unused)) static void plain(const char *path, const char *sql) {
    sqlite3 *db = NULL;
    char *message = NULL;
    cr_assert(sqlite3_open(path, &db) == SQLITE_OK, "%s", path);
    sqlite3_busy_timeout(db, 10000);
    cr_assert(sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK, "%s: %s", sql, message);
    sqlite3_close(db);
}

__attribute__((unused)) static long long plain_int(const char *path, const char *sql) {
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    cr_assert(sqlite3_open(path, &db) == SQLITE_OK, "%s", path);
    sqlite3_busy_timeout(db, 10000);
    cr_assert(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    cr_assert(sqlite3_step(st) == SQLITE_ROW, "%s: %s", sql, sqlite3_errmsg(db));
    const long long x = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return x;
}

#endif
