// SPDX-License-Identifier: MIT
// Gradients of linear attention by a forward and a reverse state; see linear_backward.h.
#include "linear_backward.h"
#include "tiles.h"
#include "triangle.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <omp.h>
#include <string.h>

typedef struct slot {                 // one thread's room
    flt_real *c;                      // [F]: scale of the key features
    flt_real *s;                      // [F, dv + 1]: S, later G
    flt_real *back;                   // [F, dv + 1]: G of a bidirectional plan
    flt_real *z;                      // [F]: last column of S
    flt_real *uq, *uk, *fq, *fk, *du; // [tile, F]
    flt_real *y, *g;                  // [tile, dv + 1]
    flt_real *a, *p;                  // [tile, tile] (causal)
    flt_real *top, *room;             // [F], [tile]
    flt_real *den;                    // [N]: denominators under the scale of their row
    flt_real *tile_c;                 // [tiles, F]: scale at the start of each tile (causal)
    flt_real *seg_c;                  // [tile, F]: scale of each segment of the tile at work (causal)
    size_t seg[FLTX_ATT_MAX_TILE + 1];
} slot;

struct flt_att_linear_back {
    size_t B, H, N, d, dv, features, tile;
    bool causal;
    int threads;
    flt_att_map map;
    flt_att_back_map back;
    const flt_att_tiles *tiles;
    slot *slots;
    flt_ws ws;
};

typedef struct head { // the arrays of one of B H
    flt_att_rows rows;
    size_t bh;
    const flt_real *q, *k, *v, *out, *dout;
    flt_real *dq, *dk, *dv;
} head;

// ---- pieces

static flt_att_rows tile_at(const flt_att_linear_back *a, const head *h, size_t first) {
    flt_att_rows rows = h->rows;
    rows.first = first;
    rows.count = a->N - first < a->tile ? a->N - first : a->tile;
    return rows;
}

// y [n, dv + 1] = [v, 1]
static void extend_values(size_t n, size_t dv, const flt_real *v, flt_real *y) {
    for (size_t i = 0; i < n; i++) {
        memcpy(y + i * (dv + 1), v + i * dv, dv * sizeof *y);
        y[i * (dv + 1) + dv] = 1;
    }
}

// g [n, dv + 1] = [dout, -dout.out] / den
static void extend_gradients(size_t n, size_t dv, const flt_real *out, const flt_real *dout, const flt_real *den, flt_real *g) {
    for (size_t i = 0; i < n; i++, out += dv, dout += dv, g += dv + 1) {
        const flt_real f = 1 / den[i];
        for (size_t c = 0; c < dv; c++) g[c] = f * dout[c];
        g[dv] = FLTX_BUG(BACKWARD_NO_ROW_TERM) ? 0 : -f * flt_dot(dv, dout, out);
    }
}

static void multiply(size_t n, const flt_real *x, flt_real *y) {
    for (size_t i = 0; i < n; i++) y[i] *= x[i];
}

static void last_column(const flt_att_linear_back *a, slot *w) {
    for (size_t f = 0; f < a->features; f++) w->z[f] = w->s[f * (a->dv + 1) + a->dv];
}

// State [F, dv + 1] times e^{low - high}: S where the scale rises from low to high, G where it falls back.
static void rescale(const flt_att_linear_back *a, const flt_real *low, const flt_real *high, flt_real *s) {
    const size_t width = a->dv + 1;
    for (size_t f = 0; f < a->features; f++) {
        if (low[f] == high[f]) continue;
        const flt_real keep = (flt_real)exp((double)(low[f] - high[f]));
        for (size_t c = 0; c < width; c++) s[f * width + c] *= keep;
    }
}

// du [n, F] = f o (du + x s^T) with x [n, dv + 1]
static void log_gradients(const flt_att_linear_back *a, size_t n, const flt_real *x, const flt_real *s, const flt_real *f,
                          flt_real *du) {
    const size_t F = a->features, width = a->dv + 1;
    flt_gemm(false, true, n, F, width, 1, x, width, s, width, 1, du, F);
    multiply(n * F, f, du);
}

// ---- bidirectional

static void raise_scale(const flt_att_linear_back *a, slot *w, bool first) {
    if (first) memcpy(w->c, w->top, a->features * sizeof *w->c);
    memcpy(w->z, w->c, a->features * sizeof *w->z);
    for (size_t f = 0; f < a->features; f++) {
        if (w->top[f] - w->c[f] > FLTX_ATT_CAP) w->c[f] = w->top[f];
    }
    rescale(a, w->z, w->c, w->s);
}

static void absorb_keys(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t n = rows.count, i = rows.first, F = a->features, width = a->dv + 1;
    a->map.keys(a->map.self, rows, h->k + i * a->d, w->uk);
    a->tiles->column_max(n, F, w->uk, w->top);
    raise_scale(a, w, i == 0);
    a->tiles->key_features(n, F, w->uk, w->c, w->fk);
    extend_values(n, a->dv, h->v + i * a->dv, w->y);
    flt_gemm(true, false, F, width, n, 1, w->fk, F, w->y, width, 1, w->s, width);
}

static void query_tile(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t n = rows.count, i = rows.first, F = a->features, dv = a->dv;
    a->map.queries(a->map.self, rows, h->q + i * a->d, w->uq);
    a->tiles->query_features(n, F, w->uq, w->c, w->z, w->fq, w->den);
    extend_gradients(n, dv, h->out + i * dv, h->dout + i * dv, w->den, w->g);
    memset(w->du, 0, n * F * sizeof *w->du);
    log_gradients(a, n, w->g, w->s, w->fq, w->du);
    flt_gemm(true, false, F, dv + 1, n, 1, w->fq, F, w->g, dv + 1, 1, w->back, dv + 1);
    a->back.queries(a->back.self, rows, h->bh, h->q + i * a->d, w->du, h->dq + i * a->d);
}

static void key_tile(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t n = rows.count, i = rows.first, F = a->features, dv = a->dv;
    a->map.keys(a->map.self, rows, h->k + i * a->d, w->uk);
    a->tiles->key_features(n, F, w->uk, w->c, w->fk);
    extend_values(n, dv, h->v + i * dv, w->y);
    memset(w->du, 0, n * F * sizeof *w->du);
    log_gradients(a, n, w->y, w->back, w->fk, w->du);
    flt_gemm(false, false, n, dv, F, 1, w->fk, F, w->back, dv + 1, 0, h->dv + i * dv, dv);
    a->back.keys(a->back.self, rows, h->bh, h->k + i * a->d, w->du, h->dk + i * a->d);
}

static void run_bidirectional(const flt_att_linear_back *a, slot *w, const head *h) {
    const size_t state = a->features * (a->dv + 1) * sizeof *w->s;
    memset(w->s, 0, state);
    memset(w->back, 0, state);
    for (size_t i = 0; i < a->N; i += a->tile) absorb_keys(a, w, h, tile_at(a, h, i));
    last_column(a, w);
    for (size_t i = 0; i < a->N; i += a->tile) query_tile(a, w, h, tile_at(a, h, i));
    for (size_t i = 0; i < a->N; i += a->tile) key_tile(a, w, h, tile_at(a, h, i));
}

// ---- causal

// The first row behind `from` of which a log feature exceeds the scale by more than CAP, or n.
static size_t segment_end(const flt_att_linear_back *a, slot *w, const flt_real *c, size_t from, size_t n) {
    const size_t F = a->features;
    bool near = true;
    a->tiles->column_max(n - from, F, w->uk + from * F, w->top);
    for (size_t f = 0; f < F; f++) near &= !(w->top[f] - c[f] > FLTX_ATT_CAP);
    if (near) return n;
    for (size_t i = from + 1; i < n; i++) {
        for (size_t f = 0; f < F; f++) {
            if (w->uk[i * F + f] - c[f] > FLTX_ATT_CAP) return i;
        }
    }
    return n;
}

// c [F] -> the scale that row `level` asks for
static void raise_to(size_t features, const flt_real *level, flt_real *c) {
    for (size_t f = 0; f < features; f++) {
        if (level[f] - c[f] > FLTX_ATT_CAP) c[f] = level[f];
    }
}

// Cuts the tile into rows that share a scale, as the forward pass does: seg [count + 1], seg_c [count, F]; w->c is the scale
// behind the tile. Returns the count.
static size_t find_segments(const flt_att_linear_back *a, slot *w, size_t n) {
    const size_t F = a->features;
    size_t count = 0, from = 0;
    while (from < n) {
        raise_to(F, w->uk + from * F, w->c);
        memcpy(w->seg_c + count * F, w->c, F * sizeof *w->c);
        w->seg[count++] = from;
        from = segment_end(a, w, w->c, from, n);
    }
    w->seg[count] = n;
    return count;
}

// What both walks need of rows from .. from + n - 1 of the tile at row i: features, y and p = g y^T on and below the diagonal.
// forth: the denominators are formed here; back: they are read, and a = phi psi^T is wanted as well.
static void load_segment(const flt_att_linear_back *a, slot *w, const head *h, size_t i, size_t from, size_t n, const flt_real *c,
                         bool forth) {
    const size_t F = a->features, dv = a->dv, at = i + from;
    flt_real *den = forth ? w->den + at : w->room;
    a->tiles->key_features(n, F, w->uk + from * F, c, w->fk);
    a->tiles->query_features(n, F, w->uq + from * F, c, w->z, w->fq, den);
    if (forth) {
        a->tiles->lower_sums(n, F, w->fq, w->fk, w->top, den);
    } else {
        flt_att_lower_product(n, F, w->fq, w->fk, w->a);
        a->tiles->mask(n, w->a, den);
    }
    extend_values(n, dv, h->v + at * dv, w->y);
    extend_gradients(n, dv, h->out + at * dv, h->dout + at * dv, w->den + at, w->g);
    flt_att_lower_product(n, dv + 1, w->g, w->y, w->p);
    a->tiles->mask(n, w->p, w->room);
}

static void forth(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t i = rows.first, F = a->features, width = a->dv + 1;
    a->map.queries(a->map.self, rows, h->q + i * a->d, w->uq);
    a->map.keys(a->map.self, rows, h->k + i * a->d, w->uk);
    if (i == 0) memcpy(w->c, w->uk, F * sizeof *w->c);
    memcpy(w->tile_c + i / a->tile * F, w->c, F * sizeof *w->c);
    const size_t count = find_segments(a, w, rows.count);
    const flt_real *before = w->tile_c + i / a->tile * F;
    for (size_t s = 0; s < count; s++) {
        const size_t from = w->seg[s], n = w->seg[s + 1] - from;
        const flt_real *c = w->seg_c + s * F;
        rescale(a, before, c, w->s);
        before = c;
        last_column(a, w);
        load_segment(a, w, h, i, from, n, c, true);
        flt_att_lower_times(n, F, w->p, w->fk, 0, w->du + from * F);
        log_gradients(a, n, w->g, w->s, w->fq, w->du + from * F);
        flt_gemm(true, false, F, width, n, 1, w->fk, F, w->y, width, 1, w->s, width);
    }
    a->back.queries(a->back.self, rows, h->bh, h->q + i * a->d, w->du, h->dq + i * a->d);
}

static void back(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t i = rows.first, F = a->features, dv = a->dv, width = dv + 1;
    flt_real *after = w->tile_c + (i / a->tile + 1) * F; // scale of G
    a->map.queries(a->map.self, rows, h->q + i * a->d, w->uq);
    a->map.keys(a->map.self, rows, h->k + i * a->d, w->uk);
    memcpy(w->c, w->tile_c + i / a->tile * F, F * sizeof *w->c);
    for (size_t s = find_segments(a, w, rows.count); s-- > 0;) {
        const size_t from = w->seg[s], n = w->seg[s + 1] - from;
        const flt_real *c = w->seg_c + s * F;
        flt_real *out = h->dv + (i + from) * dv;
        if (!FLTX_BUG(BACKWARD_STALE_STATE)) rescale(a, c, after, w->s);
        load_segment(a, w, h, i, from, n, c, false);
        flt_att_upper_times(n, F, w->p, w->fq, F, 0, w->du + from * F, F);
        log_gradients(a, n, w->y, w->s, w->fk, w->du + from * F);
        flt_gemm(false, false, n, dv, F, 1, w->fk, F, w->s, width, 0, out, dv);
        flt_att_upper_times(n, dv, w->a, w->g, width, 1, out, dv);
        flt_gemm(true, false, F, width, n, 1, w->fq, F, w->g, width, 1, w->s, width);
        memcpy(after, c, F * sizeof *c);
    }
    a->back.keys(a->back.self, rows, h->bh, h->k + i * a->d, w->du, h->dk + i * a->d);
    rescale(a, w->tile_c + i / a->tile * F, after, w->s);
}

static void run_causal(const flt_att_linear_back *a, slot *w, const head *h) {
    const size_t state = a->features * (a->dv + 1) * sizeof *w->s, tiles = (a->N + a->tile - 1) / a->tile;
    memset(w->s, 0, state);
    for (size_t t = 0; t < tiles; t++) forth(a, w, h, tile_at(a, h, t * a->tile));
    memset(w->s, 0, state);
    memcpy(w->tile_c + tiles * a->features, w->c, a->features * sizeof *w->c);
    for (size_t t = tiles; t-- > 0;) back(a, w, h, tile_at(a, h, t * a->tile));
}

// ---- plan

static head head_of(const flt_att_linear_back *a, const flt_attention_pass *p, size_t bh, size_t thread) {
    const size_t x = bh * a->N * a->d, y = bh * a->N * a->dv;
    return (head){.rows = {.head = bh % a->H, .thread = thread},
                  .bh = bh,
                  .q = p->q + x,
                  .k = p->k + x,
                  .v = p->v + y,
                  .out = p->out + y,
                  .dout = p->dout + y,
                  .dq = p->dq + x,
                  .dk = p->dk + x,
                  .dv = p->dv + y};
}

static void run_head(const flt_att_linear_back *a, slot *w, const head *h) {
    flt_att_rows all = h->rows;
    all.count = a->N;
    if (a->map.prepare != NULL) a->map.prepare(a->map.self, all, h->q, h->k);
    (a->causal ? run_causal : run_bidirectional)(a, w, h);
    if (a->back.finish != NULL) a->back.finish(a->back.self, all, h->bh, h->q, h->k, h->dq, h->dk);
}

void flt_att_linear_back_run(flt_att_linear_back *a, const flt_attention_pass *pass) {
#pragma omp parallel num_threads(a->threads)
    {
        const size_t thread = (size_t)omp_get_thread_num();
        const unsigned saved = flt_num_ftz();
#pragma omp for schedule(dynamic)
        for (size_t bh = 0; bh < a->B * a->H; bh++) {
            const head h = head_of(a, pass, bh, thread);
            run_head(a, &a->slots[thread], &h);
        }
        flt_num_ftz_restore(saved);
    }
}

static void bind_causal(const flt_att_linear_back *a, flt_ws *ws, slot *w) {
    const size_t F = a->features, tile = a->tile, real = sizeof(flt_real);
    w->uq = flt_ws_take(ws, tile * F, real);
    w->fq = flt_ws_take(ws, tile * F, real);
    w->a = flt_ws_take(ws, tile * tile, real);
    w->p = flt_ws_take(ws, tile * tile, real);
    w->seg_c = flt_ws_take(ws, tile * F, real);
    w->tile_c = flt_ws_take(ws, ((a->N + tile - 1) / tile + 1) * F, real);
}

static void bind(void *self, flt_ws *ws) {
    flt_att_linear_back *a = self;
    const size_t F = a->features, tile = a->tile, width = a->dv + 1, real = sizeof(flt_real);
    for (int t = 0; t < a->threads; t++) {
        slot *w = &a->slots[t];
        w->c = flt_ws_take(ws, F, real);
        w->z = flt_ws_take(ws, F, real);
        w->top = flt_ws_take(ws, F, real);
        w->room = flt_ws_take(ws, tile, real);
        w->den = flt_ws_take(ws, a->causal ? a->N : tile, real);
        w->s = flt_ws_take(ws, F * width, real);
        w->uk = w->uq = flt_ws_take(ws, tile * F, real);
        w->fk = w->fq = flt_ws_take(ws, tile * F, real);
        w->du = flt_ws_take(ws, tile * F, real);
        w->y = flt_ws_take(ws, tile * width, real);
        w->g = flt_ws_take(ws, tile * width, real);
        if (a->causal)
            bind_causal(a, ws, w);
        else
            w->back = flt_ws_take(ws, F * width, real);
    }
}

flt_err flt_att_linear_back_create(const flt_attention_desc *desc, flt_att_map map, flt_att_back_map transposed,
                                   flt_att_linear_back **out) {
    flt_att_linear_back *a = NULL;
    flt_err err = flt_gemm_check(desc->mechanism, map.features, desc->dv + 1, FLTX_ATT_MAX_TILE);
    *out = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->B = desc->B, a->H = desc->H, a->N = desc->N, a->d = desc->d, a->dv = desc->dv;
    a->causal = desc->causal;
    a->threads = (size_t)desc->threads < a->B * a->H ? desc->threads : (int)(a->B * a->H);
    a->map = map, a->back = transposed;
    a->tiles = FLTX_ISA_PICK(flt_att_tiles);
    a->features = map.features;
    a->tile = a->N < FLTX_ATT_MAX_TILE ? a->N : FLTX_ATT_MAX_TILE;
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->slots, &a->slots));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_linear_back_destroy(a);
    return err;
}

void flt_att_linear_back_destroy(flt_att_linear_back *a) {
    if (a == NULL) return;
    flt_ws_destroy(&a->ws);
    flt_free(a->slots);
    flt_free(a);
}

size_t flt_att_linear_back_workspace(const flt_att_linear_back *a) {
    return a == NULL ? 0 : a->ws.size;
}
