// SPDX-License-Identifier: MIT
// Exact softmax attention with any relative encoding: out = softmax(q k^T / sqrt d + bias) v, causal or not.
//
//     bias [N, N], or lag_bias [2N - 1] holding b_{j-i} at (j - i) + N - 1, or an encoding f(r_i - r_j) in closed form
//
// Tiled, with a running maximum and sum of each row (online softmax: Milakov and Gimelshein 2018, arXiv 1805.02867; Rabe and
// Staats 2021, arXiv 2112.05682): the memory beside inputs and outputs is a tile a thread. Time O(N^2 (d + dv)), half of it when
// causal. On evenly spaced positions an encoding is a vector of 2N - 1 lags; elsewhere it is evaluated pair by pair, tile by
// tile.
#include "engine/encoding.h"
#include "engine/exact_backward.h"
#include "engine/tiles.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static const flt_param_spec params[] = {FLTX_ATT_RPE_PARAM, {.name = NULL}};

enum { ROWS = 96, COLS = 112 }; // a tile of logits and what meets it stay in the second-level cache

typedef struct slot {           // one thread's room
    flt_real *s;                // [ROWS, COLS] logits, then weights
    flt_real *top, *sum, *keep; // [ROWS]
    flt_real *bias;             // [ROWS, COLS] of an encoding at points
    double *z, *f;              // [ROWS COLS, l], [ROWS COLS]
    size_t flagged;             // rows that saw no key
} slot;

typedef struct plan {
    size_t B, H, N, d, dv, rows, cols, row_tiles;
    bool causal;
    int threads;
    flt_att_positions pos;
    flt_att_encoding encoding;
    flt_att_array bias, lag_bias; // as given
    flt_real *matrix;             // [heads, N, N]
    flt_real *lags;               // [heads, 2N - 1]
    double *f;                    // [2N - 1]: room for an encoding on evenly spaced positions
    size_t bias_heads;            // 1: shared
    bool points;                  // the encoding is evaluated tile by tile
    const flt_att_tiles *tiles;
    slot *slots;
    flt_att_exact_back *back;
    flt_ws ws;
} plan;

// A bias of minus infinity hides a key. As a number this low it does the same without a difference of infinities in a row that
// sees nothing, whose output is then the plain mean.
static const flt_real CLOSED = (flt_real)-1e30;
static flt_real closed(double bias) {
    return (flt_real)fmax(bias, FLTX_BUG(HALF_HIDDEN) ? -10.0 : (double)CLOSED);
}

// ---- one tile

// Bias of rows i.., columns j..: *ldb is the distance of rows. NULL: none.
static const flt_real *tile_bias(const plan *p, slot *w, size_t head, size_t i, size_t j, size_t n, size_t cols, ptrdiff_t *ldb) {
    const size_t h = p->bias_heads == 1 ? 0 : head, N = p->N;
    *ldb = -1;
    if (p->lags != NULL) return p->lags + h * (2 * N - 1) + (j + N - 1 - i);
    *ldb = (ptrdiff_t)N;
    if (p->matrix != NULL) return p->matrix + h * N * N + i * N + j;
    if (!p->points) return NULL;
    const size_t l = p->pos.l;
    const double *pos = p->pos.array.data;
    for (size_t a = 0; a < n; a++) {
        for (size_t b = 0; b < cols; b++) {
            for (size_t x = 0; x < l; x++)
                w->z[(a * cols + b) * l + x] = pos[(i + a) * l + x] - pos[(FLTX_BUG(FIRST_TILE_POSITIONS) ? b : j + b) * l + x];
        }
    }
    flt_att_encoding_closed_form(&p->encoding, head, n * cols, w->z, w->f);
    for (size_t a = 0; a < n * cols; a++) w->bias[a] = closed(w->f[a]);
    *ldb = (ptrdiff_t)cols;
    return w->bias;
}

// Rows i .. i + n - 1 of one head against all keys that they may see. q, out: at row i; k, v: at row 0.
static void run_rows(const plan *p, slot *w, size_t head, size_t i, const flt_real *q, const flt_real *k, const flt_real *v,
                     flt_real *out) {
    const size_t n = flt_smaller(p->rows, p->N - i), keys = p->causal ? i + n : p->N, d = p->d, dv = p->dv;
    const flt_real scale = FLTX_BUG(DROPPED_SCALE) ? 1 : (flt_real)(1.0 / sqrt((double)d));
    for (size_t a = 0; a < n; a++) w->top[a] = (flt_real)-INFINITY, w->sum[a] = 0;
    for (size_t j = 0; j < keys; j += p->cols) {
        const size_t cols = flt_smaller(p->cols, keys - j);
        flt_att_softmax_tile t = {.n = n, .cols = cols, .s = w->s, .causal = p->causal};
        t.valid = (ptrdiff_t)i - (ptrdiff_t)j + (FLTX_BUG(FUTURE_LEAK) ? 2 : 1);
        t.top = w->top, t.sum = w->sum, t.keep = w->keep;
        t.bias = tile_bias(p, w, head, i, j, n, cols, &t.ldb);
        flt_gemm(false, true, n, cols, d, scale, q, d, k + j * d, d, 0, w->s, cols);
        p->tiles->softmax(&t);
        if (j > 0) p->tiles->scale_rows(n, dv, out, w->keep);
        flt_gemm(false, false, n, dv, cols, 1, w->s, cols, v + j * dv, dv, j > 0, out, dv);
    }
    for (size_t a = 0; a < n; a++) {
        w->flagged += !FLTX_BUG(UNCOUNTED_ROW) && !(w->top[a] > CLOSED / 2 && w->sum[a] > 0);
        w->sum[a] = 1 / w->sum[a];
    }
    p->tiles->scale_rows(n, dv, out, w->sum);
}

static void forward(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    const plan *p = self;
    const size_t heads = p->B * p->H, N = p->N, d = p->d, dv = p->dv, tiles = p->row_tiles;
    for (int t = 0; t < p->threads; t++) p->slots[t].flagged = 0;
#pragma omp parallel num_threads(p->threads)
    {
        slot *w = &p->slots[omp_get_thread_num()];
        const unsigned saved = flt_num_ftz();
#pragma omp for schedule(dynamic)
        for (size_t t = 0; t < heads * tiles; t++) {
            const size_t bh = t / tiles, i = (tiles - 1 - t % tiles) * p->rows; // causal: the longest rows first
            run_rows(p, w, bh % p->H, i, q + (bh * N + i) * d, k + bh * N * d, v + bh * N * dv, out + (bh * N + i) * dv);
        }
        flt_num_ftz_restore(saved);
    }
}

static const flt_real *back_bias(const void *self, size_t thread, size_t head, const size_t at[4], ptrdiff_t *ldb) {
    const plan *p = self;
    return tile_bias(p, &p->slots[thread], head, at[0], at[1], at[2], at[3], ldb);
}

static void back_points(const void *self, size_t thread, size_t head, size_t pairs, const flt_real *ds, double *sums) {
    const plan *p = self;
    const slot *w = &p->slots[thread];
    for (size_t i = 0; i < pairs; i++) w->f[i] = (double)ds[i];
    flt_att_encoding_back(&p->encoding, head, pairs, w->z, w->f, sums);
}

static flt_err backward(void *self, const flt_attention_pass *pass) {
    return flt_att_exact_back_run(((plan *)self)->back, pass);
}

// ---- plan

static void bind(void *self, flt_ws *ws) {
    plan *p = self;
    const size_t real = sizeof(flt_real), tile = p->rows * p->cols;
    for (int t = 0; t < p->threads; t++) {
        slot *w = &p->slots[t];
        w->s = flt_ws_take(ws, tile, real);
        w->top = flt_ws_take(ws, p->rows, real);
        w->sum = flt_ws_take(ws, p->rows, real);
        w->keep = flt_ws_take(ws, p->rows, real);
        w->bias = p->points ? flt_ws_take(ws, tile, real) : NULL;
        w->z = p->points ? flt_ws_take(ws, tile * p->pos.l, sizeof(double)) : NULL;
        w->f = p->points ? flt_ws_take(ws, tile, sizeof(double)) : NULL;
    }
}

static size_t lead(const flt_att_array *a) {
    return a->heads == 0 ? 1 : a->heads;
}

static void to_reals(const flt_att_array *a, flt_real *out) {
    const size_t count = lead(a) * a->count;
    for (size_t i = 0; i < count; i++) out[i] = closed(a->data[(i + FLTX_BUG(LAG_OFF_BY_ONE)) % count]);
}

// The encoding on evenly spaced positions: f at the 2N - 1 lags.
static void fill_lags(const plan *p) {
    const size_t lags = 2 * p->N - 1;
    for (size_t h = 0; h < p->bias_heads; h++) {
        flt_att_encoding_lags(&p->encoding, h, p->N, p->pos.step, p->f);
        for (size_t i = 0; i < lags; i++) p->lags[h * lags + i] = closed(p->f[i]);
    }
}

// What the tiles read, from the arguments.
static void fill_tables(const plan *p) {
    if (p->bias.data != NULL) to_reals(&p->bias, p->matrix);
    if (p->lag_bias.data != NULL) to_reals(&p->lag_bias, p->lags);
    if (p->f != NULL) fill_lags(p);
}

static flt_err make_tables(plan *p) {
    const size_t lags = 2 * p->N - 1;
    p->bias_heads = p->bias.data != NULL ? lead(&p->bias) : p->lag_bias.data != NULL ? lead(&p->lag_bias) : 1;
    if (p->bias.data != NULL) return flt_alloc(p->bias_heads * p->bias.count, sizeof *p->matrix, &p->matrix);
    if (p->lag_bias.data != NULL) return flt_alloc(p->bias_heads * lags, sizeof *p->lags, &p->lags);
    if (flt_att_encoding_zero(&p->encoding)) return FLTE_OK;
    p->points = !p->pos.spaced;
    if (p->points) return FLTE_OK;
    p->bias_heads = flt_att_encoding_shared(&p->encoding) ? 1 : p->H;
    FLTX_TRY(flt_alloc(lags, sizeof *p->f, &p->f));
    return flt_alloc(p->bias_heads * lags, sizeof *p->lags, &p->lags);
}

static flt_err read_bias(const flt_attention_desc *desc, plan *p) {
    const ptrdiff_t N = (ptrdiff_t)desc->N;
    flt_att_dim square[2] = {{"N", N}, {"N", N}}, lags[1] = {{"2N - 1", 2 * N - 1}};
    if (flt_att_lags_alone(desc)) return flt_att_take(desc, "lag_bias", 1, lags, &p->lag_bias);
    FLTX_TRY(flt_att_take(desc, "bias", 2, square, &p->bias));
    FLTX_TRY(flt_att_encoding_read(desc, &p->pos, &p->encoding));
    if (p->bias.data != NULL && p->encoding.terms > 0)
        return flt_fail(FLTE_USAGE, desc->mechanism, "bias is given and so is the encoding %s; leave one of them out",
                        p->encoding.name);
    return FLTE_OK;
}

static flt_err update(void *self, size_t n_args, const flt_attention_arg *args) {
    plan *p = self;
    flt_att_arrays have = {.who = "exact"};
    flt_att_arrays_add(&have, &p->bias);
    flt_att_arrays_add(&have, &p->lag_bias);
    flt_att_encoding_arrays(&p->encoding, &have);
    FLTX_TRY(flt_att_arrays_check(&have, n_args, args));
    const flt_att_encoding with = flt_att_encoding_with(&p->encoding, n_args, args);
    FLTX_TRY(flt_att_encoding_check(&with));
    flt_att_arrays_copy(&have, n_args, args);
    fill_tables(p);
    return FLTE_OK;
}

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_att_exact_back_destroy(p->back);
    flt_ws_destroy(&p->ws);
    flt_free(p->slots);
    flt_free(p->f);
    flt_free(p->lags);
    flt_free(p->matrix);
    flt_att_drop(&p->lag_bias);
    flt_att_drop(&p->bias);
    flt_att_encoding_drop(&p->encoding);
    flt_att_drop(&p->pos.array);
    flt_free(p);
}

static void choose_tile(plan *p) {
    p->rows = flt_smaller(ROWS, p->N);
    p->cols = flt_smaller(COLS, p->N);
    p->row_tiles = (p->N + p->rows - 1) / p->rows;
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"bias", "pos", NULL};
    plan *p = NULL;
    flt_err err = flt_att_encoding_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->B = desc->B, p->H = desc->H, p->N = desc->N, p->d = desc->d, p->dv = desc->dv;
    p->causal = desc->causal;
    p->tiles = FLTX_ISA_PICK(flt_att_tiles);
    choose_tile(p);
    p->threads = (int)flt_smaller((size_t)desc->threads, p->B * p->H * p->row_tiles);
    FLTX_GO(err, failed, flt_att_positions_read(desc, &p->pos));
    FLTX_GO(err, failed, read_bias(desc, p));
    FLTX_GO(err, failed, make_tables(p));
    fill_tables(p);
    FLTX_GO(err, failed, flt_alloc((size_t)p->threads, sizeof *p->slots, &p->slots));
    FLTX_GO(err, failed, flt_ws_create(bind, p, &p->ws));
    const flt_att_exact_shape shape = {p->rows,  p->cols,      p->threads,   p,           back_bias,
                                       &p->bias, &p->lag_bias, &p->encoding, p->pos.step, p->points ? back_points : NULL};
    FLTX_GO(err, failed, flt_att_exact_back_create(desc, &shape, &p->back));
    *self = p;
    return FLTE_OK;
failed:
    destroy(p);
    return err;
}

static size_t workspace(const void *self) {
    const plan *p = self;
    return p->ws.size + flt_att_exact_back_workspace(p->back);
}

static size_t draws(const void *self, size_t max, flt_attention_arg *out) {
    const plan *p = self;
    size_t n = 0;
    flt_att_list(&p->bias, max, out, &n);
    if (p->lag_bias.data != NULL)
        flt_att_list(&p->lag_bias, max, out, &n);
    else
        flt_att_encoding_list(&p->encoding, max, out, &n);
    return n;
}

static size_t flagged(const void *self) {
    const plan *p = self;
    size_t rows = 0;
    for (int t = 0; t < p->threads; t++) rows += p->slots[t].flagged;
    return rows;
}

const flt_attention_kind flt_attention_kind_exact = {
    .kind =
        {
            .name = "exact",
            .summary = "quadratic softmax attention, tiled; arguments bias [N, N], or lag_bias [2N - 1], or an encoding's",
            .formula = "out = softmax(q k^T / sqrt d + bias) v",
            .cost = "time O(N^2 (d + dv)), memory O(N d)",
            .citation =
                "Vaswani et al., Attention is all you need, NeurIPS 2017; Rabe and Staats 2021, arXiv 2112.05682 (memory)",
            .caps = FLTX_ATT_CAUSAL | FLTX_ATT_RPE | FLTX_ATT_EXACT | FLTX_ATT_NORMALISED | FLTX_ATT_PERMUTE | FLTX_ATT_BACKWARD |
                    FLTX_ATT_CLOSED_FORM,
            .params = params,
        },
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
    .update = update,
    .workspace = workspace,
    .draws = draws,
    .flagged = flagged,
};
