// SPDX-License-Identifier: MIT
// Tags, notes, removal, garbage, tables, sparklines; merging two stores.
#include <math.h>

#include "flt/results_ask.h"
#include "support.h"

TestSuite(keep, .init = enter, .fini = leave);

static void record(flt_store *s, const char *metric, double scale, size_t n) {
    new_run(s);
    cr_assert(flt_store_param(s, "lr", "0.5") == FLTE_OK, "%s", flt_error());
    for (size_t i = 0; i < n; i++)
        cr_assert(flt_sink_metric(flt_store_sink(s), metric, i, scale * (double)i) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s", flt_error());
}

Test(keep, tags_and_notes_stay_with_their_run) {
    flt_store *s = open_store(FLTX_STORE_WRITE);
    record(s, "loss", 1, 3);
    cr_assert(flt_store_tag(s, 1, "good", true) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_tag(s, 0, "good", true) == FLTE_OK, "twice: %s", flt_error());
    cr_assert(flt_store_tag(s, 1, "'); DROP TABLE tag; --", true) == FLTE_USAGE, "blanks");
    cr_assert(flt_store_tag(s, 1, "", true) == FLTE_USAGE, "empty");
    cr_assert(flt_store_tag(s, 9, "good", true) == FLTE_NAME, "no such run");
    cr_assert(flt_store_note(s, 1, "it's \"fine\"; DROP TABLE note") == FLTE_OK, "%s", flt_error());
    cr_assert(strcmp(show(s, 1, "tags"), "good\n") == 0, "%s", show(s, 1, "tags"));
    cr_assert(strstr(show(s, 1, "notes"), "it's \"fine\"; DROP TABLE note\n") != NULL, "%s", show(s, 1, "notes"));
    cr_assert(flt_store_tag(s, 1, "good", false) == FLTE_OK && show(s, 1, "tags")[0] == 0, "taken away");
    flt_store_close(s);
}

Test(keep, runs_are_named_from_the_latest_back) {
    flt_store *s = open_store(FLTX_STORE_WRITE);
    long long run = -1;
    char *group = NULL;
    cr_assert(flt_store_run_of(s, "test", "last", &run) == FLTE_NAME && strstr(flt_error(), "no run has been") != NULL, "empty");
    cr_assert(flt_store_run_of(s, "test", "last-1", &run) == FLTE_NAME && strstr(flt_error(), "no run has been") != NULL,
              "empty");
    for (int i = 0; i < 4; i++) record(s, "loss", 1, 1);
    cr_assert(flt_store_remove(s, 3) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_run_of(s, "test", "last", &run) == FLTE_OK && run == 4, "%lld", run);
    cr_assert(flt_store_run_of(s, "test", "last-1", &run) == FLTE_OK && run == 2, "a removed run counts: %lld", run);
    cr_assert(flt_store_run_of(s, "test", "last-3", &run) == FLTE_NAME, "%lld", run);
    cr_assert(flt_store_run_of(s, "test", "3", &run) == FLTE_NAME, "%lld", run);
    cr_assert(flt_store_run_of(s, "test", "0", &run) == FLTE_USAGE, "%lld", run);
    cr_assert(flt_store_group_of(s, "test", "1,last,last-1", &group) == FLTE_OK && strcmp(group, "1,4,2") == 0, "%s", group);
    flt_free(group);
    cr_assert(flt_store_group_of(s, "test", "4,last", &group) == FLTE_USAGE, "twice: %s", group);
    flt_free(group);
    flt_store_close(s);
}

Test(keep, removed_runs_leave_nothing) {
    flt_store *s = open_store(FLTX_STORE_WRITE);
    flt_gc gc;
    record(s, "loss", 1, 100);
    record(s, "other", 1, 10);
    cr_assert(flt_store_remove(s, 1) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_remove(s, 1) == FLTE_NAME, "twice");
    cr_assert(flt_store_gc(s, &gc) == FLTE_OK, "%s", flt_error());
    cr_assert(gc.metrics == 1 && gc.machines == 0 && gc.bytes_after <= gc.bytes_before, "%lld %lld", gc.metrics, gc.machines);
    cr_assert(strcmp(ask(s, "SELECT count(*) FROM metric"), "10\n") == 0, "%s", ask(s, "SELECT count(*) FROM metric"));
    const long long run = new_run(s);
    flt_store *second = open_store(FLTX_STORE_WRITE);
    cr_assert(flt_store_remove(second, run) == FLTE_USAGE, "a running one was removed");
    flt_store_close(second);
    flt_store_close(s);
}

Test(keep, tables_have_a_sentence_and_rows) {
    flt_store *s = open_store(FLTX_STORE_WRITE);
    answer a = {0};
    record(s, "loss", 1, 3);
    cr_assert(flt_store_schema(s, collect, &a) == FLTE_OK, "%s", flt_error());
    cr_assert(strstr(a.text, "param|table|run_id name value number|Parameters of a run") != NULL, "%s", a.text);
    cr_assert(strstr(a.text, "|NULL\n") == NULL && strstr(a.text, "|\n") == NULL, "without a sentence: %s", a.text);
    a = (answer){0};
    cr_assert(flt_store_table(s, "param", collect, &a) == FLTE_OK && strcmp(a.text, "1|lr|0.5|0.5\n") == 0, "%s", a.text);
    cr_assert(flt_store_table(s, "param; DROP TABLE run", collect, &a) == FLTE_NAME, "an attack");
    cr_assert(flt_store_table(s, "sqlite_schema", collect, &a) == FLTE_NAME, "not ours");
    flt_store_close(s);
}

Test(keep, sparklines_draw_curves) {
    flt_store *s = open_store(FLTX_STORE_WRITE);
    new_run(s);
    const double values[] = {0, 1, 2, 3, 4, 5, 6, 7, NAN, 0};
    for (uint64_t i = 0; i < 10; i++) {
        cr_assert(flt_sink_metric(flt_store_sink(s), "up", i, values[i]) == FLTE_OK, "%s", flt_error());
        cr_assert(flt_sink_metric(flt_store_sink(s), "flat", i, 3.0) == FLTE_OK, "%s", flt_error());
    }
    for (uint64_t i = 0; i < 6400; i++)
        cr_assert(flt_sink_metric(flt_store_sink(s), "long", i, -(double)i) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_sink_metric(flt_store_sink(s), "one", 1, 3.0) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s", flt_error());
    const char *text = show(s, 1, "sparklines");
    cr_assert(strstr(text, "|▁▂▃▄▅▆▇█x▁|") != NULL, "%s", text);
    cr_assert(strstr(text, "|▁▁▁▁▁▁▁▁▁▁|") != NULL, "%s", text);
    cr_assert(strstr(text, "|████▇▇▇▇▆▆▆▆▅▅▅▅▄▄▄▄▃▃▃▃▂▂▂▂▁▁▁▁|") != NULL, "%s", text);
    cr_assert(strstr(text, "|3.0|NULL|1|1|3.0|3.0\n") != NULL, "%s", text);
    flt_store_close(s);
}

static flt_store *open_other(const char *path) {
    flt_store *s = NULL;
    cr_assert(flt_store_open(path, FLTX_STORE_WRITE, &s) == FLTE_OK, "%s", flt_error());
    return s;
}

static void merged(flt_store *s, const char *path, long long added, long long updated, long long known) {
    flt_import n;
    cr_assert(flt_store_import(s, path, &n) == FLTE_OK, "%s", flt_error());
    cr_assert(n.added == added && n.updated == updated && n.known == known, "%lld added, %lld updated, %lld known", n.added,
              n.updated, n.known);
}

Test(keep, stores_merge_without_duplicates) {
    char path[128];
    snprintf(path, sizeof path, "%s/o'ther?.db", folder);
    flt_store *s = open_store(FLTX_STORE_WRITE), *other = open_other(path);
    record(s, "loss", 1, 3);
    record(other, "grad", 10, 2); // its metric 1 is not ours
    record(other, "loss", 100, 2);
    cr_assert(flt_store_tag(other, 2, "far", true) == FLTE_OK, "%s", flt_error());
    const long long run = new_run(other);
    cr_assert(flt_sink_metric(flt_store_sink(other), "loss", 0, 7) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_flush(other) == FLTE_OK, "%s", flt_error());
    merged(s, path, 3, 0, 0);
    merged(s, path, 0, 0, 3);
    const char *sql = "SELECT run, metric, value FROM last_metric ORDER BY run";
    cr_assert(strcmp(ask(s, sql), "1|loss|2.0\n2|grad|10.0\n3|loss|100.0\n4|loss|7.0\n") == 0, "%s", ask(s, sql));
    cr_assert(strcmp(show(s, 3, "tags"), "far\n") == 0, "%s", show(s, 3, "tags"));
    cr_assert(flt_store_tag(s, 4, "near", true) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_sink_metric(flt_store_sink(other), "loss", 1, 8) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_end(other, "done", 0, NULL) == FLTE_OK, "run %lld: %s", run, flt_error());
    merged(s, path, 0, 1, 2);
    cr_assert(strcmp(ask(s, sql), "1|loss|2.0\n2|grad|10.0\n3|loss|100.0\n4|loss|8.0\n") == 0, "%s", ask(s, sql));
    cr_assert(strcmp(ask(s, "SELECT status, tags FROM run_summary WHERE run = 4"), "done|near\n") == 0, "%s",
              ask(s, "SELECT status, tags FROM run_summary WHERE run = 4"));
    flt_store_close(other);
    flt_import n;
    cr_assert(flt_store_import(s, db_path, &n) == FLTE_USAGE, "itself");
    write_bytes(path, "not a database at all", 21);
    cr_assert(flt_store_import(s, path, &n) == FLTE_DB, "a foreign file");
    cr_assert(strcmp(ask(s, "SELECT count(*) FROM run"), "4\n") == 0, "%s", ask(s, "SELECT count(*) FROM run"));
    flt_store_close(s);
}
