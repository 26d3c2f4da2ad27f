// SPDX-License-Identifier: MIT
// flt results sql "SELECT ..": one SELECT, read-only, limited in time and memory.
#include "results/sub.h"

static const struct argp_option options[] = {{"csv", FLTX_SUB_CSV, NULL, 0, "print CSV instead of a table", 1}, {0}};

static flt_err run(const flt_sub_input *in, flt_store *store) {
    flt_collector c = {0};
    return flt_print_rows(in, &c, flt_store_sql(store, in->words[0], flt_collect, &c));
}

const flt_sub flt_sub_sql = {.name = "sql",
                             .arguments = "\"SELECT ..\"",
                             .summary = "Answers one SELECT, read-only, limited in time and memory",
                             .example =
                                 "flt results sql \"SELECT task, optimizer, loss_iqm FROM leaderboard\"\n"
                                 "  flt results sql \"SELECT * FROM run_summary WHERE seconds > 60\" --csv\n"
                                 "`flt results schema` lists the tables and views; any SQLite client may open the file as well.",
                             .options = options,
                             .min_words = 1,
                             .max_words = 1,
                             .exact = true,
                             .run = run};
