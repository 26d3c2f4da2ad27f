// SPDX-License-Identifier: MIT
// Attention with a factor a lag: a head, and the plan; see lagged.h.
#include "lagged_direct.h"
#include "lagged_fft.h"

#include "flt/plant.h"

#include <math.h>
#include <string.h>

enum { TILE = FLTX_LAGGED_TILE };

static void prepare_keys(const flt_att_lagged *a, flt_att_lagged_slot *w) {
    const size_t m = a->m;
    for (size_t j = 0; j < a->N; j++) {
        const flt_real *scale = w->lk + (j - j % TILE) * m;
        for (size_t f = 0; f < m; f++) w->pk[j * m + f] = w->lk[j * m + f] - scale[f];
    }
    flt_vexp(a->N * m, w->pk, w->pk);
}

// Sums and outputs, not yet divided.
static void run_head(const flt_att_lagged *a, size_t thread, size_t head, const flt_real *v, flt_real *out) {
    flt_att_lagged_slot *w = &a->slots[thread];
    prepare_keys(a, w);
    flt_att_lagged_clear(a, w, 0, a->N, out);
    if (a->levels > 0) {
        flt_att_lagged_fft(a, w, head, v, out);
        return;
    }
    for (size_t i = 0; i < a->N; i += TILE) flt_att_lagged_direct(a, w, head, i, flt_att_smaller(TILE, a->N - i), 0, v, out);
}

void flt_att_lagged_run(const flt_att_lagged *a, size_t thread, size_t head, const flt_real *v, flt_real *out) {
    flt_att_lagged_slot *w = &a->slots[thread];
    run_head(a, thread, head, v, out);
    for (size_t i = 0; i < a->N; i++) {
        w->flagged += a->levels == 0 && !(w->sum[i] > 0 && w->sum[i] < (flt_real)INFINITY); // with transforms: counted there
        w->sum[i] = 1 / w->sum[i];
    }
    a->tiles->scale_rows(a->N, a->dv, out, w->sum);
}

void flt_att_lagged_norms(const flt_att_lagged *a, size_t thread, size_t head) {
    flt_att_lagged_slot *w = &a->slots[thread];
    run_head(a, thread, head, NULL, NULL);
    flt_vlog(a->N, w->sum, w->sum);
    for (size_t i = 0; i < a->N; i++) w->top[i] += w->sum[i];
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

flt_err flt_att_lagged_create(const flt_attention_desc *desc, size_t m, size_t heads, size_t crossover, flt_att_lagged **out) {
    flt_att_lagged *a = NULL;
    flt_err err = flt_gemm_check(desc->mechanism, m, desc->dv, TILE);
    *out = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->N = desc->N, a->m = m, a->dv = desc->dv, a->heads = heads, a->causal = desc->causal;
    a->threads = (size_t)desc->threads < desc->B * desc->H ? desc->threads : (int)(desc->B * desc->H);
    a->block = flt_att_smaller(FLTX_LAGGED_BLOCK, crossover);
    a->block = a->block < TILE ? TILE : a->block - a->block % TILE;
    a->tiles = FLTX_ISA_PICK(flt_att_tiles);
    FLTX_GO(err, failed, flt_alloc(heads * (2 * a->N - 1), sizeof *a->lags, &a->lags));
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->slots, &a->slots));
    if (a->N > crossover && a->N > TILE) FLTX_GO(err, failed, flt_att_lagged_fft_plan(a));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_lagged_destroy(a);
    return err;
}

void flt_att_lagged_load(flt_att_lagged *a, const double *lags) {
    const size_t n_lags = 2 * a->N - 1;
    for (size_t h = 0; h < a->heads; h++) {
        for (size_t i = 0; i < n_lags; i++)
            a->lags[h * n_lags + i] = (flt_real)lags[h * n_lags + (i + FLTX_BUG(LAG_OFF_BY_ONE)) % n_lags];
    }
    if (a->levels > 0) flt_att_lagged_fft_load(a, lags);
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
