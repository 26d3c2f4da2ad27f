// SPDX-License-Identifier: MIT
// flt results report: one HTML file about the whole store.
#include "results/sub.h"

static const struct argp_option options[] = {{"output", FLTX_SUB_OUTPUT, "FILE", 0, "the file to write (default report.html)", 1},
                                             {0}};

static flt_err run(const flt_sub_input *in, flt_store *store) {
    const char *path = in->output == NULL ? "report.html" : in->output;
    FLTX_TRY(flt_store_report(store, path));
    if (!in->common.quiet) fprintf(stderr, "%s is written\n", path);
    return FLTE_OK;
}

const flt_sub flt_sub_report = {.name = "report",
                                .summary = "Writes one self-contained HTML file about the whole store",
                                .example = "flt results report -o report.html\n"
                                           "It asks nothing of the network; tables sort and filter where scripts may run.",
                                .options = options,
                                .run = run};
