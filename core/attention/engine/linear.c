// SPDX-License-Identifier: MIT
// Normalised linear attention over positive features given by their logarithms; see linear.h for the scales.
//
// Bidirectional: one pass over tiles of keys builds the state, one over tiles of queries reads it. Causal: chunks, a masked
// quadratic product inside and the state between. Time O(N F (d + dv)), memory O(F (dv + tile)) a thread.
#include "linear.h"
#include "tiles.h"
#include "token.h"
#include "triangle.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { BATCH = 16 }; // tokens that a stream adds to its state at once

typedef struct state {
    flt_real *c, *z; // [F]: scale; sum of exp(lk - c)
    flt_real *s;     // [F, dv]: the same weights times v
    // Streams: the latest tokens by themselves, added to z and s by the batch. Single numbers added to the sum over a long past
    // would lose their digits, and s would be written for each.
    flt_real *fresh_k, *fresh_v; // [BATCH, F]: features; [BATCH, dv]
    size_t fresh;                // tokens in them
    bool empty;
} state;

typedef struct slot { // one thread's room
    state run;
    flt_real *uq, *uk; // [tile, F]: log features
    flt_real *fq, *fk; // [tile, F]: features
    flt_real *a;       // [tile, tile] (causal)
    flt_real *top;     // [F]: column maxima, room for column sums
    flt_real *den;     // [tile]
    size_t flagged;    // rows
} slot;

struct flt_att_linear {
    size_t B, H, N, d, dv, features, tile;
    bool causal;
    int threads;
    flt_att_map map;
    const flt_att_tiles *tiles;
    const flt_att_token *one;
    slot *slots;    // [threads]
    state *streams; // [B * H], causal plans
    size_t token;   // next token of the streams
    flt_ws ws;
};

// ---- state

static void state_bind(flt_ws *ws, const flt_att_linear *a, bool stream, state *s) {
    const size_t real = sizeof(flt_real), features = a->features;
    s->c = flt_ws_take(ws, features, real);
    s->z = flt_ws_take(ws, features, real);
    s->s = flt_ws_take(ws, features * a->dv, real);
    s->fresh_k = stream ? flt_ws_take(ws, BATCH * features, real) : NULL;
    s->fresh_v = stream ? flt_ws_take(ws, BATCH * a->dv, real) : NULL;
}

static void state_clear(const flt_att_linear *a, state *s) {
    s->empty = true;
    s->fresh = 0;
    memset(s->z, 0, a->features * sizeof *s->z);
    memset(s->s, 0, a->features * a->dv * sizeof *s->s);
}

static void scale_feature(const flt_att_linear *a, state *s, size_t f, flt_real factor) {
    s->z[f] *= factor;
    for (size_t k = 0; k < a->dv; k++) s->s[f * a->dv + k] *= factor;
    for (size_t i = 0; i < s->fresh; i++) s->fresh_k[i * a->features + f] *= factor;
}

// Moves the scale up where `level` [F] exceeds it by more than CAP.
static void state_raise(const flt_att_linear *a, state *s, const flt_real *level) {
    if (s->empty) memcpy(s->c, level, a->features * sizeof *s->c);
    s->empty = false;
    for (size_t f = 0; f < a->features; f++) {
        if (!(level[f] - s->c[f] > FLTX_ATT_CAP)) continue;
        const flt_real keep = FLTX_BUG(STALE_STATE) ? 1 : (flt_real)exp((double)(s->c[f] - level[f]));
        s->c[f] = level[f];
        scale_feature(a, s, f, keep);
    }
}

// ---- bidirectional

// Divides rows of x [n, cols] by den [n] and returns how many of them are no positive numbers.
static size_t divide_rows(const flt_att_tiles *tiles, size_t n, size_t cols, flt_real *x, flt_real *den) {
    size_t flagged = 0;
    for (size_t i = 0; i < n; i++) {
        flagged += !(den[i] > 0 && den[i] < (flt_real)INFINITY);
        den[i] = 1 / (FLTX_BUG(EPSILON_ADDED) ? den[i] + (flt_real)1e-3 : den[i]);
    }
    tiles->scale_rows(n, cols, x, den);
    return flagged;
}

static void absorb_keys(const flt_att_linear *a, slot *w, flt_att_rows rows, const flt_real *k, const flt_real *v) {
    const size_t n = rows.count, features = a->features;
    a->map.keys(a->map.self, rows, k, w->uk);
    a->tiles->column_max(n, features, w->uk, w->top);
    state_raise(a, &w->run, w->top);
    a->tiles->key_features(n, features, w->uk, w->run.c, w->fk);
    a->tiles->column_sum(n, features, w->fk, w->run.z);
    flt_gemm(true, false, features, a->dv, n, 1, w->fk, features, v, a->dv, 1, w->run.s, a->dv);
}

static void answer_queries(const flt_att_linear *a, slot *w, flt_att_rows rows, const flt_real *q, flt_real *out) {
    const size_t n = rows.count, features = a->features;
    a->map.queries(a->map.self, rows, q, w->uq);
    a->tiles->query_features(n, features, w->uq, w->run.c, w->run.z, w->fq, w->den);
    flt_gemm(false, false, n, a->dv, features, 1, w->fq, features, w->run.s, a->dv, 0, out, a->dv);
    w->flagged += divide_rows(a->tiles, n, a->dv, out, w->den);
}

static flt_att_rows tile_at(const flt_att_linear *a, flt_att_rows head, size_t first) {
    head.first = first;
    head.count = a->N - first < a->tile ? a->N - first : a->tile;
    return head;
}

static void run_bidirectional(const flt_att_linear *a, slot *w, flt_att_rows head, const flt_real *q, const flt_real *k,
                              const flt_real *v, flt_real *out) {
    if (!FLTX_BUG(KEPT_STATE)) state_clear(a, &w->run);
    for (size_t i = 0; i < a->N; i += a->tile) absorb_keys(a, w, tile_at(a, head, i), k + i * a->d, v + i * a->dv);
    for (size_t i = 0; i < a->N; i += a->tile) answer_queries(a, w, tile_at(a, head, i), q + i * a->d, out + i * a->dv);
}

// ---- causal

// The first row after `from` that moves the scale, or n: rows from .. that - 1 can share one.
static size_t segment_end(const flt_att_linear *a, const slot *w, size_t from, size_t n) {
    const size_t features = a->features;
    bool near = true;
    a->tiles->column_max(n - from, features, w->uk + from * features, w->top);
    for (size_t f = 0; f < features; f++) near &= !(w->top[f] - w->run.c[f] > FLTX_ATT_CAP);
    if (near) return n;
    for (size_t i = from + 1; i < n; i++) {
        for (size_t f = 0; f < features; f++) {
            if (w->uk[i * features + f] - w->run.c[f] > FLTX_ATT_CAP) return i;
        }
    }
    return n;
}

// Rows from .. n - 1 of a chunk under the scale that row `from` allows; returns the row up to which the answers stand. Products
// run over all rows to n although only those before `end` count: their shapes, hence their rounding, then know nothing of `end`,
// which depends on the future of the rows before it. v, out: at row `from`.
static size_t run_segment(const flt_att_linear *a, slot *w, size_t from, size_t n, const flt_real *v, flt_real *out) {
    const size_t features = a->features, dv = a->dv, rows = n - from;
    state_raise(a, &w->run, w->uk + from * features);
    const size_t end = segment_end(a, w, from, n);
    a->tiles->key_features(rows, features, w->uk + from * features, w->run.c, w->fk);
    a->tiles->query_features(rows, features, w->uq + from * features, w->run.c, w->run.z, w->fq, w->den);
    flt_att_lower_product(rows, features, w->fq, w->fk, w->a);
    a->tiles->mask(rows, w->a, w->den);
    flt_gemm(false, false, rows, dv, features, 1, w->fq, features, w->run.s, dv, 0, out, dv);
    flt_att_lower_times(rows, dv, w->a, v, 1, out);
    w->flagged += divide_rows(a->tiles, end - from, dv, out, w->den);
    const size_t kept = end - from - (FLTX_BUG(CHUNK_OFF_BY_ONE) && end < a->N ? 1 : 0);
    a->tiles->column_sum(kept, features, w->fk, w->run.z);
    flt_gemm(true, false, features, dv, kept, 1, w->fk, features, v, dv, 1, w->run.s, dv);
    return end;
}

static void run_causal(const flt_att_linear *a, slot *w, flt_att_rows head, const flt_real *q, const flt_real *k,
                       const flt_real *v, flt_real *out) {
    state_clear(a, &w->run);
    for (size_t i = 0; i < a->N; i += a->tile) {
        const flt_att_rows rows = tile_at(a, head, i);
        a->map.queries(a->map.self, rows, q + i * a->d, w->uq);
        a->map.keys(a->map.self, rows, k + i * a->d, w->uk);
        for (size_t from = 0; from < rows.count;)
            from = run_segment(a, w, from, rows.count, v + (i + from) * a->dv, out + (i + from) * a->dv);
    }
}

// ---- streaming

static void settle(const flt_att_linear *a, state *s) {
    const size_t features = a->features, dv = a->dv;
    if (!FLTX_BUG(LOST_TOKENS)) a->tiles->column_sum(s->fresh, features, s->fresh_k, s->z);
    flt_gemm(true, false, features, dv, s->fresh, 1, s->fresh_k, features, s->fresh_v, dv, 1, s->s, dv);
    s->fresh = 0;
}

static void map_token(const flt_att_linear *a, const slot *w, flt_att_rows row, const flt_real *q, const flt_real *k) {
    if (a->map.token != NULL) {
        a->map.token(a->map.self, row, q, k, w->uq, w->uk);
        return;
    }
    a->map.queries(a->map.self, row, q, w->uq);
    a->map.keys(a->map.self, row, k, w->uk);
}

static void add_token(const flt_att_linear *a, const slot *w, state *s, const flt_real *v) {
    if (s->fresh == BATCH) settle(a, s);
    if (s->empty || a->one->above(a->features, w->uk, s->c)) state_raise(a, s, w->uk);
    a->tiles->key_features(1, a->features, w->uk, s->c, s->fresh_k + s->fresh * a->features);
    memcpy(s->fresh_v + s->fresh * a->dv, v, a->dv * sizeof *v);
    s->fresh++;
}

// The past by its state, the latest tokens one by one.
static void answer_token(const flt_att_linear *a, slot *w, const state *s, flt_real *out) {
    const size_t features = a->features, dv = a->dv;
    flt_real weight[BATCH];
    a->tiles->query_features(1, features, w->uq, s->c, s->z, w->fq, w->den);
    memset(out, 0, dv * sizeof *out);
    a->one->combine(features, dv, w->fq, s->s, out);
    a->one->dots(s->fresh, features, s->fresh_k, w->fq, weight);
    a->one->combine(s->fresh, dv, weight, s->fresh_v, out);
    for (size_t i = 0; i < s->fresh; i++) w->den[0] += weight[i];
    w->flagged += divide_rows(a->tiles, 1, dv, out, w->den);
}

void flt_att_linear_begin(flt_att_linear *a) {
    a->token = 0;
    a->slots[0].flagged = 0;
    for (size_t i = 0; i < a->B * a->H && !FLTX_BUG(STALE_BEGIN); i++) state_clear(a, &a->streams[i]);
}

void flt_att_linear_step(flt_att_linear *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    const size_t heads = a->B * a->H;
    const unsigned saved = flt_num_ftz();
    for (size_t i = 0; i < heads; i++) {
        const flt_att_rows row = {.head = i % a->H, .first = a->token + FLTX_BUG(LATE_POSITION), .count = 1};
        map_token(a, &a->slots[0], row, q + i * a->d, k + i * a->d);
        add_token(a, &a->slots[0], &a->streams[i], v + i * a->dv);
        answer_token(a, &a->slots[0], &a->streams[i], out + i * a->dv);
    }
    flt_num_ftz_restore(saved);
    a->token++;
}

// ---- plan

void flt_att_linear_forward(flt_att_linear *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    for (int t = 0; t < a->threads; t++) a->slots[t].flagged = 0;
#pragma omp parallel num_threads(a->threads)
    {
        const size_t thread = (size_t)omp_get_thread_num();
        const unsigned saved = flt_num_ftz();
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < a->B * a->H; i++) {
            const size_t x = i * a->N * a->d, y = i * a->N * a->dv;
            const flt_att_rows head = {.head = i % a->H, .thread = thread, .count = a->N};
            if (a->map.prepare != NULL) a->map.prepare(a->map.self, head, q + x, k + x);
            (a->causal ? run_causal : run_bidirectional)(a, &a->slots[thread], head, q + x, k + x, v + y, out + y);
        }
        flt_num_ftz_restore(saved);
    }
}

// Four tiles of features and the state should stay in the second-level cache.
static size_t tile_rows(const flt_att_linear *a) {
    size_t rows = FLTX_ATT_MAX_TILE;
    while (rows > 16 && rows * a->features > 32768) rows /= 2;
    return rows < a->N ? rows : a->N;
}

static void bind(void *self, flt_ws *ws) {
    flt_att_linear *a = self;
    const size_t tile = a->tile, features = a->features, real = sizeof(flt_real);
    for (int t = 0; t < a->threads; t++) {
        slot *w = &a->slots[t];
        state_bind(ws, a, false, &w->run);
        w->uk = flt_ws_take(ws, tile * features, real);
        w->fk = flt_ws_take(ws, tile * features, real);
        // bidirectional: tiles of keys and queries are never alive together
        w->uq = a->causal ? flt_ws_take(ws, tile * features, real) : w->uk;
        w->fq = a->causal ? flt_ws_take(ws, tile * features, real) : w->fk;
        w->a = a->causal ? flt_ws_take(ws, tile * tile, real) : NULL;
        w->top = flt_ws_take(ws, features, real);
        w->den = flt_ws_take(ws, tile, real);
    }
    for (size_t i = 0; a->causal && i < a->B * a->H; i++) state_bind(ws, a, true, &a->streams[i]);
}

flt_err flt_att_linear_create(const flt_attention_desc *desc, flt_att_map map, flt_att_linear **out) {
    flt_att_linear *a = NULL;
    flt_err err = flt_gemm_check(desc->mechanism, map.features, desc->dv, FLTX_ATT_MAX_TILE);
    *out = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->B = desc->B, a->H = desc->H, a->N = desc->N, a->d = desc->d, a->dv = desc->dv;
    a->causal = desc->causal;
    a->threads = (size_t)desc->threads < a->B * a->H ? desc->threads : (int)(a->B * a->H);
    a->map = map;
    a->tiles = FLTX_ISA_PICK(flt_att_tiles);
    a->one = FLTX_ISA_PICK(flt_att_token);
    a->features = map.features;
    a->tile = tile_rows(a);
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->slots, &a->slots));
    if (a->causal) FLTX_GO(err, failed, flt_alloc(a->B * a->H, sizeof *a->streams, &a->streams));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    if (a->causal) flt_att_linear_begin(a);
    *out = a;
    return FLTE_OK;
failed:
    flt_att_linear_destroy(a);
    return err;
}

void flt_att_linear_destroy(flt_att_linear *a) {
    if (a == NULL) return;
    flt_ws_destroy(&a->ws);
    flt_free(a->streams);
    flt_free(a->slots);
    flt_free(a);
}

size_t flt_att_linear_flagged(const flt_att_linear *a) {
    size_t rows = 0;
    for (int t = 0; t < a->threads; t++) rows += a->slots[t].flagged;
    return rows;
}

size_t flt_att_linear_workspace(const flt_att_linear *a) {
    return a->ws.size;
}
