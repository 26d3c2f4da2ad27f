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

enum {
    TILE = FLTX_ATT_MAX_TILE,
    CAUSAL_TILE = 48, // rows whose square costs time as well; whole register tiles of the products
    KEPT = 1 << 21,   // features of keys that a thread keeps for the way back, at the most
};

typedef struct state { // sums over tokens under the scale of the key features
    flt_real *s;       // [F, lds]
    flt_real *z;       // [F]
} state;

typedef struct slot {   // one thread's room
    flt_real *c;        // [F]: scale of the key features
    state run, back;    // S, sums of psi (bidirectional); G, sums of phi times g's last number
    flt_real *u, *du;   // [tile, F]: log features, and in the place of those that have become features their gradients
    flt_real *fq, *fk;  // [tile, ld]: features; bidirectional: the same; causal: fk is `fresh` or kept
    flt_real *g, *e;    // [tile, dv], [tile]: g_i and its last number
    flt_real *den;      // [tile]
    flt_real *sum;      // [F]: column sums or maxima
    flt_real *a, *p;    // [tile, tile]: of each segment; causal, as all that follows
    flt_real *seg_c;    // [tile, F]: scale of each segment of the tile at work
    flt_real *tile_c;   // [tiles + 1, F]: scale at the start of each tile
    flt_real *before_s; // [tiles, F, lds], [tiles, F]: the state there
    flt_real *before_z;
    flt_real *fresh; // [tile, ld]
    flt_real *kept;  // [kept, tile, ld]: of the last tiles
    size_t seg[FLTX_ATT_MAX_TILE + 1];
} slot;

struct flt_att_linear_back {
    size_t B, H, N, d, dv, features, tile, kept; // kept: tiles
    size_t ld, lds;                              // distances of rows of features and of states
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

static void clear_state(const flt_att_linear_back *a, state *s) {
    memset(s->s, 0, a->features * a->lds * sizeof *s->s);
    memset(s->z, 0, a->features * sizeof *s->z);
}

// Times e^{low - high}: S where the scale rises from low to high, G where it falls back.
static void rescale(const flt_att_linear_back *a, const flt_real *low, const flt_real *high, state *s) {
    const size_t dv = a->dv;
    for (size_t f = 0; f < a->features; f++) {
        if (low[f] == high[f]) continue;
        const flt_real keep = (flt_real)exp((double)(low[f] - high[f]));
        for (size_t c = 0; c < dv; c++) s->s[f * a->lds + c] *= keep;
        s->z[f] *= keep;
    }
}

// s += f^T x over n rows; z is the caller's
static void add_products(const flt_att_linear_back *a, size_t n, const flt_real *f, const flt_real *x, state *s) {
    flt_gemm(true, false, a->features, a->dv, n, 1, f, a->ld, x, a->dv, 1, s->s, a->lds);
}

// du [n, F] = f o (beta du + x s^T + y z^T); y NULL: ones
static void log_gradients(const flt_att_linear_back *a, size_t n, const flt_real *x, const flt_real *y, const state *s,
                          const flt_real *f, flt_real beta, flt_real *du) {
    const size_t F = a->features, dv = a->dv;
    flt_gemm(false, true, n, F, dv, 1, x, dv, s->s, a->lds, beta, du, F);
    a->tiles->weigh(n, F, f, a->ld, y, s->z, du);
}

// Features of the keys whose log features are u, and their sums, under the scale c; whether it is too low for one of them.
static bool weigh_keys(const flt_att_linear_back *a, slot *w, size_t n, const flt_real *u, const flt_real *c, flt_real *fk) {
    return a->tiles->key_sums(n, a->features, u, c, fk, a->ld, w->sum);
}

// ---- bidirectional

// Moves the scale up where `level` [F] exceeds it by more than CAP.
static void raise_scale(const flt_att_linear_back *a, slot *w, const flt_real *level) {
    const size_t dv = a->dv;
    for (size_t f = 0; f < a->features; f++) {
        if (!(level[f] - w->c[f] > FLTX_ATT_CAP)) continue;
        const flt_real keep = (flt_real)exp((double)(w->c[f] - level[f]));
        for (size_t c = 0; c < dv; c++) w->run.s[f * a->lds + c] *= keep;
        w->run.z[f] *= keep;
        w->c[f] = level[f];
    }
}

static void absorb_keys(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t n = rows.count, i = rows.first, F = a->features;
    a->map.keys(a->map.self, rows, h->k + i * a->d, w->u);
    if (i == 0 || weigh_keys(a, w, n, w->u, w->c, w->fk)) {
        a->tiles->column_max(n, F, w->u, w->sum);
        if (i == 0) memcpy(w->c, w->sum, F * sizeof *w->c);
        raise_scale(a, w, w->sum);
        weigh_keys(a, w, n, w->u, w->c, w->fk);
    }
    flt_axpy(F, 1, w->sum, w->run.z);
    add_products(a, n, w->fk, h->v + i * a->dv, &w->run);
}

static void query_tile(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t n = rows.count, i = rows.first;
    a->map.queries(a->map.self, rows, h->q + i * a->d, w->u);
    a->tiles->query_features_far(n, a->features, w->u, w->c, w->run.z, w->fq, a->ld, w->den);
    a->tiles->divide_gradients(n, a->dv, h->dout + i * a->dv, h->out + i * a->dv, w->den, w->g, w->e);
    log_gradients(a, n, w->g, w->e, &w->run, w->fq, 0, w->du);
    a->tiles->weighted_sum(n, a->features, w->e, w->fq, a->ld, w->back.z);
    add_products(a, n, w->fq, w->g, &w->back);
    a->back.queries(a->back.self, rows, h->bh, h->q + i * a->d, w->du, h->dq + i * a->d);
}

static void key_tile(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t n = rows.count, i = rows.first, dv = a->dv;
    a->map.keys(a->map.self, rows, h->k + i * a->d, w->u);
    weigh_keys(a, w, n, w->u, w->c, w->fk);
    log_gradients(a, n, h->v + i * dv, NULL, &w->back, w->fk, 0, w->du);
    flt_gemm(false, false, n, dv, a->features, 1, w->fk, a->ld, w->back.s, a->lds, 0, h->dv + i * dv, dv);
    a->back.keys(a->back.self, rows, h->bh, h->k + i * a->d, w->du, h->dk + i * a->d);
}

static void run_bidirectional(const flt_att_linear_back *a, slot *w, const head *h) {
    clear_state(a, &w->run);
    clear_state(a, &w->back);
    for (size_t i = 0; i < a->N; i += a->tile) absorb_keys(a, w, h, tile_at(a, h, i));
    for (size_t i = 0; i < a->N; i += a->tile) query_tile(a, w, h, tile_at(a, h, i));
    for (size_t i = 0; i < a->N; i += a->tile) key_tile(a, w, h, tile_at(a, h, i));
}

// ---- causal

// The first row behind `from` of which a log feature exceeds the scale by more than CAP, or n.
static size_t segment_end(const flt_att_linear_back *a, slot *w, size_t from, size_t n) {
    const size_t F = a->features;
    bool near = true;
    a->tiles->column_max(n - from, F, w->u + from * F, w->sum);
    for (size_t f = 0; f < F; f++) near &= !(w->sum[f] - w->c[f] > FLTX_ATT_CAP);
    if (near) return n;
    for (size_t i = from + 1; i < n; i++) {
        for (size_t f = 0; f < F; f++) {
            if (w->u[i * F + f] - w->c[f] > FLTX_ATT_CAP) return i;
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

// Cuts a tile of log features of keys into rows that share a scale, as the forward pass does: seg [count + 1], seg_c [count, F];
// w->c is the scale behind the tile. Returns the count.
static size_t find_segments(const flt_att_linear_back *a, slot *w, size_t n) {
    const size_t F = a->features;
    size_t count = 0, from = 0;
    while (from < n) {
        raise_to(F, w->u + from * F, w->c);
        memcpy(w->seg_c + count * F, w->c, F * sizeof *w->c);
        w->seg[count++] = from;
        from = segment_end(a, w, from, n);
    }
    w->seg[count] = n;
    return count;
}

// Where the features of keys of tile t are kept, or NULL.
static flt_real *kept_at(const flt_att_linear_back *a, const slot *w, size_t t) {
    const size_t tiles = (a->N + a->tile - 1) / a->tile;
    return t + a->kept >= tiles ? w->kept + (t + a->kept - tiles) * a->tile * a->ld : NULL;
}

// The state in front of tile t.
static state before(const flt_att_linear_back *a, const slot *w, size_t t) {
    return (state){w->before_s + t * a->features * a->lds, w->before_z + t * a->features};
}

static void copy_state(const flt_att_linear_back *a, state from, state to) {
    memcpy(to.s, from.s, a->features * a->lds * sizeof *to.s);
    memcpy(to.z, from.z, a->features * sizeof *to.z);
}

// to = from and n keys with these features, whose sums are in w->sum.
static void join_keys(const flt_att_linear_back *a, const slot *w, size_t n, const flt_real *fk, const flt_real *v, state from,
                      state to) {
    const size_t F = a->features;
    flt_gemm_onto(true, false, F, a->dv, n, fk, a->ld, v, a->dv, from.s, to.s, a->lds);
    for (size_t f = 0; f < F; f++) to.z[f] = from.z[f] + w->sum[f];
}

// Features of the tile's keys, and the state behind it from the one in front; behind the last tile nobody asks for it.
static void forth(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t i = rows.first, F = a->features, t = i / a->tile;
    flt_real *kept = kept_at(a, w, t), *to = kept != NULL ? kept : w->fresh;
    a->map.keys(a->map.self, rows, h->k + i * a->d, w->u);
    if (i == 0) memcpy(w->c, w->u, F * sizeof *w->c);
    memcpy(w->tile_c + t * F, w->c, F * sizeof *w->c);
    const size_t count = find_segments(a, w, rows.count);
    const flt_real *scale = w->tile_c + t * F;
    state now = before(a, w, t), next = before(a, w, t + 1);
    for (size_t s = 0; s < count; s++) {
        const size_t from = w->seg[s], n = w->seg[s + 1] - from;
        flt_real *fk = to + from * a->ld, *c = w->seg_c + s * F;
        weigh_keys(a, w, n, w->u + from * F, c, fk);
        if (i + rows.count == a->N) continue;
        if (memcmp(scale, c, F * sizeof *c) != 0) {
            if (now.s != next.s) copy_state(a, now, next);
            now = next;
            rescale(a, scale, c, &now);
        }
        join_keys(a, w, n, fk, h->v + (i + from) * a->dv, now, next);
        now = next, scale = c;
    }
}

// Features of the tile's keys in w->fk and its segments, whose count is returned. Kept ones serve where the scale has stood
// still.
static size_t load_keys(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t F = a->features, t = rows.first / a->tile;
    const flt_real *start = w->tile_c + t * F;
    flt_real *kept = kept_at(a, w, t);
    memcpy(w->c, start, F * sizeof *w->c);
    if (kept != NULL && memcmp(start, start + F, F * sizeof *start) == 0) {
        w->fk = kept;
        memcpy(w->seg_c, start, F * sizeof *start);
        w->seg[0] = 0, w->seg[1] = rows.count;
        return 1;
    }
    w->fk = w->fresh;
    a->map.keys(a->map.self, rows, h->k + rows.first * a->d, w->u);
    const size_t count = find_segments(a, w, rows.count);
    for (size_t s = 0; s < count; s++) {
        const size_t from = w->seg[s];
        weigh_keys(a, w, w->seg[s + 1] - from, w->u + from * F, w->seg_c + s * F, w->fk + from * a->ld);
    }
    return count;
}

// p [n, n] += e [n] on and below the diagonal, zeros above it
static void add_lower(size_t n, const flt_real *e, flt_real *p) {
    for (size_t i = 0; i < n; i++, p += n) {
        for (size_t j = 0; j <= i; j++) p[j] += e[i];
        memset(p + i + 1, 0, (n - i - 1) * sizeof *p);
    }
}

// Asks for numbers that have left the second-level cache, all at once.
static void fetch(const flt_real *x, size_t n) {
    for (size_t i = 0; i < n; i += 64 / sizeof *x) __builtin_prefetch(x + i, 0, 2);
}

// Rows `from` .. of the tile, n of them, with the state `now` in front of them: features phi, a = phi psi^T and p = [g, e] [v,
// 1]^T on and below the diagonal, gradients of the queries' log features.
static void query_segment(const flt_att_linear_back *a, slot *w, const head *h, size_t first, size_t from, size_t n,
                          const flt_real *c, const state *now) {
    const size_t F = a->features, ld = a->ld, dv = a->dv, at = (first + from) * dv;
    const flt_real *fk = w->fk + from * ld;
    flt_real *fq = w->fq + from * ld, *du = w->du + from * F;
    flt_real *weights = w->a + from * a->tile, *p = w->p + from * a->tile, *g = w->g + from * dv;
    a->tiles->query_features_far(n, F, w->u + from * F, c, now->z, fq, ld, w->den + from);
    fetch(now->s, F * a->lds);
    flt_att_lower_product_far(n, F, fq, ld, fk, ld, weights);
    a->tiles->mask(n, weights, w->den + from);
    a->tiles->divide_gradients(n, dv, h->dout + at, h->out + at, w->den + from, g, w->e + from);
    flt_att_lower_product(n, dv, g, h->v + at, p);
    add_lower(n, w->e + from, p);
    flt_att_lower_times_far(n, F, p, fk, ld, 0, du);
    log_gradients(a, n, g, w->e + from, now, fq, 1, du);
}

// The same rows with the sums over all later ones: gradients of the keys' log features and of v; then they join these sums.
static void key_segment(const flt_att_linear_back *a, slot *w, const head *h, size_t first, size_t from, size_t n) {
    const size_t F = a->features, ld = a->ld, dv = a->dv, at = (first + from) * dv;
    const flt_real *fq = w->fq + from * ld, *fk = w->fk + from * ld, *g = w->g + from * dv;
    flt_real *du = w->du + from * F;
    flt_att_upper_times(n, F, w->p + from * a->tile, fq, ld, 0, du, F);
    log_gradients(a, n, h->v + at, NULL, &w->back, fk, 1, du);
    flt_gemm(false, false, n, dv, F, 1, fk, ld, w->back.s, a->lds, 0, h->dv + at, dv);
    flt_att_upper_times(n, dv, w->a + from * a->tile, g, dv, 1, h->dv + at, dv);
    a->tiles->weighted_sum(n, F, w->e + from, fq, ld, w->back.z);
    add_products(a, n, fq, g, &w->back);
}

static void back(const flt_att_linear_back *a, slot *w, const head *h, flt_att_rows rows) {
    const size_t i = rows.first, F = a->features, dv = a->dv, t = i / a->tile;
    flt_real *start = w->tile_c + t * F, *after = start + F; // after: scale of G
    const flt_real *scale = start;
    state now = before(a, w, t);
    const size_t count = load_keys(a, w, h, rows);
    fetch(w->fk, rows.count * a->ld);
    a->map.queries(a->map.self, rows, h->q + i * a->d, w->u);
    for (size_t s = 0; s < count; s++) {
        const size_t from = w->seg[s], n = w->seg[s + 1] - from;
        const flt_real *c = w->seg_c + s * F;
        rescale(a, scale, c, &now);
        scale = c;
        query_segment(a, w, h, i, from, n, c, &now);
        if (s + 1 == count) continue;
        a->tiles->weighted_sum(n, F, NULL, w->fk + from * a->ld, a->ld, now.z);
        add_products(a, n, w->fk + from * a->ld, h->v + (i + from) * dv, &now);
    }
    a->back.queries(a->back.self, rows, h->bh, h->q + i * a->d, w->du, h->dq + i * a->d);
    for (size_t s = count; s-- > 0;) {
        const flt_real *c = w->seg_c + s * F;
        if (!FLTX_BUG(BACKWARD_STALE_STATE)) rescale(a, c, after, &w->back);
        key_segment(a, w, h, i, w->seg[s], w->seg[s + 1] - w->seg[s]);
        memcpy(after, c, F * sizeof *c);
    }
    a->back.keys(a->back.self, rows, h->bh, h->k + i * a->d, w->du, h->dk + i * a->d);
    rescale(a, start, after, &w->back);
}

static void run_causal(const flt_att_linear_back *a, slot *w, const head *h) {
    const size_t tiles = (a->N + a->tile - 1) / a->tile;
    state start = before(a, w, 0);
    clear_state(a, &start);
    clear_state(a, &w->back);
    for (size_t t = 0; t < tiles; t++) forth(a, w, h, tile_at(a, h, t * a->tile));
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
    const size_t F = a->features, tile = a->tile, tiles = (a->N + tile - 1) / tile, real = sizeof(flt_real);
    w->fq = flt_ws_take(ws, tile * a->ld, real);
    w->kept = flt_ws_take(ws, a->kept * tile * a->ld, real);
    w->a = flt_ws_take(ws, tile * tile, real);
    w->p = flt_ws_take(ws, tile * tile, real);
    w->seg_c = flt_ws_take(ws, tile * F, real);
    w->tile_c = flt_ws_take(ws, (tiles + 1) * F, real);
    w->before_s = flt_ws_take(ws, tiles * F * a->lds, real);
    w->before_z = flt_ws_take(ws, tiles * F, real);
}

static void bind(void *self, flt_ws *ws) {
    flt_att_linear_back *a = self;
    const size_t F = a->features, tile = a->tile, real = sizeof(flt_real);
    for (int t = 0; t < a->threads; t++) {
        slot *w = &a->slots[t];
        w->c = flt_ws_take(ws, F, real);
        w->sum = flt_ws_take(ws, F, real);
        w->den = flt_ws_take(ws, tile, real);
        if (!a->causal) w->run = (state){flt_ws_take(ws, F * a->lds, real), flt_ws_take(ws, F, real)};
        w->back = (state){flt_ws_take(ws, F * a->lds, real), flt_ws_take(ws, F, real)};
        w->u = w->du = flt_ws_take(ws, tile * F, real);
        w->fresh = w->fq = w->fk = flt_ws_take(ws, tile * a->ld, real);
        w->g = flt_ws_take(ws, tile * a->dv, real);
        w->e = flt_ws_take(ws, tile, real);
        if (a->causal) bind_causal(a, ws, w);
    }
}

flt_err flt_att_linear_back_create(const flt_attention_desc *desc, flt_att_map map, flt_att_back_map transposed,
                                   flt_att_linear_back **out) {
    flt_att_linear_back *a = NULL;
    flt_err err = flt_gemm_check(desc->mechanism, map.features, desc->dv, FLTX_ATT_MAX_TILE);
    *out = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->B = desc->B, a->H = desc->H, a->N = desc->N, a->d = desc->d, a->dv = desc->dv;
    a->causal = desc->causal;
    a->threads = (size_t)desc->threads < a->B * a->H ? desc->threads : (int)(a->B * a->H);
    a->map = map, a->back = transposed;
    a->tiles = FLTX_ISA_PICK(flt_att_tiles);
    a->features = map.features;
    a->tile = a->causal ? CAUSAL_TILE : TILE;
    if (a->tile > a->N) a->tile = a->N;
    a->ld = flt_att_spread(a->features), a->lds = a->causal ? a->dv : flt_att_spread(a->dv);
    a->kept = KEPT / (a->tile * a->ld);
    if (a->kept > (a->N + a->tile - 1) / a->tile) a->kept = (a->N + a->tile - 1) / a->tile;
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
