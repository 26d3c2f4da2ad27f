// SPDX-License-Identifier: MIT
// The verbs of `flt results`: one file each in this folder, listed in subs.c.
#ifndef FLTX_CLI_RESULTS_SUB_H
#define FLTX_CLI_RESULTS_SUB_H

#include "engine/args.h"
#include "engine/session.h"
#include "engine/table.h"
#include "flt/results_ask.h"

enum { FLTX_SUB_WORDS = 64 };

// Keys of the options; a verb lists those it takes.
enum {
    FLTX_SUB_OUTPUT = 'o',
    FLTX_SUB_CSV = FLTX_KEY_VERB,
    FLTX_SUB_LIMIT,
    FLTX_SUB_KIND,
    FLTX_SUB_TASK,
    FLTX_SUB_OPTIMIZER,
    FLTX_SUB_MECHANISM,
    FLTX_SUB_SINCE,
    FLTX_SUB_STATUS,
    FLTX_SUB_TAG,
    FLTX_SUB_WHERE,
    FLTX_SUB_SORT,
    FLTX_SUB_YES,
    FLTX_SUB_REMOVE,
    FLTX_SUB_FORMAT,
    FLTX_SUB_METRIC,
    FLTX_SUB_TABLE,
};

typedef struct flt_sub_input {
    flt_common common; // first: the parser of the common options fills it
    flt_run_filter filter;
    bool csv, yes, remove;
    bool exact; // numbers keep their digits where the output is no terminal
    const char *output, *format, *metric, *table;
    size_t n_words;
    const char *words[FLTX_SUB_WORDS]; // plain arguments
} flt_sub_input;

typedef struct flt_sub {
    const char *name, *arguments, *summary, *example;
    const struct argp_option *options;
    size_t min_words, max_words;
    int mode;     // FLTX_STORE_READ, FLTX_STORE_WRITE
    bool creates; // a store that is not there
    size_t limit;
    bool exact; // see flt_sub_input
    flt_err (*run)(const flt_sub_input *in, flt_store *store);
} flt_sub;

extern const flt_sub *const flt_subs[]; // ends with NULL
// Parses, opens the store, runs; the exit status.
int flt_sub_main(const flt_sub *sub, int argc, char **argv);

// ---- rows.c: result sets as tables
typedef struct flt_collector {
    flt_table *table; // made with the first row's names
    flt_err err;
} flt_collector;
bool flt_collect(void *user, size_t n, const char *const *names, const char *const *values);
// Prints what was collected as the input asks, or "(no rows)" on stderr, and frees it.
flt_err flt_print_rows(const flt_sub_input *in, flt_collector *c, flt_err err);

#endif
