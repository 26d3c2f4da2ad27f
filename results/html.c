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

static const char style[] =
    ":root{color-scheme:light "
    "dark;--c0:#1f77b4;--c1:#d95f02;--c2:#2a9d57;--c3:#c0392b;--c4:#8e5bb5;--c5:#8c6d31;--c6:#d6589f;--c7:"
    "#7f7f7f;--line:#8886;--bg:#fff;--fg:#1b1b1f;--soft:#0000000a}"
    "@media(prefers-color-scheme:dark){:root{--bg:#16181d;--fg:#e6e6ea;--soft:#ffffff12;--c0:#6ab0f3;--c1:#f5a35c;--c2:#6fd39a;--"
    "c3:"
    "#f28b82;--c4:#c7a3ec;--c5:#d8bb7d;--c6:#f29ac8;--c7:#b0b0b0}}"
    "body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}"
    "main,header,footer{max-width:70rem;margin:0 auto;padding:0 1rem}h1{font-size:1.6rem}h2{font-size:1.25rem;margin:2rem 0 "
    ".5rem}"
    "nav a{display:inline-block;margin:0 1rem .3rem 0;color:var(--c0)}.wide{overflow-x:auto}"
    "table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}"
    "th{background:var(--soft)}th button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer}"
    "td.n{text-align:right}td.pass,td.done{color:var(--c2)}td.fail,td.failed{color:var(--c3);font-weight:700}td.marginal,"
    "td.interrupted{color:var(--c1)}tbody tr:hover{background:var(--soft)}"
    "figure{margin:1rem 0}svg{width:100%;height:auto;max-width:46rem;display:block}svg text{fill:currentColor;font:12px "
    "system-ui,sans-serif}figcaption{font-weight:600}ul.key{list-style:none;padding:0;margin:.3rem 0;font-size:.85rem;columns:2 "
    "18rem}ul.key b{display:inline-block;width:1rem;height:.6rem;margin-right:.4rem}"
    "@media(max-width:40rem){body{font-size:15px}svg text{font-size:18px}}"
    "@media print{nav{display:none}.wide{overflow:visible}table{font-size:.6rem}section{break-inside:avoid-page}}";

void flt_html_head(flt_text *t, const char *title) {
    flt_text_add(t, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                    "content=\"width=device-width,initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><title>");
    flt_html_escape(t, title);
    flt_text_add(t, "</title><style>");
    flt_text_add(t, style);
    flt_text_add(t, "</style></head>\n<body>");
}

// Sorts by the column of the head that was pressed: as numbers where both are, else as texts; empty cells last.
static const char script[] =
    "document.querySelectorAll('th button').forEach(b=>b.addEventListener('click',()=>{const "
    "th=b.parentNode,i=[...th.parentNode.children].indexOf(th),body=th.closest('table').tBodies[0],down=th.getAttribute('aria-"
    "sort')==="
    "'ascending';for(const x of "
    "th.parentNode.children)x.removeAttribute('aria-sort');th.setAttribute('aria-sort',down?'descending':"
    "'ascending');const key=r=>r.cells[i].textContent,cmp=(a,b)=>{const "
    "x=key(a),y=key(b);if(x===''||y==='')return(x==='')-(y==='');const "
    "p=Number(x),q=Number(y),c=isNaN(p)||isNaN(q)?x.localeCompare(y)"
    ":p-q;return down?-c:c};[...body.rows].sort(cmp).forEach(r=>body.append(r))}))";

void flt_html_foot(flt_text *t) {
    flt_text_add(t, "</main><script>");
    flt_text_add(t, script);
    flt_text_add(t, "</script></body></html>\n");
}

// ---- tables
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
        flt_text_add(t, "<div class=\"wide\"><table><thead><tr>");
        for (size_t i = 0; i < n; i++) {
            flt_text_add(t, "<th><button>");
            flt_html_escape(t, names[i]);
            flt_text_add(t, "</button></th>");
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
            flt_text_add(t, number ? "<td class=\"n\">" : is_verdict(v) ? "<td class=\"" : "<td>");
            if (!number && is_verdict(v)) flt_text_print(t, "%s\">", v);
            flt_html_escape(t, v);
            flt_text_add(t, "</td>");
        }
    }
    flt_text_add(t, "</tr>\n");
    return t->err == FLTE_OK;
}

void flt_html_table_end(flt_html_table *h) {
    if (h->rows == 0) {
        flt_text_add(h->t, "<p>Nothing has been recorded of this yet.</p>\n");
        return;
    }
    flt_text_add(h->t, "</tbody></table></div>\n");
    if (h->rows > h->limit) flt_text_print(h->t, "<p>The first %zu of %zu rows.</p>\n", h->limit, h->rows);
}
