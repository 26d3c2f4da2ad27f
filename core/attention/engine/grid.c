// SPDX-License-Identifier: MIT
// Where tokens stand on a grid; see grid.h.
#include "grid.h"

#include "flt/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Sides of "8x8"; 0 when it is no such text.
static size_t read_sides(const char *text, size_t n[FLTX_ATT_AXES]) {
    size_t l = 0;
    while (l < FLTX_ATT_AXES) {
        char *end = NULL;
        const long side = strtol(text, &end, 10);
        if (end == text || side < 1 || side > 1 << 30) return 0;
        n[l++] = (size_t)side;
        if (*end == '\0') return l;
        if (*end != 'x') return 0;
        text = end + 1;
    }
    return 0;
}

// How many axes the arguments have. [a, d, w] is taken for filters [H, d, w] where a is H, else for [d, w1, w2].
static size_t count_axes(const flt_attention_desc *desc) {
    static const char *const by[3] = {"filter_q", "filter_k", "noise"};
    for (size_t i = 0; i < 3; i++) {
        const flt_attention_arg *a = flt_attention_arg_find(desc, by[i]);
        const size_t d_at = i < 2 ? 0 : 1; // axes in front of d
        if (a == NULL || a->rank < 2 + d_at) continue;
        const bool heads = a->rank > 2 + d_at && a->dim[0] == desc->H && a->dim[1 + d_at] == desc->d;
        return a->rank - 1 - d_at - heads;
    }
    return 1;
}

static flt_err grid_of_points(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_grid *p) {
    p->l = pos->l;
    if (p->l > FLTX_ATT_AXES)
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism, "positions have l = %zu; its noise has 1 to %d axes", p->l,
                        FLTX_ATT_AXES);
    for (size_t a = 0; a < p->l; a++) {
        double low = INFINITY, high = -INFINITY;
        for (size_t i = 0; i < p->N; i++) {
            const double x = pos->array.data[i * p->l + a];
            if (x != rint(x))
                return flt_fail(FLTE_RANGE, desc->mechanism,
                                "pos[%zu] is %g, but its filters step over whole positions; exact and flt take any positions", i,
                                x);
            low = fmin(low, x), high = fmax(high, x);
        }
        if (high - low > 1e9)
            return flt_fail(FLTE_RANGE, desc->mechanism, "positions span %g steps, and its noise has one number a step",
                            high - low);
        p->n[a] = (size_t)(high - low) + 1;
    }
    return FLTE_OK;
}

size_t flt_att_cells(size_t l, const size_t *n) {
    size_t cells = 1;
    for (size_t a = 0; a < l; a++) cells *= n[a];
    return cells;
}

// Sides that fill N: what the noise leaves for them, or all the same.
flt_err flt_att_grid_guess(const flt_attention_desc *desc, flt_att_grid *p) {
    const flt_attention_arg *noise = flt_attention_arg_find(desc, "noise");
    const size_t side = (size_t)rint(pow((double)p->N, 1.0 / (double)p->l));
    if (p->fixed) return FLTE_OK;
    if (p->l == 1) return p->n[0] = p->N, FLTE_OK;
    for (size_t a = 0; noise != NULL && noise->rank > p->l && a < p->l; a++) {
        const size_t length = noise->dim[noise->rank - p->l + a], edge = 4 * p->width[a];
        p->n[a] = length > edge ? length - edge : 0;
    }
    if (noise != NULL && flt_att_cells(p->l, p->n) == p->N) return FLTE_OK;
    for (size_t a = 0; a < p->l; a++) p->n[a] = side;
    if (flt_att_cells(p->l, p->n) == p->N) return FLTE_OK;
    return flt_fail(FLTE_USAGE, desc->mechanism,
                    "the filters have %zu axes, but which grid do N = %zu tokens fill? Give grid=AxB, or pos [N, %zu]", p->l,
                    p->N, p->l);
}

// The axes, from positions, the parameter or the arguments. *fixed: the sides are known as well.
flt_err flt_att_grid_axes(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_grid *p) {
    const char *text = flt_params_text(desc->params, "grid");
    const bool named = strcmp(text, "auto") != 0;
    p->fixed = true;
    if (pos->given && named)
        return flt_fail(FLTE_USAGE, desc->mechanism, "pos is given and so is grid=%.40s; leave one of them out", text);
    if (pos->given) return grid_of_points(desc, pos, p);
    p->fixed = named;
    p->l = named ? read_sides(text, p->n) : count_axes(desc);
    if (p->l == 0 || (named && flt_att_cells(p->l, p->n) != p->N))
        return flt_fail(FLTE_RANGE, desc->mechanism, "grid is %.40s; 1 to %d sides as in 8x8, of %zu cells in all, are wanted",
                        text, FLTX_ATT_AXES, p->N);
    if (p->l > FLTX_ATT_AXES)
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism, "the filters have %zu axes; 1 to %d are possible", p->l,
                        FLTX_ATT_AXES);
    return FLTE_OK;
}

flt_err flt_att_grid_place(const flt_attention_desc *desc, const flt_att_positions *pos, flt_att_grid *p) {
    p->cells = 1;
    for (size_t a = 0; a < p->l; a++) {
        p->length[a] = p->n[a] + p->width[a] - 1;
        if (!flt_mul_ok(p->cells, p->length[a], &p->cells))
            return flt_fail(FLTE_RANGE, desc->mechanism, "a grid of so many cells does not fit in the address space");
    }
    FLTX_TRY(flt_alloc(p->N, sizeof *p->cell, &p->cell));
    for (size_t a = 0, inner = p->N; a < p->l; a++) {
        double low = INFINITY;
        inner /= p->n[a] > 0 ? p->n[a] : 1;
        for (size_t i = 0; pos->given && i < p->N; i++) low = fmin(low, pos->array.data[i * p->l + a]);
        for (size_t i = 0; i < p->N; i++) {
            const size_t at = pos->given ? (size_t)(pos->array.data[i * p->l + a] - low) : i / inner % p->n[a];
            p->cell[i] = p->cell[i] * p->length[a] + at;
        }
    }
    return FLTE_OK;
}
