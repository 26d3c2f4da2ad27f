// SPDX-License-Identifier: MIT
// flt results note RUN TEXT: writes a sentence beside a run.
#include "results/sub.h"

static flt_err run(const flt_sub_input *in, flt_store *store) {
    long long number = 0;
    FLTX_TRY(flt_store_run_of(store, "note", in->words[0], &number));
    return flt_store_note(store, number, in->words[1]);
}

const flt_sub flt_sub_note = {.name = "note",
                              .arguments = "RUN TEXT",
                              .summary = "Writes a sentence beside a run; `show` prints it",
                              .example = "flt results note 3 'the clip was too small'",
                              .min_words = 2,
                              .max_words = 2,
                              .mode = FLTX_STORE_WRITE,
                              .run = run};
