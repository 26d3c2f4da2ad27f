// SPDX-License-Identifier: MIT
// SPE with sines: stochastic positional encoding, then softmax attention of the coded rows.
//
//     qhat_ir = sum_d q_id sum_k gains_dk [z_d,2k,r cos + z_d,2k+1,r sin](2 pi f_dk i + phase_dk) / (sqrt(2K) (d R)^(1/4))
//     khat the same without phases;   E[qhat_i.khat_j]/sqrt R = (1/sqrt d) sum_d q_id k_jd P_d(i - j),
//     P_d(delta) = (1/2K) sum_k gains_dk^2 cos(2 pi f_dk delta + phase_dk)
//     freqs (cycles a token), phases, gains [d, K]; z [d, 2K, R]: one draw for q and k; share [d], eps [d, R]; omega [m, R]
//
// Liutkus et al., Relative positional encoding for Transformers with linear complexity, ICML 2021, arXiv 2105.08399.
// Time O(N d K R) for the codes, which are never formed (the published code holds [N, d, R]): rows times waves meet z in one
// matrix product a tile. Sines of a tile come from those at its start by a rotation, so that one token in 64 costs sines. Limits:
// positions are 0, 1, 2, .. (sequences, l = 1). What is not given is drawn as the authors start training: freqs = sigmoid(N -
// 4)/2, phases = N, gains = softplus of N scaled by 2/sqrt|.|, z and eps = N; gate: the PyTorch convention. The bit `random` is
// clear: what is estimated are logits with an encoding of their own, not softmax of q.k/sqrt d.
#include "engine/spe.h"

#include "flt/num.h"

#include <math.h>

static const flt_param_spec params[] = {
    FLTX_ATT_SPE_PARAMS, {"K", FLTX_INT, "10", 1, 1 << 16, NULL, "sines of each feature, when they are drawn"}, {.name = NULL}};

enum { TILE = FLTX_ATT_MAX_TILE };

typedef struct room { // one thread's
    double *turns;    // [K d]
    flt_real *c, *s;  // [K d]: at the first row of the tile
    flt_real *x;      // [tile, 2 K d]: rows times waves
} room;

typedef struct plan {
    size_t d, K, R, waves; // waves = K d, ordered [K, d]
    flt_att_array freqs, phases, gains, z;
    flt_att_gate gate;
    size_t f_heads, w_heads;
    flt_real *c, *s; // [f heads, tile, K d]: cosine and sine of 2 pi f i
    flt_real *w;     // [w heads, 2 K d, R]: z with all its factors
    int threads;
    room *rooms;
    flt_att_spe *spe;
    flt_ws ws;
} plan;

// ---- coding a tile

static void start_waves(const plan *p, const room *w, flt_att_rows rows, bool query) {
    const double *f = flt_att_head(&p->freqs, rows.head), *phase = flt_att_head(&p->phases, rows.head);
    for (size_t k = 0; k < p->K; k++)
        for (size_t c = 0; c < p->d; c++) {
            const size_t from = c * p->K + k;
            w->turns[k * p->d + c] = f[from] * (double)rows.first + (query ? phase[from] / FLTX_TWO_PI : 0);
        }
    flt_turns(p->waves, w->turns, w->c, w->s);
}

static void encode(const void *self, flt_att_rows rows, bool query, const flt_real *x, flt_real *hat) {
    const plan *p = self;
    const room *w = &p->rooms[rows.thread];
    const size_t d = p->d, waves = p->waves, table = p->f_heads == 1 ? 0 : rows.head * TILE * waves;
    start_waves(p, w, rows, query);
    for (size_t i = 0; i < rows.count; i++) {
        const flt_real *tc = p->c + table + i * waves, *ts = p->s + table + i * waves, *row = x + i * d;
        flt_real *xc = w->x + 2 * i * waves, *xs = xc + waves;
        for (size_t k = 0; k < waves; k += d)
            for (size_t c = 0; c < d; c++) {
                xc[k + c] = row[c] * (w->c[k + c] * tc[k + c] - w->s[k + c] * ts[k + c]);
                xs[k + c] = row[c] * (w->s[k + c] * tc[k + c] + w->c[k + c] * ts[k + c]);
            }
    }
    const flt_real *z = p->w + (p->w_heads == 1 ? 0 : rows.head * 2 * waves * p->R);
    flt_gemm(false, false, rows.count, p->R, 2 * waves, 1, w->x, 2 * waves, z, p->R, 0, hat, p->R);
}

// ---- plan

static flt_err draw_freqs(const flt_attention_desc *desc, plan *p) {
    FLTX_TRY(flt_att_draw_normal(desc, "freqs", 2, (size_t[]){p->d, p->K}, &p->freqs));
    for (size_t i = 0; i < desc->H * p->waves; i++) p->freqs.data[i] = 0.5 / (1 + exp(4 - p->freqs.data[i]));
    return FLTE_OK;
}

static flt_err draw_gains(const flt_attention_desc *desc, plan *p) {
    FLTX_TRY(flt_att_draw_normal(desc, "gains", 2, (size_t[]){p->d, p->K}, &p->gains));
    for (size_t i = 0; i < desc->H * p->d; i++) {
        double *g = p->gains.data + i * p->K, squares = 0;
        for (size_t k = 0; k < p->K; k++) squares += g[k] * g[k];
        for (size_t k = 0; k < p->K; k++) g[k] = log1p(exp(g[k] * 2 / sqrt(sqrt(squares))));
    }
    return FLTE_OK;
}

static flt_err read_arrays(const flt_attention_desc *desc, plan *p) {
    flt_att_dim dim[2] = {{"d", (ptrdiff_t)desc->d}, {"K", FLTX_ATT_FREE}};
    const flt_attention_arg *z = flt_attention_arg_find(desc, "z");
    FLTX_TRY(flt_att_spe_width(desc, "z", 1, &p->R));
    FLTX_TRY(flt_att_take(desc, "freqs", 2, dim, &p->freqs));
    FLTX_TRY(flt_att_take(desc, "phases", 2, dim, &p->phases));
    FLTX_TRY(flt_att_take(desc, "gains", 2, dim, &p->gains));
    size_t given = dim[1].size == FLTX_ATT_FREE ? 0 : (size_t)dim[1].size;
    if (given == 0 && z != NULL && z->rank >= 3) given = z->dim[z->rank - 2] / 2;
    FLTX_TRY(flt_att_size(desc, "K", given, &p->K));
    p->d = desc->d, p->waves = p->K * p->d;
    flt_att_dim zdim[3] = {{"d", (ptrdiff_t)p->d}, {"2K", 2 * (ptrdiff_t)p->K}, {"R", (ptrdiff_t)p->R}};
    FLTX_TRY(flt_att_take(desc, "z", 3, zdim, &p->z));
    if (p->freqs.data == NULL) FLTX_TRY(draw_freqs(desc, p));
    if (p->phases.data == NULL) FLTX_TRY(flt_att_draw_normal(desc, "phases", 2, (size_t[]){p->d, p->K}, &p->phases));
    if (p->gains.data == NULL) FLTX_TRY(draw_gains(desc, p));
    if (p->z.data == NULL) FLTX_TRY(flt_att_draw_normal(desc, "z", 3, (size_t[]){p->d, 2 * p->K, p->R}, &p->z));
    return flt_att_gate_read(desc, p->R, &p->gate);
}

static flt_err make_waves(const flt_attention_desc *desc, plan *p) {
    double *turns = NULL;
    p->f_heads = p->freqs.heads == 0 ? 1 : desc->H;
    FLTX_TRY(flt_alloc(p->f_heads * TILE, p->waves * sizeof *p->c, &p->c));
    FLTX_TRY(flt_alloc(p->f_heads * TILE, p->waves * sizeof *p->s, &p->s));
    FLTX_TRY(flt_alloc(p->waves, sizeof *turns, &turns));
    for (size_t row = 0; row < p->f_heads * TILE; row++) {
        const double *f = flt_att_head(&p->freqs, row / TILE);
        for (size_t k = 0; k < p->K; k++)
            for (size_t c = 0; c < p->d; c++) turns[k * p->d + c] = f[c * p->K + k] * (double)(row % TILE);
        flt_turns(p->waves, turns, p->c + row * p->waves, p->s + row * p->waves);
    }
    flt_free(turns);
    return FLTE_OK;
}

static flt_err make_weights(const flt_attention_desc *desc, plan *p) {
    const size_t d = p->d, K = p->K, R = p->R;
    p->w_heads = p->z.heads + p->gains.heads + p->gate.share.heads == 0 ? 1 : desc->H;
    FLTX_TRY(flt_alloc(p->w_heads * 2 * p->waves, R * sizeof *p->w, &p->w));
    for (size_t h = 0; h < p->w_heads; h++)
        for (size_t c = 0; c < d; c++)
            for (size_t j = 0; j < 2 * K; j++) { // j = 2k: cosine, 2k + 1: sine
                const double factor =
                    flt_att_gate_factor(&p->gate, h, c) * flt_att_head(&p->gains, h)[c * K + j / 2] / sqrt(2.0 * (double)K);
                const double *z = flt_att_head(&p->z, h) + (c * 2 * K + j) * R;
                flt_real *w = p->w + ((h * 2 + j % 2) * p->waves + (j / 2) * d + c) * R;
                for (size_t r = 0; r < R; r++) w[r] = (flt_real)(factor * z[r]);
            }
    return FLTE_OK;
}

static void bind(void *self, flt_ws *ws) {
    plan *p = self;
    for (int t = 0; t < p->threads; t++) {
        p->rooms[t].turns = flt_ws_take(ws, p->waves, sizeof(double));
        p->rooms[t].c = flt_ws_take(ws, p->waves, sizeof(flt_real));
        p->rooms[t].s = flt_ws_take(ws, p->waves, sizeof(flt_real));
        p->rooms[t].x = flt_ws_take(ws, TILE * 2 * p->waves, sizeof(flt_real));
    }
}

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_att_spe_destroy(p->spe);
    flt_ws_destroy(&p->ws);
    flt_free(p->rooms);
    flt_free(p->w);
    flt_free(p->s);
    flt_free(p->c);
    flt_att_gate_drop(&p->gate);
    flt_att_drop(&p->z);
    flt_att_drop(&p->gains);
    flt_att_drop(&p->phases);
    flt_att_drop(&p->freqs);
    flt_free(p);
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"freqs", "phases", "gains", "z", FLTX_ATT_SPE_ARGS, NULL};
    plan *p = NULL;
    flt_err err = flt_att_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->threads = desc->threads;
    FLTX_GO(err, failed, read_arrays(desc, p));
    FLTX_GO(err, failed, flt_gemm_check(desc->mechanism, 2 * p->waves, p->R, TILE));
    FLTX_GO(err, failed, make_waves(desc, p));
    FLTX_GO(err, failed, make_weights(desc, p));
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
    flt_att_list(&p->freqs, max, out, &n);
    flt_att_list(&p->phases, max, out, &n);
    flt_att_list(&p->gains, max, out, &n);
    flt_att_list(&p->z, max, out, &n);
    flt_att_spe_list(p->spe, max, out, &n);
    return n;
}

static size_t flagged(const void *self) {
    return flt_att_spe_flagged(((const plan *)self)->spe);
}

const flt_attention_kind flt_attention_kind_spe_sine = {
    .kind =
        {
            .name = "spe_sine",
            .summary =
                "stochastic positional encoding by sines, then FAVOR+; arguments freqs, phases, gains [d, K], z [d, 2K, R], "
                "share [d], eps [d, R], omega [m, R]",
            .formula = "qhat_ir = sum_d q_id sum_k gains z.(cos, sin)(2 pi f i + phase) / (sqrt(2K) (d R)^1/4), A_ij ~ "
                       "exp(qhat_i.khat_j / sqrt R)",
            .cost = "time O(N R (d K + m) + N m dv), memory O(d K R + m dv)",
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
