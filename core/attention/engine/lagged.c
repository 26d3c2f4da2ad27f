// SPDX-License-Identifier: MIT
// Kernel attention whose weights carry one factor a lag: the direct way, and the plan of both; see lagged.h.
#include "lagged.h"

#include "flt/plant.h"

#include <math.h>
#include <string.h>

enum { TILE = FLTX_LAGGED_TILE };

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

// ---- one tile

// phi [n, m] = exp(lq + scale - their largest of the row); high [n] receives that.
static void scale_queries(const flt_att_lagged *a, size_t n, const flt_real *lq, const flt_real *scale, flt_real *phi,
                          flt_real *high) {
    const size_t m = a->m;
    for (size_t i = 0; i < n; i++) {
        flt_real *row = phi + i * m;
        for (size_t f = 0; f < m; f++) row[f] = lq[i * m + f] + scale[f];
        high[i] = flt_max(m, row);
        for (size_t f = 0; f < m; f++) row[f] -= high[i];
    }
    flt_vexp(n * m, phi, phi);
}

// log sum_f exp(lq_f + lk_f) by itself, for weights that leave the range of the product.
static flt_real log_weight(size_t m, const flt_real *lq, const flt_real *lk) {
    double top = -INFINITY, sum = 0;
    for (size_t f = 0; f < m; f++) top = fmax(top, (double)lq[f] + (double)lk[f]);
    for (size_t f = 0; f < m; f++) sum += exp((double)lq[f] + (double)lk[f] - top);
    return (flt_real)(top + log(sum));
}

// Logits of rows first.. and keys j..: logarithms of the products, where they are in range.
static void logits(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t first, size_t n, size_t j, size_t cols) {
    const size_t m = a->m;
    const flt_real least = sizeof(flt_real) == 4 ? (flt_real)1e-30 : (flt_real)1e-290, most = 1 / least;
    flt_real high[TILE], keys[TILE], *s = w->s;
    scale_queries(a, n, w->lq + first * m, w->lk + j * m, w->phi, high);
    flt_gemm(false, true, n, cols, m, 1, w->phi, m, w->pk + j * m, m, 0, s, cols);
    for (size_t i = 0; i < n; i++) {
        flt_real *row = s + i * cols;
        memcpy(keys, row, cols * sizeof *row);
        flt_vlog(cols, row, row);
        for (size_t c = 0; c < cols; c++) row[c] += high[i];
        for (size_t c = 0; c < cols; c++)
            if (!(keys[c] > least && keys[c] < most)) row[c] = log_weight(m, w->lq + (first + i) * m, w->lk + (j + c) * m);
    }
}

// Tiles of keys are fixed by the sequence, and their scale is that of their first key, which every row that meets the tile sees:
// what a row computes never depends on its future.
void flt_att_lagged_direct(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, size_t first, size_t count, size_t from,
                           const flt_real *v, flt_real *out) {
    const size_t keys = a->causal ? first + count : a->N, dv = a->dv, N = a->N;
    const flt_real *lags = a->lags + (a->heads == 1 ? 0 : head * (2 * N - 1));
    for (size_t j = from; j < keys; j += TILE) {
        const size_t cols = smaller(TILE, keys - j);
        flt_att_softmax_tile t = {.n = count, .cols = cols, .s = w->s, .causal = a->causal};
        t.valid = (ptrdiff_t)first - (ptrdiff_t)j + 1;
        t.top = w->top + first, t.sum = w->sum + first, t.keep = w->keep;
        t.bias = lags + (j + N - 1 - first), t.ldb = -1;
        logits(a, w, first, count, j, cols);
        a->tiles->softmax(&t);
        a->tiles->scale_rows(count, dv, out + first * dv, w->keep);
        flt_gemm(false, false, count, dv, cols, 1, w->s, cols, v + j * dv, dv, 1, out + first * dv, dv);
    }
}

void flt_att_lagged_clear(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t first, size_t count, flt_real *out) {
    for (size_t i = first; i < first + count; i++) w->top[i] = (flt_real)-INFINITY, w->sum[i] = 0;
    memset(out + first * a->dv, 0, count * a->dv * sizeof *out);
}

static void prepare_keys(const flt_att_lagged *a, flt_att_lagged_slot *w) {
    const size_t m = a->m;
    for (size_t j = 0; j < a->N; j++) {
        const flt_real *scale = w->lk + (j - j % TILE) * m;
        for (size_t f = 0; f < m; f++) w->pk[j * m + f] = w->lk[j * m + f] - scale[f];
    }
    flt_vexp(a->N * m, w->pk, w->pk);
}

void flt_att_lagged_run(const flt_att_lagged *a, size_t thread, size_t head, const flt_real *v, flt_real *out) {
    flt_att_lagged_slot *w = &a->slots[thread];
    prepare_keys(a, w);
    flt_att_lagged_clear(a, w, 0, a->N, out);
    if (a->levels > 0) {
        flt_att_lagged_fft(a, w, head, v, out);
    } else {
        for (size_t i = 0; i < a->N; i += TILE) flt_att_lagged_direct(a, w, head, i, smaller(TILE, a->N - i), 0, v, out);
    }
    for (size_t i = 0; i < a->N; i++) {
        w->flagged += a->levels == 0 && !(w->sum[i] > 0 && w->sum[i] < (flt_real)INFINITY); // with transforms: counted there
        w->sum[i] = 1 / w->sum[i];
    }
    a->tiles->scale_rows(a->N, a->dv, out, w->sum);
}

// ---- plan

static void bind_fft(flt_att_lagged *a, flt_ws *ws, flt_att_lagged_slot *w) {
    const size_t N = a->N, real = sizeof(flt_real), size = a->level[a->levels - 1].size;
    w->vt = flt_ws_take(ws, a->dv * N, real);
    w->acc = flt_ws_take(ws, a->dv * N, real);
    w->colk = flt_ws_take(ws, N, real);
    w->colq = flt_ws_take(ws, N, real);
    w->high = flt_ws_take(ws, N, real);
    w->den = flt_ws_take(ws, N, real);
    w->est = flt_ws_take(ws, N, real);
    w->err = flt_ws_take(ws, N, real);
    w->level = flt_ws_take(ws, a->m, real);
    w->row = flt_ws_take(ws, size, real);
    w->wave = flt_ws_take(ws, size + 2, real);
}

static void bind(void *self, flt_ws *ws) {
    flt_att_lagged *a = self;
    const size_t N = a->N, m = a->m, real = sizeof(flt_real);
    for (int t = 0; t < a->threads; t++) {
        flt_att_lagged_slot *w = &a->slots[t];
        w->lq = flt_ws_take(ws, N * m, real);
        w->lk = flt_ws_take(ws, N * m, real);
        w->pk = flt_ws_take(ws, N * m, real);
        w->phi = flt_ws_take(ws, TILE * m, real);
        w->s = flt_ws_take(ws, TILE * TILE, real);
        w->top = flt_ws_take(ws, N, real);
        w->sum = flt_ws_take(ws, N, real);
        w->keep = flt_ws_take(ws, TILE, real);
        if (a->levels > 0) bind_fft(a, ws, w);
    }
}

flt_err flt_att_lagged_create(const flt_attention_desc *desc, size_t m, size_t heads, const double *lags, size_t crossover,
                              flt_att_lagged **out) {
    const size_t n_lags = 2 * desc->N - 1;
    flt_att_lagged *a = NULL;
    flt_err err = flt_gemm_check(desc->mechanism, m, desc->dv, TILE);
    *out = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->N = desc->N, a->m = m, a->dv = desc->dv, a->heads = heads, a->causal = desc->causal;
    a->threads = (size_t)desc->threads < desc->B * desc->H ? desc->threads : (int)(desc->B * desc->H);
    a->block = smaller(FLTX_LAGGED_BLOCK, crossover);
    a->block = a->block < TILE ? TILE : a->block - a->block % TILE;
    a->tiles = FLTX_ISA_PICK(flt_att_tiles);
    FLTX_GO(err, failed, flt_alloc(heads * n_lags, sizeof *a->lags, &a->lags));
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < n_lags; i++)
            a->lags[h * n_lags + i] = (flt_real)lags[h * n_lags + (i + FLTX_BUG(LAG_OFF_BY_ONE)) % n_lags];
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->slots, &a->slots));
    if (a->N > crossover && a->N > TILE) FLTX_GO(err, failed, flt_att_lagged_plan(a, lags));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_lagged_destroy(a);
    return err;
}

void flt_att_lagged_destroy(flt_att_lagged *a) {
    if (a == NULL) return;
    flt_ws_destroy(&a->ws);
    for (int t = 0; a->slots != NULL && t < a->threads; t++)
        for (size_t k = 0; k < a->levels; k++) flt_fft_destroy(a->slots[t].fft[k]);
    for (size_t k = 0; k < a->levels; k++) {
        flt_free(a->level[k].norm);
        flt_free(a->level[k].top);
        flt_free(a->level[k].spectrum);
    }
    flt_free(a->slots);
    flt_free(a->lags);
    flt_free(a);
}
