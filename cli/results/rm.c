// SPDX-License-Identifier: MIT
// flt results rm RUN..: removes runs with all their rows; asks on a terminal, needs --yes elsewhere.
#include "results/sub.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct argp_option options[] = {{"yes", FLTX_SUB_YES, NULL, 0, "do not ask", 1}, {0}};

static bool print_cells(void *user, size_t n, const char *const *names, const char *const *values) {
    (void)user, (void)names;
    for (size_t i = 0; i < n; i++) fprintf(stderr, "%s%s", i == 0 ? "remove " : " ", values[i] == NULL ? "" : values[i]);
    fprintf(stderr, " ? [y/N] ");
    return false;
}

static flt_err confirmed(flt_store *store, long long number, bool *yes) {
    char where[64], answer[16] = "";
    snprintf(where, sizeof where, "run = %lld", number);
    const flt_run_filter f = {.where = where};
    FLTX_TRY(flt_store_find(store, &f, print_cells, NULL));
    *yes = fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
    return FLTE_OK;
}

static flt_err run(const flt_sub_input *in, flt_store *store) {
    if (!in->yes && !isatty(STDIN_FILENO))
        return flt_fail(FLTE_USAGE, "rm", "there is no terminal to ask on; --yes removes without asking");
    for (size_t i = 0; i < in->n_words; i++) {
        long long number = 0;
        bool yes = in->yes;
        if (strncmp(in->words[i], "last", 4) == 0)
            return flt_fail(FLTE_USAGE, "rm", "'%s' changes while one looks away; allowed here: the number", in->words[i]);
        FLTX_TRY(flt_store_run_of(store, "rm", in->words[i], &number));
        if (!yes) FLTX_TRY(confirmed(store, number, &yes));
        if (yes) FLTX_TRY(flt_store_remove(store, number));
    }
    return FLTE_OK;
}

const flt_sub flt_sub_rm = {.name = "rm",
                            .arguments = "RUN..",
                            .summary = "Removes runs with all their rows; asks, or takes --yes",
                            .example = "flt results rm 3                               asks on a terminal\n"
                                       "  flt results rm --yes 3 4                       for scripts\n"
                                       "Numbers of runs are never given twice.",
                            .options = options,
                            .min_words = 1,
                            .max_words = FLTX_SUB_WORDS,
                            .mode = FLTX_STORE_WRITE,
                            .run = run};
