// SPDX-License-Identifier: MIT
// flt results export [TABLE]: the rows of one table or view, or of all tables, as CSV, JSON or one JSON object a line.
#include "flt/tensorfile.h"
#include "results/sub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct argp_option options[] = {
    {"format", FLTX_SUB_FORMAT, "FORMAT", 0, "csv (one table), json or jsonl (default: csv for a table, json for all)", 1},
    {"output", 'o', "FILE", 0, "where to (default: standard output)", 1},
    {0},
};

typedef enum format { CSV, JSON, JSONL } format;

typedef struct writer {
    FILE *to;
    format format;
    const flt_store *store;
    const char *table; // named in each line of JSONL when all tables are written
    size_t rows;
} writer;

static void json_text(FILE *to, const char *text) {
    fputc('"', to);
    for (const unsigned char *p = (const unsigned char *)text; *p != 0; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(to, "\\%c", *p);
        else if (*p < 0x20)
            fprintf(to, "\\u%04x", *p);
        else
            putc_unlocked(*p, to);
    }
    fputc('"', to);
}

static void csv_text(FILE *to, const char *text) {
    const bool quote = strpbrk(text, ",\"\r\n") != NULL;
    if (quote) fputc('"', to);
    for (; *text != 0; text++) {
        if (*text == '"') putc_unlocked('"', to);
        putc_unlocked(*text, to);
    }
    if (quote) fputc('"', to);
}

// Cells of the types 't' and 'b' may need quotes.
static void csv_line(FILE *to, size_t n, const char *const *cells, const char *types) {
    for (size_t i = 0; i < n; i++) {
        if (i > 0) putc_unlocked(',', to);
        if (cells[i] != NULL && (types == NULL || types[i] == 't'))
            csv_text(to, cells[i]);
        else if (cells[i] != NULL)
            fputs_unlocked(cells[i], to);
    }
    fputs_unlocked("\r\n", to);
}

static bool goes_on(const writer *w) {
    return ferror(w->to) == 0 && !flt_signals_stopped();
}

static bool write_row(void *user, size_t n, const char *const *names, const char *const *values) {
    writer *w = user;
    const char *types = flt_store_types(w->store);
    if (w->format == CSV && w->rows == 0) csv_line(w->to, n, names, NULL);
    if (w->format == JSON) fputs(w->rows == 0 ? "[\n  " : ",\n  ", w->to); // a refused table leaves no bracket
    w->rows++;
    if (w->format == CSV) {
        csv_line(w->to, n, values, types);
        return goes_on(w);
    }
    fputc('{', w->to);
    if (w->format == JSONL && w->table != NULL) fprintf(w->to, "\"table\": \"%s\", ", w->table);
    for (size_t i = 0; i < n; i++) {
        const bool number = types[i] == 'i' || (types[i] == 'r' && strpbrk(values[i], "nN") == NULL);
        if (i > 0) fputs(", ", w->to);
        json_text(w->to, names[i]);
        fputs(": ", w->to);
        if (values[i] == NULL || number)
            fputs(values[i] == NULL ? "null" : values[i], w->to);
        else
            json_text(w->to, values[i]);
    }
    fputs(w->format == JSONL ? "}\n" : "}", w->to);
    return goes_on(w);
}

static flt_err write_table(writer *w, flt_store *store, const char *table) {
    w->rows = 0;
    FLTX_TRY(flt_store_table(store, table, write_row, w));
    if (w->format == JSON && w->rows == 0) fputc('[', w->to);
    if (w->format == JSON) fputs(w->rows == 0 ? "]" : "\n]", w->to);
    return FLTE_OK;
}

typedef struct table_names {
    size_t n;
    char name[64][64];
} table_names;

static bool add_table(void *user, size_t n, const char *const *names, const char *const *values) {
    table_names *t = user;
    (void)n, (void)names;
    if (strcmp(values[1], "table") == 0 && t->n < 64) snprintf(t->name[t->n++], sizeof *t->name, "%s", values[0]);
    return true;
}

static flt_err write_all(writer *w, flt_store *store) {
    table_names t = {0};
    FLTX_TRY(flt_store_schema(store, add_table, &t));
    if (w->format == JSON) fputs("{", w->to);
    for (size_t i = 0; i < t.n; i++) {
        w->table = t.name[i];
        if (w->format == JSON) fprintf(w->to, "%s\n\"%s\": ", i == 0 ? "" : ",", t.name[i]);
        FLTX_TRY(write_table(w, store, t.name[i]));
    }
    if (w->format == JSON) fputs("\n}", w->to);
    return FLTE_OK;
}

static flt_err choose_format(const flt_sub_input *in, format *out) {
    static const char *const names[] = {"csv", "json", "jsonl", NULL};
    *out = in->n_words > 0 && !in->common.json ? CSV : JSON;
    if (in->format == NULL) return FLTE_OK;
    for (size_t i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], in->format) == 0) {
            *out = (format)i;
            if (*out != CSV || in->n_words > 0) return FLTE_OK;
            return flt_fail(FLTE_USAGE, "export", "CSV holds one table: name it; `flt results schema` lists them");
        }
    return flt_fail(FLTE_NAME, "export", "--format '%s' is unknown; valid: csv, json, jsonl", in->format);
}

static flt_err write_to(const flt_sub_input *in, flt_store *store, writer *w, const char *name) {
    flt_err err = in->n_words > 0 ? write_table(w, store, in->words[0]) : write_all(w, store);
    if (err == FLTE_OK && w->format == JSON) fputc('\n', w->to);
    const bool written = fflush(w->to) == 0 && ferror(w->to) == 0;
    if (err == FLTE_OK && w->to == stdout) return FLTE_OK; // what is lost is told at the end, unless the reader had enough
    const bool closed = fclose(w->to) == 0;
    if (err == FLTE_OK && !(written && closed)) err = flt_fail(FLTE_IO, "export", "%s: could not be written whole", name);
    return err;
}

// A file that is there is replaced at once, or stays; behind a symbolic link, which stays one.
static flt_err replace(const flt_sub_input *in, flt_store *store, writer *w, const char *path) {
    char temporary[4096];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid()) >= sizeof temporary)
        return flt_fail(FLTE_IO, "export", "the name of the file is too long");
    w->to = fopen(temporary, "we");
    if (w->to == NULL) return flt_fail(FLTE_IO, "export", "%s: cannot be written: %s", in->output, strerror(errno));
    flt_signals_listen(); // a stop leaves no temporary file
    flt_err err = write_to(in, store, w, in->output);
    if (err == FLTE_OK && flt_signals_stopped())
        err = flt_fail(FLTE_INTERRUPTED, "export", "stopped on request; %s is as it was", in->output);
    if (err == FLTE_OK && rename(temporary, path) != 0)
        err = flt_fail(FLTE_IO, "export", "%s: cannot be written: %s", in->output, strerror(errno));
    if (err != FLTE_OK) unlink(temporary);
    return err;
}

static flt_err run(const flt_sub_input *in, flt_store *store) {
    writer w = {.to = stdout, .store = store};
    FLTX_TRY(choose_format(in, &w.format));
    if (in->output == NULL) return write_to(in, store, &w, "standard output");
    FLTX_TRY(flt_write_possible(in->output));
    char *real = realpath(in->output, NULL);
    const flt_err err = replace(in, store, &w, real == NULL ? in->output : real);
    free(real);
    return err;
}

const flt_sub flt_sub_export = {.name = "export",
                                .arguments = "[TABLE]",
                                .summary = "Writes a table or view, or all tables: CSV, JSON, JSON lines",
                                .example = "flt results export leaderboard -o leaderboard.csv\n"
                                           "  flt results export metrics --format jsonl | head\n"
                                           "  flt results export -o everything.json",
                                .options = options,
                                .max_words = 1,
                                .run = run};
