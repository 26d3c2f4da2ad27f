// SPDX-License-Identifier: MIT
// What is opened, what is refused with which sentence, and that a refused file keeps its bytes.
#include "../store.h"
#include "support.h"

TestSuite(open, .init = enter, .fini = leave);

static void refused(const char *label, int mode, flt_err code, const char *piece) {
    flt_store *s = (flt_store *)folder; // must become NULL
    const flt_err err = flt_store_open(db_path, mode, &s);
    cr_assert(err == code && s == NULL, "%s: %s instead of %s: %s", label, flt_err_name(err), flt_err_name(code), flt_error());
    cr_assert(strstr(flt_error(), piece) != NULL, "%s: '%s' lacks '%s'", label, flt_error(), piece);
    cr_assert(piece == folder || strstr(flt_error(), db_path) != NULL, "%s: '%s' lacks the file", label, flt_error());
}

static void make_store(void) {
    flt_store *s = open_store(FLTX_STORE_WRITE);
    new_run(s);
    cr_assert(flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s", flt_error());
    flt_store_close(s);
}

Test(open, a_new_file_is_ours_and_stays) {
    make_store();
    cr_assert(plain_int(db_path, "PRAGMA application_id") == 0x464c5452, "application_id");
    cr_assert(plain_int(db_path, "PRAGMA user_version") == flt_schema_version, "user_version");
    cr_assert(plain_int(db_path, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'") == 1, "journal_mode");
    cr_assert(plain_int(db_path, "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict "
                                 "AND name NOT LIKE 'sqlite_%'") == 0,
              "every table is STRICT");
    make_store();
    cr_assert(plain_int(db_path, "SELECT count(*) FROM run") == 2 && plain_int(db_path, "SELECT count(*) FROM env") == 1,
              "two runs of one machine and build");
}

Test(open, an_empty_file_is_a_new_database) {
    write_bytes(db_path, "", 0);
    refused("empty", FLTX_STORE_READ, FLTE_DB, "is empty");
    make_store();
    cr_assert(plain_int(db_path, "SELECT count(*) FROM run") == 1, "one run");
}

Test(open, odd_names_are_names_of_files) {
    static const char *const names[] = {":memory:", "file:x?mode=memory", "a b%20c#d&e?f", "\xc3\xa9\xff\x01", "//x", "-", "%"};
    cr_assert(chdir(folder) == 0, "chdir");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(db_path, sizeof db_path, i == 4 ? "/%s/x.db" : "%s%s", i == 4 ? folder : "", i == 4 ? "" : names[i]);
        make_store();
        cr_assert(access(db_path, F_OK) == 0, "'%s' is a file", db_path);
        flt_store *s = open_store(FLTX_STORE_READ);
        cr_assert(strcmp(ask(s, "SELECT count(*) FROM run"), "1\n") == 0, "'%s': one run", db_path);
        flt_store_close(s);
    }
    cr_assert(chdir("/") == 0, "chdir");
}

Test(open, what_is_missing_or_no_file_is_named) {
    refused("missing", FLTX_STORE_READ, FLTE_IO, "no such file");
    cr_assert(access(db_path, F_OK) != 0, "reading makes no file");
    snprintf(db_path, sizeof db_path, "%s", folder);
    refused("folder", FLTX_STORE_READ, FLTE_IO, "is a folder");
    refused("folder", FLTX_STORE_WRITE, FLTE_IO, "is a folder");
    snprintf(db_path, sizeof db_path, "%s/none/t.db", folder);
    refused("missing folder", FLTX_STORE_WRITE, FLTE_IO, "No such file or directory");
    snprintf(db_path, sizeof db_path, "%s/pipe", folder);
    cr_assert(mkfifo(db_path, 0666) == 0, "mkfifo");
    refused("pipe", FLTX_STORE_READ, FLTE_IO, "not a regular file");
    refused("pipe", FLTX_STORE_WRITE, FLTE_IO, "not a regular file");
    db_path[0] = 0;
    refused("empty name", FLTX_STORE_WRITE, FLTE_USAGE, "--db");
}

Test(open, what_is_not_ours_is_left_alone) {
    const char text[] = "name,value\nthis is no database, but somebody's work\n";
    for (int mode = FLTX_STORE_READ; mode <= FLTX_STORE_WRITE; mode++) {
        write_bytes(db_path, text, sizeof text);
        bytes before = read_bytes(db_path);
        refused("text", mode, FLTE_DB, "is not a database");
        same_bytes("text", db_path, before);
        cr_assert(unlink(db_path) == 0, "unlink");
        plain(db_path, "CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1); PRAGMA application_id = 7");
        before = read_bytes(db_path);
        refused("foreign", mode, FLTE_DB, "another program");
        plain(db_path, "PRAGMA application_id = 0");
        before = (free(before.data), read_bytes(db_path));
        refused("foreign without a mark", mode, FLTE_DB, "another program");
        same_bytes("foreign", db_path, before);
        cr_assert(unlink(db_path) == 0, "unlink");
    }
}

Test(open, a_newer_file_is_left_alone) {
    make_store();
    plain(db_path, "PRAGMA user_version = 99; PRAGMA journal_mode = DELETE");
    for (int mode = FLTX_STORE_READ; mode <= FLTX_STORE_WRITE; mode++) {
        const bytes before = read_bytes(db_path);
        refused("newer", mode, FLTE_DB, "newer");
        same_bytes("newer", db_path, before);
    }
}

// Every page of a healthy file is overwritten once; opening or asking either works or names the file, and changes nothing.
Test(open, a_damaged_file_is_left_alone) {
    make_store();
    plain(db_path, "PRAGMA journal_mode = DELETE");
    const bytes whole = read_bytes(db_path);
    size_t refusals = 0;
    for (size_t page = 0; page < whole.n / 4096; page++)
        for (int mode = FLTX_STORE_READ; mode <= FLTX_STORE_WRITE; mode++) {
            flt_store *s = NULL;
            bytes damaged = {malloc(whole.n), whole.n};
            memcpy(damaged.data, whole.data, whole.n);
            memset(damaged.data + page * 4096 + (page == 0 ? 100 : 0), 0xa5, page == 0 ? 3996 : 4096);
            write_bytes(db_path, damaged.data, damaged.n);
            flt_err err = flt_store_open(db_path, mode, &s);
            if (err == FLTE_OK) err = flt_store_list(s, 0, NULL, NULL);
            if (err != FLTE_OK) {
                refusals++;
                cr_assert(err == FLTE_DB && strstr(flt_error(), db_path) != NULL, "page %zu: %s", page, flt_error());
            }
            flt_store_close(s);
            if (err != FLTE_OK && s == NULL)
                same_bytes("damaged", db_path, damaged);
            else
                free(damaged.data);
        }
    cr_assert(refusals >= 4, "only %zu refusals", refusals);
    write_bytes(db_path, whole.data, whole.n / 2 + 100);
    const bytes half = read_bytes(db_path);
    flt_store *s = NULL;
    const flt_err err = flt_store_open(db_path, FLTX_STORE_WRITE, &s);
    cr_assert(err == FLTE_DB && s == NULL, "truncated: %s", flt_error());
    same_bytes("truncated", db_path, half);
    free(whole.data);
}

// ---- without the right to write
static int refuse_as_user(void) {
    flt_store *s = NULL;
    const flt_err err = flt_store_open(db_path, FLTX_STORE_WRITE, &s);
    const bool good = err == FLTE_IO && strstr(flt_error(), "cannot be written") != NULL && strstr(flt_error(), db_path) != NULL;
    if (!good) fprintf(stderr, "%s: %s\n", flt_err_name(err), flt_error());
    return good ? 0 : 1;
}

static int read_as_user(void) {
    flt_store *s = NULL;
    answer a = {.used = 0};
    flt_err err = flt_store_open(db_path, FLTX_STORE_READ, &s);
    if (err == FLTE_OK) err = flt_store_list(s, 0, collect, &a);
    if (err == FLTE_OK) err = flt_store_sql(s, "SELECT * FROM run_summary", collect, &a);
    const flt_err begun = err == FLTE_OK ? begin_run(s, NULL) : FLTE_OK;
    if (err != FLTE_OK) fprintf(stderr, "%s\n", flt_error());
    flt_store_close(s);
    return err == FLTE_OK && a.rows == 2 && begun == FLTE_INTERNAL ? 0 : 1;
}

Test(open, an_unwritable_folder_is_named) {
    cr_assert(chmod(folder, 0555) == 0, "chmod");
    cr_assert(in_child(true, refuse_as_user) == 0, "see above");
    cr_assert(access(db_path, F_OK) != 0, "no file is left");
}

static bool alone(void) {
    char wal[128], shm[128];
    snprintf(wal, sizeof wal, "%s-wal", db_path);
    snprintf(shm, sizeof shm, "%s-shm", db_path);
    return access(wal, F_OK) != 0 && access(shm, F_OK) != 0;
}

Test(open, a_read_only_file_is_read_and_not_written) {
    make_store();
    cr_assert(chmod(db_path, 0444) == 0 && chmod(folder, 0555) == 0, "chmod"); // as on a read-only disk
    const bytes before = read_bytes(db_path);
    cr_assert(in_child(true, refuse_as_user) == 0, "writing: see above");
    cr_assert(in_child(true, read_as_user) == 0, "reading in an unwritable folder: see above");
    cr_assert(chmod(folder, 0777) == 0, "chmod");
    cr_assert(in_child(true, refuse_as_user) == 0, "writing: see above");
    cr_assert(in_child(true, read_as_user) == 0, "reading: see above");
    same_bytes("read-only", db_path, before);
}

Test(open, reading_leaves_nothing_behind) {
    make_store();
    const bytes before = read_bytes(db_path);
    flt_store *s = open_store(FLTX_STORE_READ);
    cr_assert(strcmp(ask(s, "SELECT count(*) FROM run"), "1\n") == 0, "one run");
    flt_store_close(s);
    cr_assert(alone(), "ours: -wal or -shm is left");
    same_bytes("ours", db_path, before);
    cr_assert(unlink(db_path) == 0, "unlink");
    plain(db_path, "PRAGMA journal_mode = WAL; CREATE TABLE theirs(x)");
    refused("foreign", FLTX_STORE_WRITE, FLTE_DB, "another program");
    cr_assert(alone(), "foreign: -wal or -shm is left");
}

// Switching to WAL does not wait by itself for those who write.
static int hold_a_lock(void) {
    sqlite3 *db = NULL;
    if (sqlite3_open(db_path, &db) != SQLITE_OK || sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) return 1;
    write_bytes(strcat(folder, "/locked"), "", 0);
    usleep(300000);
    return sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK ? 0 : 1;
}

Test(open, a_lock_on_a_new_file_is_waited_for) {
    char locked[96];
    int status = 0;
    snprintf(locked, sizeof locked, "%s/locked", folder);
    write_bytes(db_path, "", 0);
    const pid_t pid = fork();
    if (pid == 0) _exit(hold_a_lock());
    while (access(locked, F_OK) != 0) usleep(1000);
    flt_store *s = open_store(FLTX_STORE_WRITE);
    flt_store_close(s);
    cr_assert(waitpid(pid, &status, 0) == pid && status == 0, "the child: %d", status);
}

Test(open, reading_while_another_writes) {
    flt_store *writer = open_store(FLTX_STORE_WRITE), *reader = NULL;
    new_run(writer);
    cr_assert(flt_store_open(db_path, FLTX_STORE_READ, &reader) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_sink_metric(flt_store_sink(writer), "x", 1, 2.0) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_flush(writer) == FLTE_OK, "%s", flt_error());
    cr_assert(strcmp(ask(reader, "SELECT value FROM metrics"), "2.0\n") == 0, "the reader sees what was flushed");
    flt_store_close(reader);
    flt_store_close(writer);
    cr_assert(plain_int(db_path, "SELECT status = 'failed' AND ended_us IS NOT NULL FROM run") == 1,
              "a run left open has failed");
}
