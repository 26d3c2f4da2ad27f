// SPDX-License-Identifier: MIT
// Rows of a statement as text. Real numbers get the fewest digits that bring the same bits back.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

enum { NUMBER = 32 };

typedef struct row_text {
    size_t n;
    const char **names, **values;
    char *types;             // [n + 1]
    char (*numbers)[NUMBER]; // [n]
    char **blobs;            // [n], hexadecimal
} row_text;

static flt_err row_text_create(sqlite3_stmt *st, row_text *r) {
    const size_t n = (size_t)sqlite3_column_count(st);
    *r = (row_text){.n = n};
    FLTX_TRY(flt_alloc(n, sizeof *r->names, &r->names));
    FLTX_TRY(flt_alloc(n, sizeof *r->values, &r->values));
    FLTX_TRY(flt_alloc(n + 1, 1, &r->types));
    FLTX_TRY(flt_alloc(n, sizeof *r->numbers, &r->numbers));
    FLTX_TRY(flt_alloc(n, sizeof *r->blobs, &r->blobs));
    for (size_t i = 0; i < n; i++) {
        r->names[i] = sqlite3_column_name(st, (int)i);
        if (r->names[i] == NULL) return flt_fail(FLTE_NOMEM, "results", "out of memory for the names of columns");
    }
    return FLTE_OK;
}

static void row_text_free(row_text *r) {
    for (size_t i = 0; r->blobs != NULL && i < r->n; i++) flt_free(r->blobs[i]);
    flt_free(r->blobs);
    flt_free(r->numbers);
    flt_free(r->types);
    flt_free(r->values);
    flt_free(r->names);
}

// As "%lld": a million rows are many numbers.
static char *print_int(long long x, char *out) {
    char digits[24];
    size_t n = 0;
    unsigned long long rest = x < 0 ? 0ULL - (unsigned long long)x : (unsigned long long)x;
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (x < 0) *out++ = '-';
    while (n > 0) *out++ = digits[--n];
    *out = 0;
    return out;
}

static void print_real(double x, char *out) {
    if (x == floor(x) && fabs(x) < 1e15 && (x != 0 || !signbit(x))) {
        strcpy(print_int((long long)x, out), ".0");
        return;
    }
    if (isnan(x))
        snprintf(out, NUMBER, "nan");
    else if (isinf(x))
        snprintf(out, NUMBER, x > 0 ? "inf" : "-inf");
    for (int digits = 15; isfinite(x) && digits <= 17; digits++) {
        snprintf(out, NUMBER, "%.*g", digits, x);
        if (strtod(out, NULL) == x) break;
    }
    if (isfinite(x) && strspn(out, "-0123456789") == strlen(out)) strcat(out, ".0"); // a real stays one
}

static flt_err print_blob(sqlite3_stmt *st, int i, char **out) {
    static const char digit[] = "0123456789abcdef";
    const unsigned char *bytes = sqlite3_column_blob(st, i);
    const size_t n = (size_t)sqlite3_column_bytes(st, i);
    flt_free(*out);
    FLTX_TRY(flt_alloc(2 * n + 1, 1, out));
    for (size_t k = 0; k < n; k++) {
        (*out)[2 * k] = digit[bytes[k] >> 4];
        (*out)[2 * k + 1] = digit[bytes[k] & 15];
    }
    return FLTE_OK;
}

static flt_err print_cell(sqlite3_stmt *st, int i, row_text *r) {
    char *number = r->numbers[i];
    r->values[i] = number;
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_NULL:
        r->types[i] = 'n';
        r->values[i] = NULL;
        return FLTE_OK;
    case SQLITE_INTEGER:
        r->types[i] = 'i';
        print_int(sqlite3_column_int64(st, i), number);
        return FLTE_OK;
    case SQLITE_FLOAT:
        r->types[i] = 'r';
        print_real(sqlite3_column_double(st, i), number);
        return FLTE_OK;
    case SQLITE_BLOB:
        r->types[i] = 'b';
        FLTX_TRY(print_blob(st, i, &r->blobs[i]));
        r->values[i] = r->blobs[i];
        return FLTE_OK;
    default:
        r->types[i] = 't';
        r->values[i] = (const char *)sqlite3_column_text(st, i);
        return r->values[i] == NULL ? flt_fail(FLTE_NOMEM, "results", "out of memory for a row") : FLTE_OK;
    }
}

flt_err flt_rows_emit(flt_store *s, sqlite3_stmt *st, flt_row_fn row, void *user, int *rc, size_t *rows) {
    row_text r;
    flt_err err = row_text_create(st, &r);
    bool more = err == FLTE_OK;
    *rc = SQLITE_OK;
    while (more && (*rc = sqlite3_step(st)) == SQLITE_ROW) {
        for (size_t i = 0; i < r.n && err == FLTE_OK; i++) err = print_cell(st, (int)i, &r);
        if (err != FLTE_OK) break;
        if (rows != NULL) ++*rows;
        s->types = r.types;
        more = row == NULL || row(user, r.n, r.names, r.values);
    }
    s->types = "";
    row_text_free(&r);
    return err;
}

const char *flt_store_types(const flt_store *s) {
    return s->types;
}
