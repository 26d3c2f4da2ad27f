// SPDX-License-Identifier: MIT
// NULL at every public function of the store that returns flt_err, one row an argument; readers of rows may be left out.
#include "core/tests/refused.h"

#include "flt/results_ask.h"
#include "one_run.h"

TestSuite(null, .init = begin, .fini = end);

Test(null, recording) {
    flt_store *other = NULL;
    REFUSED("out", flt_store_open(db_path, FLTX_STORE_READ, NULL));
    cr_assert(flt_store_open(NULL, FLTX_STORE_READ, &other) == FLTE_USAGE && strstr(flt_error(), "name of the database") != NULL);
    REFUSED("s", flt_store_begin(NULL, &(flt_run_info){.kind = "train"}, NULL));
    REFUSED("info", flt_store_begin(s, NULL, NULL));
    REFUSED("info->kind", flt_store_begin(s, &(flt_run_info){.argc = 0}, NULL));
    REFUSED("info->argv", flt_store_begin(s, &(flt_run_info){.kind = "train", .argc = 1}, NULL));
    REFUSED("s", flt_store_param(NULL, "lr", "1"));
    REFUSED("name", flt_store_param(s, NULL, "1"));
    REFUSED("value", flt_store_param(s, "lr", NULL));
    REFUSED("s", flt_store_artifact(NULL, "weights", "a"));
    REFUSED("kind", flt_store_artifact(s, NULL, "a"));
    REFUSED("path", flt_store_artifact(s, "weights", NULL));
    REFUSED("s", flt_store_flush(NULL));
    REFUSED("s", flt_store_end(NULL, "done", 0, NULL));
    REFUSED("status", flt_store_end(s, NULL, 0, NULL));
    flt_store_close(NULL);
}

Test(null, upkeep) {
    flt_gc gc;
    flt_import import;
    REFUSED("s", flt_store_tag(NULL, 0, "good", true));
    REFUSED("name", flt_store_tag(s, 0, NULL, true));
    REFUSED("s", flt_store_note(NULL, 0, "good"));
    REFUSED("text", flt_store_note(s, 0, NULL));
    REFUSED("s", flt_store_remove(NULL, 0));
    REFUSED("s", flt_store_gc(NULL, &gc));
    REFUSED("out", flt_store_gc(s, NULL));
    REFUSED("s", flt_store_import(NULL, db_path, &import));
    REFUSED("path", flt_store_import(s, NULL, &import));
    REFUSED("out", flt_store_import(s, db_path, NULL));
    REFUSED("s", flt_store_report(NULL, "a"));
    REFUSED("path", flt_store_report(s, NULL));
}

Test(null, questions) {
    flt_figure *figure = NULL;
    long long run = 0;
    char *group = NULL;
    REFUSED("s", flt_store_list(NULL, 0, NULL, NULL));
    REFUSED("s", flt_store_show(NULL, 0, "run", NULL, NULL));
    REFUSED("part", flt_store_show(s, 0, NULL, NULL, NULL));
    REFUSED("s", flt_store_sql(NULL, "SELECT 1", NULL, NULL));
    REFUSED("sql", flt_store_sql(s, NULL, NULL, NULL));
    REFUSED("s", flt_store_run_of(NULL, "show", "1", &run));
    REFUSED("who", flt_store_run_of(s, NULL, "1", &run));
    REFUSED("word", flt_store_run_of(s, "show", NULL, &run));
    REFUSED("run", flt_store_run_of(s, "show", "1", NULL));
    REFUSED("s", flt_store_group_of(NULL, "show", "1", &group));
    REFUSED("who", flt_store_group_of(s, NULL, "1", &group));
    REFUSED("words", flt_store_group_of(s, "show", NULL, &group));
    REFUSED("out", flt_store_group_of(s, "show", "1", NULL));
    REFUSED("s", flt_store_find(NULL, &(flt_run_filter){0}, NULL, NULL));
    REFUSED("f", flt_store_find(s, NULL, NULL, NULL));
    REFUSED("s", flt_store_schema(NULL, NULL, NULL));
    REFUSED("s", flt_store_table(NULL, "run", NULL, NULL));
    REFUSED("table", flt_store_table(s, NULL, NULL, NULL));
    REFUSED("s", flt_store_compare(NULL, "1", "1", "metrics", NULL, NULL));
    REFUSED("a", flt_store_compare(s, NULL, "1", "metrics", NULL, NULL));
    REFUSED("b", flt_store_compare(s, "1", NULL, "metrics", NULL, NULL));
    REFUSED("part", flt_store_compare(s, "1", "1", NULL, NULL, NULL));
    REFUSED("s", flt_store_best(NULL, NULL, NULL, NULL, NULL, NULL));
    REFUSED("s", flt_store_speedups(NULL, 0, NULL, NULL, NULL, NULL));
    REFUSED("s", flt_figure_create(NULL, "curves", 0, NULL, &figure));
    REFUSED("name", flt_figure_create(s, NULL, 0, NULL, &figure));
    REFUSED("out", flt_figure_create(s, "curves", 0, NULL, NULL));
    flt_figure_destroy(NULL);
}

Test(null, rows_that_nobody_reads) {
    const flt_field row[] = {
        flt_text_field("optimizer", "adam"), flt_text_field("task", "quadratic"), flt_num_field("seed", 0),
        flt_num_field("steps", 1),           flt_num_field("final_loss", 1),      flt_num_field("speedup", 1)};
    cr_assert(flt_sink_record(sink, "evaluation", sizeof row / sizeof *row, row) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_flush(s) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_list(s, 0, NULL, NULL) == FLTE_OK && flt_store_schema(s, NULL, NULL) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_table(s, "run", NULL, NULL) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_best(s, NULL, NULL, NULL, NULL, NULL) == FLTE_OK, "%s", flt_error());
    cr_assert(flt_store_speedups(s, 0, NULL, NULL, NULL, NULL) == FLTE_OK, "%s", flt_error());
}
