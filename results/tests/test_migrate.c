// SPDX-License-Identifier: MIT
// Stores that released versions wrote come to the schema of today with every row; one that may not be written is left alone.
#include <zlib.h>

#include "../store.h"
#include "support.h"

TestSuite(migrate, .init = enter, .fini = leave);

static void unpack(const char *name) {
    static unsigned char block[1 << 20];
    char path[512];
    const char *root = getenv("FLT_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/results/tests/golden/%s", root == NULL ? "." : root, name);
    gzFile f = gzopen(path, "rb");
    cr_assert(f != NULL, "%s", path);
    const int n = gzread(f, block, sizeof block);
    cr_assert(n > 0 && n < (int)sizeof block && gzclose(f) == Z_OK, "%s: %d bytes", path, n);
    write_bytes(db_path, block, (size_t)n);
}

static long long count(const char *table) {
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    return plain_int(db_path, sql);
}

static const struct {
    const char *table;
    long long rows;
} v1_rows[] = {{"run", 5},    {"param", 51}, {"metric", 470},    {"series", 12},    {"check_result", 38},
               {"ladder", 6}, {"tag", 2},    {"note", 1},        {"evaluation", 2}, {"artifact", 1},
               {"env", 1},    {"event", 0},  {"metric_name", 7}, {"timing", 0}};

static void check_v1(const char *label) {
    cr_assert(plain_int(db_path, "PRAGMA user_version") == flt_schema_version, "%s: the version", label);
    for (size_t i = 0; i < sizeof v1_rows / sizeof *v1_rows; i++)
        cr_assert(count(v1_rows[i].table) == v1_rows[i].rows, "%s: %lld rows of %s, not %lld", label, count(v1_rows[i].table),
                  v1_rows[i].table, v1_rows[i].rows);
    cr_assert(plain_int(db_path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1, "%s", label);
    cr_assert(plain_int(db_path, "SELECT count(*) FROM pragma_foreign_key_check") == 0, "%s: foreign keys", label);
}

Test(migrate, version_1_keeps_its_rows) {
    for (int mode = FLTX_STORE_READ; mode <= FLTX_STORE_WRITE; mode++) {
        unpack("store_v1.db.gz");
        flt_store *s = open_store(mode);
        cr_assert(strcmp(ask(s, "SELECT run, status, message FROM run_summary WHERE status <> 'done'"),
                         "5|interrupted|killed: its process was found gone\n") == 0,
                  "the killed run: %s", ask(s, "SELECT run, status, message FROM run_summary WHERE status <> 'done'"));
        cr_assert(strcmp(ask(s, "SELECT optimizer, seeds, round(loss_iqm, 6) FROM leaderboard"),
                         "adam|2|0.321047\nsgd|2|0.323768\n") == 0,
                  "means stand for their seeds: %s", ask(s, "SELECT optimizer, seeds, round(loss_iqm, 6) FROM leaderboard"));
        cr_assert(strstr(show(s, 2, "notes"), "kept as it was") != NULL, "%s", show(s, 2, "notes"));
        flt_store_close(s);
        check_v1(mode == FLTX_STORE_READ ? "read" : "write");
    }
}

Test(migrate, version_1_goes_on) {
    unpack("store_v1.db.gz");
    flt_store *s = open_store(FLTX_STORE_WRITE);
    cr_assert(new_run(s) == 6, "numbers go on");
    cr_assert(flt_sink_metric(flt_store_sink(s), "loss", 1, 2.0) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s", flt_error());
    flt_store_close(s);
    cr_assert(count("metric") == 471, "%lld metrics", count("metric"));
}

static int read_it(void) {
    flt_store *s = NULL;
    const flt_err err = flt_store_open(db_path, FLTX_STORE_READ, &s);
    if (err == FLTE_OK && flt_store_list(s, 0, NULL, NULL) != FLTE_OK) return 2;
    flt_store_close(s);
    return err == FLTE_OK ? 0 : 1;
}

Test(migrate, eight_processes_at_once) {
    pid_t pids[8];
    unpack("store_v1.db.gz");
    fflush(NULL);
    for (int i = 0; i < 8; i++) {
        pids[i] = fork();
        if (pids[i] == 0) _exit(read_it());
    }
    for (int i = 0; i < 8; i++) {
        int status = 0;
        cr_assert(waitpid(pids[i], &status, 0) == pids[i] && status == 0, "process %d ended with %d", i, status);
    }
    check_v1("eight processes");
}

static int refuse(void) {
    flt_store *s = NULL;
    const flt_err err = flt_store_open(db_path, FLTX_STORE_READ, &s);
    const bool good = err == FLTE_IO && s == NULL && strstr(flt_error(), "version 1") != NULL;
    if (!good) fprintf(stderr, "%s: %s\n", flt_err_name(err), flt_error());
    return good ? 0 : 1;
}

Test(migrate, an_old_file_that_may_not_be_written_is_left_alone) {
    unpack("store_v1.db.gz");
    const bytes before = read_bytes(db_path);
    cr_assert(chmod(db_path, 0444) == 0 && chmod(folder, 0555) == 0, "chmod");
    cr_assert(in_child(true, refuse) == 0, "see above");
    same_bytes("old and read-only", db_path, before);
    cr_assert(chmod(folder, 0777) == 0, "chmod");
}
