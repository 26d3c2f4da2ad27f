// SPDX-License-Identifier: MIT
#include "results/sub.h"

#include <string.h>
#include <unistd.h>

bool flt_collect(void *user, size_t n, const char *const *names, const char *const *values) {
    flt_collector *c = user;
    if (c->table == NULL) c->err = flt_table_create(n, names, &c->table);
    if (c->err == FLTE_OK) c->err = flt_table_row(c->table, values);
    return c->err == FLTE_OK;
}

static flt_err print_table(const flt_sub_input *in, flt_table *t) {
    if (in->common.json) return flt_table_print(t, FLTX_TABLE_JSON, stdout);
    if (in->csv) return flt_table_print(t, FLTX_TABLE_CSV, stdout);
    const size_t dropped = in->exact && !isatty(STDOUT_FILENO) ? 0 : flt_table_fit(t, flt_terminal_width());
    FLTX_TRY(flt_table_print(t, FLTX_TABLE_ALIGNED, stdout));
    if (dropped > 0 && !in->common.quiet)
        fprintf(stderr, "(%zu more column%s: a wider terminal, --csv or --json)\n", dropped, dropped == 1 ? "" : "s");
    return FLTE_OK;
}

flt_err flt_print_rows(const flt_sub_input *in, flt_collector *c, flt_err err) {
    if (err == FLTE_OK) err = c->err;
    if (err == FLTE_OK && c->table != NULL) err = print_table(in, c->table);
    if (err == FLTE_OK && c->table == NULL && in->common.json) printf("[]\n");
    const bool empty = c->table == NULL;
    flt_table_destroy(c->table);
    *c = (flt_collector){0};
    if (err == FLTE_OK && empty && !in->common.json && !in->common.quiet) fprintf(stderr, "(no rows)\n");
    return err;
}
