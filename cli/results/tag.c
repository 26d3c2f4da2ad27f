// SPDX-License-Identifier: MIT
// flt results tag RUN NAME..: gives words to a run, or takes them away.
#include "results/sub.h"

static const struct argp_option options[] = {{"remove", FLTX_SUB_REMOVE, NULL, 0, "take the tags away", 1}, {0}};

static flt_err run(const flt_sub_input *in, flt_store *store) {
    long long number = 0;
    FLTX_TRY(flt_store_run_of(store, "tag", in->words[0], &number));
    for (size_t i = 1; i < in->n_words; i++) FLTX_TRY(flt_store_tag(store, number, in->words[i], !in->remove));
    return FLTE_OK;
}

const flt_sub flt_sub_tag = {.name = "tag",
                             .arguments = "RUN NAME..",
                             .summary = "Gives words to a run, for `list --tag NAME`",
                             .example = "flt results tag last baseline good\n"
                                        "  flt results tag 3 good --remove",
                             .options = options,
                             .min_words = 2,
                             .max_words = FLTX_SUB_WORDS,
                             .mode = FLTX_STORE_WRITE,
                             .run = run};
