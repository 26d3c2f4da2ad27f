// SPDX-License-Identifier: MIT
// Pieces of the report: texts, tables and figures as HTML and SVG.
#ifndef FLTX_RESULTS_HTML_H
#define FLTX_RESULTS_HTML_H

#include "flt/results_ask.h"
#include "text.h"

extern const char flt_page_style[], flt_page_script[]; // page/style.css, page/script.js

void flt_html_escape(flt_text *t, const char *text); // & < > " '
void flt_html_head(flt_text *t, const char *title);  // everything up to <main>
void flt_html_foot(flt_text *t);                     // with the script that sorts and filters tables
// <figure id="figure-NAME"> or "figure-NAME-SUFFIX" with inline SVG, its key, and `of` before the title (both may be NULL).
void flt_svg_figure(flt_text *t, const flt_figure *f, const char *suffix, const char *of);

// A table from rows: the head comes with the first row, flt_html_table_end closes it. Without rows there is
// nothing.
typedef struct flt_html_table {
    flt_text *t;
    size_t rows, limit; // limit: rows beyond are counted alone
    const char *title;  // of what has rows; NULL: none
} flt_html_table;
bool flt_html_row(void *user, size_t n, const char *const *names, const char *const *values);
void flt_html_table_end(flt_html_table *h);

#endif
