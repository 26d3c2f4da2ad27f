// SPDX-License-Identifier: MIT
// NPRF: kernel attention with normalised queries and keys times an exact relative encoding, the Toeplitz matrix by FFT.
//
//     out_i = sum_j e^{b_{j-i}} phi(x_i).phi(y_j) v_j / sum_j e^{b_{j-i}} phi(x_i).phi(y_j),   phi(x) = exp(omega x - |x|^2/2)
//     x = q/|q|, y = k/|k|, no 1/sqrt d;   lag_bias [2N - 1] holds b_{j-i} at (j - i) + N - 1;   omega [m, d]
//
// Luo et al., Stable, fast and accurate: kernelized attention with relative positional encoding, NeurIPS 2021, arXiv 2106.12566.
// Time O(m dv N log N) (causal: log^2 N), memory O(N (m + dv)) a thread: features one after the other, where the published form
// holds N m dv numbers. Up to `crossover` tokens the quadratic product is used, in tiles: by default where it is faster, for m =
// 32, dv = 64 up to 2000 tokens (causal 4000), for m = 256 up to 6000. Offsets that are clipped (one value beyond a reach W on
// either side) need neither: a band and running sums, O(N (W (m + dv) + m dv)); chosen when that is the fastest. See
// engine/lagged.h. Limits: evenly spaced positions. normalise=false is allowed: rows that a transform would spoil are computed
// directly; their number is reported as `flagged` (see engine/lagged.h). A query or key of zeros stays zero. Of the capability
// bits two are clear although they come near: `random`, because what is estimated is the softmax of normalised q and k, not of
// q.k/sqrt d; `rpe`, because that promises any positions.
#include "engine/encoding.h"
#include "engine/features.h"
#include "engine/lagged_backward.h"

#include "flt/plant.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static const flt_param_spec params[] = {
    FLTX_ATT_M_PARAM,
    {"normalise", FLTX_BOOL, "true", 0, 0, NULL, "scale queries and keys to length 1"},
    {"crossover", FLTX_INT, "0", 0, 1 << 30, NULL,
     "tokens up to which, or band of tokens in which, the quadratic product replaces transforms; 0: where it is faster"},
    {"measure", FLTX_BOOL, "false", 0, 0, NULL,
     "try at plan time which way is faster here, some 20 ms; the last bits of results may then differ between plans"},
    FLTX_ATT_RPE_PARAM,
    {.name = NULL},
};

typedef struct room {  // one thread's
    flt_real *x;       // [tile, d]: normalised rows
    flt_real *half;    // [tile]: half their squares
    flt_real *scale;   // [tile]: 1 / length
    flt_real *dx;      // [tile, d]; backward
    flt_real *product; // [d, m]; backward
} room;

typedef struct plan {
    size_t B, H, N, d, dv, m, heads; // heads: of omega, 1 when shared
    bool normalise;
    flt_att_positions pos;
    flt_att_encoding encoding;
    flt_att_array lag_bias, omega;
    size_t lag_heads;
    double *lags;    // [lag heads, 2N - 1]
    double *domega;  // [B H, m d]
    bool want_omega; // its gradient, of the pass at work
    flt_real *w;     // [heads, d, m]: omega^T
    room *rooms;     // [threads]
    double flagged;
    flt_att_lagged *lagged;
    flt_att_lagged_back *back;
    double *dtheta; // [H, size of the encoding's gradients]
    const char *trained[FLTX_ATT_MAX_ARRAYS];
    flt_ws ws;
} plan;

enum { TILE = FLTX_LAGGED_TILE };

// ---- features

static const flt_real *weights(const plan *p, size_t head) {
    return p->w + (p->heads == 1 ? 0 : head * p->d * p->m);
}

// Rows of a tile, normalised or as they are, their scales and halves; the bound keeps it finite where the square overflows.
static void load_rows(const plan *p, const room *w, size_t n, const flt_real *x) {
    for (size_t i = 0; i < n; i++) {
        const flt_real *row = x + i * p->d;
        const double squares = flt_sum_squares(p->d, row), norm = sqrt(squares);
        w->scale[i] = (flt_real)(p->normalise && norm > 0 && !FLTX_BUG(UNNORMALISED) ? 1 / norm : 1);
        w->half[i] = p->normalise ? (flt_real)0.5 : (flt_real)fmin(0.5 * squares, 1e30);
        for (size_t c = 0; c < p->d; c++) w->x[i * p->d + c] = w->scale[i] * row[c];
    }
}

// u [N, m] = omega x - |x|^2/2
static void log_features(const plan *p, const room *w, size_t head, const flt_real *x, flt_real *u) {
    for (size_t at = 0; at < p->N; at += TILE) {
        const size_t n = p->N - at < TILE ? p->N - at : TILE;
        load_rows(p, w, n, x + at * p->d);
        p->lagged->tiles->start(n, p->m, NULL, w->half, u + at * p->m);
        flt_gemm(false, false, n, p->m, p->d, 1, w->x, p->d, weights(p, head), p->m, 1, u + at * p->m, p->m);
    }
}

// dx becomes the gradient of the row before it was normalised; its part along the row is lost. Without a direction there is none.
static void back_row(const plan *p, const room *w, size_t i, bool key, const flt_real *du, flt_real *to) {
    const size_t d = p->d;
    const flt_real *x = w->x + i * d, *dx = w->dx + i * d;
    if (p->normalise) {
        const flt_real along = FLTX_BUG(BACKWARD_ALONG) ? 0 : flt_dot(d, x, dx);
        const bool none = flt_sum_squares(d, x) == 0;
        for (size_t c = 0; c < d; c++) to[c] = none ? 0 : w->scale[i] * (dx[c] - along * x[c]);
    } else { // -|k|^2/2 of keys; that of queries is constant along a row of weights
        const flt_real sum = key && w->half[i] < (flt_real)1e30 ? flt_sum(p->m, du) : 0;
        for (size_t c = 0; c < d; c++) to[c] = dx[c] - sum * x[c];
    }
}

// du [N, m] -> dx [N, d], and what omega [m, d] gets where that is wanted
static void back_features(const plan *p, const room *w, size_t bh, bool key, const flt_real *x, const flt_real *du,
                          flt_real *dx) {
    const size_t d = p->d, m = p->m;
    double *sums = p->domega + bh * m * d;
    for (size_t at = 0; at < p->N; at += TILE) {
        const size_t n = p->N - at < TILE ? p->N - at : TILE;
        const flt_real *tile = du + at * m;
        load_rows(p, w, n, x + at * d);
        flt_gemm(false, true, n, d, m, 1, tile, m, weights(p, bh % p->H), m, 0, w->dx, d);
        for (size_t i = 0; i < n; i++) back_row(p, w, i, key, tile + i * m, dx + (at + i) * d);
        if (!p->want_omega) continue;
        flt_gemm(true, false, d, m, n, 1, w->x, d, tile, m, 0, w->product, m);
        for (size_t f = 0; f < m; f++) {
            for (size_t c = 0; c < d; c++) sums[f * d + c] += (double)w->product[c * m + f];
        }
    }
}

static void forward(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    plan *p = self;
    size_t rows = 0;
#pragma omp parallel num_threads(p->lagged->threads) reduction(+ : rows)
    {
        const size_t t = (size_t)omp_get_thread_num();
        flt_att_lagged_slot *w = &p->lagged->slots[t];
        const unsigned saved = flt_num_ftz();
        w->flagged = 0;
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < p->B * p->H; i++) {
            log_features(p, &p->rooms[t], i % p->H, q + i * p->N * p->d, w->lq);
            log_features(p, &p->rooms[t], i % p->H, k + i * p->N * p->d, w->lk);
            flt_att_lagged_run(p->lagged, t, i % p->H, v + i * p->N * p->dv, out + i * p->N * p->dv);
        }
        rows += w->flagged;
        flt_num_ftz_restore(saved);
    }
    p->flagged = (double)rows;
}

static void back_head(plan *p, const flt_attention_pass *pass, size_t t, size_t bh) {
    const size_t x = bh * p->N * p->d, y = bh * p->N * p->dv;
    const flt_att_lagged_slot *w = &p->lagged->slots[t];
    const flt_att_lagged_pass one = {t, bh, pass->v + y, pass->out + y, pass->dout + y, pass->dv + y};
    log_features(p, &p->rooms[t], bh % p->H, pass->q + x, w->lq);
    log_features(p, &p->rooms[t], bh % p->H, pass->k + x, w->lk);
    flt_att_lagged_back_run(p->back, &one);
    back_features(p, &p->rooms[t], bh, false, pass->q + x, p->back->slots[t].dlq, pass->dq + x);
    back_features(p, &p->rooms[t], bh, true, pass->k + x, p->back->slots[t].dlk, pass->dk + x);
}

// The arguments of an encoding, through the lags that they give.
static void back_encoding(plan *p) {
    const size_t size = flt_att_encoding_size(&p->encoding), lags = 2 * p->N - 1;
    memset(p->dtheta, 0, p->H * size * sizeof *p->dtheta);
    for (size_t bh = 0; bh < p->B * p->H; bh++)
        flt_att_encoding_lags_back(&p->encoding, bh % p->H, p->N, p->pos.step, p->back->dlags + bh * lags,
                                   p->dtheta + bh % p->H * size);
}

static void gather(const plan *p, const flt_attention_gradient *to) {
    if (strcmp(to->name, "omega") == 0)
        flt_att_gather(&p->omega, p->B * p->H, p->H, p->domega, to->data);
    else if (p->lag_bias.data != NULL)
        flt_att_gather(&p->lag_bias, p->B * p->H, p->H, p->back->dlags, to->data);
    else
        flt_att_encoding_gather(&p->encoding, to->name, p->dtheta, to->data);
}

static flt_err backward(void *self, const flt_attention_pass *pass) {
    plan *p = self;
    bool lags = false;
    FLTX_TRY(flt_att_gradients_known("nprf", pass, p->trained));
    p->want_omega = false;
    for (size_t i = 0; i < pass->n_args; i++) {
        const bool is = strcmp(pass->args[i].name, "omega") == 0;
        p->want_omega |= is, lags |= !is;
    }
    flt_att_lagged_back_begin(p->back, lags);
    if (p->want_omega) memset(p->domega, 0, p->B * p->H * p->m * p->d * sizeof *p->domega);
#pragma omp parallel num_threads(p->lagged->threads)
    {
        const unsigned saved = flt_num_ftz();
#pragma omp for schedule(dynamic)
        for (size_t bh = 0; bh < p->B * p->H; bh++) back_head(p, pass, (size_t)omp_get_thread_num(), bh);
        flt_num_ftz_restore(saved);
    }
    if (lags && p->lag_bias.data == NULL) back_encoding(p);
    for (size_t i = 0; i < pass->n_args; i++) gather(p, &pass->args[i]);
    return FLTE_OK;
}

// ---- plan

static void bind(void *self, flt_ws *ws) {
    plan *p = self;
    const size_t real = sizeof(flt_real);
    for (int t = 0; t < p->lagged->threads; t++) {
        room *w = &p->rooms[t];
        w->x = flt_ws_take(ws, TILE * p->d, real);
        w->half = flt_ws_take(ws, TILE, real);
        w->scale = flt_ws_take(ws, TILE, real);
        w->dx = p->back != NULL ? flt_ws_take(ws, TILE * p->d, real) : NULL;
        w->product = p->back != NULL ? flt_ws_take(ws, p->d * p->m, real) : NULL;
    }
    if (p->back == NULL) return;
    p->domega = flt_ws_take(ws, p->B * p->H * p->m * p->d, sizeof(double));
    p->dtheta = flt_ws_take(ws, p->H * flt_att_encoding_size(&p->encoding) + 1, sizeof(double));
}

static flt_err read_lags(const flt_attention_desc *desc, plan *p) {
    flt_att_dim dim[1] = {{"2N - 1", 2 * (ptrdiff_t)p->N - 1}};
    if (flt_att_lags_alone(desc)) {
        FLTX_TRY(flt_att_take(desc, "lag_bias", 1, dim, &p->lag_bias));
        p->lag_heads = p->lag_bias.heads == 0 ? 1 : p->H;
    } else {
        FLTX_TRY(flt_att_encoding_read(desc, &p->pos, &p->encoding));
        if (!p->pos.spaced)
            return flt_fail(
                FLTE_UNSUPPORTED, desc->mechanism,
                "positions are not evenly spaced on a line, so that the encoding is no Toeplitz matrix; exact and flt "
                "take any positions");
        p->lag_heads = flt_att_encoding_shared(&p->encoding) ? 1 : p->H;
    }
    return flt_alloc(p->lag_heads, (2 * p->N - 1) * sizeof *p->lags, &p->lags);
}

// b at the 2N - 1 lags, in double: from lag_bias as it is, or from an encoding on evenly spaced positions, or zeros.
static void load_lags(plan *p) {
    const size_t n = 2 * p->N - 1;
    if (p->lag_bias.data != NULL) memcpy(p->lags, p->lag_bias.data, p->lag_heads * n * sizeof *p->lags);
    for (size_t h = 0; p->lag_bias.data == NULL && h < p->lag_heads; h++)
        flt_att_encoding_lags(&p->encoding, h, p->N, p->pos.step, p->lags + h * n);
    flt_att_lagged_load(p->lagged, p->lags);
}

// What runs read, from the arguments.
static void load(plan *p) {
    for (size_t h = 0; h < p->heads; h++)
        for (size_t f = 0; f < p->m; f++)
            for (size_t c = 0; c < p->d; c++)
                p->w[(h * p->d + c) * p->m + f] = (flt_real)flt_att_head(&p->omega, h)[f * p->d + c];
    load_lags(p);
}

static flt_err update(void *self, size_t n_args, const flt_attention_arg *args) {
    plan *p = self;
    flt_att_arrays have = {.who = "nprf"};
    flt_att_arrays_add(&have, &p->omega);
    flt_att_arrays_add(&have, &p->lag_bias);
    flt_att_encoding_arrays(&p->encoding, &have);
    FLTX_TRY(flt_att_arrays_check(&have, n_args, args));
    const flt_att_encoding with = flt_att_encoding_with(&p->encoding, n_args, args);
    FLTX_TRY(flt_att_encoding_check(&with));
    flt_att_arrays_copy(&have, n_args, args);
    load(p);
    return FLTE_OK;
}

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_ws_destroy(&p->ws);
    flt_att_lagged_back_destroy(p->back);
    flt_att_lagged_destroy(p->lagged);
    flt_free(p->rooms);
    flt_free(p->lags);
    flt_free(p->w);
    flt_att_drop(&p->omega);
    flt_att_drop(&p->lag_bias);
    flt_att_encoding_drop(&p->encoding);
    flt_att_drop(&p->pos.array);
    flt_free(p);
}

static void list_trained(plan *p) {
    size_t n = 0;
    p->trained[n++] = "omega";
    if (p->lag_bias.data != NULL)
        p->trained[n++] = "lag_bias";
    else
        flt_att_encoding_names(&p->encoding, FLTX_ATT_MAX_ARRAYS - 1, p->trained, &n);
}

static flt_err build(const flt_attention_desc *desc, plan *p) {
    const size_t crossover = flt_params_size(desc->params, "crossover");
    const bool measure = flt_params_bool(desc->params, "measure");
    double pace[2] = {1, 1};
    FLTX_TRY(flt_att_positions_read(desc, &p->pos));
    FLTX_TRY(flt_att_omega(desc, desc->d, &p->omega));
    p->m = p->omega.dim[0];
    p->heads = p->omega.heads == 0 ? 1 : p->omega.heads;
    FLTX_TRY(flt_alloc(p->heads * p->d, p->m * sizeof *p->w, &p->w));
    FLTX_TRY(read_lags(desc, p));
    if (measure) FLTX_TRY(flt_att_lagged_measure(desc, p->m, pace));
    FLTX_TRY(flt_att_lagged_create(desc, p->m, p->lag_heads, crossover, pace, &p->lagged));
    FLTX_TRY(flt_att_lagged_back_create(desc, p->lagged, &p->back));
    FLTX_TRY(flt_alloc((size_t)p->lagged->threads, sizeof *p->rooms, &p->rooms));
    FLTX_TRY(flt_ws_create(bind, p, &p->ws));
    list_trained(p);
    load(p);
    return FLTE_OK;
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"omega", "pos", NULL};
    plan *p = NULL;
    *self = NULL;
    FLTX_TRY(flt_att_encoding_args_known(desc, names));
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->B = desc->B, p->H = desc->H, p->N = desc->N, p->d = desc->d, p->dv = desc->dv;
    p->normalise = flt_params_bool(desc->params, "normalise");
    const flt_err err = build(desc, p);
    if (err != FLTE_OK)
        destroy(p);
    else
        *self = p;
    return err;
}

static size_t workspace(const void *self) {
    const plan *p = self;
    return p->ws.size + p->lagged->ws.size + flt_att_lagged_back_workspace(p->back);
}

static size_t draws(const void *self, size_t max, flt_attention_arg *out) {
    const plan *p = self;
    size_t n = 0;
    flt_att_list(&p->omega, max, out, &n);
    if (p->lag_bias.data != NULL)
        flt_att_list(&p->lag_bias, max, out, &n);
    else
        flt_att_encoding_list(&p->encoding, max, out, &n);
    if ((p->flagged > 0 || !p->normalise) && n < max)
        out[n++] = (flt_attention_arg){.name = "flagged", .rank = 1, .dim = {1}, .data = &p->flagged};
    return n;
}

static size_t flagged(const void *self) {
    return (size_t)((const plan *)self)->flagged;
}

const flt_attention_kind flt_attention_kind_nprf = {
    .kind =
        {
            .name = "nprf",
            .summary =
                "kernel attention of normalised q, k times an exact relative encoding by FFT; arguments lag_bias [2N - 1], "
                "omega [m, d], or an encoding's",
            .formula = "A_ij = exp(b_{j-i}) phi(q_i/|q_i|).phi(k_j/|k_j|), phi(x) = exp(omega x - |x|^2/2)",
            .cost = "time O(m dv N log N), causal O(m dv N log^2 N), memory O(N (m + dv)); quadratic up to `crossover` tokens; "
                    "offsets clipped at W: time O(N (W (m + dv) + m dv))",
            .citation = "Luo et al., Stable, fast and accurate: kernelized attention with relative positional encoding, NeurIPS "
                        "2021, arXiv 2106.12566",
            .caps = FLTX_ATT_CAUSAL | FLTX_ATT_NORMALISED | FLTX_ATT_PERMUTE | FLTX_ATT_CLOSED_FORM | FLTX_ATT_BACKWARD,
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
