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

enum {
    BATCH = 16, // tokens that a stream adds to its state at once
    // rows of a tile, whole numbers of the products' register tiles; of a causal one the square costs time as well
    TILE = 48,
    CAUSAL_TILE = 32,
};

typedef struct state {
    flt_real *c, *z; // [F]: scale; sum of exp(lk - c)
    flt_real *s;     // [F, dv]: the same weights times v
    size_t lds;      // distance of its rows
    // Streams: the latest tokens by themselves, added to z and s by the batch. Single numbers added to the sum over a long past
    // would lose their digits, and s would be written for each.
    flt_real *fresh_k, *fresh_v; // [BATCH, F]: features; [BATCH, dv]
    size_t fresh;                // tokens in them
    bool empty;
} state;

typedef struct slot { // one thread's room
    state run;
    flt_real *u;    // [tile, F]: log features; the queries' become features where they lie
    flt_real *phi;  // [tile, F]: features of keys
    size_t ldphi;   // distance of its rows
    flt_real *a;    // [tile, tile] (causal)
    flt_real *sum;  // [F]: column sums or maxima
    flt_real *den;  // [tile]
    size_t flagged; // rows
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
    s->lds = stream ? a->dv : flt_att_spread(a->dv);
    s->s = flt_ws_take(ws, features * s->lds, real);
    s->fresh_k = stream ? flt_ws_take(ws, BATCH * features, real) : NULL;
    s->fresh_v = stream ? flt_ws_take(ws, BATCH * a->dv, real) : NULL;
}

static void state_clear(const flt_att_linear *a, state *s) {
    s->empty = true;
    s->fresh = 0;
    memset(s->z, 0, a->features * sizeof *s->z);
    memset(s->s, 0, a->features * s->lds * sizeof *s->s);
}

static void scale_feature(const flt_att_linear *a, state *s, size_t f, flt_real factor) {
    s->z[f] *= factor;
    for (size_t k = 0; k < a->dv; k++) s->s[f * s->lds + k] *= factor;
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

// Features of the keys whose logarithms are in u, under the scale as it is; whether it is too low for one of them.
static bool weigh_keys(const flt_att_linear *a, slot *w, size_t n) {
    return a->tiles->key_sums(n, a->features, w->u, w->run.c, w->phi, w->ldphi, w->sum);
}

// z and s take what weigh_keys has formed of n keys.
static void add_keys(const flt_att_linear *a, slot *w, size_t n, const flt_real *v) {
    flt_axpy(a->features, 1, w->sum, w->run.z);
    flt_gemm(true, false, a->features, a->dv, n, 1, w->phi, w->ldphi, v, a->dv, 1, w->run.s, w->run.lds);
}

static void absorb_keys(const flt_att_linear *a, slot *w, flt_att_rows rows, const flt_real *k, const flt_real *v) {
    a->map.keys(a->map.self, rows, k, w->u);
    if (w->run.empty || weigh_keys(a, w, rows.count)) {
        a->tiles->column_max(rows.count, a->features, w->u, w->sum);
        state_raise(a, &w->run, w->sum);
        weigh_keys(a, w, rows.count);
    }
    add_keys(a, w, rows.count, v);
}

static void answer_queries(const flt_att_linear *a, slot *w, flt_att_rows rows, const flt_real *q, flt_real *out) {
    const size_t n = rows.count, features = a->features;
    a->map.queries(a->map.self, rows, q, w->u);
    a->tiles->query_features(n, features, w->u, w->run.c, w->run.z, w->u, w->den);
    flt_gemm(false, false, n, a->dv, features, 1, w->u, features, w->run.s, w->run.lds, 0, out, a->dv);
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

// The first row of u [n, F] behind row 0 that moves the scale, or n: the rows before it can share one.
static size_t segment_end(const flt_att_linear *a, const slot *w, size_t n) {
    const size_t features = a->features;
    for (size_t i = 1; i < n; i++) {
        for (size_t f = 0; f < features; f++) {
            if (w->u[i * features + f] - w->run.c[f] > FLTX_ATT_CAP) return i;
        }
    }
    return n;
}

// The first rows of those given, as many as can share the scale that row 0 allows; returns their number. Products run over all
// rows although only those before `end` count: their shapes, hence their rounding, then know nothing of `end`, which depends on
// the future of the rows before it.
static size_t run_segment(const flt_att_linear *a, slot *w, flt_att_rows rows, const flt_real *q, const flt_real *k,
                          const flt_real *v, flt_real *out) {
    const size_t features = a->features, dv = a->dv, n = rows.count;
    a->map.keys(a->map.self, rows, k, w->u);
    state_raise(a, &w->run, w->u);
    const size_t end = weigh_keys(a, w, n) ? segment_end(a, w, n) : n;
    const size_t kept = end - (FLTX_BUG(CHUNK_OFF_BY_ONE) && rows.first + end < a->N ? 1 : 0);
    if (kept < n) weigh_keys(a, w, kept); // their sums alone
    a->map.queries(a->map.self, rows, q, w->u);
    a->tiles->query_features(n, features, w->u, w->run.c, w->run.z, w->u, w->den);
    flt_att_lower_product_far(n, features, w->u, features, w->phi, w->ldphi, w->a);
    a->tiles->mask(n, w->a, w->den);
    flt_gemm(false, false, n, dv, features, 1, w->u, features, w->run.s, w->run.lds, 0, out, dv);
    flt_att_lower_times(n, dv, w->a, v, 1, out);
    w->flagged += divide_rows(a->tiles, end, dv, out, w->den);
    add_keys(a, w, kept, v);
    return end;
}

static void run_causal(const flt_att_linear *a, slot *w, flt_att_rows head, const flt_real *q, const flt_real *k,
                       const flt_real *v, flt_real *out) {
    state_clear(a, &w->run);
    for (size_t i = 0; i < a->N; i += a->tile) {
        flt_att_rows rows = tile_at(a, head, i);
        for (const size_t end = i + rows.count; rows.first < end; rows.count = end - rows.first) {
            const size_t x = rows.first * a->d, y = rows.first * a->dv;
            rows.first += run_segment(a, w, rows, q + x, k + x, v + y, out + y);
        }
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
        a->map.token(a->map.self, row, q, k, w->u, w->phi);
        return;
    }
    a->map.queries(a->map.self, row, q, w->u);
    a->map.keys(a->map.self, row, k, w->phi);
}

static void add_token(const flt_att_linear *a, const slot *w, state *s, const flt_real *v) {
    if (s->fresh == BATCH) settle(a, s);
    if (s->empty || a->one->above(a->features, w->phi, s->c)) state_raise(a, s, w->phi);
    a->tiles->key_features(1, a->features, w->phi, s->c, s->fresh_k + s->fresh * a->features);
    memcpy(s->fresh_v + s->fresh * a->dv, v, a->dv * sizeof *v);
    s->fresh++;
}

// The past by its state, the latest tokens one by one.
static void answer_token(const flt_att_linear *a, slot *w, const state *s, flt_real *out) {
    const size_t features = a->features, dv = a->dv;
    flt_real weight[BATCH];
    a->tiles->query_features(1, features, w->u, s->c, s->z, w->u, w->den);
    memset(out, 0, dv * sizeof *out);
    a->one->combine(features, dv, w->u, s->s, out);
    a->one->dots(s->fresh, features, s->fresh_k, w->u, weight);
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

// Tiles of logarithms and features and the state should stay in the second-level cache.
static size_t tile_rows(const flt_att_linear *a) {
    size_t rows = a->causal ? CAUSAL_TILE : TILE;
    while (rows > 16 && rows * a->features > 32768) rows /= 2;
    return rows < a->N ? rows : a->N;
}

static void bind(void *self, flt_ws *ws) {
    flt_att_linear *a = self;
    const size_t tile = a->tile, features = a->features, real = sizeof(flt_real);
    for (int t = 0; t < a->threads; t++) {
        slot *w = &a->slots[t];
        state_bind(ws, a, false, &w->run);
        w->ldphi = flt_att_spread(features);
        w->u = flt_ws_take(ws, tile * features, real);
        w->phi = flt_ws_take(ws, tile * w->ldphi, real);
        w->a = a->causal ? flt_ws_take(ws, tile * tile, real) : NULL;
        w->sum = flt_ws_take(ws, features, real);
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
