// SPDX-License-Identifier: MIT
// Taylor features of q.k times the mask exp(f) itself, interpolated between nodes: no randomness on either side.
//
//     A_ij = That(r_i - r_j) w_j P(x_i.y_j),   x = (q - mean q)/d^(1/4), y = (k - mean k)/d^(1/4), w_j = exp(mean q.k_j / sqrt d)
//     P(s) = 1, 1 + s or 1 + s + s^2/2 = <phi(x), phi(y)> with F = 1, 1 + d or 1 + d + d (d + 1)/2 features
//     That = sum_ab h_a(r_i) T(x_a - x_b) h_b(r_j), T = exp(f): linear interpolation on `nodes` + 1 evenly spaced nodes x_a
//
// Centring changes nothing in softmax (what q's mean adds along a row cancels, what it adds to a key is w) and makes s small.
// P is within 5 % of exp (order 1) for |s| <= 0.3, (order 2) for |s| <= 0.8: inputs of layer normalisation times 0.5, or less.
// Positions on a line, in any order; any encoding, also those without a spectrum. That is exact where f is, on nodes: features of
// the mask finer than span/nodes are blurred. Weights of order 0 and 2 are positive. Those of order 1 may add up to little or to
// less than nothing: rows below a tenth of what they are without q are computed by exact attention; their number is `flagged`.
//
// Arora et al., Simple linear attention language models balance the recall-throughput tradeoff, 2024, arXiv 2402.18668 (Taylor
// features); Wilson, Nickisch, Kernel interpolation for scalable structured Gaussian processes, ICML 2015, arXiv 1503.01057.
// Time O(N F dv + nodes^2 F dv), memory O(nodes F dv). Bidirectional: interpolation mixes past and future.
#include "engine/encoding.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static const flt_param_spec params[] = {
    {"order", FLTX_INT, "1", 0, 2, NULL, "degree of the polynomial in place of exp(q.k / sqrt d)"},
    {"nodes", FLTX_INT, "64", 1, 1 << 16, NULL, "cells of the line between whose ends the mask is interpolated"},
    {"centre", FLTX_ENUM, "mean", 0, 0, "mean|none", "mean: take their means off q and k, which exact attention does not see"},
    FLTX_ATT_RPE_PARAM,
    {.name = NULL},
};

enum { TILE = 64 };
#define LITTLE ((flt_real)0.1)
#define TINY   ((flt_real)1e-30)

typedef struct room {         // one thread's
    double *mean;             // [2, d]: of q and k
    flt_real *shift;          // [2, d]: the same over d^(1/4)
    flt_real *weight;         // [N]: of the keys
    flt_real *x;              // [TILE, d]: centred rows
    flt_real *phi;            // [TILE, 2 F]: features times the weights of the left and of the right node
    flt_real *value, *out;    // [TILE, dv + 1]
    flt_real *keys, *queries; // [nodes + 1, F, dv + 1]: sums over keys, and what queries read
    double *logits;           // [N]: of a row that is computed exactly
    size_t flagged;
} room;

typedef struct plan {
    size_t B, H, N, d, dv, F, nodes;
    int order, threads;
    bool centred;
    double shrink; // d^(-1/4)
    flt_att_positions pos;
    flt_att_encoding encoding;
    size_t mask_heads;
    flt_real *mask;   // [mask_heads, nodes + 1, nodes + 1]: T between nodes, over its largest value
    size_t *order_of; // [N]: tokens by position
    size_t *cell;     // [N]: of the tokens in that order
    flt_real *right;  // [N]: weight of the cell's right node
    room *rooms;
    double total; // flagged rows of the last pass
    flt_ws ws;
} plan;

// ---- features

// phi [F] of x [d].
static void features(const plan *p, const flt_real *x, flt_real *phi) {
    const flt_real root = (flt_real)0.70710678118654752440;
    *phi++ = 1;
    if (p->order == 0) return;
    memcpy(phi, x, p->d * sizeof *x);
    phi += p->d;
    for (size_t a = 0; p->order == 2 && a < p->d; a++) {
        *phi++ = (FLTX_BUG(WHOLE_SQUARE) ? 1 : root) * x[a] * x[a];
        for (size_t b = a + 1; b < p->d; b++) *phi++ = x[a] * x[b];
    }
}

static void add_mean(const plan *p, const flt_real *rows, double *mean) {
    for (size_t i = 0; i < p->N; i++)
        for (size_t c = 0; c < p->d; c++) mean[c] += (double)rows[i * p->d + c];
    for (size_t c = 0; c < p->d; c++) mean[c] /= (double)p->N;
}

// Means, as they are and as they come off scaled rows; zeros when not centred.
static void set_means(const plan *p, room *w, const flt_real *q, const flt_real *k) {
    memset(w->mean, 0, 2 * p->d * sizeof *w->mean);
    if (p->centred) {
        add_mean(p, q, w->mean);
        add_mean(p, k, w->mean + p->d);
    }
    for (size_t c = 0; c < 2 * p->d; c++) w->shift[c] = (flt_real)(p->shrink * w->mean[c]);
}

// phi [n, 2F] of tokens at .. at + n - 1 (by position): features times the weights of the cell's two nodes.
static void tile_features(const plan *p, const room *w, const flt_real *shift, size_t at, size_t n, const flt_real *rows) {
    const flt_real shrink = (flt_real)p->shrink;
    for (size_t i = 0; i < n; i++) {
        const flt_real *row = rows + p->order_of[at + i] * p->d, right = p->right[at + i];
        flt_real *left_phi = w->phi + i * 2 * p->F, *right_phi = left_phi + p->F;
        for (size_t c = 0; p->order > 0 && c < p->d; c++) w->x[c] = shrink * row[c] - shift[c];
        features(p, w->x, left_phi);
        for (size_t f = 0; f < p->F; f++) right_phi[f] = right * left_phi[f];
        for (size_t f = 0; f < p->F; f++) left_phi[f] -= right_phi[f];
    }
}

// ---- keys to nodes, nodes to nodes, nodes to queries

// weight [N] = exp(mean q.k / sqrt d) over its largest value; ones when not centred.
static void weigh_keys(const plan *p, room *w, const flt_real *k) {
    double top = -INFINITY;
    for (size_t j = 0; j < p->N; j++) {
        double along = 0.0;
        for (size_t c = 0; p->centred && c < p->d; c++) along += w->mean[c] * (double)k[j * p->d + c];
        w->logits[j] = FLTX_BUG(LOST_KEY_WEIGHT) ? 0.0 : along * p->shrink * p->shrink;
        top = fmax(top, w->logits[j]);
    }
    for (size_t j = 0; j < p->N; j++) w->weight[j] = (flt_real)(w->logits[j] - top);
    flt_vexp(p->N, w->weight, w->weight);
}

// value [n, dv + 1] = w_j [v_j, 1]
static void tile_values(const plan *p, const room *w, size_t at, size_t n, const flt_real *v) {
    for (size_t i = 0; i < n; i++) {
        const size_t j = p->order_of[at + i];
        const flt_real weight = w->weight[j], *row = v + j * p->dv;
        flt_real *to = w->value + i * (p->dv + 1);
        for (size_t c = 0; c < p->dv; c++) to[c] = weight * row[c];
        to[p->dv] = weight;
    }
}

// Tokens from `at` on that share a cell and fit a tile.
static size_t tile_length(const plan *p, size_t at) {
    size_t n = 1;
    while (n < TILE && at + n < p->N && p->cell[at + n] == p->cell[at]) n++;
    return n;
}

static void gather_keys(const plan *p, room *w, const flt_real *k, const flt_real *v) {
    const size_t wide = p->dv + 1, F = p->F;
    weigh_keys(p, w, k);
    memset(w->keys, 0, (p->nodes + 1) * F * wide * sizeof *w->keys);
    for (size_t at = 0, n; at < p->N; at += n) {
        n = tile_length(p, at);
        tile_features(p, w, w->shift + p->d, at, n, k);
        tile_values(p, w, at, n, v);
        flt_gemm(true, false, 2 * F, wide, n, 1, w->phi, 2 * F, w->value, wide, 1, w->keys + p->cell[at] * F * wide, wide);
    }
}

static void mix_nodes(const plan *p, const room *w, size_t head) {
    const size_t n = p->nodes + 1, state = p->F * (p->dv + 1);
    const flt_real *mask = p->mask + (p->mask_heads == 1 ? 0 : head * n * n);
    flt_gemm(false, false, n, state, n, 1, mask, n, w->keys, state, 0, w->queries, state);
}

// ---- rows that order 1 cannot give

static double bias_between(const plan *p, size_t head, size_t i, size_t j) {
    const double z = p->pos.array.data[i] - p->pos.array.data[j];
    double f = 0.0;
    flt_att_encoding_closed_form(&p->encoding, p->mask_heads == 1 ? 0 : head, 1, &z, &f);
    return f;
}

static void exact_row(const plan *p, const room *w, size_t head, const flt_real *q, const flt_real *k, const flt_real *v,
                      size_t i, flt_real *out) {
    double top = -INFINITY, sum = 0.0;
    for (size_t j = 0; j < p->N; j++) {
        double dot = 0.0;
        for (size_t c = 0; c < p->d; c++) dot += (double)q[i * p->d + c] * (double)k[j * p->d + c];
        w->logits[j] = dot / sqrt((double)p->d) + bias_between(p, head, i, j);
        top = fmax(top, w->logits[j]);
    }
    for (size_t j = 0; j < p->N; j++) sum += w->logits[j] = exp(w->logits[j] - top);
    for (size_t c = 0; c < p->dv; c++) {
        double average = 0.0;
        for (size_t j = 0; j < p->N; j++) average += w->logits[j] / sum * (double)v[j * p->dv + c];
        out[c] = (flt_real)average;
    }
}

// What row i of the tile would be divided by without q: the first feature's part.
static flt_real base_of(const plan *p, const room *w, size_t at, size_t i) {
    const size_t state = p->F * (p->dv + 1), node = p->cell[at];
    const flt_real left = w->queries[node * state + p->dv], right = w->queries[(node + 1) * state + p->dv];
    return left + p->right[at + i] * (right - left);
}

// out [dv] = x [dv] / x[dv]; false when that is no more than `least`, or anything overflows.
static bool divide(size_t dv, const flt_real *x, flt_real least, flt_real *out) {
    bool fine = x[dv] > least && x[dv] >= TINY;
    for (size_t c = 0; c < dv; c++) fine = fine && isfinite(out[c] = x[c] / x[dv]) != 0;
    return fine;
}

// ---- forward

static void one_head(const plan *p, room *w, size_t head, const flt_real *q, const flt_real *k, const flt_real *v,
                     flt_real *out) {
    const size_t wide = p->dv + 1, F = p->F;
    set_means(p, w, q, k);
    gather_keys(p, w, k, v);
    mix_nodes(p, w, head);
    for (size_t at = 0, n; at < p->N; at += n) {
        n = tile_length(p, at);
        tile_features(p, w, w->shift, at, n, q);
        flt_gemm(false, false, n, wide, 2 * F, 1, w->phi, 2 * F, w->queries + p->cell[at] * F * wide, wide, 0, w->out, wide);
        for (size_t i = 0; i < n; i++) {
            const size_t row = p->order_of[at + i];
            if (divide(p->dv, w->out + i * wide, LITTLE * base_of(p, w, at, i), out + row * p->dv)) continue;
            exact_row(p, w, head, q, k, v, row, out + row * p->dv);
            w->flagged++;
        }
    }
}

static void forward(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    plan *p = self;
    size_t flagged = 0;
#pragma omp parallel num_threads(p->threads) reduction(+ : flagged)
    {
        room *w = &p->rooms[omp_get_thread_num()];
        const unsigned saved = flt_num_ftz();
        w->flagged = 0;
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < p->B * p->H; i++)
            one_head(p, w, i % p->H, q + i * p->N * p->d, k + i * p->N * p->d, v + i * p->N * p->dv, out + i * p->N * p->dv);
        flagged += w->flagged;
        flt_num_ftz_restore(saved);
    }
    p->total = (double)flagged;
}

// ---- plan

static void bind(void *self, flt_ws *ws) {
    plan *p = self;
    const size_t wide = p->dv + 1, state = (p->nodes + 1) * p->F;
    for (int t = 0; t < p->threads; t++) {
        room *w = &p->rooms[t];
        w->mean = flt_ws_take(ws, 2 * p->d, sizeof *w->mean);
        w->shift = flt_ws_take(ws, 2 * p->d, sizeof *w->shift);
        w->weight = flt_ws_take(ws, p->N, sizeof *w->weight);
        w->x = flt_ws_take(ws, p->d, sizeof *w->x);
        w->phi = flt_ws_take(ws, TILE * 2 * p->F, sizeof *w->phi);
        w->value = flt_ws_take(ws, TILE * wide, sizeof *w->value);
        w->out = flt_ws_take(ws, TILE * wide, sizeof *w->out);
        w->keys = flt_ws_take(ws, state * wide, sizeof *w->keys);
        w->queries = flt_ws_take(ws, state * wide, sizeof *w->queries);
        w->logits = flt_ws_take(ws, p->N + (FLTX_BUG(QUADRATIC_ROOM) ? p->N * p->N / 16 : 0), sizeof *w->logits);
    }
}

// Tokens by position, their cells and weights; a line of no length is one cell.
static flt_err place_tokens(plan *p, double *low, double *step) {
    const double *pos = p->pos.array.data;
    double high = -INFINITY;
    *low = INFINITY;
    for (size_t i = 0; i < p->N; i++) *low = fmin(*low, pos[i]), high = fmax(high, pos[i]);
    *step = high > *low ? (high - *low) / (double)p->nodes : 1.0;
    FLTX_TRY(flt_alloc(p->N, sizeof *p->order_of, &p->order_of));
    FLTX_TRY(flt_alloc(p->N, sizeof *p->cell, &p->cell));
    FLTX_TRY(flt_alloc(p->N, sizeof *p->right, &p->right));
    size_t *first = NULL; // where each cell's tokens start
    FLTX_TRY(flt_alloc(p->nodes + 1, sizeof *first, &first));
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < p->N; i++) {
            const double at = (pos[i] - *low) / *step;
            const size_t cell = at < (double)(p->nodes - 1) ? (size_t)at : p->nodes - 1;
            if (pass == 0) {
                first[cell + 1]++;
                continue;
            }
            const size_t to = first[cell]++;
            p->order_of[to] = i, p->cell[to] = cell, p->right[to] = (flt_real)(at - (double)cell);
        }
        for (size_t c = 0; pass == 0 && c < p->nodes; c++) first[c + 1] += first[c];
    }
    flt_free(first);
    return FLTE_OK;
}

// T(x_a - x_b) over its largest value.
static flt_err fill_mask(plan *p, double step) {
    const size_t n = p->nodes + 1;
    p->mask_heads = flt_att_encoding_shared(&p->encoding) ? 1 : p->H;
    FLTX_TRY(flt_alloc(p->mask_heads * n, n * sizeof *p->mask, &p->mask));
    for (size_t h = 0; h < p->mask_heads; h++) {
        double *f = NULL, *z = NULL, top = -INFINITY;
        FLTX_TRY(flt_alloc(2 * (2 * n - 1), sizeof *f, &f));
        z = f + 2 * n - 1;
        for (size_t i = 0; i < 2 * n - 1; i++) z[i] = ((double)i - (double)(n - 1)) * step;
        flt_att_encoding_closed_form(&p->encoding, h, 2 * n - 1, z, f);
        for (size_t i = 0; i < 2 * n - 1; i++) top = fmax(top, f[i]);
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < n; b++) p->mask[(h * n + a) * n + b] = (flt_real)exp(f[a + n - 1 - b] - top);
        flt_free(f);
    }
    return FLTE_OK;
}

static flt_err check(const flt_attention_desc *desc, const plan *p) {
    if (desc->causal)
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism,
                        "interpolation between nodes mixes past and future; without causal it can, and flt and nprf can causal");
    if (p->pos.l != 1)
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism,
                        "positions have l = %zu, but nodes lie on a line; exact and flt take any positions", p->pos.l);
    return flt_gemm_check(desc->mechanism, (p->nodes + 1) * p->F, desc->dv + 1, 2 * p->F);
}

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_ws_destroy(&p->ws);
    flt_free(p->rooms);
    flt_free(p->right);
    flt_free(p->cell);
    flt_free(p->order_of);
    flt_free(p->mask);
    flt_att_encoding_drop(&p->encoding);
    flt_att_drop(&p->pos.array);
    flt_free(p);
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"pos", NULL};
    plan *p = NULL;
    double low = 0.0, step = 1.0;
    flt_err err = flt_att_encoding_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->B = desc->B, p->H = desc->H, p->N = desc->N, p->d = desc->d, p->dv = desc->dv;
    p->threads = desc->threads;
    p->order = (int)flt_params_int(desc->params, "order");
    p->nodes = flt_params_size(desc->params, "nodes");
    p->F = 1 + (p->order > 0 ? p->d : 0) + (p->order > 1 ? p->d * (p->d + 1) / 2 : 0);
    p->shrink = pow((double)p->d, -0.25);
    p->centred = strcmp(flt_params_text(desc->params, "centre"), "mean") == 0;
    FLTX_GO(err, failed, flt_att_positions_read(desc, &p->pos));
    FLTX_GO(err, failed, check(desc, p));
    FLTX_GO(err, failed, flt_att_encoding_read(desc, &p->pos, &p->encoding));
    FLTX_GO(err, failed, place_tokens(p, &low, &step));
    FLTX_GO(err, failed, fill_mask(p, step));
    FLTX_GO(err, failed, flt_alloc((size_t)p->threads, sizeof *p->rooms, &p->rooms));
    FLTX_GO(err, failed, flt_ws_create(bind, p, &p->ws));
    *self = p;
    return FLTE_OK;
failed:
    destroy(p);
    return err;
}

static size_t workspace(const void *self) {
    return ((const plan *)self)->ws.size;
}

static size_t flagged(const void *self) {
    return (size_t)((const plan *)self)->total;
}

static size_t draws(const void *self, size_t max, flt_attention_arg *out) {
    const plan *p = self;
    size_t n = 0;
    flt_att_encoding_list(&p->encoding, max, out, &n);
    if (p->total > 0 && n < max) out[n++] = (flt_attention_arg){.name = "flagged", .rank = 1, .dim = {1}, .data = &p->total};
    return n;
}

const flt_attention_kind flt_attention_kind_taylor = {
    .kind = {.name = "taylor",
             .summary =
                 "linear attention by Taylor features of q.k and an interpolated mask exp(f), for q and k of moderate size; "
                 "an encoding's arguments",
             .formula =
                 "A_ij = That(r_i - r_j) exp(mean q.k_j / sqrt d) (1 + s + ..), s = (q_i - mean q).(k_j - mean k) / sqrt d",
             .cost = "time O(N F dv + nodes^2 F dv), memory O(nodes F dv), F = 1, 1 + d or 1 + d + d (d + 1)/2",
             .citation =
                 "Arora et al., Simple linear attention language models balance the recall-throughput tradeoff, 2024, arXiv "
                 "2402.18668; Wilson, Nickisch, Kernel interpolation for scalable structured Gaussian processes, ICML "
                 "2015, arXiv 1503.01057",
             .caps = FLTX_ATT_LINEAR | FLTX_ATT_NORMALISED | FLTX_ATT_PERMUTE | FLTX_ATT_CLOSED_FORM | FLTX_ATT_SIGNED,
             .params = params},
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .workspace = workspace,
    .draws = draws,
    .flagged = flagged,
};
