// SPDX-License-Identifier: MIT
// Gradients through the random projection; see features_backward.h.
#include "features_backward.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <string.h>

typedef struct room {   // one thread's
    flt_real *snippet;  // [tile, 2r]: r^-1/2 (cos, sin)
    flt_real *dsnippet; // [tile, 2r]
    flt_real *product;  // [max(d, 2r), F]: of inputs and gradients of one tile
    double *pos;        // [l]
} room;

struct flt_att_features_back {
    size_t d, N, H, BH, features, r, l, heads; // heads: 1 when omega is shared
    const flt_att_array *omega;
    flt_att_snippets s;
    flt_real *w, *wp;     // [heads, d, F], [heads, 2r, F]: omega^T, scaled as in the forward map
    double *domega, *dxi; // [B H, m, d + 2r], [B H, r, l]
    double *drho[2];      // [B H, r]: of the ratio on the keys' side, on the queries'
    bool want_omega, want_snippets;
    int threads;
    room *rooms;
    flt_ws ws;
};

static const flt_real *of_head(const flt_real *x, size_t heads, size_t head, size_t size) {
    return x + (heads == 1 ? 0 : head * size);
}

// ---- sums for the plan's arguments

// domega [m, width], columns from .. from + cols - 1, += scale (x^T du)^T, x [n, cols]; negated features count negatively.
static void add_omega(const flt_att_features_back *a, flt_att_rows rows, size_t bh, size_t from, size_t cols, const flt_real *x,
                      const flt_real *du) {
    const size_t F = a->features, m = a->omega->dim[0], width = a->omega->dim[1];
    const double scale = from == 0 ? pow((double)a->d, -0.25) : 1.0;
    flt_real *product = a->rooms[rows.thread].product;
    double *sum = a->domega + bh * m * width + from;
    flt_gemm(true, false, cols, F, rows.count, 1, x, cols, du, F, 0, product, F);
    for (size_t f = 0; f < F; f++) {
        for (size_t c = 0; c < cols; c++) sum[(f % m) * width + c] += (f < m ? scale : -scale) * (double)product[c * F + f];
    }
}

static void load_snippets(const flt_att_features_back *a, flt_att_rows rows, const double *rho, flt_real *x) {
    double *pos = a->rooms[rows.thread].pos;
    const double *xi = flt_att_head(a->s.xi, rows.head);
    for (size_t i = 0; i < rows.count; i++) {
        flt_real *row = x + i * 2 * a->r;
        flt_att_position(a->s.pos, a->N, rows.first + i, pos);
        flt_rpe_snippets(1, a->l, pos, a->r, xi, rho, 2 * a->r, rho != NULL ? row : NULL, rho != NULL ? NULL : row);
    }
}

// One row: snippet t = r^-1/2 (cos, sin), gradient dt with respect to rho t; rho NULL: ones, without a gradient.
static void add_frequencies(const flt_att_features_back *a, const double *pos, const double *rho, const flt_real *t,
                            const flt_real *dt, double *drho, double *dxi) {
    const size_t r = a->r;
    for (size_t m = 0; m < r; m++) {
        const double cosine = (double)t[m], sine = (double)t[r + m], dc = (double)dt[m], ds = (double)dt[r + m];
        if (rho != NULL) drho[m] += dc * cosine + ds * sine;
        const double phase =
            FLTX_TWO_PI * (rho != NULL ? rho[m] : 1.0) * (ds * cosine - (FLTX_BUG(BACKWARD_PHASE) ? -dc : dc) * sine);
        for (size_t k = 0; k < a->l; k++) dxi[m * a->l + k] += phase * pos[k];
    }
}

static void add_snippets(const flt_att_features_back *a, flt_att_rows rows, size_t bh, bool query, const flt_real *du) {
    const size_t F = a->features, width = 2 * a->r;
    const room *w = &a->rooms[rows.thread];
    const flt_att_array *ratio = query ? a->s.rho : a->s.rho_key;
    const double *rho = ratio->data != NULL ? flt_att_head(ratio, rows.head) : NULL;
    flt_gemm(false, true, rows.count, width, F, 1, du, F, of_head(a->wp, a->heads, rows.head, width * F), F, 0, w->dsnippet,
             width);
    load_snippets(a, rows, NULL, w->snippet);
    for (size_t i = 0; i < rows.count; i++) {
        flt_att_position(a->s.pos, a->N, rows.first + i, w->pos);
        add_frequencies(a, w->pos, rho, w->snippet + i * width, w->dsnippet + i * width, a->drho[query] + bh * a->r,
                        a->dxi + bh * a->r * a->l);
    }
}

// ---- the transposed map

static void transpose(const flt_att_features_back *a, flt_att_rows rows, size_t bh, bool query, const flt_real *x,
                      const flt_real *du, flt_real *dx) {
    const size_t F = a->features, d = a->d;
    flt_gemm(false, true, rows.count, d, F, 1, du, F, of_head(a->w, a->heads, rows.head, d * F), F, 0, dx, d);
    if (a->want_omega) {
        add_omega(a, rows, bh, 0, d, x, du);
        if (a->r > 0) {
            const flt_att_array *ratio = query ? a->s.rho : a->s.rho_key;
            flt_real *snippet = a->rooms[rows.thread].snippet;
            load_snippets(a, rows, ratio->data != NULL ? flt_att_head(ratio, rows.head) : NULL, snippet);
            add_omega(a, rows, bh, d, 2 * a->r, snippet, du);
        }
    }
    if (a->want_snippets) add_snippets(a, rows, bh, query, du);
}

static void queries(void *self, flt_att_rows rows, size_t bh, const flt_real *q, const flt_real *du, flt_real *dq) {
    transpose(self, rows, bh, true, q, du, dq);
}

static void keys(void *self, flt_att_rows rows, size_t bh, const flt_real *k, const flt_real *du, flt_real *dk) {
    const flt_att_features_back *a = self;
    const double scale = FLTX_BUG(BACKWARD_NO_KEY_NORM) ? 0.0 : 1.0 / sqrt((double)a->d);
    transpose(a, rows, bh, false, k, du, dk);
    for (size_t i = 0; i < rows.count; i++) {
        const flt_real sum = flt_sum(a->features, du + i * a->features);
        flt_axpy(a->d, (flt_real)(-scale * (double)sum), k + i * a->d, dk + i * a->d);
    }
}

flt_att_back_map flt_att_features_back_map(flt_att_features_back *a) {
    return (flt_att_back_map){.self = a, .queries = queries, .keys = keys};
}

// ---- one pass

void flt_att_features_back_begin(flt_att_features_back *a, bool omega, bool snippets) {
    a->want_omega = omega;
    a->want_snippets = snippets && a->r > 0;
    if (omega) memset(a->domega, 0, a->BH * a->omega->count * sizeof *a->domega);
    if (!a->want_snippets) return;
    memset(a->dxi, 0, a->BH * a->r * a->l * sizeof *a->dxi);
    for (size_t side = 0; side < 2; side++) memset(a->drho[side], 0, a->BH * a->r * sizeof **a->drho);
}

void flt_att_features_back_omega(const flt_att_features_back *a, double *domega) {
    flt_att_gather(a->omega, a->BH, a->H, a->domega, domega);
}

void flt_att_features_back_rho(const flt_att_features_back *a, bool query, double *drho) {
    const flt_att_array shape = {.heads = a->H, .count = a->r};
    flt_att_gather(&shape, a->BH, a->H, a->drho[query], drho);
}

void flt_att_features_back_xi(const flt_att_features_back *a, const flt_att_array *shape, double *dxi) {
    flt_att_gather(shape, a->BH, a->H, a->dxi, dxi);
}

// ---- plan

static void bind(void *self, flt_ws *ws) {
    flt_att_features_back *a = self;
    const size_t tile = a->N < FLTX_ATT_MAX_TILE ? a->N : FLTX_ATT_MAX_TILE, real = sizeof(flt_real), tail = 2 * a->r;
    a->domega = flt_ws_take(ws, a->BH * a->omega->count, sizeof(double));
    a->dxi = flt_ws_take(ws, a->BH * a->r * a->l + 1, sizeof(double));
    for (size_t side = 0; side < 2; side++) a->drho[side] = flt_ws_take(ws, a->BH * a->r + 1, sizeof(double));
    for (int t = 0; t < a->threads; t++) {
        room *w = &a->rooms[t];
        w->product = flt_ws_take(ws, (a->d > tail ? a->d : tail) * a->features, real);
        w->snippet = tail > 0 ? flt_ws_take(ws, tile * tail, real) : NULL;
        w->dsnippet = tail > 0 ? flt_ws_take(ws, tile * tail, real) : NULL;
        w->pos = tail > 0 ? flt_ws_take(ws, a->l, sizeof(double)) : NULL;
    }
}

// to [cols, F]: columns from .. of omega turned and scaled; hyperbolic features append the negated.
static void turn_omega(const flt_att_features_back *a, size_t head, size_t from, size_t cols, flt_real *to) {
    const size_t m = a->omega->dim[0], width = a->omega->dim[1];
    const double scale = from == 0 ? pow((double)a->d, -0.25) : 1.0, *omega = flt_att_head(a->omega, head);
    for (size_t k = 0; k < cols; k++) {
        for (size_t f = 0; f < a->features; f++) {
            const double x = scale * omega[(f % m) * width + from + k];
            to[k * a->features + f] = (flt_real)(f < m ? x : -x);
        }
    }
}

void flt_att_features_back_update(flt_att_features_back *a) {
    if (a == NULL) return;
    const size_t tail = 2 * a->r;
    for (size_t h = 0; h < a->heads; h++) {
        turn_omega(a, h, 0, a->d, a->w + h * a->d * a->features);
        if (tail > 0) turn_omega(a, h, a->d, tail, a->wp + h * tail * a->features);
    }
}

static flt_err make_omega(flt_att_features_back *a) {
    const size_t tail = 2 * a->r;
    FLTX_TRY(flt_alloc(a->heads * a->d, a->features * sizeof *a->w, &a->w));
    if (tail > 0) FLTX_TRY(flt_alloc(a->heads * tail, a->features * sizeof *a->wp, &a->wp));
    flt_att_features_back_update(a);
    return FLTE_OK;
}

static bool is_set(const flt_attention_desc *desc, const char *name, const char *usual) {
    for (const flt_param_spec *s = flt_params_specs(desc->params); s != NULL && s->name != NULL; s++) {
        if (strcmp(s->name, name) == 0) return strcmp(flt_params_text(desc->params, name), usual) != 0;
    }
    return false;
}

static flt_err check_form(const flt_attention_desc *desc) {
    if (is_set(desc, "features", "positive") && is_set(desc, "features", "hyperbolic"))
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism, "features=%s has no backward pass; these have: positive, hyperbolic",
                        flt_params_text(desc->params, "features"));
    if (is_set(desc, "centre", "none"))
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism, "centre=mean has no backward pass; use centre=none");
    return FLTE_OK;
}

flt_err flt_att_features_back_create(const flt_attention_desc *desc, const flt_att_array *omega, const flt_att_snippets *snippets,
                                     flt_att_features_back **out) {
    flt_att_features_back *a = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(check_form(desc));
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->d = desc->d, a->N = desc->N, a->H = desc->H, a->BH = desc->B * desc->H;
    a->threads = desc->threads;
    a->omega = omega;
    a->heads = omega->heads == 0 ? 1 : omega->heads;
    a->features = (strcmp(flt_params_text(desc->params, "features"), "hyperbolic") == 0 ? 2 : 1) * omega->dim[0];
    if (snippets != NULL) a->s = *snippets, a->r = snippets->xi->dim[0], a->l = snippets->pos->l;
    FLTX_GO(err, failed, make_omega(a));
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->rooms, &a->rooms));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_features_back_destroy(a);
    return err;
}

void flt_att_features_back_destroy(flt_att_features_back *a) {
    if (a == NULL) return;
    flt_ws_destroy(&a->ws);
    flt_free(a->rooms);
    flt_free(a->wp);
    flt_free(a->w);
    flt_free(a);
}

size_t flt_att_features_back_workspace(const flt_att_features_back *a) {
    return a == NULL ? 0 : a->ws.size;
}
