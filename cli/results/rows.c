// SPDX-License-Identifier: MIT
#include "results/sub.h"

#include <string.h>

bool flt_collect(void *user, size_t n, const char *const *names, const char *const *values) {
    flt_collector *c = user;
    if (c->table == NULL) c->err = flt_table_create(n, names, &c->table);
    if (c->err == FLTE_OK) c->err = flt_table_row(c->table, values);
    return c->err == FLTE_OK;
}

flt_err flt_print_rows(const flt_sub_input *in, flt_collector *c, flt_err err) {
    const flt_format format = in->common.json ? FLTX_TABLE_JSON : in->csv ? FLTX_TABLE_CSV : FLTX_TABLE_AUTO;
    if (err == FLTE_OK) err = c->err;
    if (err == FLTE_OK && c->table != NULL) err = flt_table_print(c->table, format, stdout);
    if (err == FLTE_OK && c->table == NULL && in->common.json) printf("[]\n");
    const bool empty = c->table == NULL;
    flt_table_destroy(c->table);
    *c = (flt_collector){0};
    if (err == FLTE_OK && empty && !in->common.json && !in->common.quiet) fprintf(stderr, "(no rows)\n");
    return err;
}

flt_err flt_run_of(const char *who, const char *word, long long *run) {
    *run = 0;
    if (strcmp(word, "last") == 0) return FLTE_OK;
    FLTX_TRY(flt_parse_int(who, word, run));
    return *run > 0 ? FLTE_OK : flt_fail(FLTE_USAGE, who, "'%s': runs are numbered from 1; `last` is the latest", word);
}
