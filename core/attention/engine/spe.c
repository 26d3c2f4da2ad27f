// SPDX-License-Identifier: MIT
// What the stochastic positional encodings share; see spe.h.
#include "spe.h"

#include "flt/num.h"

#include <math.h>
#include <string.h>

struct flt_att_spe {
    size_t B, H, N, d, dv, R;
    int threads;
    flt_att_coder coder;
    flt_att_gate gate; // borrowed
    flt_real *g;       // [gate heads, d, R]: the constant part of the code; NULL: no gate
    size_t g_heads;
    flt_att_array omega;
    flt_att_features *features;
    flt_att_map map; // of coded rows
    flt_att_linear *linear;
    flt_attention *exact;
    flt_real **rooms; // [threads]: [tile, R]
    flt_real *hat[2]; // [B, H, N, R]: kept codes of q and k, or what `exact` reads
    double *kept[2];  // the same, to report
    flt_ws ws;
};

// ---- arguments

flt_err flt_att_draw_normal(const flt_attention_desc *desc, const char *name, size_t rank, const size_t *dim,
                            flt_att_array *out) {
    FLTX_TRY(flt_att_make(desc, name, rank, dim, out));
    for (size_t h = 0; h < desc->H; h++)
        flt_rng_normal_double(flt_rng_child(flt_rng_make(desc->seed, name, 0), "head", h), 0, out->count, flt_att_head(out, h));
    return FLTE_OK;
}

flt_err flt_att_spe_width(const flt_attention_desc *desc, const char *first, size_t axis, size_t *R) {
    const flt_attention_arg *a = flt_attention_arg_find(desc, first), *eps = flt_attention_arg_find(desc, "eps"),
                            *omega = flt_attention_arg_find(desc, "omega");
    size_t given = 0;
    if (omega != NULL && omega->rank >= 2) given = omega->dim[omega->rank - 1];
    if (eps != NULL && eps->rank >= 2) given = eps->dim[eps->rank - 1];
    if (a != NULL && a->rank >= axis) given = a->dim[a->rank - axis];
    return flt_att_size(desc, "R", given, R);
}

flt_err flt_att_gate_read(const flt_attention_desc *desc, size_t R, flt_att_gate *out) {
    flt_att_dim dim[2] = {{"d", (ptrdiff_t)desc->d}, {"R", (ptrdiff_t)R}};
    *out = (flt_att_gate){.d = desc->d, .R = R};
    FLTX_TRY(flt_att_take(desc, "share", 1, dim, &out->share));
    FLTX_TRY(flt_att_take(desc, "eps", 2, dim, &out->eps));
    if (out->share.data == NULL && out->eps.data != NULL)
        return flt_fail(FLTE_USAGE, desc->mechanism, "eps is given without share [d], the part of the code that it takes");
    if (out->share.data == NULL) return FLTE_OK;
    for (size_t i = 0; i < out->share.count * (out->share.heads == 0 ? 1 : out->share.heads); i++) {
        if (!(out->share.data[i] >= 0 && out->share.data[i] <= 1))
            return flt_fail(FLTE_RANGE, desc->mechanism, "share is %g at index %zu; 0 to 1 is allowed", out->share.data[i], i);
    }
    if (out->eps.data != NULL) return FLTE_OK;
    return flt_att_draw_normal(desc, "eps", 2, (size_t[]){desc->d, R}, &out->eps);
}

void flt_att_gate_drop(flt_att_gate *g) {
    flt_att_drop(&g->eps);
    flt_att_drop(&g->share);
}

double flt_att_gate_factor(const flt_att_gate *g, size_t head, size_t c) {
    const double share = g->share.data == NULL ? 0 : flt_att_head(&g->share, head)[c];
    return sqrt(1 - share) * pow((double)g->d * (double)g->R, -0.25);
}

static flt_err load_gate(flt_att_spe *a) {
    const flt_att_gate *g = &a->gate;
    if (g->share.data == NULL) return FLTE_OK;
    a->g_heads = g->share.heads + g->eps.heads == 0 ? 1 : a->H;
    FLTX_TRY(flt_alloc(a->g_heads * a->d, a->R * sizeof *a->g, &a->g));
    for (size_t h = 0; h < a->g_heads; h++)
        for (size_t c = 0; c < a->d; c++) {
            const double factor = sqrt(flt_att_head(&g->share, h)[c]) * pow((double)a->d * (double)a->R, -0.25);
            for (size_t r = 0; r < a->R; r++)
                a->g[(h * a->d + c) * a->R + r] = (flt_real)(factor * flt_att_head(&g->eps, h)[c * a->R + r]);
        }
    return FLTE_OK;
}

// ---- the map: code first, then what the features do

static void encode(const flt_att_spe *a, flt_att_rows rows, bool query, const flt_real *x, flt_real *hat) {
    a->coder.encode(a->coder.self, rows, query, x, hat);
    if (a->g == NULL) return;
    const flt_real *g = a->g + (a->g_heads == 1 ? 0 : rows.head * a->d * a->R);
    flt_gemm(false, false, rows.count, a->R, a->d, 1, x, a->d, g, a->R, 1, hat, a->R);
}

static void queries(const void *self, flt_att_rows rows, const flt_real *q, flt_real *u) {
    const flt_att_spe *a = self;
    encode(a, rows, true, q, a->rooms[rows.thread]);
    a->map.queries(a->map.self, rows, a->rooms[rows.thread], u);
}

static void keys(const void *self, flt_att_rows rows, const flt_real *k, flt_real *u) {
    const flt_att_spe *a = self;
    encode(a, rows, false, k, a->rooms[rows.thread]);
    a->map.keys(a->map.self, rows, a->rooms[rows.thread], u);
}

// ---- running

static void encode_all(const flt_att_spe *a, bool query, const flt_real *x, flt_real *hat) {
    for (size_t bh = 0; bh < a->B * a->H; bh++)
        for (size_t i = 0; i < a->N; i += FLTX_ATT_MAX_TILE) {
            const size_t n = a->N - i < FLTX_ATT_MAX_TILE ? a->N - i : FLTX_ATT_MAX_TILE;
            const flt_att_rows rows = {.head = bh % a->H, .first = i, .count = n};
            encode(a, rows, query, x + (bh * a->N + i) * a->d, hat + (bh * a->N + i) * a->R);
        }
}

void flt_att_spe_forward(flt_att_spe *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    for (int side = 0; side < 2 && a->hat[side] != NULL; side++) {
        encode_all(a, side == 0, side == 0 ? q : k, a->hat[side]);
        for (size_t i = 0; a->kept[side] != NULL && i < a->B * a->H * a->N * a->R; i++)
            a->kept[side][i] = (double)a->hat[side][i];
    }
    if (a->exact != NULL)
        flt_attention_forward(a->exact, a->hat[0], a->hat[1], v, out);
    else
        flt_att_linear_forward(a->linear, q, k, v, out);
}

bool flt_att_spe_streams(const flt_att_spe *a) {
    return a->linear != NULL;
}

void flt_att_spe_begin(flt_att_spe *a) {
    flt_att_linear_begin(a->linear);
}

void flt_att_spe_step(flt_att_spe *a, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    flt_att_linear_step(a->linear, q, k, v, out);
}

size_t flt_att_spe_workspace(const flt_att_spe *a) {
    size_t bytes = a->ws.size;
    if (a->hat[0] != NULL) bytes += 2 * a->B * a->H * a->N * a->R * sizeof *a->hat[0];
    if (a->exact != NULL) return bytes + flt_attention_workspace(a->exact);
    return bytes + flt_att_linear_workspace(a->linear) + flt_att_features_workspace(a->features);
}

size_t flt_att_spe_flagged(const flt_att_spe *a) {
    return a->exact != NULL ? flt_attention_flagged(a->exact) : flt_att_linear_flagged(a->linear);
}

static void list_codes(const flt_att_spe *a, int side, size_t max, flt_attention_arg *out, size_t *n) {
    if (a->kept[side] == NULL || *n >= max) return;
    out[(*n)++] = (flt_attention_arg){
        .name = side == 0 ? "qhat" : "khat", .rank = 4, .dim = {a->B, a->H, a->N, a->R}, .data = a->kept[side]};
}

void flt_att_spe_list(const flt_att_spe *a, size_t max, flt_attention_arg *out, size_t *n) {
    flt_att_list(&a->omega, max, out, n);
    flt_att_list(&a->gate.share, max, out, n);
    flt_att_list(&a->gate.eps, max, out, n);
    list_codes(a, 0, max, out, n);
    list_codes(a, 1, max, out, n);
}

// ---- plan

static void bind(void *self, flt_ws *ws) {
    flt_att_spe *a = self;
    for (int t = 0; t < a->threads; t++) a->rooms[t] = flt_ws_take(ws, FLTX_ATT_MAX_TILE * a->R, sizeof(flt_real));
}

static flt_err make_hats(const flt_attention_desc *desc, flt_att_spe *a, bool exact) {
    const bool keep = flt_params_bool(desc->params, "keep_codes");
    for (int side = 0; side < 2 && (keep || exact); side++) {
        FLTX_TRY(flt_alloc(a->B * a->H * a->N, a->R * sizeof *a->hat[side], &a->hat[side]));
        if (keep) FLTX_TRY(flt_alloc(a->B * a->H * a->N, a->R * sizeof *a->kept[side], &a->kept[side]));
    }
    return FLTE_OK;
}

static flt_err make_kernel(const flt_attention_desc *desc, flt_att_spe *a, bool exact) {
    flt_attention_desc coded = *desc;
    coded.d = a->R;
    if (exact) {
        if (flt_attention_arg_find(desc, "omega") != NULL)
            return flt_fail(FLTE_USAGE, desc->mechanism,
                            "omega is given, but kernel=exact has no features; leave one of them out");
        coded.mechanism = "exact", coded.n_args = 0, coded.args = NULL, coded.params = NULL;
        return flt_attention_create(&coded, &a->exact);
    }
    FLTX_TRY(flt_att_omega(desc, a->R, &a->omega));
    FLTX_TRY(flt_att_features_create(&coded, &a->omega, NULL, &a->features));
    a->map = flt_att_features_map(a->features);
    const flt_att_map map = {.features = a->map.features, .self = a, .queries = queries, .keys = keys};
    return flt_att_linear_create(desc, map, &a->linear);
}

flt_err flt_att_spe_create(const flt_attention_desc *desc, const flt_att_gate *gate, flt_att_coder coder, flt_att_spe **out) {
    const bool exact = strcmp(flt_params_text(desc->params, "kernel"), "exact") == 0;
    flt_att_spe *a = NULL;
    flt_err err = FLTE_OK;
    *out = NULL;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->B = desc->B, a->H = desc->H, a->N = desc->N, a->d = desc->d, a->dv = desc->dv, a->R = gate->R;
    a->threads = desc->threads;
    a->coder = coder, a->gate = *gate;
    FLTX_GO(err, failed, load_gate(a));
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->rooms, &a->rooms));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    FLTX_GO(err, failed, make_hats(desc, a, exact));
    FLTX_GO(err, failed, make_kernel(desc, a, exact));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_spe_destroy(a);
    return err;
}

void flt_att_spe_destroy(flt_att_spe *a) {
    if (a == NULL) return;
    flt_attention_destroy(a->exact);
    flt_att_linear_destroy(a->linear);
    flt_att_features_destroy(a->features);
    flt_att_drop(&a->omega);
    for (int side = 0; side < 2; side++) {
        flt_free(a->kept[side]);
        flt_free(a->hat[side]);
    }
    flt_ws_destroy(&a->ws);
    flt_free(a->rooms);
    flt_free(a->g);
    flt_free(a);
}
