// SPDX-License-Identifier: MIT
// Gradients of exact attention, tile by tile; see exact_backward.h.
#include "exact_backward.h"
#include "tiles.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { KEPT = 1 << 20 }; // weights that a thread keeps between the two walks along its rows, at the most

typedef struct slot {           // one thread's room
    flt_real *s, *ds;           // [rows, cols]: weights; dP, then dS
    flt_real *kept;             // [kept tiles, rows, cols]: the weights of one tile of rows
    size_t settled;             // tiles of columns before this one were formed under scales that have risen since
    flt_real *top, *sum, *keep; // [rows]
    flt_real *g, *term;         // [rows, dv], [rows]: dout and dout.out over the rows' sums
} slot;

struct flt_att_exact_back {
    size_t B, H, N, d, dv, row_tiles, col_tiles, kept; // kept: tiles
    bool causal;
    flt_att_exact_shape shape;
    const char *who, *names[FLTX_ATT_MAX_ARRAYS];
    bool points; // an encoding tile by tile
    const flt_att_tiles *tiles;
    flt_real *top, *inverse, *term; // [B H, N]: row maxima, 1 / row sums, dout.out
    double *dlags;                  // [B H, 2N - 1]
    size_t size;                    // of the encoding's gradients
    double *dtheta;                 // [B H, size] at points, [H, size]
    double *sum;                    // [2N - 1]
    slot *slots;
    flt_ws ws;
};

typedef struct work { // what one pass wants
    const flt_attention_pass *pass;
    double *dmatrix, *dlags; // the caller's, NULL: not wanted
    bool lags, points;       // sums of lags, of pairs of points
    bool whole;              // a head is one thread's: dk and dv are formed beside dq
} work;

typedef struct tile { // rows i .. i + n - 1 and columns j .. j + cols - 1 of one of B H
    size_t bh, i, j, n, cols;
} tile;

// The same tiles as in the forward pass, whichever way they are walked: their products then have the same bits.
static tile tile_at(const flt_att_exact_back *a, size_t bh, size_t i, size_t j) {
    const size_t n = flt_smaller(a->shape.rows, a->N - i), keys = a->causal ? i + n : a->N;
    return (tile){bh, i, j, n, j < keys ? flt_smaller(a->shape.cols, keys - j) : 0};
}

static const flt_real *at(const flt_att_exact_back *a, const flt_real *x, size_t bh, size_t row, size_t width) {
    return x + (bh * a->N + row) * width;
}

static size_t locate(const flt_att_exact_back *a, size_t bh, size_t row, size_t width) {
    return (bh * a->N + row) * width;
}

// ---- one tile

// s = exp(logits - top): online while w->top still rises, final once it holds the rows' maxima.
static void weights(const flt_att_exact_back *a, slot *w, const work *k, tile t, size_t thread, flt_real *s) {
    const size_t d = a->d, where[4] = {t.i, t.j, t.n, t.cols};
    const flt_real scale = (flt_real)(1.0 / sqrt((double)d));
    flt_att_softmax_tile x = {.n = t.n, .cols = t.cols, .s = s, .causal = a->causal};
    x.valid = (ptrdiff_t)t.i - (ptrdiff_t)t.j + 1;
    x.top = w->top, x.sum = w->sum, x.keep = w->keep;
    x.bias = a->shape.bias(a->shape.self, thread, t.bh % a->H, where, &x.ldb);
    flt_gemm(false, true, t.n, t.cols, d, scale, at(a, k->pass->q, t.bh, t.i, d), d, at(a, k->pass->k, t.bh, t.j, d), d, 0, s,
             t.cols);
    a->tiles->softmax(&x);
}

// The weights of a tile once the rows' maxima are known: kept, or formed again, which gives the same bits.
static flt_real *final_weights(const flt_att_exact_back *a, slot *w, const work *k, tile t, size_t thread) {
    const size_t index = t.j / a->shape.cols;
    if (index >= w->settled && index < a->kept) return w->kept + index * a->shape.rows * a->shape.cols;
    weights(a, w, k, t, thread, w->s);
    return w->s;
}

// w->ds = dS of the tile from its weights s, which are P but for the rows' sums; these are in w->g and w->term.
static void gradients(const flt_att_exact_back *a, slot *w, const work *k, tile t, const flt_real *s) {
    const size_t dv = a->dv;
    flt_gemm(false, true, t.n, t.cols, dv, 1, w->g, dv, at(a, k->pass->v, t.bh, t.j, dv), dv, 0, w->ds, t.cols);
    a->tiles->softmax_back(t.n, t.cols, s, w->term, w->ds);
}

static void add_lags(const flt_att_exact_back *a, const slot *w, tile t) {
    a->tiles->add_diagonals(t.n, t.cols, w->ds, a->dlags + t.bh * (2 * a->N - 1) + (t.j + a->N - t.i - t.n));
}

static void add_matrix(const flt_att_exact_back *a, const slot *w, tile t, double *matrix) {
    const size_t N = a->N;
    if (a->shape.matrix->heads != 0) matrix += t.bh % a->H * N * N;
    for (size_t x = 0; x < t.n; x++) {
        for (size_t y = 0; y < t.cols; y++) matrix[(t.i + x) * N + t.j + y] += (double)w->ds[x * t.cols + y];
    }
}

// ---- rows and columns

// Whether a row's scale has risen with this tile.
static bool has_risen(const slot *w, size_t n) {
    bool risen = false;
    for (size_t x = 0; x < n; x++) risen |= w->keep[x] != 1;
    return risen;
}

static void row_sums(const flt_att_exact_back *a, slot *w, const work *k, tile first, size_t thread) {
    const size_t row = locate(a, first.bh, first.i, 1), dv = a->dv, cells = a->shape.rows * a->shape.cols;
    for (size_t x = 0; x < first.n; x++) w->top[x] = (flt_real)-INFINITY, w->sum[x] = 0;
    w->settled = 0;
    for (size_t c = 0; c < a->col_tiles; c++) {
        const tile t = tile_at(a, first.bh, first.i, c * a->shape.cols);
        if (t.cols == 0) break;
        weights(a, w, k, t, thread, c < a->kept ? w->kept + c * cells : w->s);
        if (has_risen(w, t.n)) w->settled = c;
    }
    if (k->points) w->settled = a->col_tiles; // their gradients want the tile's positions
    memcpy(a->top + row, w->top, first.n * sizeof *w->top);
    for (size_t x = 0; x < first.n; x++) {
        const size_t y = (row + x) * dv;
        a->inverse[row + x] = 1 / w->sum[x];
        a->term[row + x] = flt_dot(dv, k->pass->dout + y, k->pass->out + y);
    }
}

// What the gradients of these rows read.
static void load_rows(const flt_att_exact_back *a, slot *w, const work *k, tile t) {
    const size_t row = locate(a, t.bh, t.i, 1), dv = a->dv;
    memcpy(w->top, a->top + row, t.n * sizeof *w->top);
    memcpy(w->g, k->pass->dout + row * dv, t.n * dv * sizeof *w->g);
    a->tiles->scale_rows(t.n, dv, w->g, a->inverse + row);
    for (size_t x = 0; x < t.n; x++) w->term[x] = FLTX_BUG(BACKWARD_NO_ROW_TERM) ? 0 : a->inverse[row + x] * a->term[row + x];
}

// What one tile adds to dq and to the biases' gradients.
static void add_to_rows(const flt_att_exact_back *a, const slot *w, const work *k, tile t, size_t thread) {
    const size_t d = a->d;
    const flt_real scale = FLTX_BUG(BACKWARD_NO_SCALE) ? 1 : (flt_real)(1.0 / sqrt((double)d));
    flt_gemm(false, false, t.n, d, t.cols, scale, w->ds, t.cols, at(a, k->pass->k, t.bh, t.j, d), d, t.j > 0,
             k->pass->dq + locate(a, t.bh, t.i, d), d);
    if (k->lags) add_lags(a, w, t);
    if (k->points) a->shape.back(a->shape.self, thread, t.bh % a->H, t.n * t.cols, w->ds, a->dtheta + t.bh * a->size);
    if (k->dmatrix != NULL) add_matrix(a, w, t, k->dmatrix);
}

// What it adds to dk and dv; s: its weights.
static void add_to_columns(const flt_att_exact_back *a, const slot *w, const work *k, tile t, const flt_real *s) {
    const size_t d = a->d, dv = a->dv;
    const flt_real scale = (flt_real)(1.0 / sqrt((double)d));
    flt_gemm(true, false, t.cols, dv, t.n, 1, s, t.cols, w->g, dv, 1, k->pass->dv + locate(a, t.bh, t.j, dv), dv);
    flt_gemm(true, false, t.cols, d, t.n, scale, w->ds, t.cols, at(a, k->pass->q, t.bh, t.i, d), d, 1,
             k->pass->dk + locate(a, t.bh, t.j, d), d);
}

static void clear_columns(const flt_att_exact_back *a, const work *k, size_t bh, size_t j, size_t cols) {
    memset(k->pass->dk + locate(a, bh, j, a->d), 0, cols * a->d * sizeof(flt_real));
    memset(k->pass->dv + locate(a, bh, j, a->dv), 0, cols * a->dv * sizeof(flt_real));
}

static void run_rows(const flt_att_exact_back *a, slot *w, const work *k, size_t bh, size_t i, size_t thread) {
    row_sums(a, w, k, tile_at(a, bh, i, 0), thread);
    load_rows(a, w, k, tile_at(a, bh, i, 0));
    for (size_t j = 0; j < a->N; j += a->shape.cols) {
        const tile t = tile_at(a, bh, i, j);
        if (t.cols == 0) break;
        const flt_real *s = final_weights(a, w, k, t, thread);
        gradients(a, w, k, t, s);
        add_to_rows(a, w, k, t, thread);
        if (k->whole) add_to_columns(a, w, k, t, s);
    }
}

// dk and dv of one tile of columns, in the order of rows that run_rows has them in.
static void run_columns(const flt_att_exact_back *a, slot *w, const work *k, size_t bh, size_t j, size_t thread) {
    clear_columns(a, k, bh, j, flt_smaller(a->shape.cols, a->N - j));
    for (size_t i = 0; i < a->N; i += a->shape.rows) {
        const tile t = tile_at(a, bh, i, j);
        if (t.cols == 0) continue;
        load_rows(a, w, k, t);
        weights(a, w, k, t, thread, w->s);
        gradients(a, w, k, t, w->s);
        add_to_columns(a, w, k, t, w->s);
    }
}

// One unit of the first loop: a tile of rows of one of B H; with lags or points, or where a head is one thread's, all rows of one
// of B H; with a matrix a tile of rows of all B H. What is summed then belongs to one thread, in a fixed order.
static void run_unit(const flt_att_exact_back *a, slot *w, const work *k, size_t unit, size_t thread) {
    const size_t heads = a->B * a->H, tiles = a->row_tiles, rows = a->shape.rows;
    if (k->dmatrix != NULL) {
        for (size_t bh = 0; bh < heads; bh++) run_rows(a, w, k, bh, unit * rows, thread);
    } else if (k->lags || k->points || k->whole) {
        if (k->whole) clear_columns(a, k, unit, 0, a->N);
        for (size_t t = 0; t < tiles; t++) run_rows(a, w, k, unit, t * rows, thread);
    } else {
        run_rows(a, w, k, unit / tiles, (tiles - 1 - unit % tiles) * rows, thread); // causal: the longest rows first
    }
}

// A head on one thread takes five products a tile, tiles of rows and then of columns seven; threads may wait for the last head.
static bool is_whole(const flt_att_exact_back *a, const work *k) {
    const size_t heads = a->B * a->H, threads = (size_t)a->shape.threads, rounds = (heads + threads - 1) / threads;
    return k->dmatrix == NULL && 5 * rounds * threads <= 7 * heads;
}

static void run_all(flt_att_exact_back *a, const work *k) {
    const size_t heads = a->B * a->H;
    const size_t units = k->dmatrix != NULL ? a->row_tiles : k->lags || k->points || k->whole ? heads : heads * a->row_tiles;
#pragma omp parallel num_threads(a->shape.threads)
    {
        const size_t thread = (size_t)omp_get_thread_num();
        slot *w = &a->slots[thread];
        const unsigned saved = flt_num_ftz();
#pragma omp for schedule(dynamic)
        for (size_t u = 0; u < units; u++) run_unit(a, w, k, u, thread);
#pragma omp for schedule(dynamic)
        for (size_t u = 0; u < (k->whole ? 0 : heads * a->col_tiles); u++)
            run_columns(a, w, k, u / a->col_tiles, u % a->col_tiles * a->shape.cols, thread);
        flt_num_ftz_restore(saved);
    }
}

// ---- one pass

// dtheta [H, size] from the sums over pairs of each of B H, or from those over lags.
static void gather_encoding(const flt_att_exact_back *a) {
    const size_t lags = 2 * a->N - 1;
    if (a->points) {
        for (size_t i = a->H * a->size; i < a->B * a->H * a->size; i++) a->dtheta[i % (a->H * a->size)] += a->dtheta[i];
        return;
    }
    memset(a->dtheta, 0, a->H * a->size * sizeof *a->dtheta);
    for (size_t h = 0; h < a->H; h++) {
        memset(a->sum, 0, lags * sizeof *a->sum);
        for (size_t b = 0; b < a->B; b++) {
            for (size_t i = 0; i < lags; i++) a->sum[i] += a->dlags[(b * a->H + h) * lags + i];
        }
        flt_att_encoding_lags_back(a->shape.encoding, h, a->N, a->shape.step, a->sum, a->dtheta + h * a->size);
    }
}

flt_err flt_att_exact_back_run(flt_att_exact_back *a, const flt_attention_pass *pass) {
    work k = {.pass = pass};
    bool encoding = false;
    FLTX_TRY(flt_att_gradients_known(a->who, pass, a->names));
    for (size_t i = 0; i < pass->n_args; i++) {
        if (a->shape.matrix->data != NULL) k.dmatrix = pass->args[i].data;
        if (a->shape.lags->data != NULL) k.dlags = pass->args[i].data;
        encoding |= a->size > 0; // one of the three
    }
    k.lags = k.dlags != NULL || (encoding && !a->points), k.points = encoding && a->points;
    k.whole = is_whole(a, &k);
    if (k.dmatrix != NULL) memset(k.dmatrix, 0, (a->shape.matrix->heads == 0 ? 1 : a->H) * a->N * a->N * sizeof *k.dmatrix);
    if (k.lags) memset(a->dlags, 0, a->B * a->H * (2 * a->N - 1) * sizeof *a->dlags);
    if (k.points) memset(a->dtheta, 0, a->B * a->H * a->size * sizeof *a->dtheta);
    run_all(a, &k);
    if (k.dlags != NULL) flt_att_gather(a->shape.lags, a->B * a->H, a->H, a->dlags, k.dlags);
    if (encoding) gather_encoding(a);
    for (size_t i = 0; encoding && i < pass->n_args; i++)
        flt_att_encoding_gather(a->shape.encoding, pass->args[i].name, a->dtheta, pass->args[i].data);
    return FLTE_OK;
}

// ---- plan

static void bind(void *self, flt_ws *ws) {
    flt_att_exact_back *a = self;
    const size_t real = sizeof(flt_real), heads = a->B * a->H, cells = a->shape.rows * a->shape.cols;
    a->top = flt_ws_take(ws, heads * a->N, real);
    a->inverse = flt_ws_take(ws, heads * a->N, real);
    a->term = flt_ws_take(ws, heads * a->N, real);
    const bool lags = a->shape.lags->data != NULL || (a->size > 0 && !a->points);
    a->dlags = lags ? flt_ws_take(ws, heads * (2 * a->N - 1), sizeof(double)) : NULL;
    a->sum = lags ? flt_ws_take(ws, 2 * a->N - 1, sizeof(double)) : NULL;
    a->dtheta = a->size > 0 ? flt_ws_take(ws, (a->points ? heads : a->H) * a->size, sizeof(double)) : NULL;
    for (int t = 0; t < a->shape.threads; t++) {
        slot *w = &a->slots[t];
        w->s = flt_ws_take(ws, cells, real);
        w->ds = flt_ws_take(ws, cells, real);
        w->kept = flt_ws_take(ws, a->kept * cells, real);
        w->g = flt_ws_take(ws, a->shape.rows * a->dv, real);
        w->term = flt_ws_take(ws, a->shape.rows, real);
        w->top = flt_ws_take(ws, a->shape.rows, real);
        w->sum = flt_ws_take(ws, a->shape.rows, real);
        w->keep = flt_ws_take(ws, a->shape.rows, real);
    }
}

static void list_names(flt_att_exact_back *a) {
    size_t n = 0;
    a->points = a->shape.back != NULL;
    a->size = flt_att_encoding_size(a->shape.encoding);
    if (a->shape.matrix->data != NULL) a->names[n++] = "bias";
    if (a->shape.lags->data != NULL) a->names[n++] = "lag_bias"; // never two of the three
    flt_att_encoding_names(a->shape.encoding, FLTX_ATT_MAX_ARRAYS - 1, a->names, &n);
}

flt_err flt_att_exact_back_create(const flt_attention_desc *desc, const flt_att_exact_shape *shape, flt_att_exact_back **out) {
    flt_att_exact_back *a = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    if (!desc->backward) return FLTE_OK;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->B = desc->B, a->H = desc->H, a->N = desc->N, a->d = desc->d, a->dv = desc->dv;
    a->causal = desc->causal;
    a->shape = *shape;
    a->who = desc->mechanism;
    a->row_tiles = (a->N + shape->rows - 1) / shape->rows;
    a->col_tiles = (a->N + shape->cols - 1) / shape->cols;
    a->kept = flt_smaller(a->col_tiles, KEPT / (shape->rows * shape->cols));
    a->tiles = FLTX_ISA_PICK(flt_att_tiles);
    list_names(a);
    FLTX_GO(err, failed, flt_alloc((size_t)shape->threads, sizeof *a->slots, &a->slots));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_exact_back_destroy(a);
    return err;
}

void flt_att_exact_back_destroy(flt_att_exact_back *a) {
    if (a == NULL) return;
    flt_ws_destroy(&a->ws);
    flt_free(a->slots);
    flt_free(a);
}

size_t flt_att_exact_back_workspace(const flt_att_exact_back *a) {
    return a == NULL ? 0 : a->ws.size;
}
