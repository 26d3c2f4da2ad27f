// SPDX-License-Identifier: MIT
// Projected snippets, from a table or tile by tile; see snippets.h.
#include "snippets.h"
#include "tiles.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <string.h>

enum { FEW = 8 }; // rows that are not worth turning omega for

typedef struct room {     // one thread's
    flt_real *snippet;    // [tile, 2r]: formed row by row
    double *pos;          // [l]: of one token
    double *phase;        // [r], in turns
    flt_real *wave;       // [2, r]: their cosines, sines
    flt_real *turned;     // [2, panels]: A, B
    flt_real *even, *odd; // [HALF, F]: E, O
    flt_att_rows at;      // rows in whose middle A and B are; count 0: none
} room;

struct flt_att_projected {
    size_t N, features, r, heads; // heads: 1 when omega is shared
    flt_att_snippets s;
    bool halves;       // tile by tile from the middles of tiles
    flt_real *w;       // [heads, 2r, F]: omega^T
    flt_real *panels;  // [heads, 2, panels of r rows]: w for products, cosines' and sines' part; or of 2r rows
    flt_real *tq, *tk; // [table heads, N, F]; NULL: tile by tile
    size_t tq_heads, tk_heads;
    flt_real *waves; // [tq_heads, 2, HALF, 2r]: cosines and sines of z, with the ratios of keys, of queries
    int threads;
    const flt_att_tiles *tiles;
    room *rooms; // [threads]
    flt_ws ws;
};

enum { HALF = FLTX_ATT_MAX_TILE / 2 };

void flt_att_omega_turned(const flt_att_array *omega, size_t features, size_t h, size_t from, size_t cols, double scale,
                          flt_real *to) {
    const size_t m = omega->dim[0], width = omega->dim[1];
    const double *rows = flt_att_head(omega, h);
    for (size_t k = 0; k < cols; k++) {
        for (size_t f = 0; f < features; f++) {
            const double x = scale * rows[(f % m) * width + from + k];
            to[k * features + f] = (flt_real)(f < m || FLTX_BUG(LOST_SIGN) ? x : -x);
        }
    }
}

static const flt_real *of_head(const flt_real *x, size_t heads, size_t head, size_t size) {
    return x + (heads == 1 || FLTX_BUG(SHARED_OMEGA) ? 0 : head * size);
}

static const double *ratios_of(const flt_att_projected *a, size_t head, bool query) {
    const flt_att_array *ratio = query || FLTX_BUG(RATIO_BOTH_SIDES) ? a->s.rho : a->s.rho_key;
    return ratio->data == NULL ? NULL : flt_att_head(ratio, head);
}

// ---- row by row

void flt_att_snippet(const flt_att_projected *a, flt_att_rows row, bool query, flt_real *snippet) {
    const room *w = &a->rooms[row.thread];
    const double *xi = flt_att_head(a->s.xi, row.head), *rho = ratios_of(a, row.head, query);
    flt_att_position(a->s.pos, a->N, row.first, w->pos);
    flt_rpe_snippets(1, a->s.pos->l, w->pos, a->r, xi, rho, 2 * a->r, rho != NULL ? snippet : NULL, rho != NULL ? NULL : snippet);
}

static size_t part(const flt_att_projected *a) { // of the panels
    return flt_panels_size(a->halves ? a->r : 2 * a->r, a->features);
}

static size_t parts(const flt_att_projected *a) { // of one head
    return (a->halves ? 2 : 1) * part(a);
}

static void multiply(size_t n, size_t features, size_t k, const flt_real *x, size_t ldx, const flt_real *panels,
                     const flt_real *d, flt_real *u) {
    flt_panels_multiply(&(flt_panels_product){.m = n,
                                              .n = features,
                                              .k = k,
                                              .alpha = 1,
                                              .a = x,
                                              .lda = ldx,
                                              .panels = panels,
                                              .d = d,
                                              .ldd = features,
                                              .c = u,
                                              .ldc = features});
}

static void by_rows(const flt_att_projected *a, flt_att_rows rows, bool query, flt_real *u) {
    const size_t width = 2 * a->r, F = a->features;
    const room *w = &a->rooms[rows.thread];
    flt_att_rows row = rows;
    for (size_t i = 0; i < rows.count; i++, row.first++) flt_att_snippet(a, row, query, w->snippet + i * width);
    const flt_real *panels = of_head(a->panels, a->heads, rows.head, parts(a));
    if (!a->halves) {
        multiply(rows.count, F, width, w->snippet, width, panels, NULL, u);
        return;
    }
    multiply(rows.count, F, a->r, w->snippet, width, panels, NULL, u);
    multiply(rows.count, F, a->r, w->snippet + a->r, width, panels + part(a), u, u);
}

// ---- from the middle

// z = 1/2, 3/2, .. steps for one head: waves [2, HALF, 2r].
static void fill_waves(const flt_att_projected *a, size_t head) {
    const size_t r = a->r;
    const room *w = &a->rooms[0];
    const double *xi = flt_att_head(a->s.xi, head), unit = 1.0 / sqrt((double)r);
    for (size_t s = 0; s < HALF; s++) {
        const double z = ((double)s + 0.5) * a->s.pos->step;
        for (size_t m = 0; m < r; m++) w->phase[m] = xi[m] * z;
        flt_turns(r, w->phase, w->wave, w->wave + r);
        for (size_t query = 0; query < 2; query++) {
            const double *rho = ratios_of(a, head, query != 0);
            flt_real *to = a->waves + ((head * 2 + query) * HALF + s) * 2 * r;
            for (size_t m = 0; m < 2 * r; m++) to[m] = (flt_real)((double)w->wave[m] * unit * (rho != NULL ? rho[m % r] : 1.0));
        }
    }
}

// Those behind the middle, of an odd number the middle one too.
static size_t half_of(size_t n) {
    return (n + 1) / 2;
}

// Queries of a causal tile find what the keys have left.
static void turn(const flt_att_projected *a, flt_att_rows rows) {
    const size_t r = a->r;
    room *w = &a->rooms[rows.thread];
    const bool same = w->at.count == rows.count && w->at.first == rows.first && w->at.head == rows.head;
    if (same || (FLTX_BUG(STALE_MIDDLE) && w->at.count > 0)) return;
    const double *xi = flt_att_head(a->s.xi, rows.head);
    const double middle = (double)(rows.first + half_of(rows.count)) - 0.5;
    const double pos = a->s.pos->array.data[0] + middle * a->s.pos->step;
    const flt_real *panels = of_head(a->panels, a->heads, rows.head, parts(a));
    for (size_t m = 0; m < r; m++) w->phase[m] = xi[m] * pos;
    flt_turns(r, w->phase, w->wave, w->wave + r);
    flt_panels_turn(r, a->features, w->wave, w->wave + r, panels, panels + part(a), w->turned, w->turned + part(a));
    w->at = rows;
}

static void by_halves(const flt_att_projected *a, flt_att_rows rows, bool query, flt_real *u) {
    const size_t r = a->r, F = a->features, half = half_of(rows.count);
    const room *w = &a->rooms[rows.thread];
    const flt_real *waves = a->waves + ((a->tq_heads == 1 ? 0 : rows.head) * 2 + query) * HALF * 2 * r;
    turn(a, rows);
    multiply(half, F, r, waves, 2 * r, w->turned, NULL, w->even);
    multiply(half, F, r, waves + r, 2 * r, w->turned + part(a), NULL, w->odd);
    a->tiles->unfold(rows.count, F, w->even, w->odd, u);
}

// ---- tables

static void fill_table(const flt_att_projected *a, bool query, size_t heads, flt_real *table) {
    for (size_t h = 0; h < heads; h++) {
        for (size_t i = 0; i < a->N; i += FLTX_ATT_MAX_TILE) {
            const size_t n = a->N - i < FLTX_ATT_MAX_TILE ? a->N - i : FLTX_ATT_MAX_TILE;
            const flt_att_rows rows = {.head = h, .first = i, .count = n};
            by_rows(a, rows, query, table + (h * a->N + i) * a->features);
        }
    }
}

const flt_real *flt_att_projected_table(const flt_att_projected *a, flt_att_rows rows, bool query) {
    const size_t F = a->features;
    if (a->tq == NULL || rows.first + rows.count > a->N) return NULL;
    return of_head(query ? a->tq : a->tk, query ? a->tq_heads : a->tk_heads, rows.head, a->N * F) + rows.first * F;
}

const flt_real *flt_att_projected_rows(const flt_att_projected *a, flt_att_rows rows, bool query, flt_real *u) {
    const flt_real *table = flt_att_projected_table(a, rows, query);
    if (table != NULL) return table;
    if (a->halves && rows.count >= FEW && rows.first + rows.count <= a->N)
        by_halves(a, rows, query, u);
    else
        by_rows(a, rows, query, u);
    return u;
}

const flt_real *flt_att_projected_omega(const flt_att_projected *a, size_t head) {
    return of_head(a->w, a->heads, head, 2 * a->r * a->features);
}

size_t flt_att_projected_heads(const flt_att_projected *a) {
    return a->tq_heads;
}

// ---- plan

static void load_omega(flt_att_projected *a, const flt_att_array *omega, double unit) {
    const size_t r = a->r, F = a->features, d = omega->dim[1] - 2 * r;
    for (size_t h = 0; h < a->heads; h++) {
        flt_real *w = a->w + h * 2 * r * F, *panels = a->panels + h * parts(a);
        flt_att_omega_turned(omega, F, h, d, 2 * r, unit, w);
        flt_panels_fill(a->halves ? r : 2 * r, F, w, F, panels);
        if (a->halves) flt_panels_fill(r, F, w + r * F, F, panels + part(a));
    }
}

void flt_att_projected_update(flt_att_projected *a, const flt_att_array *omega, double unit) {
    if (omega != NULL) load_omega(a, omega, unit);
    for (int t = 0; t < a->threads; t++) a->rooms[t].at.count = 0;
    for (size_t h = 0; a->halves && h < a->tq_heads; h++) fill_waves(a, h);
    if (a->tq == NULL) return;
    fill_table(a, true, a->tq_heads, a->tq);
    fill_table(a, false, a->tk_heads, a->tk);
}

static void bind(void *self, flt_ws *ws) {
    flt_att_projected *a = self;
    const size_t tile = a->N < FLTX_ATT_MAX_TILE ? a->N : FLTX_ATT_MAX_TILE, real = sizeof(flt_real);
    for (int t = 0; t < a->threads; t++) {
        room *w = &a->rooms[t];
        w->snippet = flt_ws_take(ws, tile * 2 * a->r, real);
        w->pos = flt_ws_take(ws, a->s.pos->l, sizeof(double));
        w->phase = a->halves ? flt_ws_take(ws, a->r, sizeof(double)) : NULL;
        w->wave = a->halves ? flt_ws_take(ws, 2 * a->r, real) : NULL;
        w->turned = a->halves ? flt_ws_take(ws, 2 * part(a), real) : NULL;
        w->even = a->halves ? flt_ws_take(ws, HALF * a->features, real) : NULL;
        w->odd = a->halves ? flt_ws_take(ws, HALF * a->features, real) : NULL;
    }
}

static flt_err make_omega(flt_att_projected *a) {
    FLTX_TRY(flt_alloc(a->heads, parts(a) * sizeof *a->panels, &a->panels));
    return flt_alloc(a->heads * 2 * a->r, a->features * sizeof *a->w, &a->w);
}

static flt_err make_tables(flt_att_projected *a) {
    const size_t all = a->heads > a->s.xi->heads ? a->heads : a->s.xi->heads;
    size_t bytes = 0;
    a->tk_heads = all == 0 ? 1 : all;
    if (a->s.rho_key->heads > a->tk_heads) a->tk_heads = a->s.rho_key->heads;
    a->tq_heads = a->s.rho->heads > a->tk_heads ? a->s.rho->heads : a->tk_heads;
    if (flt_mul_ok(a->N * a->features, (a->tk_heads + a->tq_heads) * sizeof *a->tq, &bytes) && bytes <= a->s.max_table) {
        FLTX_TRY(flt_alloc(a->tq_heads * a->N, a->features * sizeof *a->tq, &a->tq));
        return flt_alloc(a->tk_heads * a->N, a->features * sizeof *a->tk, &a->tk);
    }
    a->halves = a->s.pos->spaced;
    return a->halves ? flt_alloc(a->tq_heads * 2 * HALF, 2 * a->r * sizeof *a->waves, &a->waves) : FLTE_OK;
}

flt_err flt_att_projected_create(const flt_attention_desc *desc, const flt_att_array *omega, size_t features,
                                 const flt_att_snippets *snippets, flt_att_projected **out) {
    flt_att_projected *a = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->N = desc->N, a->features = features, a->threads = desc->threads;
    a->heads = omega->heads == 0 ? 1 : omega->heads;
    a->s = *snippets, a->r = snippets->xi->dim[0];
    a->tiles = FLTX_ISA_PICK(flt_att_tiles);
    FLTX_GO(err, failed, make_tables(a));
    FLTX_GO(err, failed, make_omega(a));
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->rooms, &a->rooms));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_projected_destroy(a);
    return err;
}

void flt_att_projected_destroy(flt_att_projected *a) {
    if (a == NULL) return;
    flt_ws_destroy(&a->ws);
    flt_free(a->rooms);
    flt_free(a->waves);
    flt_free(a->tk);
    flt_free(a->tq);
    flt_free(a->w);
    flt_free(a->panels);
    flt_free(a);
}

size_t flt_att_projected_workspace(const flt_att_projected *a) {
    return a == NULL ? 0 : a->ws.size;
}
