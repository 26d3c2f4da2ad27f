// SPDX-License-Identifier: MIT
// Gradients of attention with a factor a lag; see lagged_backward.h.
#include "lagged_backward_direct.h"
#include "lagged_band.h"
#include "lagged_fft.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { TILE = FLTX_LAGGED_TILE };

typedef flt_att_lagged_back_job job;

// ---- by transforms

static void run_rows(void *self, size_t head, size_t first, size_t count, size_t from) {
    const job *k = self;
    (void)head;
    flt_att_lagged_back_span(k, first, count, from, k->a->causal ? first + count : k->a->N);
}

// w->spare = (w->spare or what is kept) times the spectrum of the factors, for sums over keys, or its conjugate, for sums over
// rows.
static void multiply(size_t pairs, const flt_real *x, const flt_real *c, flt_real sign, flt_real *to) {
    for (size_t i = 0; i < 2 * pairs; i += 2) {
        const flt_real re = x[i], im = x[i + 1], ci = sign * c[i + 1];
        to[i] = re * c[i] - im * ci;
        to[i + 1] = re * ci + im * c[i];
    }
}

// cross += conj(u) x
static void correlate(size_t pairs, const flt_real *u, const flt_real *x, flt_real *cross) {
    for (size_t i = 0; i < 2 * pairs; i += 2) {
        cross[i] += u[i] * x[i] + u[i + 1] * x[i + 1];
        cross[i + 1] += u[i] * x[i + 1] - u[i + 1] * x[i];
    }
}

// One column of y and g, NULL for the ones of y: what it adds to the feature's gradients and to that of the values.
static void add_column(const job *k, flt_att_piece p, const flt_real *y, const flt_real *g, flt_real sign, flt_real *dy) {
    const flt_att_lagged *a = k->a;
    const flt_att_level *l = &a->level[p.level];
    const size_t pairs = l->size / 2 + 1;
    const flt_real *c = flt_att_lagged_spectrum(a, p);
    flt_att_lagged_slot *w = k->w;
    flt_att_lagged_back_slot *u = k->u;
    flt_real *row = w->row;
    memset(row, 0, l->size * sizeof *row);
    for (size_t j = 0; j < p.keys; j++) row[j] = w->colk[j] * (y != NULL ? y[j] : 1);
    flt_fft_forward(w->fft[p.level], row, u->keep);
    multiply(pairs, u->keep, c, 1, w->spare);
    flt_fft_inverse(w->fft[p.level], w->spare, row);
    for (size_t i = 0; i < p.rows; i++) u->dcolq[i] += sign * g[i] * row[p.shift + i];
    memset(row, 0, l->size * sizeof *row);
    for (size_t i = 0; i < p.rows; i++) row[p.shift + i] = w->colq[i] * sign * g[i];
    flt_fft_forward(w->fft[p.level], row, w->spare);
    correlate(pairs, w->spare, u->keep, u->cross);
    multiply(pairs, w->spare, c, -1, w->spare);
    flt_fft_inverse(w->fft[p.level], w->spare, row);
    for (size_t j = 0; j < p.keys; j++) u->dcolk[j] += (y != NULL ? y[j] : 1) * row[j];
    for (size_t j = 0; dy != NULL && j < p.keys; j++) dy[j] += w->colk[j] * row[j];
}

// Feature f, in w->colk and w->colq.
static void add_feature(const job *k, flt_att_piece p, size_t f) {
    const flt_att_lagged *a = k->a;
    const size_t m = a->m, N = a->N;
    const flt_att_lagged_slot *w = k->w;
    flt_att_lagged_back_slot *u = k->u;
    memset(u->dcolq, 0, p.rows * sizeof *u->dcolq);
    memset(u->dcolk, 0, p.keys * sizeof *u->dcolk);
    for (size_t c = 0; c < a->dv; c++)
        add_column(k, p, w->vt + c * N + p.source, u->gt + c * N + p.target, 1, w->acc + c * N + p.source);
    add_column(k, p, NULL, u->term + p.target, -1, NULL);
    for (size_t i = 0; i < p.rows; i++) u->dlq[(p.target + i) * m + f] += w->colq[i] * u->dcolq[i];
    for (size_t j = 0; j < p.keys; j++) u->dlk[(p.source + j) * m + f] += w->colk[j] * u->dcolk[j];
}

static void add_lags(const job *k, flt_att_piece p) {
    const flt_att_lagged *a = k->a;
    const flt_att_level *l = &a->level[p.level];
    const size_t h = a->heads == 1 ? 0 : p.head, N = a->N;
    const flt_real *b = a->lags + h * (2 * N - 1);
    const ptrdiff_t low = -(ptrdiff_t)(p.shift + p.rows - 1), high = (ptrdiff_t)p.keys - 1 - (ptrdiff_t)p.shift;
    flt_fft_inverse(k->w->fft[p.level], k->u->cross, k->w->row);
    for (ptrdiff_t z = low; z <= high; z++) {
        const size_t at = (size_t)(z + (ptrdiff_t)N - 1);
        const flt_real x = k->w->row[z < 0 ? (size_t)(z + (ptrdiff_t)l->size) : (size_t)z];
        k->dlags[at] += exp((double)b[at] - l->top[h]) * (double)x;
    }
}

static void run_piece(void *self, flt_att_piece p) {
    const job *k = self;
    const size_t size = k->a->level[p.level].size, width = k->a->convolver->width;
    flt_att_lagged_back_scales(k, p);
    if (k->dlags == NULL) {
        flt_att_lagged_back_piece(k, p);
        return;
    }
    memset(k->u->cross, 0, (size + 2) * sizeof *k->u->cross);
    for (size_t f = 0; f < k->a->m; f++) {
        const size_t x = f % width, count = flt_smaller(width, k->a->m - (f - x));
        if (x == 0) flt_att_lagged_features(k->a, k->w, p, f, count);
        flt_att_lagged_column(k->w, p, x, count);
        add_feature(k, p, f);
    }
    add_lags(k, p);
}

static void transpose(size_t n, size_t cols, const flt_real *x, flt_real *to) {
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < cols; c++) to[c * n + i] = x[i * cols + c];
    }
}

// Flagged rows count as rows of infinite sum to the transforms.
static void run_transforms(const job *k) {
    const size_t N = k->a->N, dv = k->a->dv;
    flt_att_lagged_slot *w = k->w;
    if (k->dlags != NULL) {
        transpose(N, dv, k->p->v, w->vt);
        transpose(N, dv, k->p->dout, k->u->gt);
        memset(w->acc, 0, N * dv * sizeof *w->acc);
    }
    for (size_t i = 0; i < N; i++) k->u->norm[i] = isinf(w->err[i]) ? (flt_real)INFINITY : w->top[i];
    flt_att_lagged_walk(k->a, k->head, &(flt_att_walk){(void *)(uintptr_t)k, run_piece, run_rows});
    for (size_t i = 0; k->dlags != NULL && i < N; i++) {
        for (size_t c = 0; c < dv; c++) k->p->dv[i * dv + c] += w->acc[c * N + i];
    }
    for (size_t i = 0; i < N; i++) {
        if (!isinf(w->err[i])) continue;
        k->u->norm[i] = w->top[i];
        run_rows((void *)(uintptr_t)k, k->head, i, 1, 0);
    }
}

// ---- by a band

// dlq_if += e^{lq_if + c_f + bias - norm_i} (dout_i.S_f - term_i z_f)
static void answer_rows(void *self, size_t first, size_t n, flt_real bias) {
    const job *k = self;
    const size_t m = k->a->m, dv = k->a->dv;
    const flt_att_lagged_slot *w = k->w;
    flt_real *e = k->u->e, *d = k->u->room;
    flt_gemm(false, true, n, m, dv, 1, k->p->dout + first * dv, dv, w->state, dv, 0, d, m);
    for (size_t i = 0; i < n; i++) {
        const flt_real base = bias - k->u->norm[first + i];
        for (size_t f = 0; f < m; f++) {
            e[i * m + f] = w->lq[(first + i) * m + f] + w->scale[f] + base;
            d[i * m + f] -= k->u->term[first + i] * w->z[f];
        }
    }
    flt_vexp(n * m, e, e);
    flt_att_add_products(n * m, e, d, k->u->dlq + first * m);
}

static void absorb_keys(void *self, size_t first, size_t n) {
    const job *k = self;
    const size_t m = k->a->m;
    memcpy(k->u->e, k->w->lk + first * m, n * m * sizeof *k->u->e);
    flt_att_lagged_absorb(k->a, k->w, n, k->u->e, k->p->v + first * k->a->dv, NULL);
}

// dlk_jf += e^{lk_jf + c_f + bias} (v_j.G_f + z_f),  dv_j += sum_f e^{..} G_f
static void answer_keys(void *self, size_t first, size_t n, flt_real bias) {
    const job *k = self;
    const size_t m = k->a->m, dv = k->a->dv;
    const flt_att_lagged_slot *w = k->w;
    flt_real *e = k->u->e, *d = k->u->room;
    flt_gemm(false, true, n, m, dv, 1, k->p->v + first * dv, dv, w->state, dv, 0, d, m);
    for (size_t j = 0; j < n; j++) {
        for (size_t f = 0; f < m; f++) {
            e[j * m + f] = w->lk[(first + j) * m + f] + w->scale[f] + bias;
            d[j * m + f] += w->z[f];
        }
    }
    flt_vexp(n * m, e, e);
    flt_att_add_products(n * m, e, d, k->u->dlk + first * m);
    flt_gemm(false, false, n, dv, m, 1, e, m, w->state, dv, 1, k->p->dv + first * dv, dv);
}

static void absorb_rows(void *self, size_t first, size_t n) {
    const job *k = self;
    const size_t m = k->a->m;
    flt_real *u = k->u->e, y[TILE];
    for (size_t i = 0; i < n; i++) {
        for (size_t f = 0; f < m; f++) u[i * m + f] = k->w->lq[(first + i) * m + f] - k->u->norm[first + i];
        y[i] = -k->u->term[first + i];
    }
    flt_att_lagged_absorb(k->a, k->w, n, u, k->p->dout + first * k->a->dv, y);
}

// Rows see far keys in their past and future; keys see the rows that are far the other way round.
static void run_band(job *k) {
    const flt_att_lagged *a = k->a;
    const flt_att_sweep rows = {k, absorb_keys, answer_rows}, keys = {k, absorb_rows, answer_keys};
    for (int future = 0; future < (a->causal ? 1 : 2); future++) {
        const flt_real bias = flt_att_lagged_far_bias(a, k->head, future);
        flt_att_lagged_sweep(a, k->w, future, bias, &rows);
        flt_att_lagged_sweep(a, k->w, !future, bias, &keys);
    }
    for (size_t i = 0; i < a->N; i += TILE) {
        const flt_att_span near = flt_att_lagged_near(a, i);
        flt_att_lagged_back_span(k, i, flt_smaller(TILE, a->N - i), near.from, near.to);
    }
}

// ---- a head

void flt_att_lagged_back_run(flt_att_lagged_back *b, const flt_att_lagged_pass *p) {
    const flt_att_lagged *a = b->a;
    const size_t N = a->N, dv = a->dv, lags = 2 * N - 1;
    job k = {b, a, &a->slots[p->thread], &b->slots[p->thread], p, p->bh % b->H, b->want_lags ? b->dlags + p->bh * lags : NULL};
    const bool band = a->reach < N && !b->want_lags; // the sums of a band do not tell far lags apart
    const bool direct = !band && (a->levels == 0 || (b->want_lags && flt_att_lagged_lags_by_tiles(a)));
    if (!direct) flt_att_lagged_norms(a, p->thread, k.head, band);
    memset(k.u->dlq, 0, N * a->m * sizeof *k.u->dlq);
    memset(k.u->dlk, 0, N * a->m * sizeof *k.u->dlk);
    memset(p->dv, 0, N * dv * sizeof *p->dv);
    for (size_t i = 0; i < N; i++) k.u->term[i] = flt_dot(dv, p->dout + i * dv, p->out + i * dv);
    memcpy(k.u->norm, k.w->top, N * sizeof *k.u->norm);
    flt_att_lagged_back_open(&k);
    if (band)
        run_band(&k);
    else if (direct)
        flt_att_lagged_back_direct(&k);
    else
        run_transforms(&k);
    flt_att_lagged_back_close(&k);
}

void flt_att_lagged_back_begin(flt_att_lagged_back *b, bool lags) {
    b->want_lags = lags;
    if (lags) memset(b->dlags, 0, b->BH * (2 * b->a->N - 1) * sizeof *b->dlags);
}

// ---- plan

static void bind(void *self, flt_ws *ws) {
    flt_att_lagged_back *b = self;
    const flt_att_lagged *a = b->a;
    const size_t N = a->N, m = a->m, real = sizeof(flt_real);
    b->dlags = flt_ws_take(ws, b->BH * (2 * N - 1), sizeof(double));
    for (int t = 0; t < a->threads; t++) {
        flt_att_lagged_back_slot *u = &b->slots[t];
        u->dlq = flt_ws_take(ws, N * m, real);
        u->dlk = flt_ws_take(ws, N * m, real);
        u->norm = flt_ws_take(ws, N, real);
        u->term = flt_ws_take(ws, N, real);
        u->high = flt_ws_take(ws, TILE, real);
        u->base = flt_ws_take(ws, TILE, real);
        u->ds = flt_ws_take(ws, TILE * TILE, real);
        u->dl = flt_ws_take(ws, TILE * TILE, real);
        u->kept = flt_ws_take(ws, b->kept * TILE * TILE, real);
        u->scale = flt_ws_take(ws, (N + TILE - 1) / TILE * m, real);
        u->dpsi = flt_ws_take(ws, N * m, real);
        u->dphi = u->room = flt_ws_take(ws, TILE * m, real);
        u->e = flt_ws_take(ws, TILE * m, real);
        if (a->levels == 0) continue;
        const size_t size = a->level[a->levels - 1].size + 2;
        u->gt = flt_ws_take(ws, a->dv * N, real);
        u->dcolq = flt_ws_take(ws, N, real);
        u->dcolk = flt_ws_take(ws, N, real);
        u->dtheta = flt_ws_take(ws, N * a->convolver->width, real);
        u->dgroup = flt_ws_take(ws, N * a->convolver->width, real);
        u->keep = flt_ws_take(ws, size, real);
        u->cross = flt_ws_take(ws, size, real);
    }
}

flt_err flt_att_lagged_back_create(const flt_attention_desc *desc, const flt_att_lagged *a, flt_att_lagged_back **out) {
    flt_att_lagged_back *b = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    if (!desc->backward) return FLTE_OK;
    FLTX_TRY(flt_alloc(1, sizeof *b, &b));
    b->a = a, b->H = desc->H, b->BH = desc->B * desc->H;
    b->kept = flt_att_lagged_lags_by_tiles(a) ? flt_smaller(FLTX_LAGGED_KEPT / (TILE * TILE), (a->N + TILE - 1) / TILE) : 0;
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *b->slots, &b->slots));
    FLTX_GO(err, failed, flt_ws_create(bind, b, &b->ws));
    *out = b;
    return FLTE_OK;
failed:
    flt_att_lagged_back_destroy(b);
    return err;
}

void flt_att_lagged_back_destroy(flt_att_lagged_back *b) {
    if (b == NULL) return;
    flt_ws_destroy(&b->ws);
    flt_free(b->slots);
    flt_free(b);
}

size_t flt_att_lagged_back_workspace(const flt_att_lagged_back *b) {
    return b == NULL ? 0 : b->ws.size;
}
