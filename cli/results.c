// SPDX-License-Identifier: MIT
// flt results list | show RUN | sql "SELECT ..": what was run, and how it went.
#include "engine/args.h"
#include "engine/session.h"
#include "engine/table.h"
#include "engine/verb.h"

#include <stdio.h>
#include <string.h>

enum { KEY_LIMIT = FLTX_KEY_VERB, KEY_CSV };

typedef struct input {
    flt_common common;
    const char *what, *argument;
    size_t limit;
    bool csv;
} input;

static const struct argp_option options[] = {
    {"limit", KEY_LIMIT, "N", 0, "list: the N newest runs (default 20)", 1},
    {"csv", KEY_CSV, NULL, 0, "print CSV instead of a table", 1},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state) {
    input *in = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &in->common;
        return 0;
    case KEY_LIMIT:
        in->limit = (size_t)flt_arg_int(state, "limit", arg, 1, 1000000000);
        return 0;
    case KEY_CSV:
        in->csv = true;
        return 0;
    case ARGP_KEY_ARG:
        if (in->what == NULL)
            in->what = arg;
        else if (in->argument == NULL)
            in->argument = arg;
        else
            argp_error(state, "'%s': one argument too many (quote the SQL text)", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// Collects a result set; the table is made with the first row's names.
typedef struct collector {
    flt_table *table;
    flt_err err;
} collector;

static bool collect(void *user, size_t n, const char *const *names, const char *const *values) {
    collector *c = user;
    if (c->table == NULL) c->err = flt_table_create(n, names, &c->table);
    if (c->err == FLTE_OK) c->err = flt_table_row(c->table, values);
    return c->err == FLTE_OK;
}

static flt_format format_of(const input *in) {
    return in->common.json ? FLTX_TABLE_JSON : in->csv ? FLTX_TABLE_CSV : FLTX_TABLE_AUTO;
}

static flt_err print_rows(const input *in, collector *c, flt_err err) {
    if (err == FLTE_OK) err = c->err;
    if (err == FLTE_OK && c->table != NULL) err = flt_table_print(c->table, format_of(in), stdout);
    if (err == FLTE_OK && c->table == NULL && in->common.json) printf("[]\n");
    const bool empty = c->table == NULL;
    flt_table_destroy(c->table);
    *c = (collector){0};
    if (err == FLTE_OK && empty && !in->common.json && !in->common.quiet) fprintf(stderr, "(no rows)\n");
    return err;
}

static flt_err show(const input *in, flt_store *store) {
    static const char *const parts[] = {"run", "params", "metrics", "checks", "ladder", "evaluations", "artifacts"};
    long long run = 0;
    FLTX_TRY(flt_parse_int("results show", in->argument, &run));
    if (in->common.json) printf("{\n");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        collector c = {0};
        flt_err err = flt_store_show(store, run, parts[i], collect, &c);
        const bool any = c.table != NULL;
        if (in->common.json)
            printf("%s\"%s\": ", i > 0 ? ", " : "", parts[i]);
        else if (any && err == FLTE_OK)
            printf("%s%s\n", i > 0 ? "\n" : "", parts[i]);
        if (err == FLTE_OK && !any && !in->common.json) continue;
        FLTX_TRY(print_rows(in, &c, err));
    }
    if (in->common.json) printf("}\n");
    return FLTE_OK;
}

static flt_err answer(const input *in, flt_store *store) {
    collector c = {0};
    if (strcmp(in->what, "show") == 0) return show(in, store);
    if (strcmp(in->what, "sql") == 0) return print_rows(in, &c, flt_store_sql(store, in->argument, collect, &c));
    return print_rows(in, &c, flt_store_list(store, in->limit, collect, &c));
}

static flt_err check_usage(const input *in) {
    static const char *const names[] = {"list", "show", "sql", NULL};
    for (size_t i = 0; names[i] != NULL; i++)
        if (strcmp(in->what, names[i]) == 0) {
            if (i == 0 && in->argument != NULL)
                return flt_fail(FLTE_USAGE, "results list", "'%s': it takes no argument", in->argument);
            if (i == 1 && in->argument == NULL)
                return flt_fail(FLTE_USAGE, "results show", "give the number of a run (see `flt results list`)");
            if (i == 2 && in->argument == NULL) return flt_fail(FLTE_USAGE, "results sql", "give a SELECT in quotes");
            return FLTE_OK;
        }
    const char *near = flt_nearest(in->what, names);
    return flt_fail(FLTE_NAME, "results", "'%s' is unknown%s%s%s; valid names: list, show, sql", in->what,
                    near == NULL ? "" : "; did you mean '", near == NULL ? "" : near, near == NULL ? "" : "'?");
}

static int run(int argc, char **argv) {
    static const struct argp_child children[] = {{&flt_common_argp, 0, "Common options", 9}, {0}};
    static const struct argp argp = {options,
                                     parse,
                                     "[list | show RUN | sql \"SELECT ..\"]",
                                     "Queries the results store. It is plain SQLite: any other tool may open it as well.\v"
                                     "example: flt results show 3\n         flt results sql \"SELECT optimizer, task, final_loss "
                                     "FROM evaluation ORDER BY final_loss\"",
                                     children,
                                     NULL,
                                     NULL};
    input in = {.common = flt_common_defaults(), .what = NULL, .limit = 20};
    flt_store *store = NULL;
    flt_parse(&argp, argc, argv, &in);
    if (in.what == NULL) in.what = "list";
    flt_err err = check_usage(&in);
    if (err == FLTE_OK) err = flt_store_open(in.common.db, FLTX_STORE_READ, &store);
    if (err == FLTE_OK) err = answer(&in, store);
    const int status = flt_report("results", err);
    flt_store_close(store);
    return status;
}

const flt_verb_kind flt_verb_kind_results = {
    .kind = {.name = "results", .summary = "what was run, and how it went: list, show, sql"}, .run = run};
