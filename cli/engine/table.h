// SPDX-License-Identifier: MIT
// Rows of text as an aligned table on a terminal, tab-separated lines elsewhere, or JSON.
#ifndef FLTX_TABLE_H
#define FLTX_TABLE_H

#include "flt/error.h"

#include <stdio.h>

typedef enum flt_format { FLTX_TABLE_AUTO, FLTX_TABLE_ALIGNED, FLTX_TABLE_CSV, FLTX_TABLE_JSON } flt_format;

typedef struct flt_table flt_table;

// Column names are copied.
flt_err flt_table_create(size_t n, const char *const *names, flt_table **out);
void flt_table_destroy(flt_table *t);
// Cells are copied; NULL is an empty cell (null in JSON). Cells that read as a number are numbers in JSON and right-aligned.
flt_err flt_table_row(flt_table *t, const char *const *cells);
// AUTO: aligned on a terminal and in files (one reader for both), JSON only when asked for; on a terminal that is too narrow the
// columns that do not fit stand below, behind the texts that rows start with. An empty table prints its header.
flt_err flt_table_print(const flt_table *t, flt_format format, FILE *to);
// Makes a table of result rows readable: columns without any content go, numbers get at most 6 digits, and, when `width` is not
// 0, the last text column is cut so that lines have at most `width` letters; columns that still do not fit go as well and are
// counted. For ALIGNED output alone.
size_t flt_table_fit(flt_table *t, size_t width);
// The letters in a line of the terminal on standard output, 0 elsewhere.
size_t flt_terminal_width(void);
size_t flt_table_rows(const flt_table *t);

// "1.234e-05", "0.1234", "12", "inf", "nan": short and readable. The text lives in one of 16 buffers of this thread.
const char *flt_number(double x);

#endif
