// SPDX-License-Identifier: MIT
#include "engine/fidelity.h"

#include "engine/table.h"
#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct printer {
    bool json;
    size_t groups;
} printer;

static const char *cell(double x) {
    return isnan(x) ? NULL : flt_number(x);
}

static int by_time(const void *a, const void *b) {
    const flt_fidelity_row *x = a, *y = b;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static flt_err fill_rows(const flt_fidelity_group *g, const flt_fidelity_row *rows, flt_table *t) {
    for (size_t i = 0; i < g->n_rows; i++) {
        const flt_fidelity_row *r = &rows[i];
        const char *cells[] = {r->best ? "*" : r->published ? "p" : "",
                               r->mechanism,
                               r->options,
                               r->m > 0 ? flt_number((double)r->m) : NULL,
                               r->r > 0 ? flt_number((double)r->r) : NULL,
                               cell(r->error),
                               cell(r->worst),
                               cell(1e3 * r->seconds),
                               cell(g->seconds_exact / r->seconds),
                               cell(r->bytes / 1024.0)};
        FLTX_TRY(flt_table_row(t, cells));
    }
    return FLTE_OK;
}

static flt_err fill_ratios(const flt_fidelity_group *g, flt_table *t) {
    for (size_t i = 0; i < g->n_ratios; i++) {
        const flt_fidelity_ratio *r = &g->ratios[i];
        const char *cells[] = {r->mechanism, r->options, cell(r->time), cell(r->error)};
        FLTX_TRY(flt_table_row(t, cells));
    }
    return FLTE_OK;
}

static void print_head(const flt_fidelity_group *g) {
    printf("%s, N=%zu, d=%zu, q and k of standard deviation %g: exact attention takes %s ms and %s KiB\n", g->encoding, g->n,
           g->d, g->scale, flt_number(1e3 * g->seconds_exact), flt_number(g->bytes_exact / 1024.0));
}

static flt_err print_text(const flt_fidelity_group *g, const flt_table *rows, const flt_table *ratios) {
    print_head(g);
    FLTX_TRY(flt_table_print(rows, FLTX_TABLE_AUTO, stdout));
    if (g->reference != NULL) {
        printf(
            "\nbeside the published recipe at m=%zu, r=%zu (error %s in %s ms): its error in this part of its time; in its time, "
            "this part of its error\n",
            g->reference->m, g->reference->r, flt_number(g->reference->error), flt_number(1e3 * g->reference->seconds));
        FLTX_TRY(flt_table_print(ratios, FLTX_TABLE_AUTO, stdout));
    }
    printf("\n");
    return FLTE_OK;
}

static flt_err print_json(const printer *p, const flt_fidelity_group *g, const flt_table *rows, const flt_table *ratios) {
    printf("%s{\"encoding\": \"%s\", \"n\": %zu, \"d\": %zu, \"sd\": %.17g, \"seconds_exact\": %.9g, \"bytes_exact\": %.17g, "
           "\"rows\": ",
           p->groups == 0 ? "" : ", ", g->encoding, g->n, g->d, g->scale, g->seconds_exact, g->bytes_exact);
    FLTX_TRY(flt_table_print(rows, FLTX_TABLE_JSON, stdout));
    printf(", \"versus_published\": ");
    FLTX_TRY(flt_table_print(ratios, FLTX_TABLE_JSON, stdout));
    printf("}");
    return FLTE_OK;
}

// With the first group: what is refused leaves standard output empty.
static void print_title(const printer *p) {
    if (p->json)
        printf("{\"fidelity\": [");
    else
        printf(
            "relative Frobenius distance from exact masked attention in double; *: nothing else has less error in less time; p: "
            "the published recipe\n\n");
}

static flt_err on_group(void *user, const flt_fidelity_group *g) {
    static const char *const row_names[] = {"best", "mechanism", "options", "m", "r", "error", "worst", "ms", "speedup", "KiB"};
    static const char *const ratio_names[] = {"mechanism", "options", "time_at_equal_error", "error_at_equal_time"};
    printer *p = user;
    flt_table *rows = NULL, *ratios = NULL;
    flt_fidelity_row *sorted = NULL;
    flt_err err = flt_alloc(g->n_rows + 1, sizeof *sorted, &sorted);
    if (err == FLTE_OK) err = flt_table_create(10, row_names, &rows);
    if (err == FLTE_OK) err = flt_table_create(4, ratio_names, &ratios);
    if (err == FLTE_OK) {
        memcpy(sorted, g->rows, g->n_rows * sizeof *sorted);
        qsort(sorted, g->n_rows, sizeof *sorted, by_time);
        err = fill_rows(g, sorted, rows);
    }
    if (err == FLTE_OK) err = fill_ratios(g, ratios);
    if (err == FLTE_OK && p->groups == 0) print_title(p);
    if (err == FLTE_OK) err = p->json ? print_json(p, g, rows, ratios) : print_text(g, rows, ratios);
    p->groups++;
    fflush(stdout);
    flt_table_destroy(ratios);
    flt_table_destroy(rows);
    flt_free(sorted);
    return err;
}

flt_err flt_fidelity_print(const flt_fidelity_config *c, const flt_common *common, flt_session *s) {
    printer p = {.json = common->json};
    const flt_err err = flt_fidelity_run(c, flt_session_sink(s), on_group, &p);
    if (p.json && p.groups > 0) printf("]}\n");
    fflush(stdout);
    if (err == FLTE_OK && !common->quiet)
        fprintf(stderr, "flt verify: %zu groups; run %lld; draw it: flt results plot --figure fidelity %lld\n", p.groups,
                flt_session_run(s), flt_session_run(s));
    return err;
}
