// SPDX-License-Identifier: MIT
// Records of every kind, what is wrong with one, and the views over them.
#include <math.h>

#include "one_run.h"

TestSuite(records, .init = begin, .fini = end);

#define NUM(name, x)  flt_num_field(name, x)
#define TEXT(name, x) flt_text_field(name, x)
#define RECORD(kind, ...)                                                                                                        \
    flt_sink_record(sink, kind, sizeof((flt_field[]){__VA_ARGS__}) / sizeof(flt_field), (flt_field[]){__VA_ARGS__})

static void same(const char *label, const char *got, const char *want) {
    cr_assert(strcmp(got, want) == 0, "%s:\n%s instead of\n%s", label, got, want);
}

Test(records, every_kind_comes_back) {
    cr_assert(RECORD("check", TEXT("mechanism", "flt"), TEXT("check", "causal"), TEXT("label", "flt n=33"), NUM("ratio", 2.5),
                     TEXT("verdict", "pass")) == FLTE_OK,
              "%s", flt_error());
    cr_assert(RECORD("check", TEXT("mechanism", "flt"), TEXT("check", "causal"), TEXT("label", "flt n=34"), NUM("ratio", NAN),
                     TEXT("verdict", "fail")) == FLTE_OK,
              "%s", flt_error());
    cr_assert(RECORD("ladder", TEXT("mechanism", "flt"), TEXT("encoding", "window"), NUM("n", 64), NUM("d", 8), NUM("m", 16),
                     NUM("r", 4), NUM("seed", 1), NUM("causal", 1), NUM("error_total", 0.25), NUM("error_mask", 0.125),
                     NUM("error_kernel", INFINITY), NUM("seconds", 0.5), NUM("seconds_exact", 2), NUM("bytes", 4096),
                     NUM("bytes_exact", 0x1p40)) == FLTE_OK,
              "%s", flt_error());
    cr_assert(RECORD("evaluation", TEXT("optimizer", "flt"), TEXT("task", "digits_mlp"), NUM("seed", 3), NUM("steps", 500),
                     NUM("lr", 0.01), NUM("final_loss", NAN), NUM("test_loss", -INFINITY), NUM("steps_to_baseline", INFINITY),
                     TEXT("baseline", "adam"), TEXT("detail", NULL)) == FLTE_OK,
              "%s", flt_error());
    cr_assert(RECORD("timing", TEXT("subject", "attend"), TEXT("phase", "fwd"), NUM("n", 64), NUM("rep", 0),
                     NUM("seconds", 1e-3)) == FLTE_OK,
              "%s", flt_error());
    cr_assert(RECORD("curve", TEXT("metric", "loss"), TEXT("subject", "adam"), TEXT("task", "quadratic"), NUM("seed", 5),
                     NUM("step", 7), NUM("value", 0.75)) == FLTE_OK,
              "%s", flt_error());
    cr_assert(RECORD("event", TEXT("level", "warn"), TEXT("message", "it's \"odd\"\n")) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_flush(s) == FLTE_OK, "%s", flt_error());
    same("checks", show(s, 0, "checks"), "flt|causal|flt n=33|2.5|pass|NULL|NULL\nflt|causal|flt n=34|nan|fail|NULL|NULL\n");
    same("ladder", show(s, 0, "ladder"), "flt|window|NULL|64|8|16|4|1|1|0.25|0.125|inf|0.5|2.0|4096|1099511627776\n");
    same("evaluations", show(s, 0, "evaluations"), "flt|digits_mlp|3|nan|-inf|NULL|inf|adam|500|0.01|NULL|NULL|NULL|NULL|NULL\n");
    same("special", ask(s, "SELECT special FROM evaluation"),
         "{\"final_loss\":\"nan\",\"test_loss\":\"-inf\",\"steps_to_baseline\":\"inf\"}\n");
    same("timings", show(s, 0, "timings"), "attend|fwd|NULL|64|NULL|NULL|NULL|NULL|0|NULL|0.001\n");
    same("metrics", show(s, 0, "metrics"), "loss|adam|quadratic|5|1|7|0.75|0.75|0.75\n");
    same("curves", ask(s, "SELECT metric, subject, task, seed, step, value FROM metrics"), "loss|adam|quadratic|5|7|0.75\n");
    same("events", ask(s, "SELECT level, message FROM event"), "warn|it's \"odd\"\n\n");
    same("tags", show(s, 0, "tags"), "");
    same("notes", show(s, 0, "notes"), "");
}

// Every column of the tables of records is a field, and its name says which type it takes.
Test(records, every_column_is_a_field) {
    static const char *const kinds[][2] = {
        {"check", "check_result"}, {"ladder", "ladder"}, {"evaluation", "evaluation"}, {"timing", "timing"}, {"event", "event"}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char sql[512], want[64] = "", *columns, *rest;
        snprintf(sql, sizeof sql, "SELECT sql FROM sqlite_schema WHERE name = '%s'", kinds[k][1]);
        columns = strdup(strstr(ask(s, sql), "t_ms INTEGER NOT NULL,") + 22);
        *strstr(columns, "special") = 0;
        size_t count = 0;
        for (char *c = strtok_r(columns, ",", &rest); c != NULL; c = strtok_r(NULL, ",", &rest)) {
            char name[32], type[16];
            if (sscanf(c, " %31s %15s", name, type) != 2) continue;
            const bool is_text = strcmp(type, "TEXT") == 0;
            const flt_field field = is_text ? TEXT(name, "x") : NUM(name, 3);
            const flt_field wrong = is_text ? NUM(name, 3) : TEXT(name, "x");
            cr_assert(flt_sink_record(sink, kinds[k][0], 1, &field) == FLTE_OK, "%s.%s: %s", kinds[k][0], name, flt_error());
            cr_assert(flt_sink_record(sink, kinds[k][0], 1, &wrong) == FLTE_INTERNAL, "%s.%s takes the wrong type", kinds[k][0],
                      name);
            snprintf(sql, sizeof sql, "SELECT %s FROM %s ORDER BY seq DESC LIMIT 1", name, kinds[k][1]);
            snprintf(want, sizeof want, "%s\n", is_text ? "x" : strcmp(type, "REAL") == 0 ? "3.0" : "3");
            same(name, ask(s, sql), want), count++;
        }
        cr_assert(flt_store_flush(s) == FLTE_OK && count >= 2, "%s: %zu columns", kinds[k][0], count);
        free(columns);
    }
}

Test(records, mistakes_are_named_and_leave_no_row) {
    cr_assert(RECORD("chekc", NUM("ratio", 1)) == FLTE_INTERNAL && strstr(flt_error(), "ladder") != NULL, "%s", flt_error());
    cr_assert(RECORD("param", TEXT("name", "a"), TEXT("value", "b")) == FLTE_INTERNAL, "parameters have a function");
    cr_assert(RECORD("check", TEXT("label", "x"), NUM("ratoi", 1)) == FLTE_INTERNAL && strstr(flt_error(), "ratio") != NULL, "%s",
              flt_error());
    cr_assert(RECORD("ladder", NUM("n", 3.5)) == FLTE_INTERNAL && strstr(flt_error(), "integer") != NULL, "%s", flt_error());
    cr_assert(RECORD("ladder", NUM("n", 1e19)) == FLTE_INTERNAL, "%s", flt_error());
    cr_assert(RECORD("ladder", NUM("run_id", 1)) == FLTE_INTERNAL && RECORD("ladder", NUM("seq", 1)) == FLTE_INTERNAL, "%s",
              flt_error());
    cr_assert(RECORD("curve", TEXT("metric", "x"), NUM("value", 1)) == FLTE_INTERNAL && strstr(flt_error(), "step") != NULL, "%s",
              flt_error());
    cr_assert(RECORD("curve", TEXT("metric", "x"), NUM("value", 1), NUM("step", NAN)) == FLTE_INTERNAL, "%s", flt_error());
    cr_assert(flt_sink_metric(sink, "x", UINT64_MAX, 1.0) == FLTE_RANGE, "%s", flt_error());
    cr_assert(flt_store_flush(s) == FLTE_OK, "%s", flt_error());
    same("rows",
         ask(s, "SELECT (SELECT count(*) FROM check_result) + (SELECT count(*) FROM ladder) + (SELECT count(*) FROM metric)"),
         "0\n");
    cr_assert(flt_store_show(s, 9, "run", NULL, NULL) == FLTE_NAME && strstr(flt_error(), "latest is 1") != NULL, "%s",
              flt_error());
    cr_assert(flt_store_show(s, 1, "metric", NULL, NULL) == FLTE_NAME && strstr(flt_error(), "'metrics'") != NULL, "%s",
              flt_error());
    cr_assert(flt_store_artifact(s, "weights", "/nowhere") == FLTE_IO && strstr(flt_error(), "/nowhere") != NULL, "%s",
              flt_error());
}

Test(records, full_buffers_flush_and_texts_have_an_end) {
    char *text = NULL;
    const size_t n = 300000;
    cr_assert(flt_alloc(n + 1, 1, &text) == FLTE_OK, "%s", flt_error());
    memset(text, 'x', n);
    cr_assert(RECORD("event", TEXT("level", "info"), TEXT("message", text)) == FLTE_RANGE, "%s", flt_error());
    text[90000] = 0; // below what a query may return
    for (int i = 0; i < 7; i++)
        cr_assert(RECORD("event", TEXT("level", "info"), TEXT("message", text)) == FLTE_OK, "%s", flt_error());
    for (uint64_t i = 0; i < 5000; i++) cr_assert(flt_sink_metric(sink, "x", i, 1.0) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_sink_metric(sink, "x", 4999, 2.0) == FLTE_OK, "%s", flt_error());
    same("rows", ask(s, "SELECT (SELECT count(*) FROM event WHERE length(message) = 90000), (SELECT count(*) FROM metric)"),
         "7|5000\n");
    same("the later value", ask(s, "SELECT value FROM last_metric"), "2.0\n");
    flt_free(text);
}

Test(records, artifacts_have_a_checksum) {
    char path[128], want[256];
    snprintf(path, sizeof path, "%s/w.bin", folder);
    write_bytes(path, "123456789", 9); // the check value of CRC-32 is cbf43926
    cr_assert(flt_store_artifact(s, "weights", path) == FLTE_OK, "%s", flt_error());
    snprintf(want, sizeof want, "weights|%s|9|crc32:cbf43926\n", path);
    same("artifact", show(s, 0, "artifacts"), want);
    write_bytes(path, "", 0);
    cr_assert(flt_store_artifact(s, "weights", path) == FLTE_OK, "%s", flt_error());
    snprintf(want, sizeof want, "weights|%s|0|crc32:00000000\n", path);
    same("replaced", show(s, 0, "artifacts"), want);
}

// The sums of table series against the values themselves, over several flushes, with a step that comes late.
Test(records, series_sum_up_their_metrics) {
    const double values[] = {NAN, 3, -2, INFINITY, 7, -INFINITY, 5};
    const uint64_t steps[] = {0, 1, 2, 9, 4, 5, 6};
    for (int i = 0; i < 7; i++) {
        char name[16];
        for (int k = 0; k < 100; k++) { // more names than the first table of them holds
            snprintf(name, sizeof name, "m%d", k);
            cr_assert(flt_sink_metric(sink, name, steps[i], values[i] + k) == FLTE_OK, "%s", flt_error());
        }
        if (i % 2 == 0) cr_assert(flt_store_flush(s) == FLTE_OK, "%s", flt_error());
    }
    same("series", ask(s, "SELECT points, not_finite, step, value, special, least, most FROM last_metric WHERE metric = 'm10'"),
         "7|3|9|NULL|inf|8.0|17.0\n");
    same("all", ask(s, "SELECT count(*), sum(points), sum(most - least) FROM last_metric"), "100|700|900.0\n");
    same("values", ask(s, "SELECT count(*), min(step), max(step) FROM metrics WHERE metric = 'm99'"), "7|0|9\n");
    cr_assert(RECORD("curve", TEXT("metric", "m10"), TEXT("task", "t"), NUM("step", 1), NUM("value", NAN)) == FLTE_OK, "%s",
              flt_error());
    cr_assert(flt_store_flush(s) == FLTE_OK, "%s", flt_error());
    same("by task", ask(s, "SELECT points, value, special, least, most FROM last_metric WHERE task = 't'"),
         "1|NULL|nan|NULL|NULL\n");
}

// ---- views
static void evaluation(const char *optimizer, double lr, int seed, double loss, double steps) {
    cr_assert(RECORD("evaluation", TEXT("optimizer", optimizer), TEXT("task", "digits_mlp"), NUM("seed", seed), NUM("steps", 500),
                     NUM("lr", lr), NUM("final_loss", loss), NUM("steps_to_baseline", steps),
                     TEXT("baseline", "adam")) == FLTE_OK,
              "%s", flt_error());
}

Test(records, the_leaderboard_pools_seeds_and_counts_divergence) {
    const double losses[] = {1, 2, 3, 4, 5, 6, 7, 80};
    for (int i = 0; i < 8; i++) evaluation("adam", 0.01, i, losses[i], 500);
    for (int i = 0; i < 4; i++) evaluation("flt", 0.02, i, i == 3 ? INFINITY : 2, i == 3 ? INFINITY : 300);
    for (int i = 0; i < 2; i++) evaluation("sgd", 0.1, i, NAN, INFINITY);
    evaluation("adam", 0.01, 7, 8, 500); // again: the latest counts
    same("leaderboard",
         ask(s, "SELECT optimizer, seeds, loss_iqm, loss_mean, loss_best, loss_worst, not_finite, steps_to_baseline, reached "
                "FROM leaderboard"),
         "flt|4|2.0|2.0|2.0|2.0|1|300.0|3\nadam|8|4.5|4.5|1.0|8.0|0|500.0|8\nsgd|2|NULL|NULL|NULL|NULL|2|NULL|0\n");
}

// Runs of today store the mean beside its seeds, runs of version 1 the mean alone: each seed counts once, the old mean not at
// all.
Test(records, the_leaderboard_counts_each_seed_once) {
    for (int i = 0; i < 4; i++) evaluation("adam", 0.01, i, i + 1, 500);
    cr_assert(RECORD("evaluation", TEXT("optimizer", "adam"), TEXT("task", "digits_mlp"), NUM("seeds", 4), NUM("steps", 500),
                     NUM("lr", 0.01), NUM("final_loss", 2.5), TEXT("baseline", "adam")) == FLTE_OK,
              "%s", flt_error());
    same("one run", ask(s, "SELECT optimizer, seeds, loss_iqm, loss_worst FROM leaderboard"), "adam|4|2.5|4.0\n");
    same("by seed", ask(s, "SELECT count(*), count(seed) FROM evaluation_by_seed"), "4|4\n");
    cr_assert(flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s", flt_error());
    new_run(s);
    cr_assert(RECORD("evaluation", TEXT("optimizer", "adam"), TEXT("task", "digits_mlp"), NUM("seeds", 9), NUM("steps", 500),
                     NUM("lr", 0.01), NUM("final_loss", 100)) == FLTE_OK,
              "%s", flt_error());
    same("an older mean", ask(s, "SELECT optimizer, seeds, loss_iqm, loss_worst FROM leaderboard"), "adam|4|2.5|4.0\n");
    same("means alone stand for their seeds", ask(s, "SELECT run_id, count(*) FROM evaluation_by_seed GROUP BY 1"), "1|4\n2|1\n");
}

Test(records, views_answer_plain_sqlite) {
    for (int seed = 0; seed < 3; seed++)
        cr_assert(RECORD("ladder", TEXT("mechanism", "flt"), TEXT("encoding", "none"), NUM("n", 64), NUM("m", 16),
                         NUM("seed", seed), NUM("error_total", 0.1 * (seed + 1)), NUM("seconds", 0.5 + seed),
                         NUM("seconds_exact", 2)) == FLTE_OK,
                  "%s", flt_error());
    for (int rep = 0; rep < 4; rep++)
        cr_assert(RECORD("timing", TEXT("subject", "step"), TEXT("phase", "fwd"), NUM("rep", rep), NUM("warm", rep == 0),
                         NUM("seconds", rep)) == FLTE_OK,
                  "%s", flt_error());
    for (int i = 0; i < 3; i++)
        cr_assert(RECORD("check", TEXT("mechanism", "flt"), TEXT("check", "causal"), NUM("ratio", i),
                         TEXT("verdict", i == 2 ? "fail" : "pass")) == FLTE_OK,
                  "%s", flt_error());
    cr_assert(flt_store_flush(s) == FLTE_OK, "%s", flt_error());
    plain(db_path, "INSERT INTO tag VALUES (1, 'paper'), (1, 'good'); INSERT INTO note VALUES (1, 1, 'text')");
    same("attention_summary",
         ask(s, "SELECT mechanism, n, m, seeds, round(error_total, 6), round(worst_error, 6), speedup, precision FROM "
                "attention_summary"),
         "flt|64|16|3|0.2|0.3|4.0|float\n");
    same("timing_summary", ask(s, "SELECT subject, reps, least, median, most FROM timing_summary"), "step|3|1.0|2.0|3.0\n");
    same("check_summary", ask(s, "SELECT mechanism, check_name, cases, passed, failed, worst_ratio FROM check_summary"),
         "flt|causal|3|2|1|2.0\n");
    same("run_summary", ask(s, "SELECT run, kind, status, tags, precision, command FROM run_summary"),
         "1|train|running|good paper|float|flt train --set 'it'\\''s'\n");
    cr_assert(plain_int(db_path, "SELECT count(*) FROM run_summary") == 1, "plain sqlite");
    plain(db_path, "PRAGMA foreign_keys = ON; DELETE FROM run");
    same("nothing is left of a run",
         ask(s, "SELECT (SELECT count(*) FROM ladder) + (SELECT count(*) FROM timing) + (SELECT count(*) FROM tag) "
                "+ (SELECT count(*) FROM note) + (SELECT count(*) FROM check_result)"),
         "0\n");
    cr_assert(flt_store_end(s, "done", 0, NULL) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_show(s, 0, "run", NULL, NULL) == FLTE_NAME, "no run is left");
}
