// SPDX-License-Identifier: MIT
// flt results schema [TABLE]: the tables and views, a sentence each; the columns of one.
#include "results/sub.h"

#include <string.h>

static const struct argp_option options[] = {{"csv", FLTX_SUB_CSV, NULL, 0, "print CSV instead of a table", 1}, {0}};

typedef struct filter {
    flt_collector all;
    const char *table; // NULL: all, without their columns
    bool columns;
} filter;

static bool collect(void *user, size_t n, const char *const *names, const char *const *values) {
    filter *f = user;
    static const size_t brief[] = {0, 1, 3};
    if (f->table != NULL && strcmp(values[0], f->table) != 0) return true;
    if (f->columns) return flt_collect(&f->all, n, names, values);
    const char *some_names[3], *some[3];
    for (size_t i = 0; i < 3; i++) some_names[i] = names[brief[i]], some[i] = values[brief[i]];
    return flt_collect(&f->all, 3, some_names, some);
}

static flt_err run(const flt_sub_input *in, flt_store *store) {
    filter f = {.table = in->n_words > 0 ? in->words[0] : NULL, .columns = in->n_words > 0 || in->common.json || in->csv};
    flt_err err = flt_store_schema(store, collect, &f);
    if (err == FLTE_OK && f.table != NULL && f.all.table == NULL)
        err = flt_fail(FLTE_NAME, "results", "there is no table or view '%s'; `flt results schema` lists them", f.table);
    return flt_print_rows(in, &f.all, err);
}

const flt_sub flt_sub_schema = {.name = "schema",
                                .arguments = "[TABLE]",
                                .summary = "Says what each table and view holds",
                                .example = "flt results schema                             tables and views\n"
                                           "  flt results schema leaderboard                 the columns of one",
                                .options = options,
                                .max_words = 1,
                                .run = run};
