// SPDX-License-Identifier: MIT
#include "engine/summary.h"

#include "flt/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LINES = 64 };
enum { SLOPE_M, SLOPE_R, TIME, BYTES, BYTES_EXPONENT, CROSSOVER, VALUES };
static const char *const labels[VALUES] = {"slope in m",      "slope in r",         "time exponent",
                                           "workspace bytes", "workspace exponent", "crossover N*"};

typedef struct line {
    char mechanism[32];
    double worst;          // ratio; NaN: none was formed
    double values[VALUES]; // NaN: not measured
    char interval[2][48];  // of the slopes
    char at[96];           // the last cell of the ladder, and sums over its seeds
    double seeds, total, mask, kernel;
    bool measured;
} line;

struct flt_summary {
    size_t n;
    line lines[MAX_LINES];
};

const flt_field *flt_field_find(size_t n, const flt_field *fields, const char *name) {
    static const flt_field none = {"", true, 0.0, ""};
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].name, name) == 0) return &fields[i];
    return &none;
}

flt_err flt_summary_create(flt_summary **out) {
    return flt_alloc(1, sizeof **out, out);
}

void flt_summary_destroy(flt_summary *s) {
    flt_free(s);
}

static line *line_of(flt_summary *s, const char *mechanism) {
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->lines[i].mechanism, mechanism) == 0) return &s->lines[i];
    if (s->n == MAX_LINES) return NULL;
    line *l = &s->lines[s->n++];
    *l = (line){.worst = NAN};
    snprintf(l->mechanism, sizeof l->mechanism, "%s", mechanism);
    for (size_t i = 0; i < VALUES; i++) l->values[i] = NAN;
    return l;
}

// Statistics carry what they were held against; ratios do not.
static void add_check(line *l, size_t n, const flt_field *fields) {
    static const char prefix[] = "95 % interval ";
    const char *label = flt_field_find(n, fields, "label")->text, *detail = flt_field_find(n, fields, "detail")->text;
    for (size_t i = 0; i < VALUES; i++) {
        if (strcmp(labels[i], label) != 0) continue;
        l->values[i] = flt_field_find(n, fields, "value")->number;
        l->measured = true;
        if (i <= SLOPE_R && strncmp(detail, prefix, sizeof prefix - 1) == 0)
            snprintf(l->interval[i], sizeof l->interval[i], "%s", detail + sizeof prefix - 1);
    }
    if (flt_field_find(n, fields, "value")->name[0] != '\0') return;
    const double ratio = flt_field_find(n, fields, "ratio")->number;
    if (!(ratio <= l->worst)) l->worst = ratio;
}

// The last cell of the grid has the largest sizes; its seeds follow each other.
static void add_ladder(line *l, size_t n, const flt_field *fields) {
    char at[sizeof l->at];
    snprintf(at, sizeof at, "%s N=%g m=%g r=%g", flt_field_find(n, fields, "encoding")->text,
             flt_field_find(n, fields, "n")->number, flt_field_find(n, fields, "m")->number,
             flt_field_find(n, fields, "r")->number);
    if (strcmp(at, l->at) != 0) {
        snprintf(l->at, sizeof l->at, "%s", at);
        l->seeds = l->total = l->mask = l->kernel = 0.0;
    }
    l->measured = true;
    l->seeds += 1.0;
    l->total += flt_field_find(n, fields, "error_total")->number;
    l->mask += flt_field_find(n, fields, "error_mask")->number;
    l->kernel += flt_field_find(n, fields, "error_kernel")->number;
}

flt_err flt_summary_add(flt_summary *s, const char *kind, size_t n, const flt_field *fields) {
    const bool check = strcmp(kind, "check") == 0;
    if (!check && strcmp(kind, "ladder") != 0) return FLTE_OK;
    line *l = line_of(s, flt_field_find(n, fields, "mechanism")->text);
    if (l == NULL) return FLTE_OK; // names that checks give to what is no mechanism
    if (check)
        add_check(l, n, fields);
    else
        add_ladder(l, n, fields);
    return FLTE_OK;
}

static const char *cell(double x) {
    return isnan(x) ? NULL : flt_number(x);
}

flt_err flt_summary_table(const flt_summary *s, flt_table **out) {
    static const char *const names[] = {"mechanism",     "worst_ratio", "error",   "mask",       "kernel",        "at",
                                        "slope_m",       "slope_m_95",  "slope_r", "slope_r_95", "time_exponent", "work_KiB",
                                        "work_exponent", "N_star"};
    FLTX_TRY(flt_table_create(sizeof names / sizeof *names, names, out));
    for (size_t i = 0; i < s->n; i++) {
        const line *l = &s->lines[i];
        const double *v = l->values, seeds = l->seeds > 0.0 ? l->seeds : NAN;
        if (!l->measured) continue;
        const char *cells[] = {
            l->mechanism,  cell(l->worst),          cell(l->total / seeds),  cell(l->mask / seeds), cell(l->kernel / seeds),
            l->at,         cell(v[SLOPE_M]),        l->interval[0],          cell(v[SLOPE_R]),      l->interval[1],
            cell(v[TIME]), cell(v[BYTES] / 1024.0), cell(v[BYTES_EXPONENT]), cell(v[CROSSOVER])};
        FLTX_TRY(flt_table_row(*out, cells));
    }
    return FLTE_OK;
}
