// SPDX-License-Identifier: MIT
// flt results show RUN: everything that is known of one run.
#include "results/sub.h"

#include <string.h>

static const struct argp_option options[] = {{"csv", FLTX_SUB_CSV, NULL, 0, "print CSV instead of tables", 1}, {0}};

static flt_err run(const flt_sub_input *in, flt_store *store) {
    static const char *const parts[] = {"run",    "params", "tags",        "notes",     "metrics",
                                        "checks", "ladder", "evaluations", "artifacts", "events"};
    long long number = 0;
    FLTX_TRY(flt_run_of("show", in->words[0], &number));
    if (in->common.json) printf("{\n");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        flt_collector c = {0};
        const bool drawn = strcmp(parts[i], "metrics") == 0 && !in->common.json && !in->csv;
        flt_err err = flt_store_show(store, number, drawn ? "sparklines" : parts[i], flt_collect, &c);
        const bool any = c.table != NULL;
        if (in->common.json && err == FLTE_OK)
            printf("%s\"%s\": ", i > 0 ? ", " : "", parts[i]);
        else if (any && err == FLTE_OK)
            printf("%s%s\n", i > 0 ? "\n" : "", parts[i]);
        if (err == FLTE_OK && !any && !in->common.json) continue;
        FLTX_TRY(flt_print_rows(in, &c, err));
    }
    if (in->common.json) printf("}\n");
    return FLTE_OK;
}

const flt_sub flt_sub_show = {
    .name = "show",
    .arguments = "RUN",
    .summary = "Shows one run: provenance, parameters, status, metrics with their curves, rows of results, files with checksums",
    .example = "flt results show 3    (or `last`)",
    .options = options,
    .min_words = 1,
    .max_words = 1,
    .run = run};
