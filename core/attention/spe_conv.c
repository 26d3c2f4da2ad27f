// SPDX-License-Identifier: MIT
// SPE by convolution: one noise field, filtered for queries and for keys, then softmax attention of the coded rows.
//
//     qhat_ir = sum_d q_id sum_t filter_q[d, t] noise[r, d, width + i + t] / (d R)^(1/4),   khat with filter_k
//     E[qhat_i.khat_j]/sqrt R = (1/sqrt d) sum_d q_id k_jd P_d(i - j),  P_d(i - j) = sum_t filter_k[t] filter_q[t + j - i]
//     filter_q, filter_k [d, width]; noise [R, d, at least N + 4 width]; share [d], eps [d, R]; omega [m, R]
//
// Liutkus et al., Relative positional encoding for Transformers with linear complexity, ICML 2021, arXiv 2105.08399; the names of
// the filters are straight, as in its JAX form (the PyTorch form swaps them).
// Codes are not formed: for each feature a banded matrix, q_d times the filter, meets a stretch of noise in one matrix product a
// tile. Time O(N d (width + 64) R), memory O(N d R) for the noise. Limits: sequences (l = 1); a stream that outlasts its plan
// stays at the last position. What is not given is drawn: filters U[0, 1)/sqrt(width/2), noise and eps N(0, 1). The bit `random`
// is clear: what is estimated are logits with an encoding of their own, not softmax of q.k/sqrt d.
#include "engine/spe.h"

#include "flt/num.h"

#include <math.h>
#include <string.h>

static const flt_param_spec params[] = {
    FLTX_ATT_SPE_PARAMS, {"width", FLTX_INT, "16", 1, 1 << 20, NULL, "taps of the filters, when they are drawn"}, {.name = NULL}};

enum { TILE = FLTX_ATT_MAX_TILE };

typedef struct plan {
    size_t N, d, R, width, length;  // length: noise in use, N + width - 1
    flt_att_array filter[2], noise; // queries, keys
    flt_att_gate gate;
    size_t n_heads;
    flt_real *field; // [n heads, d, length, R]: noise with all its factors
    int threads;
    flt_real **rooms; // [threads]: [tile, tile + width - 1]
    flt_att_spe *spe;
    flt_ws ws;
} plan;

// ---- coding a tile

static void encode(const void *self, flt_att_rows rows, bool query, const flt_real *x, flt_real *hat) {
    const plan *p = self;
    const size_t n = rows.count, cols = n + p->width - 1, d = p->d, R = p->R;
    const size_t first = rows.first < p->N ? rows.first : p->N - 1; // beyond the plan a stream has one row a call
    const double *filter = flt_att_head(&p->filter[query ? 0 : 1], rows.head);
    const flt_real *field = p->field + (p->n_heads == 1 ? 0 : rows.head * d * p->length * R);
    flt_real *band = p->rooms[rows.thread];
    memset(band, 0, n * cols * sizeof *band);
    for (size_t c = 0; c < d; c++) {
        for (size_t i = 0; i < n; i++)
            for (size_t t = 0; t < p->width; t++) band[i * cols + i + t] = x[i * d + c] * (flt_real)filter[c * p->width + t];
        flt_gemm(false, false, n, R, cols, 1, band, cols, field + (c * p->length + first) * R, R, c > 0, hat, R);
    }
}

// ---- plan

static flt_err draw_filters(const flt_attention_desc *desc, plan *p) {
    static const char *const names[2] = {"filter_q", "filter_k"};
    for (int side = 0; side < 2; side++) {
        flt_att_array *f = &p->filter[side];
        if (f->data != NULL) continue;
        FLTX_TRY(flt_att_make(desc, names[side], 2, (size_t[]){p->d, p->width}, f));
        for (size_t h = 0; h < desc->H; h++) {
            const flt_rng rng = flt_rng_child(flt_rng_make(desc->seed, names[side], 0), "head", h);
            flt_rng_uniform_double(rng, 0, f->count, flt_att_head(f, h));
        }
        for (size_t i = 0; i < desc->H * f->count; i++) f->data[i] /= sqrt(0.5 * (double)p->width);
    }
    return FLTE_OK;
}

static flt_err read_arrays(const flt_attention_desc *desc, plan *p) {
    flt_att_dim dim[2] = {{"d", (ptrdiff_t)desc->d}, {"width", FLTX_ATT_FREE}};
    p->N = desc->N, p->d = desc->d;
    FLTX_TRY(flt_att_spe_width(desc, "noise", 3, &p->R));
    FLTX_TRY(flt_att_take(desc, "filter_q", 2, dim, &p->filter[0]));
    FLTX_TRY(flt_att_take(desc, "filter_k", 2, dim, &p->filter[1]));
    FLTX_TRY(flt_att_size(desc, "width", dim[1].size == FLTX_ATT_FREE ? 0 : (size_t)dim[1].size, &p->width));
    p->length = p->N + p->width - 1;
    FLTX_TRY(draw_filters(desc, p));
    flt_att_dim shape[3] = {{"R", (ptrdiff_t)p->R}, {"d", (ptrdiff_t)p->d}, {"at least N + 4 width", FLTX_ATT_FREE}};
    FLTX_TRY(flt_att_take(desc, "noise", 3, shape, &p->noise));
    if (p->noise.data == NULL)
        FLTX_TRY(flt_att_draw_normal(desc, "noise", 3, (size_t[]){p->R, p->d, p->N + 4 * p->width}, &p->noise));
    if (p->noise.dim[2] < p->N + 4 * p->width)
        return flt_fail(FLTE_SHAPE, desc->mechanism, "argument 'noise' is %zu long; at least N + 4 width = %zu is wanted",
                        p->noise.dim[2], p->N + 4 * p->width);
    return flt_att_gate_read(desc, p->R, &p->gate);
}

static flt_err make_field(const flt_attention_desc *desc, plan *p) {
    const size_t d = p->d, R = p->R, stored = p->noise.dim[2];
    p->n_heads = p->noise.heads + p->gate.share.heads == 0 ? 1 : desc->H;
    FLTX_TRY(flt_alloc(p->n_heads * d * p->length, R * sizeof *p->field, &p->field));
    for (size_t h = 0; h < p->n_heads; h++)
        for (size_t c = 0; c < d; c++) {
            const double factor = flt_att_gate_factor(&p->gate, h, c), *noise = flt_att_head(&p->noise, h);
            flt_real *field = p->field + (h * d + c) * p->length * R;
            for (size_t r = 0; r < R; r++)
                for (size_t t = 0; t < p->length; t++)
                    field[t * R + r] = (flt_real)(factor * noise[(r * d + c) * stored + p->width + t]);
        }
    return FLTE_OK;
}

static void bind(void *self, flt_ws *ws) {
    plan *p = self;
    for (int t = 0; t < p->threads; t++) p->rooms[t] = flt_ws_take(ws, TILE * (TILE + p->width - 1), sizeof(flt_real));
}

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_att_spe_destroy(p->spe);
    flt_ws_destroy(&p->ws);
    flt_free(p->rooms);
    flt_free(p->field);
    flt_att_gate_drop(&p->gate);
    flt_att_drop(&p->noise);
    flt_att_drop(&p->filter[1]);
    flt_att_drop(&p->filter[0]);
    flt_free(p);
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"filter_q", "filter_k", "noise", FLTX_ATT_SPE_ARGS, NULL};
    plan *p = NULL;
    flt_err err = flt_att_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->threads = desc->threads;
    FLTX_GO(err, failed, read_arrays(desc, p));
    FLTX_GO(err, failed, flt_gemm_check(desc->mechanism, TILE + p->width, p->R, TILE));
    FLTX_GO(err, failed, make_field(desc, p));
    FLTX_GO(err, failed, flt_alloc((size_t)p->threads, sizeof *p->rooms, &p->rooms));
    FLTX_GO(err, failed, flt_ws_create(bind, p, &p->ws));
    FLTX_GO(err, failed, flt_att_spe_create(desc, &p->gate, (flt_att_coder){p, encode}, &p->spe));
    *self = p;
    return FLTE_OK;
failed:
    destroy(p);
    return err;
}

static void forward(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    flt_att_spe_forward(((plan *)self)->spe, q, k, v, out);
}

static bool streams(const void *self) {
    return flt_att_spe_streams(((const plan *)self)->spe);
}

static void begin(void *self) {
    flt_att_spe_begin(((plan *)self)->spe);
}

static void step(void *self, const flt_real *q, const flt_real *k, const flt_real *v, flt_real *out) {
    flt_att_spe_step(((plan *)self)->spe, q, k, v, out);
}

static size_t workspace(const void *self) {
    const plan *p = self;
    return p->ws.size + flt_att_spe_workspace(p->spe);
}

static size_t draws(const void *self, size_t max, flt_attention_arg *out) {
    const plan *p = self;
    size_t n = 0;
    flt_att_list(&p->filter[0], max, out, &n);
    flt_att_list(&p->filter[1], max, out, &n);
    flt_att_list(&p->noise, max, out, &n);
    flt_att_spe_list(p->spe, max, out, &n);
    return n;
}

static size_t flagged(const void *self) {
    return flt_att_spe_flagged(((const plan *)self)->spe);
}

const flt_attention_kind flt_attention_kind_spe_conv = {
    .kind =
        {
            .name = "spe_conv",
            .summary = "stochastic positional encoding by filtered noise, then FAVOR+; arguments filter_q, filter_k [d, width], "
                       "noise [R, d, N + 4 width], share [d], eps [d, R], omega [m, R]",
            .formula =
                "qhat_ir = sum_d q_id sum_t filter_q[d, t] noise[r, d, width + i + t] / (d R)^1/4, A_ij ~ exp(qhat_i.khat_j / "
                "sqrt R)",
            .cost = "time O(N R (d width + m) + N m dv), memory O(N d R + m dv)",
            .citation = "Liutkus et al., Relative positional encoding for Transformers with linear complexity, ICML 2021, arXiv "
                        "2105.08399",
            .caps = FLTX_ATT_CAUSAL | FLTX_ATT_STREAM | FLTX_ATT_LINEAR | FLTX_ATT_NORMALISED,
            .params = params,
        },
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .streams = streams,
    .begin = begin,
    .step = step,
    .workspace = workspace,
    .draws = draws,
    .flagged = flagged,
};
