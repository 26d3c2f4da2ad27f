// SPDX-License-Identifier: MIT
// Attention with a factor a lag, tile by tile; see lagged.h.
#include "lagged_direct.h"

#include <math.h>
#include <string.h>

enum {
    TILE = FLTX_LAGGED_TILE,
    STRIP = 16,
    NEAR = 10,                              // tiles of keys share an anchor while their first log features are no further from it
    CAP = sizeof(flt_real) == 4 ? 20 : 200, // keys that exceed their anchor by more go the long way
    BELOW = 20,                             // how far a tile's largest lag may lie below the level of its factors
};

// With phi <= 1 and e^CAP for keys, what sums of m products and of a row's weights lose by underflow is nothing against these.
static const flt_real LEAST_PRODUCT = sizeof(flt_real) == 4 ? (flt_real)1e-10 : (flt_real)1e-90;
static const flt_real LEAST_SUM = sizeof(flt_real) == 4 ? (flt_real)1e-15 : (flt_real)1e-130;

void flt_att_lagged_scale_queries(size_t n, size_t m, const flt_real *lq, const flt_real *scale, flt_real *phi, flt_real *high) {
    for (size_t i = 0; i < n; i++) {
        flt_real *row = phi + i * m;
        for (size_t f = 0; f < m; f++) row[f] = lq[i * m + f] + scale[f];
        high[i] = (flt_real)ceil((double)flt_max(m, row));
        for (size_t f = 0; f < m; f++) row[f] -= high[i];
    }
    flt_vexp(n * m, phi, phi);
}

double flt_att_lagged_log_weight(size_t m, const flt_real *lq, const flt_real *lk) {
    double top = -INFINITY, sum = 0;
    for (size_t f = 0; f < m; f++) top = fmax(top, (double)lq[f] + (double)lk[f]);
    for (size_t f = 0; f < m; f++) sum += exp((double)lq[f] + (double)lk[f] - top);
    return top + log(sum);
}

// ---- keys

// u = lk - scale, minus infinity for keys that exceed it too far
static void shift_keys(size_t n, size_t m, const flt_real *lk, const flt_real *scale, flt_real *u) {
    for (size_t j = 0; j < n; j++, lk += m, u += m) {
        for (size_t f = 0; f < m; f++) u[f] = lk[f] - scale[f];
        if (flt_max(m, u) <= CAP) continue;
        for (size_t f = 0; f < m; f++) u[f] = (flt_real)-INFINITY;
    }
}

static bool is_near(size_t m, const flt_real *x, const flt_real *y) {
    bool near = true;
    for (size_t f = 0; f < m; f++) near &= x[f] - y[f] <= NEAR && y[f] - x[f] <= NEAR;
    return near;
}

// to [m, TILE] = x^T, in strips of a line of the cache
static void turn_keys(size_t n, size_t m, const flt_real *x, flt_real *to) {
    for (size_t from = 0; from < m; from += STRIP) {
        const size_t end = flt_smaller(from + STRIP, m);
        for (size_t c = 0; c < n; c++)
            for (size_t f = from; f < end; f++) to[f * TILE + c] = x[c * m + f];
    }
}

// The anchor is the first key of this tile or of an earlier one: every row that meets the tile sees it, and what a row computes
// never depends on its future.
void flt_att_lagged_prepare(const flt_att_lagged *a, flt_att_lagged_slot *w) {
    const size_t m = a->m;
    size_t anchor = 0;
    for (size_t j = 0; j < a->N; j += TILE) {
        const size_t n = flt_smaller(TILE, a->N - j);
        flt_real *to = w->pk + j * m;
        if (!is_near(m, w->lk + j * m, w->lk + anchor * m)) anchor = j;
        w->anchor[j / TILE] = anchor;
        shift_keys(n, m, w->lk + j * m, w->lk + anchor * m, w->keys);
        flt_vexp(n * m, w->keys, w->keys);
        turn_keys(n, m, w->keys, to);
    }
}

// ---- the long way: logarithms

// Logits of rows first.. and keys j..: logarithms of the products, where they are in range.
static void logits(const flt_att_lagged *a, const flt_att_lagged_slot *w, size_t first, size_t n, size_t j, size_t cols) {
    const size_t m = a->m;
    const flt_real least = sizeof(flt_real) == 4 ? (flt_real)1e-30 : (flt_real)1e-290, most = 1 / least;
    const flt_real *scale = w->lk + j * m;
    flt_real high[TILE], product[TILE];
    for (size_t c = 0; c < cols; c++)
        for (size_t f = 0; f < m; f++) w->keys[c * m + f] = w->lk[(j + c) * m + f] - scale[f];
    flt_vexp(cols * m, w->keys, w->keys);
    flt_att_lagged_scale_queries(n, m, w->lq + first * m, scale, w->room, high);
    flt_gemm(false, true, n, cols, m, 1, w->room, m, w->keys, m, 0, w->logits, cols);
    for (size_t i = 0; i < n; i++) {
        flt_real *row = w->logits + i * cols;
        memcpy(product, row, cols * sizeof *row);
        flt_vlog(cols, row, row);
        for (size_t c = 0; c < cols; c++) row[c] += high[i];
        for (size_t c = 0; c < cols; c++)
            if (!(product[c] > least && product[c] < most))
                row[c] = (flt_real)flt_att_lagged_log_weight(m, w->lq + (first + i) * m, w->lk + (j + c) * m);
    }
}

// ---- a tile of rows along its keys

typedef flt_att_lagged_rows rows;

static void scale_rows(rows *r, size_t anchor, size_t *scaled) {
    const size_t m = r->a->m;
    if (anchor == *scaled) return;
    *scaled = anchor;
    flt_att_lagged_scale_queries(r->n, m, r->w->lq + r->first * m, r->w->lk + anchor * m, r->w->phi, r->high);
}

// e^{b - level} for the lags of keys j..; returns those of the first row. The level stays as long as it will do, so that the rows
// keep their scales.
static const flt_real *lag_factors(rows *r, size_t j, size_t cols) {
    const size_t from = j + r->a->N - r->first - r->n, count = r->n + cols - 1;
    const size_t seen = r->a->causal ? flt_smaller(count, r->a->N - from) : count;
    const flt_real *b = r->lags + from, top = flt_max(seen, b);
    if (!(top <= r->level + FLTX_ATT_SLACK && top >= r->level - BELOW)) r->level = (flt_real)ceil((double)top);
    for (size_t z = 0; z < count; z++) r->factor[z] = b[z] - r->level;
    flt_vexp(count, r->factor, r->factor);
    return r->factor + r->n - 1;
}

// Joins the sums of a tile's weights with what the rows had, as online softmax does; by [n] receives what the weights are to be
// multiplied with. Rows whose sums are not good are left as they were. Returns whether there are such.
static bool join(rows *r, flt_real *by) {
    flt_real *top = r->w->top + r->first, *sum = r->w->sum + r->first, *keep = r->w->keep;
    bool all = true, moved[TILE];
    for (size_t i = 0; i < r->n; i++) {
        const double high = (double)r->high[i] + (double)r->level, rise = high - (double)top[i];
        r->fine[i] = r->low[i] >= LEAST_PRODUCT && r->part[i] >= LEAST_SUM; // false where there is a NaN
        moved[i] = r->fine[i] && rise > FLTX_ATT_SLACK;
        by[i] = !r->fine[i] ? 0 : (flt_real)(moved[i] ? -rise : rise);
        if (moved[i]) top[i] = (flt_real)high;
        all &= r->fine[i];
    }
    flt_vexp(r->n, by, by);
    for (size_t i = 0; i < r->n; i++) {
        keep[i] = moved[i] ? by[i] : 1;
        if (moved[i]) by[i] = 1;
        if (r->fine[i]) sum[i] = sum[i] * keep[i] + by[i] * r->part[i];
    }
    return !all;
}

// Rows that are not fine, from logarithms.
static void run_long(const rows *r, size_t j, size_t cols) {
    const flt_att_lagged *a = r->a;
    flt_att_lagged_slot *w = r->w;
    logits(a, w, r->first, r->n, j, cols);
    for (size_t i = 0, to = 0; i < r->n; i = to) {
        for (to = i + 1; to < r->n && r->fine[to] == r->fine[i];) to++;
        if (r->fine[i]) continue;
        const size_t first = r->first + i;
        w->apart += to - i;
        flt_att_softmax_tile t = {.n = to - i, .cols = cols, .s = w->s + i * cols, .causal = a->causal, .ldb = -1};
        t.valid = (ptrdiff_t)first - (ptrdiff_t)j + 1;
        t.top = w->top + first, t.sum = w->sum + first, t.keep = w->keep + i;
        t.bias = r->lags + (j + a->N - 1 - first);
        memcpy(t.s, w->logits + i * cols, t.n * cols * sizeof *t.s);
        a->tiles->softmax(&t);
    }
}

void flt_att_lagged_weigh(rows *r, size_t j, size_t cols, const flt_real *s, flt_real *to) {
    const flt_att_lagged *a = r->a;
    flt_real by[TILE];
    flt_att_lag_tile t = {.n = r->n, .cols = cols, .s = s, .to = to, .causal = a->causal};
    t.valid = (ptrdiff_t)r->first - (ptrdiff_t)j + 1;
    t.low = r->low, t.sum = r->part;
    t.factor = lag_factors(r, j, cols);
    a->tiles->lag_weights(&t);
    const bool some_left = join(r, by);
    if (to != NULL) a->tiles->scale_rows(r->n, cols, to, by);
    if (some_left) run_long(r, j, cols);
}

void flt_att_lagged_rows_begin(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, size_t first, size_t n, rows *r) {
    *r = (rows){.a = a, .w = w, .first = first, .n = n, .level = (flt_real)NAN};
    r->lags = a->lags + (a->heads == 1 ? 0 : head * (2 * a->N - 1));
}

void flt_att_lagged_direct(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, size_t first, size_t count,
                           flt_att_span keys, const flt_real *v, flt_real *out) {
    const size_t dv = a->dv;
    size_t scaled = a->N; // none yet
    rows r;
    flt_att_lagged_rows_begin(a, w, head, first, count, &r);
    for (size_t j = keys.from; j < keys.to; j += TILE) {
        const size_t cols = flt_smaller(TILE, keys.to - j);
        scale_rows(&r, w->anchor[j / TILE], &scaled);
        flt_gemm(false, false, count, cols, a->m, 1, w->phi, a->m, w->pk + j * a->m, TILE, 0, w->s, cols);
        flt_att_lagged_weigh(&r, j, cols, w->s, v != NULL ? w->s : NULL);
        if (v == NULL) continue;
        a->tiles->scale_rows(count, dv, out + first * dv, w->keep);
        flt_gemm(false, false, count, dv, cols, 1, w->s, cols, v + j * dv, dv, 1, out + first * dv, dv);
    }
}

void flt_att_lagged_clear(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t first, size_t count, flt_real *out) {
    for (size_t i = first; i < first + count; i++) w->top[i] = (flt_real)-INFINITY, w->sum[i] = 0;
    if (out != NULL) memset(out + first * a->dv, 0, count * a->dv * sizeof *out);
}
