// SPDX-License-Identifier: MIT
// flt results best: leaderboard over optimizers or attention mechanisms.
#include "flt/tasks.h"
#include "results/sub.h"

static const struct argp_option options[] = {
    {"task", FLTX_SUB_TASK, "TASK|@SET", 0, "optimizers on this task, or over all tasks of a set of `flt eval`", 1},
    {"metric", FLTX_SUB_METRIC, "NAME", 0,
     "final_loss (default), test_loss, test_metric, ns_per_param, ..; of a set: speedup (default), speedup_best, loss_ratio; of "
     "mechanisms: error_total",
     1},
    {"limit", FLTX_SUB_LIMIT, "N", 0, "the N best (default 20)", 1},
    {"csv", FLTX_SUB_CSV, NULL, 0, "print CSV instead of a table", 1},
    {0},
};

typedef struct rows {
    flt_collector all;
    size_t left;
} rows;

static bool collect(void *user, size_t n, const char *const *names, const char *const *values) {
    rows *r = user;
    return r->left-- > 0 && flt_collect(&r->all, n, names, values);
}

// Bits per byte and the like. Rows of other programs may name tasks that are not here.
static bool is_error(const char *spec) {
    const flt_task_kind *kind = NULL;
    return flt_task_of(spec, &kind) == FLTE_OK && (kind->kind.caps & FLTX_TASK_ERROR) != 0;
}

static flt_err run(const flt_sub_input *in, flt_store *store) {
    rows r = {.left = in->filter.limit};
    const char *task = in->filter.task;
    const flt_err err = task != NULL && task[0] == '@' ? flt_store_speedups(store, 0, task + 1, in->metric, collect, &r)
                                                       : flt_store_best(store, task, in->metric, is_error, collect, &r);
    return flt_print_rows(in, &r.all, err);
}

const flt_sub flt_sub_best = {.name = "best",
                              .summary = "Ranks optimizers or attention mechanisms over seeds",
                              .example =
                                  "flt results best --task digits_mlp              by final loss\n"
                                  "  flt results best --task digits_mlp --metric test_metric\n"
                                  "  flt results best --task @train                  by the speed-up over a set\n"
                                  "  flt results best --metric error_total           attention mechanisms\n"
                                  "The number is the inter-quartile mean over the latest value of each seed, with a 95 % "
                                  "bootstrap interval; seeds that are not finite count as the worst, and leave it empty where "
                                  "more than a quarter are; values of different code are not pooled.",
                              .options = options,
                              .limit = 20,
                              .run = run};
