// SPDX-License-Identifier: MIT
// A figure as inline SVG: colours come from the style of the page, so that it follows the reader's dark mode.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "html.h"

enum { WIDTH = 640, HEIGHT = 400, LEFT = 96, RIGHT = 15, TOP = 12, BOTTOM = 50, COLOURS = 8 };

typedef struct axis {
    bool log;
    double low, high; // of the data, in logarithms where log
    double from, to;  // on the page
} axis;

static double scaled(const axis *a, double x) {
    return a->log ? log10(x) : x;
}

static double place(const axis *a, double x) {
    return a->from + (scaled(a, x) - a->low) / (a->high - a->low) * (a->to - a->from);
}

static bool drawable(const axis *a, double x) {
    return isfinite(x) && (!a->log || x > 0);
}

static void widen(axis *a, double x) {
    if (!drawable(a, x)) return;
    a->low = fmin(a->low, scaled(a, x));
    a->high = fmax(a->high, scaled(a, x));
}

static void measure(const flt_figure *f, axis *x, axis *y) {
    *x = (axis){f->log_x, INFINITY, -INFINITY, LEFT, WIDTH - RIGHT};
    *y = (axis){f->log_y, INFINITY, -INFINITY, HEIGHT - BOTTOM, TOP};
    for (size_t i = 0; i < f->n_series; i++)
        for (size_t k = 0; k < f->series[i].n; k++) {
            const flt_figure_point *p = &f->series[i].points[k];
            widen(x, p->x);
            widen(y, p->low);
            widen(y, p->high);
        }
    axis *both[] = {x, y};
    for (size_t i = 0; i < 2; i++) {
        if (!(both[i]->high >= both[i]->low)) both[i]->low = 0, both[i]->high = 1;
        const double margin = both[i]->high > both[i]->low ? 0.04 * (both[i]->high - both[i]->low) : 0.5;
        both[i]->low -= margin;
        both[i]->high += margin;
    }
}

// ---- axes
static void tick(flt_text *t, const axis *a, bool horizontal, double at) {
    const double p = place(a, at);
    if (horizontal)
        flt_text_print(
            t, "<path d=\"M%.1f %dV%d\" stroke=\"var(--line)\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.4g</text>", p,
            TOP, HEIGHT - BOTTOM, p, HEIGHT - BOTTOM + 18, at);
    else
        flt_text_print(
            t, "<path d=\"M%d %.1fH%d\" stroke=\"var(--line)\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>", LEFT,
            p, WIDTH - RIGHT, LEFT - 6, p + 4, at);
}

// The values of the data where they are few and whole, as lengths 64, 128, 256 are.
enum { FEW = 8 };

static size_t distinct(const flt_figure *f, double x[FEW]) {
    size_t n = 0;
    for (size_t i = 0; i < f->n_series; i++)
        for (size_t k = 0; k < f->series[i].n; k++) {
            size_t j = 0;
            while (j < n && x[j] != f->series[i].points[k].x) j++;
            if (j < n) continue;
            if (n == FEW || f->series[i].points[k].x != floor(f->series[i].points[k].x)) return FEW + 1;
            x[n++] = f->series[i].points[k].x;
        }
    return n;
}

static void data_ticks(flt_text *t, const axis *a, size_t n, const double *x) {
    for (size_t i = 0; i < n; i++) {
        double nearest = INFINITY;
        for (size_t k = 0; k < i; k++) nearest = fmin(nearest, fabs(place(a, x[k]) - place(a, x[i])));
        if (nearest > 36) tick(t, a, true, x[i]); // labels must not touch
    }
}

static void linear_ticks(flt_text *t, const axis *a, bool horizontal) {
    const double low = a->log ? pow(10, a->low) : a->low, high = a->log ? pow(10, a->high) : a->high;
    const double raw = (high - low) / 6, decade = pow(10, floor(log10(raw))), lead = raw / decade;
    const double step = decade * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
    for (double k = ceil(low / step); k * step <= high; k++) tick(t, a, horizontal, k * step + 0.0); // no "-0"
}

// Decades, with 2 and 5 between where there are few, or equal steps where not even these are in sight.
static void log_ticks(flt_text *t, const axis *a, bool horizontal) {
    static const double within[] = {1, 2, 5};
    const double span = a->high - a->low;
    const int step = (int)fmax(1, floor(span / 6));
    if (span < 0.7) {
        linear_ticks(t, a, horizontal);
        return;
    }
    for (int d = (int)floor(a->low); d <= (int)ceil(a->high); d += step)
        for (size_t k = 0; k < (span < 2.5 ? 3 : 1); k++) {
            const double at = within[k] * pow(10, d);
            if (log10(at) >= a->low && log10(at) <= a->high) tick(t, a, horizontal, at);
        }
}

static void axes(flt_text *t, const flt_figure *f, const axis *x, const axis *y) {
    double values[FEW];
    const size_t n = distinct(f, values);
    if (x->log && n > 0 && n <= FEW)
        data_ticks(t, x, n, values);
    else
        (x->log ? log_ticks : linear_ticks)(t, x, true);
    (y->log ? log_ticks : linear_ticks)(t, y, false);
    flt_text_print(t, "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"currentColor\"/>", LEFT, TOP, HEIGHT - BOTTOM,
                   WIDTH - RIGHT);
    flt_text_print(t, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
    flt_html_escape(t, f->x);
    flt_text_print(t, "</text><text transform=\"translate(16 %d) rotate(-90)\" text-anchor=\"middle\">",
                   (TOP + HEIGHT - BOTTOM) / 2);
    flt_html_escape(t, f->y);
    flt_text_add(t, "</text>");
}

// ---- series
static void band(flt_text *t, const flt_figure_series *s, const axis *x, const axis *y, size_t colour) {
    bool any = false;
    for (size_t k = 0; k < s->n; k++) {
        if (!drawable(y, s->points[k].low) || !drawable(x, s->points[k].x)) return;
        any = any || s->points[k].high > s->points[k].low;
    }
    if (!any) return;
    flt_text_add(t, "<path d=\"");
    for (size_t k = 0; k < s->n; k++)
        flt_text_print(t, "%c%.1f %.1f", k == 0 ? 'M' : 'L', place(x, s->points[k].x), place(y, s->points[k].high));
    for (size_t k = s->n; k-- > 0;) flt_text_print(t, "L%.1f %.1f", place(x, s->points[k].x), place(y, s->points[k].low));
    flt_text_print(t, "Z\" fill=\"var(--c%zu)\" opacity=\".12\"/>", colour);
}

// The colours come again dashed, then dotted.
static void stroke(flt_text *t, size_t i) {
    static const char *const dashes[] = {"", "7 4", "2 3"};
    flt_text_print(t, " stroke=\"var(--c%zu)\" stroke-dasharray=\"%s\"", i % COLOURS, dashes[i / COLOURS % 3]);
}

static void line(flt_text *t, const flt_figure *f, const axis *x, const axis *y, size_t i) {
    bool pen = false;
    const flt_figure_series *s = &f->series[i];
    if (!f->points) {
        flt_text_add(t, "<path fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\" d=\"");
        for (size_t k = 0; k < s->n; k++) {
            const flt_figure_point *p = &s->points[k];
            const bool fine = drawable(x, p->x) && drawable(y, p->y);
            if (fine) flt_text_print(t, "%c%.1f %.1f", pen ? 'L' : 'M', place(x, p->x), place(y, p->y));
            pen = fine;
        }
        flt_text_add(t, "\"");
        stroke(t, i);
        flt_text_add(t, "/>");
    }
    for (size_t k = 0; k < s->n && !f->plain; k++)
        if (drawable(x, s->points[k].x) && drawable(y, s->points[k].y))
            flt_text_print(t, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"var(--c%zu)\"/>", place(x, s->points[k].x),
                           place(y, s->points[k].y), i % COLOURS);
}

static void key(flt_text *t, const flt_figure *f) {
    flt_text_add(t, "<ul class=\"key\">");
    for (size_t i = 0; i < f->n_series; i++) {
        flt_text_add(t,
                     "<li><svg viewBox=\"0 0 32 14\" aria-hidden=\"true\"><path d=\"M0 7H32\" fill=\"none\" stroke-width=\"4\"");
        stroke(t, i);
        flt_text_add(t, "/></svg>");
        flt_html_escape(t, f->series[i].name);
        if (f->series[i].remark[0] != 0) {
            flt_text_add(t, " (");
            flt_html_escape(t, f->series[i].remark);
            flt_text_add(t, ")");
        }
        flt_text_add(t, "</li>");
    }
    flt_text_add(t, f->left_out ? "</ul><p>There are more series than are drawn.</p>" : "</ul>");
}

void flt_svg_figure(flt_text *t, const flt_figure *f, const char *suffix, const char *of) {
    axis x, y;
    measure(f, &x, &y);
    flt_text_add(t, "<figure id=\"figure-");
    flt_html_escape(t, f->name);
    if (suffix != NULL) flt_text_add(t, "-"), flt_html_escape(t, suffix);
    flt_text_add(t, "\"><figcaption>");
    if (of != NULL) flt_html_escape(t, of);
    flt_html_escape(t, f->title);
    flt_text_print(t, "</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    flt_html_escape(t, f->title);
    flt_text_add(t, "\">");
    axes(t, f, &x, &y);
    for (size_t i = 0; i < f->n_series; i++) band(t, &f->series[i], &x, &y, i % COLOURS);
    for (size_t i = 0; i < f->n_series; i++) line(t, f, &x, &y, i);
    flt_text_add(t, "</svg>");
    key(t, f);
    flt_text_add(t, "</figure>\n");
}
