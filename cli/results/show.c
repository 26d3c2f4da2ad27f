// SPDX-License-Identifier: MIT
// flt results show RUN: everything that is known of one run. JSON and CSV have every row, the terminal what one can read.
#include "results/sub.h"

#include <string.h>

static const struct argp_option options[] = {{"csv", FLTX_SUB_CSV, NULL, 0, "print CSV instead of tables", 1}, {0}};

// The part for people stands for the whole one; NULL: the whole one is for machines alone.
static const struct {
    const char *title, *whole, *readable;
} parts[] = {
    {"run", "run", "run"},
    {"params", "params", "params"},
    {"tags", "tags", "tags"},
    {"notes", "notes", "notes"},
    {"metrics", "metrics", "sparklines"},
    {"checks", "checks", "verdicts"},
    {"not passed", NULL, "not passed"},
    {"ladder", "ladder", "errors"},
    {"evaluations", "evaluations", "means"},
    {"timings", "timings", "times"},
    {"artifacts", "artifacts", "artifacts"},
    {"events", "events", "events"},
};

// Nothing is printed before the first part was found, so that a wrong RUN leaves no half of a JSON object.
static flt_err run(const flt_sub_input *in, flt_store *store) {
    const bool whole = in->common.json || in->csv;
    long long number = 0;
    FLTX_TRY(flt_store_run_of(store, "show", in->words[0], &number));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *part = whole ? parts[i].whole : parts[i].readable;
        flt_collector c = {0};
        if (part == NULL) continue;
        const flt_err err = flt_store_show(store, number, part, flt_collect, &c);
        const bool any = c.table != NULL;
        if (in->common.json && err == FLTE_OK)
            printf("%s\"%s\": ", i > 0 ? ", " : "{\n", parts[i].title);
        else if (any && err == FLTE_OK)
            printf("%s%s\n", i > 0 ? "\n" : "", parts[i].title);
        if (err == FLTE_OK && !any && !in->common.json) continue;
        FLTX_TRY(flt_print_rows(in, &c, err));
    }
    if (in->common.json) printf("}\n");
    return FLTE_OK;
}

const flt_sub flt_sub_show = {.name = "show",
                              .arguments = "RUN",
                              .summary = "Shows one run: provenance, parameters, metrics, results, files",
                              .example =
                                  "flt results show last                          the latest run; last-1: the one before it\n"
                                  "  flt results show 3 --json                      every row, also of seeds\n"
                                  "  flt results show 3 --csv | less -S             tables for a spreadsheet",
                              .options = options,
                              .min_words = 1,
                              .max_words = 1,
                              .run = run};
