// SPDX-License-Identifier: MIT
// flt results compare A B [..]: each further group of runs against the first.
#include "flt/memory.h"
#include "results/sub.h"

#include <string.h>

static const struct argp_option options[] = {{"csv", FLTX_SUB_CSV, NULL, 0, "print CSV instead of tables", 1}, {0}};

// A table leaves out columns that are empty: a side that has none of these parameters is filled with dashes.
static bool collect_dashed(void *user, size_t n, const char *const *names, const char *const *values) {
    enum { MOST = 16 };
    const char *cells[MOST];
    if (n > MOST) return flt_collect(user, n, names, values);
    for (size_t i = 0; i < n; i++) cells[i] = values[i] == NULL ? "-" : values[i];
    return flt_collect(user, n, names, cells);
}

typedef struct groups {
    char *runs[FLTX_SUB_WORDS]; // "3,4": what the words stand for, also after further runs
} groups;

static flt_err part(const flt_sub_input *in, flt_store *store, const char *a, const char *b, const char *name, bool first) {
    flt_collector c = {0};
    const bool dashed = strcmp(name, "differences") == 0 && !in->common.json && !in->csv;
    const flt_err err = flt_store_compare(store, a, b, name, dashed ? collect_dashed : flt_collect, &c);
    if (in->common.json) {
        if (err == FLTE_OK) printf("%s\"%s\": ", first ? "" : ", ", name);
    } else if (err == FLTE_OK && c.table != NULL) {
        printf("%s%s: a = %s, b = %s\n", first ? "" : "\n", name, a, b);
    } else if (err == FLTE_OK) {
        return c.err;
    }
    return flt_print_rows(in, &c, err);
}

static flt_err compare(const flt_sub_input *in, flt_store *store, groups *g) {
    static const char *const parts[] = {"differences", "metrics", "timings"};
    const char *a = g->runs[0];
    for (size_t i = 1; i < in->n_words; i++) {
        const char *b = g->runs[i];
        if (in->common.json) printf("%s{\"a\": \"%s\", \"b\": \"%s\", ", i == 1 ? "[" : ", ", a, b);
        for (size_t k = 0; k < 3; k++) FLTX_TRY(part(in, store, a, b, parts[k], in->common.json ? k == 0 : i == 1 && k == 0));
        if (in->common.json) printf("}");
    }
    if (in->common.json) printf("]\n");
    return FLTE_OK;
}

// A wrong group leaves no half of a JSON array.
static flt_err run(const flt_sub_input *in, flt_store *store) {
    groups g = {0};
    flt_err err = FLTE_OK;
    for (size_t i = 0; i < in->n_words && err == FLTE_OK; i++)
        err = flt_store_group_of(store, "compare", in->words[i], &g.runs[i]);
    if (err == FLTE_OK) err = compare(in, store, &g);
    for (size_t i = 0; i < in->n_words; i++) flt_free(g.runs[i]);
    return err;
}

const flt_sub flt_sub_compare = {
    .name = "compare",
    .arguments = "A B [..]",
    .summary = "Compares runs: parameters, metrics with intervals, timings",
    .example =
        "flt results compare last-1 last                b against a: the run before the latest, and the latest\n"
        "  flt results compare 3 4 5                      each against the first\n"
        "  flt results compare 3,5,7 4,6,last             each group is pooled\n"
        "Metrics: difference of the means with a 95 % bootstrap interval and the p of Mann and Whitney. Timings: ratio of the "
        "medians with a 99 % interval; slower or faster needs p < 0.002, an interval without 1 and a change above 1 %; machine "
        "means that the probes of the machine itself changed by as much.",
    .options = options,
    .min_words = 2,
    .max_words = FLTX_SUB_WORDS,
    .run = run};
