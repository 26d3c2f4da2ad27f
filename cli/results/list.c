// SPDX-License-Identifier: MIT
// flt results list: the runs under a filter, latest first.
#include "results/sub.h"

#include <string.h>
#include <unistd.h>

static const struct argp_option options[] = {
    {"kind", FLTX_SUB_KIND, "KIND", 0, "train, eval, verify, ..", 1},
    {"task", FLTX_SUB_TASK, "TASK", 0, "runs on this task", 1},
    {"optimizer", FLTX_SUB_OPTIMIZER, "NAME", 0, "runs with this optimizer", 1},
    {"mechanism", FLTX_SUB_MECHANISM, "NAME", 0, "runs with this attention mechanism", 1},
    {"since", FLTX_SUB_SINCE, "AGE", 0, "started at most 2d, 12h, 30m, 1w ago, or since a date", 1},
    {"status", FLTX_SUB_STATUS, "STATUS", 0, "done, failed, interrupted, running", 1},
    {"tag", FLTX_SUB_TAG, "NAME", 0, "runs with this tag", 1},
    {"where", FLTX_SUB_WHERE, "EXPR", 0,
     "comparisons of fields, parameters and metrics with and, or, not: \"lr < 0.01 and (seed = 3 or optimizer ~ 'ad*')\"", 1},
    {"sort", FLTX_SUB_SORT, "NAME", 0, "by a field, parameter or metric, least first; --sort=-NAME: largest first", 1},
    {"limit", FLTX_SUB_LIMIT, "N", 0, "at most N runs (default 20)", 1},
    {"csv", FLTX_SUB_CSV, NULL, 0, "print CSV instead of a table", 1},
    {0},
};

typedef struct rows {
    flt_collector all; // first: what flt_collect gets
    bool dirty;
} rows;

static bool collect(void *user, size_t n, const char *const *names, const char *const *values) {
    rows *r = user;
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], "code") == 0 && values[i] != NULL && strchr(values[i], '+') != NULL) r->dirty = true;
    return flt_collect(&r->all, n, names, values);
}

static flt_err run(const flt_sub_input *in, flt_store *store) {
    rows r = {0};
    FLTX_TRY(flt_print_rows(in, &r.all, flt_store_find(store, &in->filter, collect, &r)));
    if (r.dirty && !in->common.quiet && isatty(STDOUT_FILENO))
        fprintf(stderr, "+ after the code: built from a working tree with uncommitted changes\n");
    return FLTE_OK;
}

const flt_sub flt_sub_list = {
    .name = "list",
    .summary = "Lists runs, latest first, under any filter",
    .example = "flt results list --kind eval --since 2d --sort final_loss\n"
               "  flt results list --where \"lr < 0.01 and (seed = 3 or not optimizer ~ 'ad*')\"\n"
               "  flt results list --status failed --json        for scripts\n"
               "Names in --where are fields of a run (kind, seed, host, commit, seconds, ..), parameters, metrics (their last "
               "value) and columns of results. A + after the code marks a build with uncommitted changes.",
    .options = options,
    .limit = 20,
    .run = run};
