// SPDX-License-Identifier: MIT
// Accumulators and features of the flt step, for the coordinates of a vector.
#ifndef FLTX_KERNELS_FLT_FEATURES_H
#define FLTX_KERNELS_FLT_FEATURES_H

#include "kernels/flt_step.h"
#include "kernels/lanes.h"

enum {
    DECAYS = FLTX_STEP_DECAYS,
    OWN = FLTX_STEP_OWN,
    RAW = FLTX_STEP_RAW,
    LINE = FLTX_STEP_LINE,
    FLUSH = 256, // blocks whose sums are added in flt_real before they go to double
};

static const flt_real keep_m[DECAYS] = {REAL(0.9), REAL(0.99), REAL(0.999)};
static const flt_real write_m[DECAYS] = {REAL(1 - 0.9), REAL(1 - 0.99), REAL(1 - 0.999)};

// 1 for the first `here` lanes, which hold coordinates, 0 for padding
FLTX_INLINE flt_vreal lane_mask(size_t here) {
    flt_vreal mask = set(0);
    for (size_t i = 0; i < FLTX_LANES; i++) mask[i] = i < here;
    return mask;
}

// x where there are coordinates, 0 in the padding: what is computed there need not be finite.
FLTX_INLINE flt_vreal only(flt_vreal mask, flt_vreal x) {
    return flt_vreal_if_less(set(0), mask, x, set(0));
}

// One group of lanes in rows first .. end - 1 of an outer index.
typedef struct panel {
    size_t o, first, end;
    flt_real *g, *p, *block;  // at row 0
    flt_real *col;            // [DECAYS, width]
    size_t width, block_size; // of its blocks: coordinates, words width
    size_t here;              // coordinates of the vector
    flt_vreal mask;
} panel;

FLTX_INLINE panel panel_at(const flt_step_args *a, size_t o, size_t group, size_t lane, size_t first) {
    const flt_step_tensor *t = &a->tensor;
    const size_t start = (o * t->groups + group) * t->rows, words = flt_step_words(a->sizes), width = flt_step_width(t, group);
    const size_t end = t->rows - first < FLUSH ? t->rows : first + FLUSH, here = width > lane ? width - lane : 0;
    return (panel){o,
                   first,
                   end,
                   a->g + start * FLTX_BLOCK + lane,
                   a->p + start * FLTX_BLOCK + lane,
                   a->blocks + flt_step_place(t, words, o, group) + lane,
                   a->col + (o * t->cols + group * FLTX_BLOCK) * DECAYS + lane,
                   width,
                   words * width,
                   here,
                   lane_mask(here)};
}

// The first `words` numbers of the coordinates in row r, FLTX_BLOCK apart: where they lie, or copied to scratch from a block that
// is narrower. keep_block takes them back.
FLTX_INLINE flt_real *take_block(const panel *n, size_t r, size_t words, flt_real *scratch) {
    flt_real *block = n->block + r * n->block_size;
    if (n->width == FLTX_BLOCK) return block;
    for (size_t w = 0; w < words; w++) store(scratch + w * FLTX_BLOCK, flt_vreal_load_up_to(block + w * n->width, n->here));
    return scratch;
}

FLTX_INLINE void keep_block(const panel *n, size_t r, size_t words, const flt_real *scratch) {
    flt_real *block = n->block + r * n->block_size;
    if (n->width == FLTX_BLOCK) return;
    for (size_t w = 0; w < words; w++) flt_vreal_store_up_to(block + w * n->width, load(scratch + w * FLTX_BLOCK), n->here);
}

// What the coordinates of a column (a lane) share.
typedef struct column {
    flt_vreal moment[DECAYS];
    flt_vreal on_g[DECAYS], on_m[DECAYS]; // times the row's factor: what makes fac_g of g, fac_m of m
} column;

FLTX_INLINE column read_column(const panel *n, bool factored) {
    column c;
    for (int d = 0; d < DECAYS; d++) {
        c.moment[d] = flt_vreal_load_up_to(n->col + (size_t)d * n->width, n->here);
        c.on_g[d] = safe_rsqrt(factored ? c.moment[d] : c.moment[d] + REAL(1e-9));
        c.on_m[d] = factored ? c.on_g[d] : flt_vreal_rsqrt(c.moment[d] + REAL(1e-6));
    }
    return c;
}

typedef struct moment {
    flt_vreal m[DECAYS], v;
} moment;

FLTX_INLINE moment read_moment(const flt_real *block) {
    moment s;
    for (int d = 0; d < DECAYS; d++) s.m[d] = load(block + d * FLTX_BLOCK);
    s.v = load(block + DECAYS * FLTX_BLOCK);
    return s;
}

FLTX_INLINE void own_features(flt_vreal g, flt_vreal p, const moment *s, const column *c, const flt_real *row_factor,
                              flt_vreal *x) {
    const flt_vreal rs = flt_vreal_rsqrt(s->v + REAL(1e-8));
    x[0] = g;
    x[1] = clip(g, REAL(0.1));
    x[2] = p;
    x[6] = s->v;
    x[10] = rs;
    x[14] = g * rs;
#pragma GCC unroll 3
    for (int d = 0; d < DECAYS; d++) {
        x[3 + d] = s->m[d];
        x[7 + d] = s->m[d] * rs;
        x[11 + d] = g * (c->on_g[d] * row_factor[d]);
        x[15 + d] = s->m[d] * (c->on_m[d] * row_factor[d]);
    }
}

// With raw inputs; v is all the state.
FLTX_INLINE void raw_features(flt_vreal g, flt_vreal p, flt_vreal v, flt_vreal *x) {
    const flt_vreal rs = flt_vreal_rsqrt(v + REAL(1e-8));
    x[0] = g;
    x[1] = clip(g, REAL(0.1));
    x[2] = p;
    x[3] = v;
    x[4] = rs;
    x[5] = g * rs;
}

static const flt_real no_factor[DECAYS] = {1, 1, 1};

FLTX_INLINE const flt_real *factor_of(const flt_step_args *a, size_t o, size_t r) {
    return a->tensor.factored ? a->row_factor + (o * a->tensor.rows + r) * DECAYS : no_factor;
}

#endif
