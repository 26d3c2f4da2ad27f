// SPDX-License-Identifier: MIT
#include "text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "flt/memory.h"

static bool reserve(flt_text *t, size_t bytes) {
    if (t->err != FLTE_OK) return false;
    if (t->used + bytes + 1 <= t->size) return true;
    char *bigger = NULL;
    const size_t size = 2 * (t->used + bytes) + 64;
    t->err = flt_alloc(size, 1, &bigger);
    if (t->err != FLTE_OK) return false;
    if (t->used > 0) memcpy(bigger, t->data, t->used);
    flt_free(t->data);
    t->data = bigger;
    t->size = size;
    return true;
}

void flt_text_append(flt_text *t, const char *piece, size_t bytes) {
    if (!reserve(t, bytes)) return;
    if (bytes > 0) memcpy(t->data + t->used, piece, bytes);
    t->used += bytes;
    t->data[t->used] = 0;
}

void flt_text_add(flt_text *t, const char *piece) {
    flt_text_append(t, piece, strlen(piece));
}

void flt_text_print(flt_text *t, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    if (n >= 0 && reserve(t, (size_t)n)) {
        vsnprintf(t->data + t->used, (size_t)n + 1, format, again);
        t->used += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void flt_query_add(flt_query *q, const char *sql) {
    flt_text_add(&q->sql, sql);
}

void flt_query_identifier(flt_query *q, const char *name) {
    flt_text_add(&q->sql, "\"");
    for (; *name != 0; name++) flt_text_append(&q->sql, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
    flt_text_add(&q->sql, "\"");
}

static void add_bind(flt_query *q, flt_bind b) {
    if (q->n_binds == FLTX_MAX_BINDS) {
        if (q->sql.err == FLTE_OK) q->sql.err = flt_fail(FLTE_USAGE, "results", "the question has too many comparisons");
        return;
    }
    q->binds[q->n_binds++] = b;
    flt_text_add(&q->sql, "?");
}

void flt_query_bind_text(flt_query *q, const char *text) {
    add_bind(q, (flt_bind){.is_text = true, .text = text});
}

void flt_query_bind_number(flt_query *q, double number) {
    add_bind(q, (flt_bind){.number = number});
}

// Whole numbers as such: so that a text column compares and prints them without a fraction.
void flt_query_bind_all(const flt_query *q, sqlite3_stmt *st) {
    for (size_t i = 0; i < q->n_binds; i++) {
        const flt_bind *b = &q->binds[i];
        if (b->is_text)
            sqlite3_bind_text(st, (int)i + 1, b->text, -1, SQLITE_STATIC);
        else if (b->number == floor(b->number) && fabs(b->number) < 9e15)
            sqlite3_bind_int64(st, (int)i + 1, (sqlite3_int64)b->number);
        else
            sqlite3_bind_double(st, (int)i + 1, b->number);
    }
}
