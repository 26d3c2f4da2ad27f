// SPDX-License-Identifier: MIT
// Several processes on one file: first openings at once, and writers that lose nothing.
#include <sys/mman.h>
#include <time.h>

#include "support.h"

TestSuite(concurrent, .init = enter, .fini = leave);

static void all_in_children(const char *label, int n, int (*body)(void)) {
    pid_t pids[16];
    fflush(NULL);
    for (int i = 0; i < n; i++) {
        pids[i] = fork();
        if (pids[i] == 0) _exit(body());
        cr_assert(pids[i] > 0, "%s: fork", label);
    }
    for (int i = 0; i < n; i++) {
        int status = 0;
        cr_assert(waitpid(pids[i], &status, 0) == pids[i], "%s: waitpid", label);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: process %d ended with %d", label, i, status);
    }
}

static int open_and_record(void) {
    flt_store *s = NULL;
    flt_err err = flt_store_open(db_path, FLTX_STORE_WRITE, &s);
    if (err == FLTE_OK) err = begin_run(s, NULL);
    if (err == FLTE_OK) err = flt_store_end(s, "done", 0, NULL);
    if (err != FLTE_OK) fprintf(stderr, "%s\n", flt_error());
    flt_store_close(s);
    return err == FLTE_OK ? 0 : 1;
}

Test(concurrent, first_openings_make_one_database) {
    for (int round = 0; round < 10; round++) {
        char label[32];
        snprintf(label, sizeof label, "round %d", round);
        snprintf(db_path, sizeof db_path, "%s/%d.db", folder, round);
        if (round % 2 == 1) write_bytes(db_path, "", 0);
        all_in_children(label, 8, open_and_record);
        cr_assert(plain_int(db_path, "SELECT count(*) FROM run WHERE status = 'done'") == 8, "%s: eight runs", label);
        cr_assert(plain_int(db_path, "SELECT count(*) FROM env") == 1, "%s: one machine", label);
    }
}

enum { WRITERS = 8, TRANSACTIONS = 125, ROWS = 4 };

// FLT_WRITE_SECONDS=60 in the environment writes for a minute instead of a number of transactions.
static double write_seconds(void) {
    const char *text = getenv("FLT_WRITE_SECONDS");
    return text == NULL ? 0 : strtod(text, NULL);
}

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// The number of rows that each process was told are safe: the test holds the file to it.
static long long *promised;

static int write_many(void) {
    flt_store *s = NULL;
    flt_err err = flt_store_open(db_path, FLTX_STORE_WRITE, &s);
    if (err == FLTE_OK) err = begin_run(s, NULL);
    const double until = seconds_now() + write_seconds();
    uint64_t i = 0;
    for (; (i < TRANSACTIONS * ROWS || seconds_now() < until) && err == FLTE_OK; i++) {
        const flt_field fields[] = {flt_text_field("subject", "x"), flt_num_field("rep", (double)i),
                                    flt_num_field("seconds", 1e-3)};
        err = flt_sink_metric(flt_store_sink(s), i % 2 == 0 ? "even" : "odd", i, (double)i);
        if (err == FLTE_OK) err = flt_sink_record(flt_store_sink(s), "timing", 3, fields);
        if (err == FLTE_OK && i % ROWS == 0) err = flt_store_flush(s);
    }
    if (err == FLTE_OK) err = flt_store_end(s, "done", 0, NULL);
    if (err != FLTE_OK) fprintf(stderr, "%s\n", flt_error());
    if (err == FLTE_OK) __atomic_add_fetch(promised, (long long)i, __ATOMIC_SEQ_CST);
    flt_store_close(s);
    return err == FLTE_OK ? 0 : 1;
}

Test(concurrent, writers_lose_nothing, .timeout = 600) {
    promised = mmap(NULL, sizeof *promised, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(promised != MAP_FAILED, "shared memory");
    all_in_children("writers", WRITERS, write_many);
    cr_assert(*promised >= WRITERS * TRANSACTIONS * ROWS, "%lld rows", *promised);
    if (write_seconds() > 0) printf("%lld metrics and as many records by %d processes\n", *promised, WRITERS);
    cr_assert(plain_int(db_path, "SELECT count(*) FROM metric") == *promised, "metrics");
    cr_assert(plain_int(db_path, "SELECT count(*) FROM timing") == *promised, "records");
    cr_assert(plain_int(db_path, "SELECT count(*) FROM metric WHERE value <> step") == 0, "values");
    cr_assert(plain_int(db_path, "SELECT count(*) FROM metric_name") == 2, "each name once");
    cr_assert(plain_int(db_path, "SELECT count(*) FROM run WHERE status = 'done' AND rows_lost = 0") == WRITERS, "runs");
    cr_assert(plain_int(db_path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1, "integrity");
}
