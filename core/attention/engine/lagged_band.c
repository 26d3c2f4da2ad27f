// SPDX-License-Identifier: MIT
// Clipped lags: a band and running sums of what lies beyond it; see lagged_band.h.
#include "lagged_band.h"

#include <math.h>
#include <string.h>

enum { TILE = FLTX_LAGGED_TILE };

static const flt_real *lags_of(const flt_att_lagged *a, size_t head) {
    return a->lags + (a->heads == 1 ? 0 : head * (2 * a->N - 1));
}

size_t flt_att_lagged_reach(const flt_att_lagged *a) {
    const size_t N = a->N;
    size_t reach = 0;
    for (size_t h = 0; h < a->heads; h++) {
        const flt_real *b = lags_of(a, h);
        for (size_t z = N - 1; z > reach + 1; z--) { // lag z and z - 1 on both sides
            const bool past = b[N - 1 - z] != b[N - z], future = !a->causal && b[N - 1 + z] != b[N - 2 + z];
            if (past || future) reach = z - 1;
        }
    }
    return reach;
}

// ---- sweeps

static void clear_state(const flt_att_lagged *a, flt_att_lagged_slot *w) {
    for (size_t f = 0; f < a->m; f++) w->scale[f] = (flt_real)-INFINITY;
    memset(w->z, 0, a->m * sizeof *w->z);
    memset(w->state, 0, a->m * a->dv * sizeof *w->state);
}

static size_t width(const flt_att_lagged *a) {
    return (a->reach + TILE - 1) / TILE;
}

static size_t rows_of(const flt_att_lagged *a, size_t tile) {
    return flt_smaller(TILE, a->N - tile * TILE);
}

flt_att_span flt_att_lagged_near(const flt_att_lagged *a, size_t first) {
    const size_t tile = first / TILE, apart = width(a);
    const size_t from = tile > apart ? (tile - apart) * TILE : 0, to = (tile + apart + 1) * TILE;
    return (flt_att_span){from, flt_smaller(to, a->causal ? first + rows_of(a, tile) : a->N)};
}

flt_real flt_att_lagged_far_bias(const flt_att_lagged *a, size_t head, bool future) {
    return lags_of(a, head)[future ? 2 * a->N - 2 : 0];
}

void flt_att_lagged_sweep(const flt_att_lagged *a, flt_att_lagged_slot *w, bool right, flt_real bias, const flt_att_sweep *s) {
    const size_t tiles = (a->N + TILE - 1) / TILE, apart = width(a) + 1;
    clear_state(a, w);
    for (size_t t = apart; t < tiles; t++) {
        const size_t at = right ? tiles - 1 - t : t, behind = right ? at + apart : at - apart;
        s->absorb(s->self, behind * TILE, rows_of(a, behind));
        s->answer(s->self, at * TILE, rows_of(a, at), bias);
    }
}

// ---- the state

static void raise_scales(const flt_att_lagged *a, flt_att_lagged_slot *w) {
    const size_t dv = a->dv;
    for (size_t f = 0; f < a->m; f++) {
        if (!(w->level[f] > w->scale[f])) continue;
        const flt_real keep = (flt_real)exp((double)(w->scale[f] - w->level[f]));
        w->scale[f] = w->level[f];
        w->z[f] *= keep;
        for (size_t c = 0; c < dv; c++) w->state[f * dv + c] *= keep;
    }
}

void flt_att_lagged_absorb(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t n, flt_real *u, const flt_real *x,
                           const flt_real *y) {
    const size_t m = a->m, dv = a->dv;
    a->tiles->column_max(n, m, u, w->level);
    raise_scales(a, w);
    for (size_t i = 0; i < n; i++) {
        for (size_t f = 0; f < m; f++) u[i * m + f] -= w->scale[f];
    }
    flt_vexp(n * m, u, u);
    if (y == NULL) a->tiles->column_sum(n, m, u, w->z);
    for (size_t i = 0; y != NULL && i < n; i++) flt_axpy(m, y[i], u + i * m, w->z);
    if (x != NULL) flt_gemm(true, false, m, dv, n, 1, u, m, x, dv, 1, w->state, dv);
}

// ---- a head

typedef struct job {
    const flt_att_lagged *a;
    flt_att_lagged_slot *w;
    const flt_real *v;
    flt_real *out;
} job;

static void absorb_keys(void *self, size_t first, size_t n) {
    const job *k = self;
    const size_t m = k->a->m;
    memcpy(k->w->phi, k->w->lk + first * m, n * m * sizeof *k->w->phi);
    flt_att_lagged_absorb(k->a, k->w, n, k->w->phi, k->v != NULL ? k->v + first * k->a->dv : NULL, NULL);
}

// Joins the state, under the factor e^bias, with what the rows had, as online softmax does.
static void answer_rows(void *self, size_t first, size_t n, flt_real bias) {
    const job *k = self;
    const size_t m = k->a->m, dv = k->a->dv;
    flt_att_lagged_slot *w = k->w;
    flt_real high[TILE];
    flt_att_lagged_scale_queries(n, m, w->lq + first * m, w->scale, w->phi, high);
    if (k->v != NULL) flt_gemm(false, false, n, dv, m, 1, w->phi, m, w->state, dv, 0, w->far, dv);
    for (size_t i = 0; i < n; i++) {
        const size_t row = first + i;
        const double here = (double)high[i] + (double)bias, before = (double)w->top[row], top = fmax(here, before);
        const flt_real old = (flt_real)exp(before - top), new = (flt_real)exp(here - top);
        w->top[row] = (flt_real)top;
        w->sum[row] = w->sum[row] * old + flt_dot(m, w->phi + i * m, w->z) * new;
        for (size_t c = 0; k->v != NULL && c < dv; c++)
            k->out[row * dv + c] = k->out[row * dv + c] * old + w->far[i * dv + c] * new;
    }
}

void flt_att_lagged_band(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, const flt_real *v, flt_real *out) {
    job k = {a, w, v, out};
    const flt_att_sweep sweep = {&k, absorb_keys, answer_rows};
    flt_att_lagged_sweep(a, w, false, flt_att_lagged_far_bias(a, head, false), &sweep);
    for (size_t i = 0; i < a->N; i += TILE)
        flt_att_lagged_direct(a, w, head, i, flt_smaller(TILE, a->N - i), flt_att_lagged_near(a, i), v, out);
    if (!a->causal) flt_att_lagged_sweep(a, w, true, flt_att_lagged_far_bias(a, head, true), &sweep);
}
