// SPDX-License-Identifier: MIT
// Fourier Transformer: sequences shortened by dropping high frequencies of their cosine transform, exact attention at the short
// length, and back.
//
//     S x = D_K^T (D_N x)[0 .. K-1],   out = S^T softmax(S q (S k)^T / sqrt d) S v;   D_n the orthonormal DCT-II of length n
//     x [N, d] in place of q, k, v: all three are x;   K = keep, or ceil(ratio N);   lengthen=false leaves out at K rows
//
// He et al., Fourier Transformer: fast long range modeling by removing sequence redundancy with FFT operator, ACL Findings 2023,
// arXiv 2305.15099. Time O(N log N (2d + dv) + K^2 (d + dv)), memory O(N + K (d + dv)) beside inputs and outputs.
// As published no amplitude is compensated: a constant 1 becomes sqrt(N/K) at the short length, and 1 again by S^T. A class token
// kept out of the transform is the caller's business. Bidirectional only: every short row mixes all tokens. Averages with the
// weights S^T A S can leave the hull of v; they sum to one in every row when lengthened.
#include "engine/args.h"
#include "engine/dct.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static const flt_param_spec params[] = {
    {"keep", FLTX_INT, "128", 1, 1 << 30, NULL, "rows K of the short length; the default is cut to N"},
    {"ratio", FLTX_REAL, "0", 0, 1, NULL, "K = ceil(ratio N) in place of keep; 0: keep decides"},
    {"lengthen", FLTX_BOOL, "true", 0, 0, NULL, "bring the output back to N rows; false: out has K rows"},
    {.name = NULL},
};

enum { BLOCK = 16 }; // columns that are turned into rows together

typedef struct room { // one thread's
    flt_att_dct *full, *cut;
    flt_real *rows; // [BLOCK, N]
} room;

typedef struct plan {
    size_t heads, N, K, d, dv;
    bool lengthen;
    int threads;
    room *rooms;
    flt_real *q, *k, *v, *out; // at the short length
    flt_real *dq, *dk, *dv_short, *dout;
    bool backwards;
    flt_attention *exact;
    flt_ws ws;
} plan;

// ---- between the lengths

// y [K, width] = S x [N, width]
static void shorten(const plan *p, room *w, size_t width, const flt_real *x, flt_real *y) {
    for (size_t c = 0; c < width; c += BLOCK) {
        const size_t count = width - c < BLOCK ? width - c : BLOCK;
        flt_att_columns_out(p->N, width, x, c, count, p->N, w->rows);
        for (size_t b = 0; b < count; b++) {
            flt_att_dct_forward(w->full, w->rows + b * p->N, w->rows + b * p->N);
            flt_att_dct_inverse(w->cut, w->rows + b * p->N, w->rows + b * p->N);
        }
        flt_att_columns_in(p->K, width, y, c, count, p->N, w->rows);
    }
}

// x [N, width] = S^T y [K, width]
static void lengthen(const plan *p, room *w, size_t width, const flt_real *y, flt_real *x) {
    for (size_t c = 0; c < width; c += BLOCK) {
        const size_t count = width - c < BLOCK ? width - c : BLOCK;
        flt_att_columns_out(p->K, width, y, c, count, p->N, w->rows);
        for (size_t b = 0; b < count; b++) {
            flt_real *row = w->rows + b * p->N;
            flt_att_dct_forward(w->cut, row, row);
            if (!FLTX_BUG(UNCUT)) memset(row + p->K, 0, (p->N - p->K) * sizeof *row);
            flt_att_dct_inverse(w->full, row, row);
        }
        flt_att_columns_in(p->N, width, x, c, count, p->N, w->rows);
    }
}

// q, k, v at the short length.
static void shorten_inputs(const plan *p, const flt_real *q, const flt_real *k, const flt_real *v) {
    const size_t N = p->N, K = p->K, d = p->d, dv = p->dv;
#pragma omp parallel for num_threads(p->threads) schedule(dynamic)
    for (size_t i = 0; i < p->heads; i++) {
        room *w = &p->rooms[omp_get_thread_num()];
        shorten(p, w, d, q + i * N * d, p->q + i * K * d);
        shorten(p, w, d, k + i * N * d, p->k + i * K * d);
        shorten(p, w, dv, v + i * N * dv, p->v + i * K * dv);
    }
}

static void forward(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    const plan *p = self;
    const size_t N = p->N, K = p->K, dv = p->dv;
    shorten_inputs(p, q, k, v);
    flt_attention_forward(p->exact, p->q, p->k, p->v, p->lengthen ? p->out : out);
    if (!p->lengthen) return;
#pragma omp parallel for num_threads(p->threads) schedule(dynamic)
    for (size_t i = 0; i < p->heads; i++) lengthen(p, &p->rooms[omp_get_thread_num()], dv, p->out + i * K * dv, out + i * N * dv);
}

// S and S^T change places: dout is shortened, the gradients of the short inputs are lengthened.
static flt_err backward(void *self, const flt_attention_pass *pass) {
    static const char *const none[] = {NULL};
    const plan *p = self;
    const size_t N = p->N, K = p->K, d = p->d, dv = p->dv;
    FLTX_TRY(flt_att_gradients_known("fourier", pass, none));
    shorten_inputs(p, pass->q, pass->k, pass->v);
    if (p->lengthen) {
        flt_attention_forward(p->exact, p->q, p->k, p->v, p->out);
#pragma omp parallel for num_threads(p->threads) schedule(dynamic)
        for (size_t i = 0; i < p->heads; i++)
            shorten(p, &p->rooms[omp_get_thread_num()], dv, pass->dout + i * N * dv, p->dout + i * K * dv);
    }
    const flt_attention_pass cut = {.q = p->q,
                                    .k = p->k,
                                    .v = p->v,
                                    .out = p->lengthen ? p->out : pass->out,
                                    .dout = p->lengthen ? p->dout : pass->dout,
                                    .dq = p->dq,
                                    .dk = p->dk,
                                    .dv = p->dv_short};
    FLTX_TRY(flt_attention_backward(p->exact, &cut));
#pragma omp parallel for num_threads(p->threads) schedule(dynamic)
    for (size_t i = 0; i < p->heads; i++) {
        room *w = &p->rooms[omp_get_thread_num()];
        lengthen(p, w, d, p->dq + i * K * d, pass->dq + i * N * d);
        lengthen(p, w, d, p->dk + i * K * d, pass->dk + i * N * d);
        lengthen(p, w, dv, p->dv_short + i * K * dv, pass->dv + i * N * dv);
    }
    return FLTE_OK;
}

static flt_err update(void *self, size_t n_args, const flt_attention_arg *args) {
    const flt_att_arrays none = {.who = "fourier"}; // the short length is part of the plan
    (void)self;
    return flt_att_arrays_check(&none, n_args, args);
}

// ---- plan

static flt_err out_of_range(const flt_attention_desc *desc, double keep) {
    return flt_fail(FLTE_RANGE, desc->mechanism, "keep is %g; 1 to N = %zu rows can be kept", keep, desc->N);
}

// K from the argument `keep`, one number, or from the parameters.
static flt_err read_keep(const flt_attention_desc *desc, size_t *K) {
    const flt_attention_arg *arg = flt_attention_arg_find(desc, "keep");
    const double ratio = flt_params_real(desc->params, "ratio");
    const bool set = flt_params_is_set(desc->params, "keep");
    *K = flt_params_size(desc->params, "keep");
    if ((arg != NULL) + set + (ratio > 0) > 1)
        return flt_fail(FLTE_USAGE, desc->mechanism, "the short length is given twice; one of argument keep, keep=K and ratio=P");
    if (arg != NULL) {
        const double keep = arg->rank == 0 || (arg->rank == 1 && arg->dim[0] == 1) ? arg->data[0] : NAN;
        if (!(keep >= 1 && keep <= (double)desc->N && keep == floor(keep))) return out_of_range(desc, keep);
        *K = (size_t)keep;
        return FLTE_OK;
    }
    if (ratio > 0) *K = (size_t)ceil(ratio * (double)desc->N - 1e-9);
    if (set && *K > desc->N) return out_of_range(desc, (double)*K);
    if (*K > desc->N) *K = desc->N;
    if (*K < 1) *K = 1;
    return FLTE_OK;
}

static void bind(void *self, flt_ws *ws) {
    plan *p = self;
    const size_t real = sizeof(flt_real), tokens = p->heads * p->K;
    for (int t = 0; t < p->threads; t++) p->rooms[t].rows = flt_ws_take(ws, BLOCK * p->N, real);
    p->q = flt_ws_take(ws, tokens * p->d, real);
    p->k = flt_ws_take(ws, tokens * p->d, real);
    p->v = flt_ws_take(ws, tokens * p->dv, real);
    p->out = p->lengthen ? flt_ws_take(ws, tokens * p->dv, real) : NULL;
    if (!p->backwards) return;
    p->dq = flt_ws_take(ws, tokens * p->d, real);
    p->dk = flt_ws_take(ws, tokens * p->d, real);
    p->dv_short = flt_ws_take(ws, tokens * p->dv, real);
    p->dout = p->lengthen ? flt_ws_take(ws, tokens * p->dv, real) : NULL;
}

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_attention_destroy(p->exact);
    flt_ws_destroy(&p->ws);
    for (int t = 0; p->rooms != NULL && t < p->threads; t++) {
        flt_att_dct_destroy(p->rooms[t].cut);
        flt_att_dct_destroy(p->rooms[t].full);
    }
    flt_free(p->rooms);
    flt_free(p);
}

static flt_err make_rooms(plan *p) {
    FLTX_TRY(flt_alloc((size_t)p->threads, sizeof *p->rooms, &p->rooms));
    for (int t = 0; t < p->threads; t++) {
        FLTX_TRY(flt_att_dct_create(p->N, &p->rooms[t].full));
        FLTX_TRY(flt_att_dct_create(p->K, &p->rooms[t].cut));
    }
    return FLTE_OK;
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"keep", NULL};
    plan *p = NULL;
    flt_err err = flt_att_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->heads = desc->B * desc->H, p->N = desc->N, p->d = desc->d, p->dv = desc->dv;
    p->threads = (size_t)desc->threads < p->heads ? desc->threads : (int)p->heads;
    p->lengthen = flt_params_bool(desc->params, "lengthen");
    p->backwards = desc->backward;
    FLTX_GO(err, failed, read_keep(desc, &p->K));
    FLTX_GO(err, failed, make_rooms(p));
    FLTX_GO(err, failed, flt_ws_create(bind, p, &p->ws));
    const flt_attention_desc cut = {.mechanism = "exact",
                                    .B = desc->B,
                                    .H = desc->H,
                                    .N = p->K,
                                    .d = desc->d,
                                    .dv = desc->dv,
                                    .threads = desc->threads,
                                    .backward = desc->backward};
    FLTX_GO(err, failed, flt_attention_create(&cut, &p->exact));
    *self = p;
    return FLTE_OK;
failed:
    destroy(p);
    return err;
}

static size_t rows(const void *self) {
    const plan *p = self;
    return p->lengthen ? p->N : p->K;
}

static size_t workspace(const void *self) {
    const plan *p = self;
    const size_t dct = flt_att_dct_bytes(p->rooms[0].full) + flt_att_dct_bytes(p->rooms[0].cut);
    return p->ws.size + (size_t)p->threads * dct + flt_attention_workspace(p->exact);
}

static size_t draws(const void *self, size_t max, flt_attention_arg *out) {
    (void)self, (void)max, (void)out;
    return 0;
}

static size_t flagged(const void *self) {
    return flt_attention_flagged(((const plan *)self)->exact);
}

const flt_attention_kind flt_attention_kind_fourier = {
    .kind =
        {
            .name = "fourier",
            .summary = "exact attention after shortening by the cosine transform; x, or q, k, v; argument or parameter keep",
            .formula = "out = S^T softmax(S q (S k)^T / sqrt d) S v, S x = D_K^T (D_N x)[0 .. K-1]",
            .cost = "time O(N log N (2d + dv) + K^2 (d + dv)), memory O(N + K (d + dv))",
            .citation = "He et al., Fourier Transformer: fast long range modeling by removing sequence redundancy with FFT "
                        "operator, ACL Findings 2023, arXiv 2305.15099",
            .caps = FLTX_ATT_NORMALISED | FLTX_ATT_X | FLTX_ATT_BACKWARD,
            .params = params,
        },
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
    .update = update,
    .rows = rows,
    .workspace = workspace,
    .draws = draws,
    .flagged = flagged,
};
