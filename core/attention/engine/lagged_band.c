// SPDX-License-Identifier: MIT
// Clipped lags: a band and running sums of what lies beyond it; see lagged_band.h.
#include "lagged_band.h"
#include "lagged_direct.h"

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

// ---- the state

static void clear_state(const flt_att_lagged *a, flt_att_lagged_slot *w) {
    for (size_t f = 0; f < a->m; f++) w->scale[f] = (flt_real)-INFINITY;
    memset(w->z, 0, a->m * sizeof *w->z);
    memset(w->state, 0, a->m * a->dv * sizeof *w->state);
}

static void absorb(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t j, size_t n, const flt_real *v) {
    const size_t m = a->m, dv = a->dv;
    const flt_real *lk = w->lk + j * m;
    flt_real *psi = w->phi;
    a->tiles->column_max(n, m, lk, w->level);
    for (size_t f = 0; f < m; f++) {
        if (!(w->level[f] > w->scale[f])) continue;
        const flt_real keep = (flt_real)exp((double)(w->scale[f] - w->level[f]));
        w->scale[f] = w->level[f];
        w->z[f] *= keep;
        for (size_t c = 0; c < dv; c++) w->state[f * dv + c] *= keep;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t f = 0; f < m; f++) psi[i * m + f] = lk[i * m + f] - w->scale[f];
    }
    flt_vexp(n * m, psi, psi);
    a->tiles->column_sum(n, m, psi, w->z);
    flt_gemm(true, false, m, dv, n, 1, psi, m, v + j * dv, dv, 1, w->state, dv);
}

// Joins the state, under the factor e^bias, with what the rows had, as online softmax does.
static void answer(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t first, size_t n, flt_real bias, flt_real *out) {
    const size_t m = a->m, dv = a->dv;
    flt_real high[TILE];
    flt_att_lagged_scale_queries(n, m, w->lq + first * m, w->scale, w->phi, high);
    flt_gemm(false, false, n, dv, m, 1, w->phi, m, w->state, dv, 0, w->far, dv);
    for (size_t i = 0; i < n; i++) {
        const size_t row = first + i;
        const double here = (double)high[i] + (double)bias, before = (double)w->top[row], top = fmax(here, before);
        const flt_real old = (flt_real)exp(before - top), new = (flt_real)exp(here - top);
        w->top[row] = (flt_real)top;
        w->sum[row] = w->sum[row] * old + flt_dot(m, w->phi + i * m, w->z) * new;
        for (size_t c = 0; c < dv; c++) out[row * dv + c] = out[row * dv + c] * old + w->far[i * dv + c] * new;
    }
}

// ---- a head

// Keys below it are beyond reach behind row i; keys from the other on before row i.
static size_t far_past(const flt_att_lagged *a, size_t i) {
    return i > a->reach ? (i - a->reach) / TILE * TILE : 0;
}

static size_t far_future(const flt_att_lagged *a, size_t last) {
    const size_t next = last + a->reach + TILE;
    return next >= a->N ? a->N : next / TILE * TILE;
}

void flt_att_lagged_band(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, const flt_real *v, flt_real *out) {
    const size_t N = a->N, tiles = (N + TILE - 1) / TILE;
    const flt_real *b = lags_of(a, head);
    size_t done = 0;
    clear_state(a, w);
    for (size_t i = 0; i < N; i += TILE) {
        const size_t n = flt_att_smaller(TILE, N - i), from = far_past(a, i);
        for (; done < from; done += TILE) absorb(a, w, done, TILE, v);
        if (from > 0) answer(a, w, i, n, b[0], out);
        const flt_att_span keys = {from, a->causal ? i + n : far_future(a, i + n - 1)};
        flt_att_lagged_direct(a, w, head, i, n, keys, v, out);
    }
    clear_state(a, w);
    done = tiles * TILE;
    for (size_t t = tiles; !a->causal && t-- > 0;) {
        const size_t i = t * TILE, n = flt_att_smaller(TILE, N - i), to = far_future(a, i + n - 1);
        if (to == N) continue;
        for (; done > to; done -= TILE) absorb(a, w, done - TILE, flt_att_smaller(TILE, N - done + TILE), v);
        answer(a, w, i, n, b[2 * N - 2], out);
    }
}
