// SPDX-License-Identifier: MIT
// flt results import FILE..: merges the runs of other stores into this one.
#include "results/sub.h"

static flt_err run(const flt_sub_input *in, flt_store *store) {
    for (size_t i = 0; i < in->n_words; i++) {
        flt_import n;
        FLTX_TRY(flt_store_import(store, in->words[i], &n));
        if (in->common.json)
            printf("{\"file\": %zu, \"added\": %lld, \"updated\": %lld, \"known\": %lld}\n", i + 1, n.added, n.updated, n.known);
        else
            printf("%s: %lld run%s added, %lld brought up to date, %lld known already\n", in->words[i], n.added,
                   n.added == 1 ? "" : "s", n.updated, n.known);
    }
    return FLTE_OK;
}

const flt_sub flt_sub_import = {.name = "import",
                                .arguments = "FILE..",
                                .summary = "Merges the runs of other stores into this one, none twice",
                                .example =
                                    "flt results import worker1.db worker2.db\n"
                                    "Runs are told apart by their uuid: importing a file again brings its runs up to date.",
                                .min_words = 1,
                                .max_words = FLTX_SUB_WORDS,
                                .mode = FLTX_STORE_WRITE,
                                .creates = true,
                                .run = run};
