// SPDX-License-Identifier: MIT
// Runs whose process is gone show as interrupted; those that live, or may live elsewhere, as running.
#include <signal.h>

#include "support.h"

TestSuite(process, .init = enter, .fini = leave);

static const char *status_of(const char *part_of_sql) {
    static char text[64];
    flt_store *s = open_store(FLTX_STORE_READ);
    answer a = {.used = 0};
    cr_assert(flt_store_list(s, 1, collect, &a) == FLTE_OK, "%s: %s", part_of_sql, flt_error());
    flt_store_close(s);
    const char *kind_end = strchr(strchr(a.text, '|') + 1, '|') + 1;
    snprintf(text, sizeof text, "%.*s", (int)strcspn(kind_end, "|"), kind_end);
    return text;
}

// Starts a child that begins a run, logs, and waits to be killed.
static pid_t start_child(void) {
    int ready[2];
    char c = 0;
    cr_assert(pipe(ready) == 0, "pipe");
    const pid_t pid = fork();
    if (pid == 0) {
        flt_store *s = NULL;
        if (flt_store_open(db_path, FLTX_STORE_WRITE, &s) != FLTE_OK || begin_run(s, NULL) != FLTE_OK ||
            flt_sink_metric(flt_store_sink(s), "x", 1, 1.0) != FLTE_OK || flt_store_flush(s) != FLTE_OK ||
            write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;) pause();
    }
    close(ready[1]);
    cr_assert(pid > 0 && read(ready[0], &c, 1) == 1, "the child did not begin");
    close(ready[0]);
    return pid;
}

Test(process, killed_is_seen_at_once_and_kept) {
    const pid_t pid = start_child();
    cr_assert(strcmp(status_of("alive"), "running") == 0, "alive: %s", status_of("alive"));
    cr_assert(kill(pid, SIGKILL) == 0, "kill");
    for (int i = 0; i < 200 && strcmp(status_of("zombie"), "interrupted") != 0; i++) usleep(10000);
    cr_assert(strcmp(status_of("zombie"), "interrupted") == 0, "not yet waited for: %s", status_of("zombie"));
    cr_assert(waitpid(pid, NULL, 0) == pid, "waitpid");
    cr_assert(strcmp(status_of("dead"), "interrupted") == 0, "dead: %s", status_of("dead"));
    cr_assert(plain_int(db_path, "SELECT status = 'running' FROM run") == 1, "reading writes nothing");
    flt_store *s = open_store(FLTX_STORE_WRITE);
    cr_assert(strstr(show(s, 1, "run"), "\nstatus|interrupted\n") != NULL, "%s", show(s, 1, "run"));
    flt_store_close(s);
    cr_assert(
        plain_int(db_path, "SELECT status = 'interrupted' AND ended_us = heartbeat_us AND message LIKE 'killed%' FROM run") == 1,
        "writing marks it");
    cr_assert(plain_int(db_path, "SELECT count(*) FROM metric") == 1, "what it had flushed is there");
}

Test(process, who_cannot_be_asked_is_judged_by_heartbeat) {
    static const struct {
        const char *label, *change, *want;
    } cases[] = {
        {"another process has the pid", "pid_started = pid_started + 1", "interrupted"},
        {"another machine, fresh", "boot_id = 'other', pid = 999999999", "running"},
        {"another container, fresh", "pid_space = 'other', pid = 999999999", "running"},
        {"another container, silent", "pid_space = 'other', heartbeat_us = heartbeat_us - 700000000", "interrupted"},
        {"this machine before its reboot", "boot_id = 'other', heartbeat_us = heartbeat_us - 61000000", "interrupted"},
        {"no start time known", "pid_started = 0", "running"},
        {"done long ago", "status = 'done', heartbeat_us = 0", "done"},
        {"interrupted", "status = 'interrupted', pid = 999999999", "interrupted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sql[256];
        flt_store *s = open_store(FLTX_STORE_WRITE); // this process is the live one
        new_run(s);
        snprintf(sql, sizeof sql, "UPDATE run SET %s WHERE run_id = (SELECT max(run_id) FROM run)", cases[i].change);
        plain(db_path, sql);
        cr_assert(strcmp(status_of(cases[i].label), cases[i].want) == 0, "%s: %s", cases[i].label, status_of(cases[i].label));
        cr_assert(flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s: %s", cases[i].label, flt_error());
        cr_assert(strcmp(status_of("ended"), "done") == 0, "%s: ended: %s", cases[i].label, status_of("ended"));
        flt_store_close(s);
    }
}

Test(process, a_run_taken_for_dead_comes_back_with_its_heartbeat) {
    flt_store *s = open_store(FLTX_STORE_WRITE);
    new_run(s);
    plain(db_path, "UPDATE run SET status = 'interrupted', message = 'killed', ended_us = 1");
    flt_sink_progress(flt_store_sink(s), 0.25, "step 1 of 4");
    cr_assert(flt_store_flush(s) == FLTE_OK, "%s", flt_error());
    cr_assert(plain_int(db_path, "SELECT status = 'running' AND message IS NULL AND ended_us IS NULL AND progress = 0.25 AND "
                                 "progress_text = 'step 1 of 4' "
                                 "FROM run") == 1,
              "running again");
    flt_store_close(s);
}

Test(process, plain_sqlite_sees_silence) {
    flt_store *s = open_store(FLTX_STORE_WRITE);
    new_run(s);
    cr_assert(plain_int(db_path, "SELECT status = 'running' FROM run_summary") == 1, "fresh");
    plain(db_path, "UPDATE run SET heartbeat_us = heartbeat_us - 700000000");
    cr_assert(plain_int(db_path, "SELECT status = 'interrupted' FROM run_summary") == 1, "silent for ten minutes");
    flt_store_close(s);
}
