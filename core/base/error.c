// SPDX-License-Identifier: MIT
// The thread-local sentence and the table made from the one list of codes.
#include "flt/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct row {
    const char *name, *text;
    int status;
} row;

#define ROW(name, status, text) {#name, text, status},
static const row rows[] = {FLTX_ERRORS(ROW)};
#undef ROW

static _Thread_local char sentence[1024];

// Sentences quote files and command lines: whatever those hold, a sentence stays one line and moves no terminal.
static void store(const char *text) {
    size_t i = 0;
    for (; text[i] != '\0'; i++) sentence[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    sentence[i] = '\0';
}

flt_err flt_fail(flt_err code, const char *who, const char *format, ...) {
    char text[sizeof sentence]; // arguments may point into the old sentence
    int n = snprintf(text, sizeof text, "%s: ", who);
    if (n < 0 || (size_t)n >= sizeof text) n = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    va_end(args);
    store(text);
    return code;
}

flt_err flt_context(flt_err code, const char *format, ...) {
    char text[sizeof sentence]; // arguments may point into the old sentence
    const size_t n = strlen(sentence);
    memcpy(text, sentence, n);
    va_list args;
    va_start(args, format);
    if (n + 2 < sizeof text) {
        memcpy(text + n, "; ", 2);
        vsnprintf(text + n + 2, sizeof text - n - 2, format, args);
        store(text);
    }
    va_end(args);
    return code;
}

flt_err flt_given(const char *who, const char *names, const bool *given) {
    for (; *given; given++) {
        names = strchr(names, ',');
        if (names == NULL) return FLTE_OK;
        names += strspn(names, ", ");
    }
    return flt_fail(FLTE_USAGE, who, "%.*s is NULL", (int)strcspn(names, ","), names);
}

static const row *find(flt_err code) {
    static const row unknown = {"FLTE_UNKNOWN", "unknown error", 3};
    return (unsigned)code < FLTX_N_ERRORS ? &rows[code] : &unknown;
}

flt_err flt_error_restore(flt_err code, const char *kept) {
    char text[sizeof sentence];
    snprintf(text, sizeof text, "%s", kept);
    store(text);
    return code;
}

const char *flt_error(void) {
    return sentence;
}
const char *flt_err_text(flt_err code) {
    return find(code)->text;
}
const char *flt_err_name(flt_err code) {
    return find(code)->name;
}
int flt_err_status(flt_err code) {
    return find(code)->status;
}
void flt_error_clear(void) {
    sentence[0] = '\0';
}
