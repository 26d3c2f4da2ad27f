// SPDX-License-Identifier: MIT
// Softmax features by random projection, with or without positional snippets; see features.h.
#include "features.h"
#include "tiles.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <string.h>

typedef struct room {  // one thread's
    flt_real *half;    // [tile]: |k|^2 / (2 sqrt d)
    flt_real *snippet; // [tile, 2r]: formed tile by tile
    double *pos;       // [l]: of one token
} room;

struct flt_att_features {
    size_t d, N, features, r, heads; // heads: 1 when omega is shared
    bool hyperbolic;
    flt_real *w;        // [heads, d, F]: omega^T / d^(1/4)
    flt_real *wp;       // [heads, 2r, F]: omega^T, the part for snippets
    flt_att_snippets s; // s.pos NULL: no snippets
    flt_real *tq, *tk;  // [table heads, N, F]: projected a, b; NULL: tile by tile
    size_t tq_heads, tk_heads;
    int threads;
    const flt_att_tiles *tiles;
    room *rooms; // [threads]
    flt_ws ws;
};

// ---- drawing

flt_err flt_att_omega(const flt_attention_desc *desc, size_t width, flt_att_array *out) {
    flt_att_dim dim[2] = {{"m", FLTX_ATT_FREE}, {"width", (ptrdiff_t)width}};
    const flt_rng root = flt_rng_make(desc->seed, "omega", 0);
    flt_real *rows = NULL;
    size_t m = 0;
    FLTX_TRY(flt_att_take(desc, "omega", 2, dim, out));
    FLTX_TRY(flt_att_size(desc, "m", out->dim[0], &m));
    if (out->data != NULL) return FLTE_OK;
    FLTX_TRY(flt_att_make(desc, "omega", 2, (size_t[]){m, width}, out));
    FLTX_TRY(flt_alloc(m, width * sizeof *rows, &rows));
    flt_err err = FLTE_OK;
    for (size_t h = 0; h < desc->H && err == FLTE_OK; h++) {
        err = flt_orthogonal_gaussian(flt_rng_child(root, "head", h), m, width, rows);
        for (size_t i = 0; i < m * width; i++) flt_att_head(out, h)[i] = (double)rows[i];
    }
    flt_free(rows);
    return err;
}

// ---- the map

static const flt_real *of_head(const flt_real *x, size_t heads, size_t head, size_t size) {
    return x + (heads == 1 || FLTX_BUG(SHARED_OMEGA) ? 0 : head * size);
}

// u [count, F] += snippets of these rows times their part of omega.
static void project_snippets(const flt_att_features *a, flt_att_rows rows, bool query, flt_real *u) {
    const size_t l = a->s.pos->l, width = 2 * a->r, F = a->features;
    const room *w = &a->rooms[rows.thread];
    const double *xi = flt_att_head(a->s.xi, rows.head), *rho = flt_att_head(a->s.rho, rows.head);
    for (size_t i = 0; i < rows.count; i++) {
        flt_real *row = w->snippet + i * width;
        flt_att_position(a->s.pos, a->N, rows.first + i, w->pos);
        flt_rpe_snippets(1, l, w->pos, a->r, xi, rho, width, query ? row : NULL, query ? NULL : row);
    }
    flt_gemm(false, false, rows.count, F, width, 1, w->snippet, width, of_head(a->wp, a->heads, rows.head, width * F), F, 1, u,
             F);
}

// u [count, F] = (table of positions) - shift [count] + omega x
static void project(const flt_att_features *a, flt_att_rows rows, bool query, const flt_real *x, const flt_real *shift,
                    flt_real *u) {
    const size_t F = a->features;
    const flt_real *table = query ? a->tq : a->tk;
    const bool listed = table != NULL && rows.first + rows.count <= a->N;
    if (listed) table = of_head(table, query ? a->tq_heads : a->tk_heads, rows.head, a->N * F) + rows.first * F;
    a->tiles->start(rows.count, F, listed ? table : NULL, shift, u);
    flt_gemm(false, false, rows.count, F, a->d, 1, x, a->d, of_head(a->w, a->heads, rows.head, a->d * F), F, 1, u, F);
    if (a->s.pos != NULL && !listed) project_snippets(a, rows, query, u);
}

static void queries(const void *self, flt_att_rows rows, const flt_real *q, flt_real *u) {
    project(self, rows, true, q, NULL, u);
}

static void keys(const void *self, flt_att_rows rows, const flt_real *k, flt_real *u) {
    const flt_att_features *a = self;
    const double scale = FLTX_BUG(DROPPED_KEY_NORM) ? 0.0 : 0.5 / sqrt((double)a->d);
    flt_real *half = a->rooms[rows.thread].half;
    // the bound keeps a key finite whose square overflows
    for (size_t i = 0; i < rows.count; i++) half[i] = (flt_real)fmin(scale * flt_sum_squares(a->d, k + i * a->d), 1e30);
    project(a, rows, false, k, half, u);
}

flt_att_map flt_att_features_map(const flt_att_features *a) {
    return (flt_att_map){.features = a->features, .self = a, .queries = queries, .keys = keys};
}

// ---- plan

// to [cols, F]: columns from .. from + cols - 1 of omega [m, width] turned and scaled; hyperbolic features append the negated.
static void turn_omega(const flt_att_features *a, const double *omega, size_t m, size_t width, size_t from, size_t cols,
                       double scale, flt_real *to) {
    for (size_t k = 0; k < cols; k++) {
        for (size_t f = 0; f < a->features; f++) {
            const double x = scale * omega[(f % m) * width + from + k];
            to[k * a->features + f] = (flt_real)(f < m ? x : -x);
        }
    }
}

static flt_err load_omega(flt_att_features *a, const flt_att_array *omega) {
    const size_t m = omega->dim[0], width = omega->dim[1], tail = 2 * a->r;
    a->heads = omega->heads == 0 ? 1 : omega->heads;
    FLTX_TRY(flt_alloc(a->heads * a->d, a->features * sizeof *a->w, &a->w));
    if (tail > 0) FLTX_TRY(flt_alloc(a->heads * tail, a->features * sizeof *a->wp, &a->wp));
    for (size_t h = 0; h < a->heads; h++) {
        const double *rows = flt_att_head(omega, h);
        turn_omega(a, rows, m, width, 0, a->d, pow((double)a->d, -0.25), a->w + h * a->d * a->features);
        if (tail > 0) turn_omega(a, rows, m, width, a->d, tail, 1.0, a->wp + h * tail * a->features);
    }
    return FLTE_OK;
}

static void fill_table(const flt_att_features *a, bool query, size_t heads, flt_real *table) {
    for (size_t h = 0; h < heads; h++) {
        for (size_t i = 0; i < a->N; i += FLTX_ATT_MAX_TILE) {
            const size_t n = a->N - i < FLTX_ATT_MAX_TILE ? a->N - i : FLTX_ATT_MAX_TILE;
            const flt_att_rows rows = {.head = h, .first = i, .count = n};
            project_snippets(a, rows, query, table + (h * a->N + i) * a->features); // flt_alloc has zeroed the table
        }
    }
}

static flt_err make_tables(flt_att_features *a) {
    const size_t all = a->heads > a->s.xi->heads ? a->heads : a->s.xi->heads;
    size_t bytes = 0;
    a->tk_heads = all == 0 ? 1 : all;
    a->tq_heads = a->s.rho->heads > a->tk_heads ? a->s.rho->heads : a->tk_heads;
    if (!flt_mul_ok(a->N * a->features, (a->tk_heads + a->tq_heads) * sizeof *a->tq, &bytes) || bytes > a->s.max_table)
        return FLTE_OK;
    FLTX_TRY(flt_alloc(a->tq_heads * a->N, a->features * sizeof *a->tq, &a->tq));
    FLTX_TRY(flt_alloc(a->tk_heads * a->N, a->features * sizeof *a->tk, &a->tk));
    fill_table(a, true, a->tq_heads, a->tq);
    fill_table(a, false, a->tk_heads, a->tk);
    return FLTE_OK;
}

static void bind(void *self, flt_ws *ws) {
    flt_att_features *a = self;
    const size_t tile = a->N < FLTX_ATT_MAX_TILE ? a->N : FLTX_ATT_MAX_TILE;
    for (int t = 0; t < a->threads; t++) {
        a->rooms[t].half = flt_ws_take(ws, tile, sizeof(flt_real));
        a->rooms[t].snippet = a->r > 0 ? flt_ws_take(ws, tile * 2 * a->r, sizeof(flt_real)) : NULL;
        a->rooms[t].pos = a->r > 0 ? flt_ws_take(ws, a->s.pos->l, sizeof(double)) : NULL;
    }
}

flt_err flt_att_features_create(const flt_attention_desc *desc, const flt_att_array *omega, const flt_att_snippets *snippets,
                                flt_att_features **out) {
    flt_att_features *a = NULL;
    flt_err err = flt_gemm_check(desc->mechanism, 2 * omega->dim[0], omega->dim[1], FLTX_ATT_MAX_TILE);
    *out = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->d = desc->d, a->N = desc->N;
    a->threads = desc->threads;
    a->tiles = FLTX_ISA_PICK(flt_att_tiles);
    a->hyperbolic = strcmp(flt_params_text(desc->params, "features"), "hyperbolic") == 0;
    a->features = (a->hyperbolic ? 2 : 1) * omega->dim[0];
    if (snippets != NULL) a->s = *snippets, a->r = snippets->xi->dim[0];
    FLTX_GO(err, failed, load_omega(a, omega));
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->rooms, &a->rooms));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    if (snippets != NULL) FLTX_GO(err, failed, make_tables(a));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_features_destroy(a);
    return err;
}

void flt_att_features_destroy(flt_att_features *a) {
    if (a == NULL) return;
    flt_free(a->tk);
    flt_free(a->tq);
    flt_ws_destroy(&a->ws);
    flt_free(a->rooms);
    flt_free(a->wp);
    flt_free(a->w);
    flt_free(a);
}

size_t flt_att_features_workspace(const flt_att_features *a) {
    return a->ws.size;
}
