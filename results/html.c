// SPDX-License-Identifier: MIT
#include "html.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void flt_html_escape(flt_text *t, const char *text) {
    for (; *text != 0; text++) {
        const char *entity = *text == '&'   ? "&amp;"
                             : *text == '<' ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        if (*text == '\'') entity = "&#39;";
        if (entity != NULL)
            flt_text_add(t, entity);
        else
            flt_text_append(t, text, 1);
    }
}

void flt_html_head(flt_text *t, const char *title) {
    flt_text_add(t, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                    "content=\"width=device-width,initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><title>");
    flt_html_escape(t, title);
    flt_text_add(t, "</title><style>");
    flt_text_add(t, flt_page_style);
    flt_text_add(t, "</style></head>\n<body>");
}

void flt_html_foot(flt_text *t) {
    flt_text_add(t, "</main><script>");
    flt_text_add(t, flt_page_script);
    flt_text_add(t, "</script></body></html>\n");
}

// ---- tables
enum { LONG = 60 }; // texts beyond are cut by the style of the page

static bool is_number(const char *text, double *out) {
    char *end = NULL;
    if (text[0] == 0 || strspn(text, "+-0123456789.eE") != strlen(text)) return false;
    *out = strtod(text, &end);
    return *end == 0;
}

static bool is_verdict(const char *text) {
    static const char *const words[] = {"pass", "fail", "marginal", "done", "failed", "interrupted"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0) return true;
    return false;
}

bool flt_html_row(void *user, size_t n, const char *const *names, const char *const *values) {
    flt_html_table *h = user;
    flt_text *t = h->t;
    double x = 0;
    if (h->rows++ == 0) {
        if (h->title != NULL) flt_text_print(t, "<h3>%s</h3>\n", h->title);
        flt_text_add(t, "<div class=\"wide\"><table><thead><tr>");
        for (size_t i = 0; i < n; i++) {
            flt_text_add(t, "<th>");
            flt_html_escape(t, names[i]);
            flt_text_add(t, "</th>");
        }
        flt_text_add(t, "</tr></thead><tbody>\n");
    }
    if (h->rows > h->limit) return t->err == FLTE_OK;
    flt_text_add(t, "<tr>");
    for (size_t i = 0; i < n; i++) {
        const char *v = values[i] == NULL ? "" : values[i];
        const bool number = is_number(v, &x);
        if (number && strpbrk(v, ".eE") != NULL)
            flt_text_print(t, "<td class=\"n\">%.4g</td>", x);
        else {
            const char *class = number ? "n" : is_verdict(v) ? v : strlen(v) > LONG ? "long" : NULL;
            if (class == NULL)
                flt_text_add(t, "<td>");
            else
                flt_text_print(t, "<td class=\"%s\">", class);
            flt_html_escape(t, v);
            flt_text_add(t, "</td>");
        }
    }
    flt_text_add(t, "</tr>\n");
    return t->err == FLTE_OK;
}

void flt_html_table_end(flt_html_table *h) {
    if (h->rows == 0) return;
    flt_text_add(h->t, "</tbody></table></div>\n");
    if (h->rows > h->limit) flt_text_print(h->t, "<p>The first %zu of %zu rows.</p>\n", h->limit, h->rows);
}
