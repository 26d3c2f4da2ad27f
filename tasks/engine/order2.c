// SPDX-License-Identifier: MIT
// An order-2 model of symbols with Witten-Bell back-off:
//
//     p(c|h) = (n(hc) + u(h) p(c|h')) / (n(h) + u(h)),   u(h): different symbols seen after h, h' the shorter history;
//     below order 0 every symbol is equally likely
#include "engine/text.h"
#include "flt/memory.h"

#include <math.h>

typedef struct counts { // of one order: histories of `order` symbols, then one more
    size_t histories, symbols;
    uint32_t *next;         // [histories, symbols]
    uint32_t *total, *kind; // [histories]
} counts;

enum { ORDERS = 3 };

static flt_err allocate(size_t order, size_t symbols, counts *c) {
    *c = (counts){.histories = 1, .symbols = symbols};
    for (size_t i = 0; i < order; i++) c->histories *= symbols; // at most 256^2
    FLTX_TRY(flt_alloc(c->histories, symbols * sizeof *c->next, &c->next));
    FLTX_TRY(flt_alloc(c->histories, sizeof *c->total, &c->total));
    return flt_alloc(c->histories, sizeof *c->kind, &c->kind);
}

static void release(counts *c) {
    flt_free(c->next);
    flt_free(c->total);
    flt_free(c->kind);
}

static size_t history(const flt_text *t, size_t at, size_t order) {
    size_t h = 0;
    for (size_t i = order; i > 0; i--) h = h * t->symbols + t->symbol[at - i];
    return h;
}

static void count(const flt_text *t, size_t order, counts *c) {
    for (size_t at = t->first[FLTX_TRAIN] + 2; at < t->first[FLTX_TRAIN + 1]; at++) {
        const size_t h = history(t, at, order);
        uint32_t *n = &c->next[h * c->symbols + t->symbol[at]];
        c->kind[h] += *n == 0;
        c->total[h]++;
        (*n)++;
    }
}

static double probability(const flt_text *t, const counts *c, size_t at) {
    double p = 1.0 / (double)t->symbols;
    for (size_t order = 0; order < ORDERS; order++) {
        const size_t h = history(t, at, order);
        const double n = (double)c[order].next[h * t->symbols + t->symbol[at]], u = (double)c[order].kind[h];
        if (c[order].total[h] > 0) p = (n + u * p) / ((double)c[order].total[h] + u);
    }
    return p;
}

flt_err flt_text_order2(const flt_text *t, double *bits) {
    counts c[ORDERS] = {0};
    const size_t first = t->first[FLTX_TEST] + 2, end = t->first[FLTX_TEST + 1];
    flt_err err = FLTE_OK;
    *bits = NAN;
    for (size_t order = 0; order < ORDERS && err == FLTE_OK; order++) err = allocate(order, t->symbols, &c[order]);
    if (err == FLTE_OK && end > first) {
        for (size_t order = 0; order < ORDERS; order++) count(t, order, &c[order]);
        *bits = 0.0;
        for (size_t at = first; at < end; at++) *bits -= log2(probability(t, c, at)) / (double)(end - first);
    }
    for (size_t order = 0; order < ORDERS; order++) release(&c[order]);
    return err;
}
