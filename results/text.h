// SPDX-License-Identifier: MIT
// A growing text, alone or with the values that are bound to it as SQL. Failures stick: callers check `err` once, at the end.
#ifndef FLTX_RESULTS_TEXT_H
#define FLTX_RESULTS_TEXT_H

#include <sqlite3.h>
#include <stddef.h>

#include "flt/error.h"

typedef struct flt_text {
    char *data; // never NULL after the first append; freed with flt_free
    size_t used, size;
    flt_err err;
} flt_text;

void flt_text_append(flt_text *t, const char *piece, size_t bytes);
void flt_text_add(flt_text *t, const char *piece);
void flt_text_print(flt_text *t, const char *format, ...) FLTX_PRINTF(2, 3);

// ---- SQL whose values are bound, never part of the text: each bind adds one '?'
enum { FLTX_MAX_BINDS = 1024 };
typedef struct flt_bind {
    bool is_text;
    double number;
    const char *text; // borrowed
} flt_bind;
typedef struct flt_query {
    flt_text sql;
    size_t n_binds;
    flt_bind binds[FLTX_MAX_BINDS];
} flt_query;

void flt_query_add(flt_query *q, const char *sql);             // text of ours alone
void flt_query_identifier(flt_query *q, const char *name);     // "name" with its quotes doubled
void flt_query_bind_text(flt_query *q, const char *text);      // '?'
void flt_query_bind_number(flt_query *q, double number);       // '?'
void flt_query_bind_all(const flt_query *q, sqlite3_stmt *st); // the values of a prepared statement

#endif
