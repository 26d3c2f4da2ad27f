// SPDX-License-Identifier: MIT
// Stochastic positional encodings: the plan, its forward pass and its streams; see spe.h.
#include "spe.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <omp.h>
#include <string.h>

// ---- the map: code first, then what the features do

// to [n, d] = x o scale [d]
static void scale_columns(size_t n, size_t d, const flt_real *x, const flt_real *scale, flt_real *to) {
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < d; c++) to[i * d + c] = x[i * d + c] * scale[c];
    }
}

void flt_att_spe_encode(const flt_att_spe *a, flt_att_rows rows, bool query, const flt_real *x, flt_real *hat) {
    const flt_att_gate *g = &a->gate;
    const size_t share = g->share.heads == 0 ? 0 : rows.head * a->d, e = g->eps.heads == 0 ? 0 : rows.head * a->d * a->R;
    flt_real *scaled = a->rooms[rows.thread].x;
    scale_columns(rows.count, a->d, x, g->keep + share, scaled);
    a->code->encode(a->self, rows, query, scaled, hat);
    if (g->open == NULL) return;
    scale_columns(rows.count, a->d, x, g->open + share, scaled);
    flt_gemm(false, false, rows.count, a->R, a->d, 1, scaled, a->d, g->e + e, a->R, 1, hat, a->R);
}

static void queries(const void *self, flt_att_rows rows, const flt_real *q, flt_real *u) {
    const flt_att_spe *a = self;
    flt_real *hat = a->rooms[rows.thread].hat;
    flt_att_spe_encode(a, rows, true, q, hat);
    a->map.queries(a->map.self, rows, hat, u);
}

static void keys(const void *self, flt_att_rows rows, const flt_real *k, flt_real *u) {
    const flt_att_spe *a = self;
    flt_real *hat = a->rooms[rows.thread].hat;
    flt_att_spe_encode(a, rows, false, k, hat);
    a->map.keys(a->map.self, rows, hat, u);
}

// ---- running

void flt_att_spe_encode_all(const flt_att_spe *a, bool query, const flt_real *x, flt_real *hat) {
    const size_t tiles = (a->N + FLTX_ATT_MAX_TILE - 1) / FLTX_ATT_MAX_TILE;
#pragma omp parallel for num_threads(a->threads) schedule(dynamic)
    for (size_t t = 0; t < a->B * a->H * tiles; t++) {
        const size_t bh = t / tiles, i = t % tiles * FLTX_ATT_MAX_TILE;
        const size_t n = a->N - i < FLTX_ATT_MAX_TILE ? a->N - i : FLTX_ATT_MAX_TILE;
        const flt_att_rows rows = {.head = bh % a->H, .first = i, .count = n, .thread = (size_t)omp_get_thread_num()};
        flt_att_spe_encode(a, rows, query, x + (bh * a->N + i) * a->d, hat + (bh * a->N + i) * a->R);
    }
}

void flt_att_spe_forward(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    flt_att_spe *a = self;
    for (int side = 0; side < 2 && a->hat[side] != NULL; side++) {
        flt_att_spe_encode_all(a, side == 0, side == 0 ? q : k, a->hat[side]);
        for (size_t i = 0; a->kept[side] != NULL && i < a->B * a->H * a->N * a->R; i++)
            a->kept[side][i] = (double)a->hat[side][i];
    }
    if (a->exact != NULL)
        flt_attention_forward(a->exact, a->hat[0], a->hat[1], v, out);
    else
        flt_att_linear_forward(a->linear, q, k, v, out);
}

bool flt_att_spe_streams(const void *self) {
    return ((const flt_att_spe *)self)->linear != NULL;
}

void flt_att_spe_begin(void *self) {
    flt_att_linear_begin(((flt_att_spe *)self)->linear);
}

void flt_att_spe_step(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    flt_att_linear_step(((flt_att_spe *)self)->linear, q, k, v, out);
}

// ---- what it holds

size_t flt_att_spe_workspace(const void *self) {
    const flt_att_spe *a = self;
    size_t bytes = a->ws.size;
    if (a->hat[0] != NULL) bytes += 2 * a->B * a->H * a->N * a->R * sizeof *a->hat[0];
    if (a->dhat[0] != NULL) bytes += 2 * a->B * a->H * a->N * a->R * sizeof *a->dhat[0];
    if (a->codes != NULL) bytes += (size_t)a->threads * a->N * a->R * sizeof *a->codes;
    if (a->exact != NULL) return bytes + flt_attention_workspace(a->exact);
    return bytes + flt_att_linear_workspace(a->linear) + flt_att_features_workspace(a->features) +
           flt_att_linear_back_workspace(a->linear_back) + flt_att_features_back_workspace(a->features_back);
}

size_t flt_att_spe_flagged(const void *self) {
    const flt_att_spe *a = self;
    return a->exact != NULL ? flt_attention_flagged(a->exact) : flt_att_linear_flagged(a->linear);
}

static void list_codes(const flt_att_spe *a, int side, size_t max, flt_attention_arg *out, size_t *n) {
    if (a->kept[side] == NULL || *n >= max) return;
    out[(*n)++] = (flt_attention_arg){
        .name = side == 0 ? "qhat" : "khat", .rank = 4, .dim = {a->B, a->H, a->N, a->R}, .data = a->kept[side]};
}

static flt_att_arrays own_arrays(flt_att_spe *a) {
    flt_att_arrays all = {.who = a->who};
    a->code->arrays(a->self, &all);
    flt_att_arrays_add(&all, &a->omega);
    flt_att_arrays_add(&all, &a->gate.share);
    flt_att_arrays_add(&all, &a->gate.eps);
    return all;
}

size_t flt_att_spe_draws(const void *self, size_t max, flt_attention_arg *out) {
    flt_att_spe *a = (flt_att_spe *)(uintptr_t)self; // read only
    const flt_att_arrays all = own_arrays(a);
    size_t n = 0;
    for (size_t i = 0; i < all.n; i++) flt_att_list(all.at[i], max, out, &n);
    list_codes(a, 0, max, out, &n);
    list_codes(a, 1, max, out, &n);
    return n;
}

// ---- new values

static flt_err check_share(const char *who, size_t count, const double *share) {
    for (size_t i = 0; i < count; i++) {
        if (!(share[i] >= 0 && share[i] <= 1))
            return flt_fail(FLTE_RANGE, who, "share is %g at index %zu; 0 to 1 is allowed", share[i], i);
    }
    return FLTE_OK;
}

static size_t numbers(const flt_att_array *a) {
    return a->count * (a->heads == 0 ? 1 : a->heads);
}

static void load(flt_att_spe *a) {
    flt_att_gate_load(&a->gate);
    a->code->load(a->self);
    if (a->features == NULL) return;
    flt_att_features_update(a->features, &a->omega);
    flt_att_features_back_update(a->features_back);
}

flt_err flt_att_spe_update(void *self, size_t n_args, const flt_attention_arg *args) {
    flt_att_spe *a = self;
    const flt_att_arrays all = own_arrays(a);
    FLTX_TRY(flt_att_arrays_check(&all, n_args, args));
    const double *share = flt_att_new_values("share", n_args, args);
    if (share != NULL) FLTX_TRY(check_share(a->who, numbers(&a->gate.share), share));
    flt_att_arrays_copy(&all, n_args, args);
    load(a);
    return FLTE_OK;
}

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
    out->d = desc->d, out->R = R;
    FLTX_TRY(flt_att_take(desc, "share", 1, dim, &out->share));
    FLTX_TRY(flt_att_take(desc, "eps", 2, dim, &out->eps));
    if (out->share.data == NULL && out->eps.data != NULL)
        return flt_fail(FLTE_USAGE, desc->mechanism, "eps is given without share [d], the part of the code that it takes");
    const size_t heads = out->share.heads == 0 ? 1 : out->share.heads, sums = desc->B * desc->H;
    FLTX_TRY(flt_alloc(heads, desc->d * sizeof *out->keep, &out->keep));
    if (desc->backward) FLTX_TRY(flt_alloc(sums, desc->d * sizeof *out->dkeep, &out->dkeep));
    if (desc->backward) FLTX_TRY(flt_alloc(sums, desc->d * sizeof *out->dopen, &out->dopen));
    if (out->share.data == NULL) return FLTE_OK;
    FLTX_TRY(check_share(desc->mechanism, numbers(&out->share), out->share.data));
    if (out->eps.data == NULL) FLTX_TRY(flt_att_draw_normal(desc, "eps", 2, (size_t[]){desc->d, R}, &out->eps));
    FLTX_TRY(flt_alloc(heads, desc->d * sizeof *out->open, &out->open));
    return flt_alloc(numbers(&out->eps), sizeof *out->e, &out->e);
}

void flt_att_gate_load(flt_att_gate *g) {
    const double norm = pow((double)g->d * (double)g->R, -0.25);
    const size_t heads = g->share.heads == 0 ? 1 : g->share.heads;
    for (size_t i = 0; i < heads * g->d; i++) {
        const double share = g->share.data == NULL ? 0 : g->share.data[i];
        g->keep[i] = (flt_real)(sqrt(FLTX_BUG(GATE_TURNED) ? share : 1 - share) * norm);
        if (g->open != NULL) g->open[i] = (flt_real)sqrt(share);
    }
    for (size_t i = 0; g->e != NULL && i < numbers(&g->eps); i++) g->e[i] = (flt_real)(norm * g->eps.data[i]);
}

void flt_att_gate_drop(flt_att_gate *g) {
    flt_free(g->dopen);
    flt_free(g->dkeep);
    flt_free(g->e);
    flt_free(g->open);
    flt_free(g->keep);
    flt_att_drop(&g->eps);
    flt_att_drop(&g->share);
}

// ---- plan

static void bind(void *self, flt_ws *ws) {
    flt_att_spe *a = self;
    const size_t tile = FLTX_ATT_MAX_TILE, real = sizeof(flt_real);
    for (int t = 0; t < a->threads; t++) {
        a->rooms[t].hat = flt_ws_take(ws, tile * a->R, real);
        a->rooms[t].x = flt_ws_take(ws, tile * a->d, real);
        a->rooms[t].dhat = a->backward ? flt_ws_take(ws, tile * a->R, real) : NULL;
        a->rooms[t].dx = a->backward ? flt_ws_take(ws, tile * a->d, real) : NULL;
    }
    a->code->bind(a->self, ws);
}

static flt_err make_hats(const flt_attention_desc *desc, flt_att_spe *a, bool exact) {
    const bool keep = flt_params_bool(desc->params, "keep_codes");
    const size_t rows = a->B * a->H * a->N, row = a->R * sizeof *a->hat[0];
    for (int side = 0; side < 2 && (keep || exact); side++) {
        FLTX_TRY(flt_alloc(rows, row, &a->hat[side]));
        if (exact && a->backward) FLTX_TRY(flt_alloc(rows, row, &a->dhat[side]));
        if (keep) FLTX_TRY(flt_alloc(rows, a->R * sizeof *a->kept[side], &a->kept[side]));
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
        FLTX_TRY(flt_attention_create(&coded, &a->exact));
        return flt_att_spe_back_create(desc, a->map, a);
    }
    FLTX_TRY(flt_att_omega(desc, a->R, &a->omega));
    FLTX_TRY(flt_att_features_create(&coded, &a->omega, NULL, &a->features));
    a->map = flt_att_features_map(a->features);
    const flt_att_map map = {.features = a->map.features, .self = a, .queries = queries, .keys = keys};
    FLTX_TRY(flt_att_linear_create(desc, map, &a->linear));
    return flt_att_spe_back_create(desc, map, a);
}

static flt_err build(const flt_attention_desc *desc, flt_att_spe *a) {
    const bool exact = strcmp(flt_params_text(desc->params, "kernel"), "exact") == 0;
    FLTX_TRY(flt_alloc(1, a->code->size, &a->self));
    FLTX_TRY(a->code->read(desc, a->self, &a->R));
    FLTX_TRY(flt_att_gate_read(desc, a->R, &a->gate));
    FLTX_TRY(flt_alloc((size_t)a->threads, sizeof *a->rooms, &a->rooms));
    FLTX_TRY(flt_ws_create(bind, a, &a->ws));
    load(a);
    FLTX_TRY(make_hats(desc, a, exact));
    return make_kernel(desc, a, exact);
}

flt_err flt_att_spe_create(const flt_attention_desc *desc, const flt_att_code *code, void **out) {
    flt_att_spe *a = NULL;
    *out = NULL;
    FLTX_TRY(flt_att_args_known(desc, code->names));
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->who = desc->mechanism;
    a->B = desc->B, a->H = desc->H, a->N = desc->N, a->d = desc->d, a->dv = desc->dv;
    a->threads = desc->threads, a->backward = desc->backward;
    a->code = code;
    const flt_err err = build(desc, a);
    if (err != FLTE_OK)
        flt_att_spe_destroy(a);
    else
        *out = a;
    return err;
}

void flt_att_spe_destroy(void *self) {
    flt_att_spe *a = self;
    if (a == NULL) return;
    flt_att_spe_back_destroy(a);
    flt_attention_destroy(a->exact);
    flt_att_linear_destroy(a->linear);
    flt_att_features_destroy(a->features);
    flt_att_drop(&a->omega);
    for (int side = 0; side < 2; side++) {
        flt_free(a->kept[side]);
        flt_free(a->dhat[side]);
        flt_free(a->hat[side]);
    }
    flt_ws_destroy(&a->ws);
    flt_free(a->rooms);
    flt_att_gate_drop(&a->gate);
    if (a->self != NULL) a->code->drop(a->self);
    flt_free(a->self);
    flt_free(a);
}
