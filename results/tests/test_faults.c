// SPDX-License-Identifier: MIT
// Memory that runs out, ours and SQLite's, at every request; a disk that is full; threads and forks.
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "support.h"

TestSuite(faults, .init = enter, .fini = leave);

// A short life with everything in it.
static flt_err live(void) {
    flt_store *s = NULL;
    const flt_field fields[] = {flt_text_field("optimizer", "adam"), flt_num_field("final_loss", 0.5)};
    flt_err err = flt_store_open(db_path, FLTX_STORE_WRITE, &s);
    if (err == FLTE_OK) err = begin_run(s, NULL);
    if (err == FLTE_OK) err = flt_store_param(s, "lr", "0.1");
    if (err == FLTE_OK) err = flt_store_artifact(s, "weights", "/dev/null");
    if (err == FLTE_OK) err = flt_sink_metric(flt_store_sink(s), "loss", 1, 2.0);
    if (err == FLTE_OK) err = flt_sink_record(flt_store_sink(s), "evaluation", 2, fields);
    if (err == FLTE_OK) err = flt_store_sql(s, "SELECT * FROM run_summary", NULL, NULL);
    if (err == FLTE_OK) err = flt_store_show(s, 0, "metrics", NULL, NULL);
    if (err == FLTE_OK) err = flt_store_list(s, 0, NULL, NULL);
    if (err == FLTE_OK) err = flt_store_end(s, "done", 0, NULL);
    flt_store_close(s);
    return err;
}

Test(faults, our_memory_runs_out) {
    long n = 0;
    for (; n < 1000; n++) {
        flt_fail_alloc_after(n);
        const flt_err err = live();
        flt_fail_alloc_after(-1);
        if (err == FLTE_OK) break;
        cr_assert(err == FLTE_NOMEM, "request %ld: %s: %s", n, flt_err_name(err), flt_error());
        cr_assert(flt_live_blocks() == 0, "request %ld: %zu blocks are lost", n, flt_live_blocks());
    }
    cr_assert(n > 10 && n < 1000, "%ld requests", n);
}

// ---- SQLite's memory: the n-th request fails, once or from then on
static sqlite3_mem_methods system_memory;
static long requests, failing;
static bool sticky;

static bool fails(void) {
    const long n = requests++;
    return failing >= 0 && (n == failing || (sticky && n > failing));
}

static void *failing_malloc(int n) {
    return fails() ? NULL : system_memory.xMalloc(n);
}
static void *failing_realloc(void *p, int n) {
    return fails() ? NULL : system_memory.xRealloc(p, n);
}

Test(faults, memory_of_sqlite_runs_out) {
    sqlite3_mem_methods methods;
    cr_assert(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &system_memory) == SQLITE_OK, "config");
    methods = system_memory;
    methods.xMalloc = failing_malloc;
    methods.xRealloc = failing_realloc;
    cr_assert(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK, "config");
    failing = -1;
    cr_assert(live() == FLTE_OK, "%s", flt_error());
    requests = 0;
    cr_assert(live() == FLTE_OK, "%s", flt_error());
    const long total = requests, stride = total / 150 + 1;
    cr_assert(total > 100, "%ld requests", total);
    for (long n = 0; n < 2 * total; n += stride) {
        requests = 0;
        sticky = n >= total;
        failing = n % total;
        const flt_err err = live();
        failing = -1;
        cr_assert(err == FLTE_OK || err == FLTE_NOMEM, "request %ld (%s): %s: %s", n % total, sticky ? "and later ones" : "alone",
                  flt_err_name(err), flt_error());
        cr_assert(flt_live_blocks() == 0, "request %ld: %zu blocks are lost", n, flt_live_blocks());
    }
    cr_assert(live() == FLTE_OK, "%s", flt_error());
    cr_assert(plain_int(db_path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1, "integrity");
}

// ---- a full disk, as a limit on the size of files
enum { LIMIT = 400 << 10 };

static void limit_files(rlim_t size) {
    const struct rlimit limit = {size, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
}

static int fill_the_disk(void) {
    flt_store *s = NULL;
    flt_err err = flt_store_open(db_path, FLTX_STORE_WRITE, &s);
    if (err == FLTE_OK) err = begin_run(s, NULL);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(LIMIT);
    uint64_t i = 0;
    char name[32] = "";
    for (; err == FLTE_OK && i < 1000000; i++) {
        snprintf(name, sizeof name, "x%llu", (unsigned long long)i / 500); // a new name in each transaction
        err = flt_sink_metric(flt_store_sink(s), name, i, 1.0);
        if (err == FLTE_OK && i % 500 == 499) err = flt_store_flush(s);
    }
    if (err != FLTE_DB || strstr(flt_error(), "was reached") == NULL ||
        strstr(flt_error(), "records of run 1 were not written") == NULL || strstr(flt_error(), db_path) == NULL) {
        fprintf(stderr, "after %llu: %s: %s\n", (unsigned long long)i, flt_err_name(err), flt_error());
        return 1;
    }
    limit_files(RLIM_INFINITY); // somebody made room
    err = flt_sink_metric(flt_store_sink(s), name, i, 2.0);
    if (err == FLTE_OK) err = flt_store_end(s, "done", 0, NULL);
    flt_store_close(s);
    if (err != FLTE_OK) fprintf(stderr, "%s\n", flt_error());
    return err == FLTE_OK ? 0 : 2;
}

Test(faults, a_full_disk_loses_one_transaction_and_says_so) {
    cr_assert(in_child(false, fill_the_disk) == 0, "see above");
    const long long rows = plain_int(db_path, "SELECT count(*) FROM metric"),
                    lost = plain_int(db_path, "SELECT rows_lost FROM run");
    const long long last = plain_int(db_path, "SELECT max(step) FROM metric");
    cr_assert(plain_int(db_path, "SELECT sum(points) FROM series") == rows, "the sums leave out what was lost");
    cr_assert(rows > 1000 && lost > 0 && lost <= 500, "%lld rows, %lld lost", rows, lost);
    cr_assert(rows + lost == last + 1, "%lld rows and %lld lost of %lld", rows, lost, last + 1);
    cr_assert(plain_int(db_path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1, "integrity");
}

static int open_on_a_full_disk(void) {
    flt_store *s = NULL;
    signal(SIGXFSZ, SIG_IGN);
    limit_files(100);
    const flt_err err = flt_store_open(db_path, FLTX_STORE_WRITE, &s);
    const bool good = err == FLTE_DB && s == NULL && strstr(flt_error(), "was reached") != NULL;
    if (!good) fprintf(stderr, "%s: %s\n", flt_err_name(err), flt_error());
    return good ? 0 : 1;
}

Test(faults, opening_on_a_full_disk_says_so) {
    cr_assert(in_child(false, open_on_a_full_disk) == 0, "see above");
    cr_assert(live() == FLTE_OK, "what was left is taken for a new database: %s", flt_error());
}

// ---- who may call
static flt_store *shared;

static void *call_from_thread(void *out) {
    *(flt_err *)out = flt_sink_metric(flt_store_sink(shared), "x", 1, 1.0);
    return NULL;
}

static int call_from_child(void) {
    const flt_err err = flt_sink_metric(flt_store_sink(shared), "x", 1, 1.0);
    flt_store_close(shared);
    return err == FLTE_INTERNAL ? 0 : 1;
}

Test(faults, other_threads_and_children_are_refused) {
    flt_err err = FLTE_OK;
    pthread_t thread;
    shared = open_store(FLTX_STORE_WRITE);
    cr_assert(flt_sink_metric(flt_store_sink(shared), "x", 1, 1.0) == FLTE_INTERNAL, "without a run");
    new_run(shared);
    cr_assert(begin_run(shared, NULL) == FLTE_INTERNAL, "two runs at once");
    cr_assert(pthread_create(&thread, NULL, call_from_thread, &err) == 0 && pthread_join(thread, NULL) == 0, "thread");
    cr_assert(err == FLTE_INTERNAL, "from another thread: %s", flt_err_name(err));
    cr_assert(in_child(false, call_from_child) == 0, "from a child");
    cr_assert(flt_sink_metric(flt_store_sink(shared), "x", 1, 1.0) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_end(shared, "tired", 0, NULL) == FLTE_INTERNAL, "an unknown status");
    cr_assert(flt_store_end(shared, "interrupted", 3, "Ctrl-C") == FLTE_OK, "%s", flt_error());
    flt_store_close(shared);
    flt_store_close(NULL);
    cr_assert(plain_int(db_path, "SELECT count(*) FROM metric") == 1, "one metric");
}
