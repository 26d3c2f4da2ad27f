// SPDX-License-Identifier: MIT
// Stochastic positional encodings: the backward pass; see spe.h.
#include "spe.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <omp.h>
#include <string.h>

// ---- one tile

// to [n, d] += or = dx o scale; sums [d] += columns of x o dx, NULL: not wanted
static void scale_back(size_t n, size_t d, const flt_real *x, const flt_real *dx, const flt_real *scale, bool add, double *sums,
                       flt_real *to) {
    for (size_t i = 0; i < n; i++, x += d, dx += d, to += d) {
        for (size_t c = 0; c < d; c++) {
            if (sums != NULL) sums[c] += (double)x[c] * (double)dx[c];
            to[c] = (add ? to[c] : 0) + dx[c] * scale[c];
        }
    }
}

static void decode(flt_att_spe *a, flt_att_rows rows, size_t bh, bool query, const flt_real *x, const flt_real *dhat,
                   flt_real *dx) {
    const flt_att_gate *g = &a->gate;
    const size_t n = rows.count, d = a->d, share = g->share.heads == 0 ? 0 : rows.head * d;
    const flt_att_spe_room *w = &a->rooms[rows.thread];
    for (size_t i = 0; i < n * d; i++) w->x[i] = x[i] * g->keep[share + i % d];
    a->code->decode(a->self, rows, bh, query, w->x, dhat, w->dx);
    scale_back(n, d, x, w->dx, g->keep + share, false, g->wanted ? g->dkeep + bh * d : NULL, dx);
    if (g->open == NULL) return;
    const flt_real *e = g->e + (g->eps.heads == 0 ? 0 : rows.head * d * a->R);
    flt_gemm(false, true, n, d, a->R, 1, dhat, a->R, e, a->R, 0, w->dx, d);
    scale_back(n, d, x, w->dx, g->open + share, true, g->wanted ? g->dopen + bh * d : NULL, dx);
}

static flt_real *codes_at(const flt_att_spe *a, flt_att_rows rows) {
    return a->codes + (rows.thread * a->N + rows.first) * a->R;
}

// A head's keys are asked for twice and coded once.
static void forget_keys(const void *self, flt_att_rows all, const flt_real *q, const flt_real *k) {
    const flt_att_spe *a = self;
    (void)q, (void)k;
    a->rooms[all.thread].coded = 0;
}

static void keys(const void *self, flt_att_rows rows, const flt_real *k, flt_real *u) {
    const flt_att_spe *a = self;
    flt_att_spe_room *w = &a->rooms[rows.thread];
    flt_real *hat = codes_at(a, rows);
    if (rows.first + rows.count > w->coded) {
        flt_att_spe_encode(a, rows, FLTX_BUG(BACKWARD_QUERY_CODE), k, hat);
        w->coded = rows.first + rows.count;
    }
    a->map.keys(a->map.self, rows, hat, u);
}

// The codes of these rows are where the forward map has left them.
static void back_queries(void *self, flt_att_rows rows, size_t bh, const flt_real *q, const flt_real *du, flt_real *dq) {
    flt_att_spe *a = self;
    const flt_att_spe_room *w = &a->rooms[rows.thread];
    a->back_map.queries(a->back_map.self, rows, bh, w->hat, du, w->dhat);
    decode(a, rows, bh, true, q, w->dhat, dq);
}

static void back_keys(void *self, flt_att_rows rows, size_t bh, const flt_real *k, const flt_real *du, flt_real *dk) {
    flt_att_spe *a = self;
    const flt_att_spe_room *w = &a->rooms[rows.thread];
    a->back_map.keys(a->back_map.self, rows, bh, codes_at(a, rows), du, w->dhat);
    decode(a, rows, bh, false, k, w->dhat, dk);
}

static void back_finish(void *self, flt_att_rows all, size_t bh, const flt_real *q, const flt_real *k, flt_real *dq,
                        flt_real *dk) {
    const flt_att_spe *a = self;
    a->back_map.finish(a->back_map.self, all, bh, q, k, dq, dk);
}

// ---- behind exact attention

// Sums belong to a head, hence a head to a thread.
static void decode_all(flt_att_spe *a, bool query, const flt_real *x, const flt_real *dhat, flt_real *dx) {
#pragma omp parallel for num_threads(a->threads) schedule(dynamic)
    for (size_t bh = 0; bh < a->B * a->H; bh++) {
        flt_att_rows rows = {.head = bh % a->H, .thread = (size_t)omp_get_thread_num()};
        for (; rows.first < a->N; rows.first += rows.count) {
            const size_t at = bh * a->N + rows.first;
            rows.count = a->N - rows.first < FLTX_ATT_MAX_TILE ? a->N - rows.first : FLTX_ATT_MAX_TILE;
            decode(a, rows, bh, query, x + at * a->d, dhat + at * a->R, dx + at * a->d);
        }
    }
}

static flt_err run_exact(flt_att_spe *a, const flt_attention_pass *pass) {
    flt_attention_pass coded = *pass;
    coded.q = a->hat[0], coded.k = a->hat[1];
    coded.dq = a->dhat[0], coded.dk = a->dhat[1];
    coded.n_args = 0, coded.args = NULL;
    flt_att_spe_encode_all(a, true, pass->q, a->hat[0]);
    flt_att_spe_encode_all(a, false, pass->k, a->hat[1]);
    FLTX_TRY(flt_attention_backward(a->exact, &coded));
    decode_all(a, true, pass->q, a->dhat[0], pass->dq);
    decode_all(a, false, pass->k, a->dhat[1], pass->dk);
    return FLTE_OK;
}

// ---- a pass

static void gather_share(const flt_att_spe *a, double *to) {
    const flt_att_gate *g = &a->gate;
    const double norm = pow((double)a->d * (double)a->R, -0.25);
    const size_t d = a->d, heads = g->share.heads == 0 ? 1 : a->H;
    memset(to, 0, heads * d * sizeof *to);
    for (size_t i = 0; i < a->B * a->H * d; i++) {
        const size_t at = heads == 1 ? i % d : i % (a->H * d);
        const double share = g->share.data[at];
        if (share < 1) to[at] -= 0.5 * norm / sqrt(1 - share) * g->dkeep[i];
        if (share > 0) to[at] += 0.5 / sqrt(share) * g->dopen[i];
    }
}

static void gather(const flt_att_spe *a, const flt_attention_gradient *to) {
    if (strcmp(to->name, "omega") == 0)
        flt_att_features_back_omega(a->features_back, to->data);
    else if (strcmp(to->name, "share") == 0)
        gather_share(a, to->data);
    else
        a->code->gather(a->self, to);
}

flt_err flt_att_spe_backward(void *self, const flt_attention_pass *pass) {
    flt_att_spe *a = self;
    const size_t sums = a->B * a->H * a->d;
    bool omega = false, share = false;
    FLTX_TRY(flt_att_gradients_known(a->who, pass, a->trained));
    for (size_t i = 0; i < pass->n_args; i++) {
        omega |= strcmp(pass->args[i].name, "omega") == 0;
        share |= strcmp(pass->args[i].name, "share") == 0;
    }
    a->gate.wanted = share;
    memset(a->gate.dkeep, 0, sums * sizeof *a->gate.dkeep);
    memset(a->gate.dopen, 0, sums * sizeof *a->gate.dopen);
    a->code->clear(a->self, pass->n_args > (size_t)(omega + share));
    if (a->exact != NULL) {
        FLTX_TRY(run_exact(a, pass));
    } else {
        flt_att_features_back_begin(a->features_back, omega, false);
        flt_att_linear_back_run(a->linear_back, pass);
    }
    for (size_t i = 0; i < pass->n_args; i++) gather(a, &pass->args[i]);
    return FLTE_OK;
}

// ---- plan

flt_err flt_att_spe_back_create(const flt_attention_desc *desc, flt_att_map map, flt_att_spe *a) {
    flt_attention_desc coded = *desc;
    size_t n = 0;
    if (!desc->backward) return FLTE_OK;
    for (; a->code->trained[n] != NULL; n++) a->trained[n] = a->code->trained[n];
    if (a->gate.share.data != NULL) a->trained[n++] = "share";
    if (a->exact != NULL) return FLTE_OK;
    a->trained[n++] = "omega";
    coded.d = a->R;
    FLTX_TRY(flt_att_features_back_create(&coded, &a->omega, NULL, &a->features_back));
    a->back_map = flt_att_features_back_map(a->features_back);
    FLTX_TRY(flt_alloc((size_t)a->threads * a->N, a->R * sizeof *a->codes, &a->codes));
    map.keys = keys, map.prepare = forget_keys;
    return flt_att_linear_back_create(
        desc, map, (flt_att_back_map){.self = a, .queries = back_queries, .keys = back_keys, .finish = back_finish},
        &a->linear_back);
}

void flt_att_spe_back_destroy(flt_att_spe *a) {
    flt_free(a->codes);
    flt_att_linear_back_destroy(a->linear_back);
    flt_att_features_back_destroy(a->features_back);
}
