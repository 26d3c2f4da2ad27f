// SPDX-License-Identifier: MIT
#include "engine/table.h"

#include "flt/memory.h"

#include <cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { SEPARATOR = 2 }; // blanks between columns

struct flt_table {
    size_t columns, rows, room;
    char **cell; // [(1 + room) * columns]: header first
};

static flt_err copy_cells(flt_table *t, size_t row, const char *const *cells) {
    for (size_t j = 0; j < t->columns; j++)
        if (cells[j] != NULL) FLTX_TRY(flt_strdup(cells[j], &t->cell[row * t->columns + j]));
    return FLTE_OK;
}

static flt_err reserve(flt_table *t) {
    if (t->rows < t->room) return FLTE_OK;
    char **grown = NULL;
    const size_t room = t->room == 0 ? 16 : 2 * t->room;
    FLTX_TRY(flt_alloc((1 + room) * t->columns, sizeof *grown, &grown));
    if (t->cell != NULL) memcpy(grown, t->cell, (1 + t->rows) * t->columns * sizeof *grown);
    flt_free(t->cell);
    t->cell = grown;
    t->room = room;
    return FLTE_OK;
}

flt_err flt_table_create(size_t n, const char *const *names, flt_table **out) {
    flt_table *t = NULL;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *t, &t));
    t->columns = n;
    flt_err err = reserve(t);
    if (err == FLTE_OK) err = copy_cells(t, 0, names);
    if (err != FLTE_OK) {
        flt_table_destroy(t);
        return err;
    }
    *out = t;
    return FLTE_OK;
}

void flt_table_destroy(flt_table *t) {
    if (t == NULL) return;
    for (size_t i = 0; t->cell != NULL && i < (1 + t->rows) * t->columns; i++) flt_free(t->cell[i]);
    flt_free(t->cell);
    flt_free(t);
}

flt_err flt_table_row(flt_table *t, const char *const *cells) {
    FLTX_TRY(reserve(t));
    t->rows++;
    return copy_cells(t, t->rows, cells);
}

size_t flt_table_rows(const flt_table *t) {
    return t->rows;
}

static const char *cell_at(const flt_table *t, size_t row, size_t column) {
    const char *text = t->cell[row * t->columns + column];
    return text == NULL ? "" : text;
}

static bool is_number(const char *text, double *out) {
    char *end = NULL;
    if (text[0] == '\0' || strspn(text, "+-0123456789.eE") != strlen(text)) return false;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

// Characters on the screen: bytes that do not continue a UTF-8 sequence.
static size_t width_of(const char *text) {
    size_t n = 0;
    for (; *text != '\0'; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_cell(FILE *to, const char *text, size_t width, bool right, bool last) {
    const size_t pad = width - width_of(text);
    if (right)
        fprintf(to, "%*s%s", (int)pad, "", text);
    else if (last)
        fputs(text, to);
    else
        fprintf(to, "%s%*s", text, (int)pad, "");
    if (!last) fputs("  ", to);
}

static bool numeric_column(const flt_table *t, size_t column) {
    double x = 0.0;
    bool any = false;
    for (size_t i = 1; i <= t->rows; i++) {
        const char *text = cell_at(t, i, column);
        if (text[0] == '\0' || strcmp(text, "inf") == 0 || strcmp(text, "nan") == 0 || strcmp(text, "-") == 0) continue;
        if (!is_number(text, &x)) return false;
        any = true;
    }
    return any;
}

static size_t column_width(const flt_table *t, size_t column) {
    size_t width = 0;
    for (size_t i = 0; i <= t->rows; i++) {
        const size_t n = width_of(cell_at(t, i, column));
        if (n > width) width = n;
    }
    return width;
}

typedef struct shape { // of a column
    size_t width;
    bool numeric;
} shape;

static void measure(const flt_table *t, shape *column) {
    for (size_t j = 0; j < t->columns; j++) column[j] = (shape){column_width(t, j), numeric_column(t, j)};
}

// The first `keys` columns and those from `from` up to `to`.
static void print_block(const flt_table *t, const shape *column, size_t keys, size_t from, size_t to, FILE *out) {
    for (size_t i = 0; i <= t->rows; i++) {
        for (size_t j = keys > 0 ? 0 : from; j < to; j = j + 1 == keys ? from : j + 1)
            print_cell(out, cell_at(t, i, j), column[j].width, column[j].numeric, j + 1 == to);
        fputc('\n', out);
    }
}

// The texts that rows start with, as far as they leave half of a line.
static size_t count_keys(const flt_table *t, const shape *column, size_t limit, size_t *width) {
    size_t n = 0;
    *width = 0;
    while (n < t->columns && !column[n].numeric && *width + column[n].width + SEPARATOR <= limit / 2)
        *width += column[n++].width + SEPARATOR;
    return n;
}

// Lines of at most `limit` letters (0: any): what does not fit beside the first columns stands below, behind the keys again.
static flt_err print_aligned(const flt_table *t, size_t limit, FILE *out) {
    shape *column = NULL;
    size_t width = 0, keys = 0;
    FLTX_TRY(flt_alloc(t->columns, sizeof *column, &column));
    measure(t, column);
    for (size_t from = 0, to; from < t->columns; from = to) {
        size_t used = (from > 0 ? width : 0) + column[from].width;
        for (to = from + 1; to < t->columns && (limit == 0 || used + SEPARATOR + column[to].width <= limit); to++)
            used += SEPARATOR + column[to].width;
        if (from > 0) fputc('\n', out);
        print_block(t, column, from > 0 ? keys : 0, from, to, out);
        if (from == 0 && to < t->columns) keys = count_keys(t, column, limit, &width);
    }
    flt_free(column);
    return FLTE_OK;
}

// ---- fitting
static void shorten_number(char *text) {
    double x = 0.0;
    char brief[40];
    if (strpbrk(text, ".eE") == NULL || !is_number(text, &x)) return;
    snprintf(brief, sizeof brief, "%.6g", x);
    if (strlen(brief) < strlen(text)) strcpy(text, brief);
}

// Cells beyond `width` letters end with an ellipsis.
static flt_err cut_column(flt_table *t, size_t column, size_t width) {
    for (size_t i = 0; i <= t->rows; i++) {
        char *text = t->cell[i * t->columns + column], *cut = NULL;
        size_t letters = 0, bytes = 0;
        if (text == NULL || width_of(text) <= width) continue;
        while (text[bytes] != '\0' && (letters < width - 1 || ((unsigned char)text[bytes] & 0xc0) == 0x80))
            letters += ((unsigned char)text[++bytes] & 0xc0) != 0x80;
        FLTX_TRY(flt_alloc(bytes + sizeof "…", 1, &cut));
        memcpy(cut, text, bytes);
        strcpy(cut + bytes, "…");
        flt_free(text);
        t->cell[i * t->columns + column] = cut;
    }
    return FLTE_OK;
}

static void remove_column(flt_table *t, size_t column) {
    size_t to = 0;
    for (size_t i = 0; i < (1 + t->rows) * t->columns; i++) {
        if (i % t->columns == column)
            flt_free(t->cell[i]);
        else
            t->cell[to++] = t->cell[i];
    }
    for (size_t i = to; i < (1 + t->rows) * t->columns; i++) t->cell[i] = NULL;
    t->columns--;
    t->room = t->rows; // what is beyond has another stride
}

static bool is_empty(const flt_table *t, size_t column) {
    for (size_t i = 1; i <= t->rows; i++)
        if (cell_at(t, i, column)[0] != '\0') return false;
    return t->rows > 0;
}

size_t flt_table_fit(flt_table *t, size_t width) {
    enum { LEAST = 10 };
    size_t dropped = 0, total = 0;
    for (size_t j = t->columns; j-- > 0;)
        if (t->columns > 1 && is_empty(t, j)) remove_column(t, j);
    for (size_t i = t->columns; i < (1 + t->rows) * t->columns; i++)
        if (t->cell[i] != NULL) shorten_number(t->cell[i]);
    if (width == 0 || t->columns <= 2) return 0; // a name and its value: whole, also over several lines
    for (size_t j = 0; j < t->columns; j++) total += column_width(t, j) + (j > 0 ? SEPARATOR : 0);
    while (total > width && t->columns > 1) {
        const size_t last = t->columns - 1, wide = column_width(t, last), rest = total - wide;
        if (rest + LEAST <= width && !numeric_column(t, last)) {
            if (cut_column(t, last, width - rest) != FLTE_OK) break; // no memory: as it is
            return dropped;
        }
        remove_column(t, last);
        dropped++;
        total = rest - SEPARATOR;
    }
    return dropped;
}

// JSON allows no leading zeros ("007", a commit in digits) and no bare point: such texts stay texts.
static bool is_json_number(const char *text) {
    double x = 0.0;
    const char *digits = text + (text[0] == '-');
    const size_t n = strspn(digits, "0123456789");
    if (n == 0 || (n > 1 && digits[0] == '0') || !is_number(text, &x)) return false;
    return digits[n] != '.' || strspn(digits + n + 1, "0123456789") > 0;
}

static void print_csv(const flt_table *t, FILE *to) {
    for (size_t i = 0; i <= t->rows; i++) {
        for (size_t j = 0; j < t->columns; j++) {
            const char *text = cell_at(t, i, j);
            const bool quote = strpbrk(text, ",\"\r\n") != NULL;
            if (j > 0) fputc(',', to);
            if (quote) fputc('"', to);
            for (; *text != '\0'; text++) {
                if (*text == '"') fputc('"', to);
                fputc(*text, to);
            }
            if (quote) fputc('"', to);
        }
        fputs("\r\n", to);
    }
}

static flt_err print_json(const flt_table *t, FILE *to) {
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 1; i <= t->rows && list != NULL; i++) {
        cJSON *row = cJSON_CreateObject();
        for (size_t j = 0; j < t->columns; j++) {
            const char *text = t->cell[i * t->columns + j];
            if (text == NULL)
                cJSON_AddNullToObject(row, cell_at(t, 0, j));
            else if (is_json_number(text))
                cJSON_AddRawToObject(row, cell_at(t, 0, j), text);
            else
                cJSON_AddStringToObject(row, cell_at(t, 0, j), text);
        }
        cJSON_AddItemToArray(list, row);
    }
    char *text = list == NULL ? NULL : cJSON_Print(list);
    cJSON_Delete(list);
    if (text == NULL) return flt_fail(FLTE_NOMEM, "table", "no memory to print %zu rows as JSON", t->rows);
    fprintf(to, "%s\n", text);
    cJSON_free(text);
    return FLTE_OK;
}

flt_err flt_table_print(const flt_table *t, flt_format format, FILE *to) {
    if (format == FLTX_TABLE_JSON) return print_json(t, to);
    if (format != FLTX_TABLE_CSV)
        return print_aligned(t, format == FLTX_TABLE_AUTO && to == stdout ? flt_terminal_width() : 0, to);
    print_csv(t, to);
    return FLTE_OK;
}

size_t flt_terminal_width(void) {
    struct winsize size = {0};
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

const char *flt_number(double x) {
    static _Thread_local char text[16][32];
    static _Thread_local unsigned next;
    char *out = text[next++ % 16];
    if (isnan(x))
        snprintf(out, sizeof *text, "nan");
    else if (isinf(x))
        snprintf(out, sizeof *text, x > 0 ? "inf" : "-inf");
    else if (x == floor(x) && fabs(x) < 1e9)
        snprintf(out, sizeof *text, "%.0f", x);
    else
        snprintf(out, sizeof *text, fabs(x) < 1e-3 || fabs(x) >= 1e6 ? "%.3e" : "%.4g", x);
    return out;
}
