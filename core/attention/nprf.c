// SPDX-License-Identifier: MIT
// NPRF: kernel attention with normalised queries and keys times an exact relative encoding, the Toeplitz matrix by FFT.
//
//     out_i = sum_j e^{b_{j-i}} phi(x_i).phi(y_j) v_j / sum_j e^{b_{j-i}} phi(x_i).phi(y_j),   phi(x) = exp(omega x - |x|^2/2)
//     x = q/|q|, y = k/|k|, no 1/sqrt d;   lag_bias [2N - 1] holds b_{j-i} at (j - i) + N - 1;   omega [m, d]
//
// Luo et al., Stable, fast and accurate: kernelized attention with relative positional encoding, NeurIPS 2021, arXiv 2106.12566.
// Time O(m dv N log N) (causal: log^2 N), memory O(N (m + dv)) a thread: features one after the other, where the published form
// holds N m dv numbers. Up to `crossover` tokens the quadratic product is used, in tiles; it stays faster for a good deal longer
// than its default, so set it higher where time counts more than how time grows.
// Limits: evenly spaced positions. normalise=false is allowed: rows that a transform would spoil are computed directly; their
// number is reported as `flagged` (see engine/lagged.h). A query or key of zeros stays zero.
// Of the capability bits two are clear although they come near: `random`, because what is estimated is the softmax of normalised
// q and k, not of q.k/sqrt d; `rpe`, because that promises any positions.
#include "engine/encoding.h"
#include "engine/features.h"
#include "engine/lagged.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static const flt_param_spec params[] = {
    FLTX_ATT_M_PARAM,
    {"normalise", FLTX_BOOL, "true", 0, 0, NULL, "scale queries and keys to length 1"},
    {"crossover", FLTX_INT, "1024", 1, 1 << 30, NULL, "tokens up to which the quadratic product is used in place of transforms"},
    FLTX_ATT_RPE_PARAM,
    {.name = NULL},
};

typedef struct plan {
    size_t B, H, N, d, dv, m, heads; // heads: of omega, 1 when shared
    bool normalise;
    flt_att_positions pos;
    flt_att_encoding encoding;
    flt_att_array lag_bias, omega;
    flt_real *w;      // [heads, d, m]: omega^T
    flt_real **rooms; // [threads]: [tile, d] and [tile]
    double flagged;
    flt_att_lagged *lagged;
    flt_ws ws;
} plan;

enum { TILE = FLTX_LAGGED_TILE };

// ---- features

// u [N, m] = omega x - |x|^2/2, x normalised or as it is; the bound keeps it finite where the square overflows.
static void log_features(const plan *p, flt_real *room, size_t head, const flt_real *x, flt_real *u) {
    const flt_real *w = p->w + (p->heads == 1 ? 0 : head * p->d * p->m);
    flt_real *half = room + TILE * p->d;
    for (size_t at = 0; at < p->N; at += TILE) {
        const size_t n = p->N - at < TILE ? p->N - at : TILE;
        for (size_t i = 0; i < n; i++) {
            const flt_real *row = x + (at + i) * p->d;
            const double squares = flt_sum_squares(p->d, row), norm = sqrt(squares);
            const flt_real scale = (flt_real)(p->normalise && norm > 0 ? 1 / norm : 1);
            half[i] = p->normalise ? (flt_real)0.5 : (flt_real)fmin(0.5 * squares, 1e30);
            for (size_t c = 0; c < p->d; c++) room[i * p->d + c] = scale * row[c];
        }
        p->lagged->tiles->start(n, p->m, NULL, half, u + at * p->m);
        flt_gemm(false, false, n, p->m, p->d, 1, room, p->d, w, p->m, 1, u + at * p->m, p->m);
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
            log_features(p, p->rooms[t], i % p->H, q + i * p->N * p->d, w->lq);
            log_features(p, p->rooms[t], i % p->H, k + i * p->N * p->d, w->lk);
            flt_att_lagged_run(p->lagged, t, i % p->H, v + i * p->N * p->dv, out + i * p->N * p->dv);
        }
        rows += w->flagged;
        flt_num_ftz_restore(saved);
    }
    p->flagged = (double)rows;
}

// ---- plan

static void bind(void *self, flt_ws *ws) {
    plan *p = self;
    for (int t = 0; t < p->lagged->threads; t++) p->rooms[t] = flt_ws_take(ws, TILE * (p->d + 1), sizeof(flt_real));
}

static flt_err load_omega(plan *p) {
    p->m = p->omega.dim[0];
    p->heads = p->omega.heads == 0 ? 1 : p->omega.heads;
    FLTX_TRY(flt_alloc(p->heads * p->d, p->m * sizeof *p->w, &p->w));
    for (size_t h = 0; h < p->heads; h++)
        for (size_t f = 0; f < p->m; f++)
            for (size_t c = 0; c < p->d; c++)
                p->w[(h * p->d + c) * p->m + f] = (flt_real)flt_att_head(&p->omega, h)[f * p->d + c];
    return FLTE_OK;
}

// b at the 2N - 1 lags, in double: from lag_bias as it is, or from an encoding on evenly spaced positions, or zeros.
static flt_err read_lags(const flt_attention_desc *desc, plan *p, size_t *heads, double **lags) {
    const size_t n = 2 * p->N - 1;
    flt_att_dim dim[1] = {{"2N - 1", (ptrdiff_t)n}};
    const bool table =
        flt_attention_arg_find(desc, "lag_bias") != NULL && strcmp(flt_params_text(desc->params, "rpe"), "auto") == 0;
    if (table) {
        FLTX_TRY(flt_att_take(desc, "lag_bias", 1, dim, &p->lag_bias));
        *heads = p->lag_bias.heads == 0 ? 1 : p->H;
        FLTX_TRY(flt_alloc(*heads * n, sizeof **lags, lags));
        memcpy(*lags, p->lag_bias.data, *heads * n * sizeof **lags);
        return FLTE_OK;
    }
    FLTX_TRY(flt_att_encoding_read(desc, &p->pos, &p->encoding));
    if (!p->pos.spaced)
        return flt_fail(
            FLTE_UNSUPPORTED, desc->mechanism,
            "positions are not evenly spaced on a line, so that the encoding is no Toeplitz matrix; exact and flt take "
            "any positions");
    *heads = flt_att_encoding_shared(&p->encoding) ? 1 : p->H;
    FLTX_TRY(flt_alloc(*heads * n, sizeof **lags, lags));
    for (size_t h = 0; h < *heads; h++) flt_att_encoding_lags(&p->encoding, h, p->N, p->pos.step, *lags + h * n);
    return FLTE_OK;
}

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_ws_destroy(&p->ws);
    flt_att_lagged_destroy(p->lagged);
    flt_free(p->rooms);
    flt_free(p->w);
    flt_att_drop(&p->omega);
    flt_att_drop(&p->lag_bias);
    flt_att_encoding_drop(&p->encoding);
    flt_att_drop(&p->pos.array);
    flt_free(p);
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"omega", "pos", NULL};
    plan *p = NULL;
    double *lags = NULL;
    size_t heads = 1;
    flt_err err = flt_att_encoding_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->B = desc->B, p->H = desc->H, p->N = desc->N, p->d = desc->d, p->dv = desc->dv;
    p->normalise = flt_params_bool(desc->params, "normalise");
    FLTX_GO(err, failed, flt_att_positions_read(desc, &p->pos));
    FLTX_GO(err, failed, flt_att_omega(desc, desc->d, &p->omega));
    FLTX_GO(err, failed, load_omega(p));
    FLTX_GO(err, failed, read_lags(desc, p, &heads, &lags));
    const size_t crossover = flt_params_size(desc->params, "crossover");
    FLTX_GO(err, failed, flt_att_lagged_create(desc, p->m, heads, lags, crossover, &p->lagged));
    FLTX_GO(err, failed, flt_alloc((size_t)p->lagged->threads, sizeof *p->rooms, &p->rooms));
    FLTX_GO(err, failed, flt_ws_create(bind, p, &p->ws));
    flt_free(lags);
    *self = p;
    return FLTE_OK;
failed:
    flt_free(lags);
    destroy(p);
    return err;
}

static size_t workspace(const void *self) {
    const plan *p = self;
    return p->ws.size + p->lagged->ws.size;
}

static size_t draws(const void *self, size_t max, flt_attention_arg *out) {
    const plan *p = self;
    size_t n = 0;
    flt_att_list(&p->omega, max, out, &n);
    if (p->lag_bias.data != NULL)
        flt_att_list(&p->lag_bias, max, out, &n);
    else
        flt_att_encoding_list(&p->encoding, max, out, &n);
    if (p->flagged > 0 && n < max) out[n++] = (flt_attention_arg){.name = "flagged", .rank = 1, .dim = {1}, .data = &p->flagged};
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
            .cost = "time O(m dv N log N), causal O(m dv N log^2 N), memory O(N (m + dv)); quadratic up to `crossover` tokens",
            .citation = "Luo et al., Stable, fast and accurate: kernelized attention with relative positional encoding, NeurIPS "
                        "2021, arXiv 2106.12566",
            .caps = FLTX_ATT_CAUSAL | FLTX_ATT_NORMALISED | FLTX_ATT_PERMUTE | FLTX_ATT_CLOSED_FORM,
            .params = params,
        },
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .workspace = workspace,
    .draws = draws,
    .flagged = flagged,
};
