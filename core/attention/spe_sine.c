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
// matrix product a tile. On evenly spaced positions the sines of a tile come from those at its start by a rotation, so that one
// token in 64 costs sines. Limits: positions on a line (l = 1), 0, 1, 2, .. or `pos` [N, 1]. What is not given is drawn as the
// authors start training: freqs = sigmoid(N - 4)/2, phases = N, gains = softplus of N scaled by 2/sqrt|.|, z and eps = N; gate:
// the PyTorch convention. The bit `random` is clear: what is estimated are logits with an encoding of their own, not softmax of
// q.k/sqrt d.
#include "engine/spe.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <string.h>

static const flt_param_spec params[] = {
    FLTX_ATT_SPE_PARAMS, {"K", FLTX_INT, "10", 1, 1 << 16, NULL, "sines of each feature, when they are drawn"}, {.name = NULL}};

enum { TILE = FLTX_ATT_MAX_TILE };

typedef struct room { // one thread's; waves are ordered [K, d]
    double *turns;
    flt_real *c, *s;   // [K d]: cosine and sine at the first row of the tile
    flt_real *rc, *rs; // [K d]: at the row at work
    flt_real *x;       // [tile, 2 K d]: rows times waves, then their gradient
} room;

typedef struct sines {
    size_t N, H, BH, d, K, R, waves; // waves = K d
    flt_att_positions pos;
    flt_att_array freqs, phases, gains, z;
    flt_real *c, *s;                   // [freqs heads, tile, K d]: cosine and sine of 2 pi f (i steps)
    flt_real *gain;                    // [gains heads, K d]: gains / sqrt(2K)
    flt_real *w;                       // [z heads, 2 K d, R]: z
    double *dfreqs, *dphases, *dgains; // [B H, K d]: sums of a backward pass, per turn, per radian, per table entry
    bool wanted;                       // these sums
    int threads;
    room *rooms;
} sines;

static size_t lead(const flt_att_array *a) {
    return a->heads == 0 ? 1 : a->heads;
}

static size_t at_head(const flt_att_array *a, size_t head, size_t count) {
    return a->heads == 0 ? 0 : head * count;
}

// ---- waves

static double position(const sines *p, size_t row) {
    double at[1];
    flt_att_position(&p->pos, p->N, row, at);
    return at[0];
}

// Cosines and sines of one row by themselves.
static void waves_at(const sines *p, const room *w, size_t head, size_t row, bool query, flt_real *c, flt_real *s) {
    const double *f = flt_att_head(&p->freqs, head), *phase = flt_att_head(&p->phases, head), x = position(p, row);
    for (size_t k = 0; k < p->K; k++)
        for (size_t i = 0; i < p->d; i++) {
            const size_t from = i * p->K + k;
            w->turns[k * p->d + i] = f[from] * x + (query || FLTX_BUG(PHASE_ON_KEYS) ? phase[from] / FLTX_TWO_PI : 0);
        }
    flt_turns(p->waves, w->turns, c, s);
}

static bool start_waves(const sines *p, const room *w, flt_att_rows rows, bool query) {
    if (p->pos.spaced) waves_at(p, w, rows.head, rows.first, query, w->c, w->s);
    return p->pos.spaced;
}

// Those of row i of the tile, in rc and rs.
static void row_waves(const sines *p, const room *w, flt_att_rows rows, size_t i, bool query, bool turned) {
    const size_t waves = p->waves, table = at_head(&p->freqs, rows.head, TILE * waves) + i * waves;
    const flt_real *tc = p->c + table, *ts = p->s + table;
    if (!turned) {
        waves_at(p, w, rows.head, rows.first + i, query, w->rc, w->rs);
        return;
    }
    for (size_t k = 0; k < waves; k++) {
        w->rc[k] = w->c[k] * tc[k] - w->s[k] * ts[k];
        w->rs[k] = w->s[k] * tc[k] + w->c[k] * ts[k];
    }
}

// ---- a tile there and back

static void encode(const void *self, flt_att_rows rows, bool query, const flt_real *x, flt_real *hat) {
    const sines *p = self;
    const room *w = &p->rooms[rows.thread];
    const size_t d = p->d, waves = p->waves;
    const flt_real *gain = p->gain + at_head(&p->gains, rows.head, waves);
    const bool turned = start_waves(p, w, rows, query);
    for (size_t i = 0; i < rows.count; i++) {
        const flt_real *row = x + i * d;
        flt_real *xc = w->x + 2 * i * waves, *xs = xc + waves;
        row_waves(p, w, rows, i, query, turned);
        for (size_t k = 0; k < waves; k += d)
            for (size_t c = 0; c < d; c++) {
                const flt_real f = row[c] * gain[k + c];
                xc[k + c] = f * w->rc[k + c];
                xs[k + c] = f * w->rs[k + c];
            }
    }
    const flt_real *z = p->w + at_head(&p->z, rows.head, 2 * waves * p->R);
    flt_gemm(false, false, rows.count, p->R, 2 * waves, 1, w->x, 2 * waves, z, p->R, 0, hat, p->R);
}

typedef struct wave { // of one row, d numbers each: x f (cos, sin) has the gradient (dc, ds)
    const flt_real *x, *f, *c, *s, *dc, *ds;
    flt_real *dx;
    double pos, query;              // query: 1, or 0 for keys, whose phase is fixed
    double *dfreq, *dphase, *dgain; // sums
} wave;

static void add_wave(size_t d, const wave *w) {
    for (size_t i = 0; i < d; i++) w->dx[i] += w->f[i] * (w->c[i] * w->dc[i] + w->s[i] * w->ds[i]);
}

static void add_sums(size_t d, const wave *w) {
    for (size_t i = 0; i < d; i++) {
        const flt_real along = w->c[i] * w->dc[i] + w->s[i] * w->ds[i], across = w->c[i] * w->ds[i] - w->s[i] * w->dc[i];
        const double turn = (double)(w->x[i] * w->f[i] * across);
        w->dgain[i] += (double)(w->x[i] * along);
        w->dfreq[i] += turn * w->pos;
        w->dphase[i] += turn * w->query;
    }
}

static void decode(void *self, flt_att_rows rows, size_t bh, bool query, const flt_real *x, const flt_real *dhat, flt_real *dx) {
    const sines *p = self;
    const room *w = &p->rooms[rows.thread];
    const size_t d = p->d, waves = p->waves;
    const flt_real *gain = p->gain + at_head(&p->gains, rows.head, waves),
                   *z = p->w + at_head(&p->z, rows.head, 2 * waves * p->R);
    const bool turned = start_waves(p, w, rows, query);
    flt_gemm(false, true, rows.count, 2 * waves, p->R, 1, dhat, p->R, z, p->R, 0, w->x, 2 * waves);
    memset(dx, 0, rows.count * d * sizeof *dx);
    for (size_t i = 0; i < rows.count; i++) {
        const flt_real *dc = w->x + 2 * i * waves, *ds = dc + waves;
        wave one = {.x = x + i * d, .dx = dx + i * d, .pos = position(p, rows.first + i), .query = query};
        row_waves(p, w, rows, i, query, turned);
        for (size_t k = 0; k < waves; k += d) {
            const size_t at = bh * waves + k;
            one.f = gain + k, one.c = w->rc + k, one.s = w->rs + k, one.dc = dc + k, one.ds = ds + k;
            one.dfreq = p->dfreqs + at, one.dphase = p->dphases + at, one.dgain = p->dgains + at;
            add_wave(d, &one);
            if (p->wanted) add_sums(d, &one);
        }
    }
}

static void clear(void *self, bool wanted) {
    sines *p = self;
    const size_t bytes = p->BH * p->waves * sizeof(double);
    p->wanted = wanted;
    memset(p->dfreqs, 0, bytes);
    memset(p->dphases, 0, bytes);
    memset(p->dgains, 0, bytes);
}

static void gather(const void *self, const flt_attention_gradient *to) {
    const sines *p = self;
    const bool freqs = strcmp(to->name, "freqs") == 0, phases = strcmp(to->name, "phases") == 0;
    const flt_att_array *shape = freqs ? &p->freqs : phases ? &p->phases : &p->gains;
    const double unit = freqs ? FLTX_TWO_PI : phases ? 1 : 1 / sqrt(2.0 * (double)p->K);
    const double *sums = freqs ? p->dfreqs : phases ? p->dphases : p->dgains;
    memset(to->data, 0, lead(shape) * shape->count * sizeof *to->data);
    for (size_t bh = 0; bh < p->BH; bh++, sums += p->waves) {
        double *head = to->data + at_head(shape, bh % p->H, shape->count);
        for (size_t k = 0; k < p->K; k++) {
            for (size_t c = 0; c < p->d; c++) head[c * p->K + k] += unit * sums[k * p->d + c];
        }
    }
}

// ---- plan

static flt_err draw_freqs(const flt_attention_desc *desc, sines *p) {
    FLTX_TRY(flt_att_draw_normal(desc, "freqs", 2, (size_t[]){p->d, p->K}, &p->freqs));
    for (size_t i = 0; i < desc->H * p->waves; i++) p->freqs.data[i] = 0.5 / (1 + exp(4 - p->freqs.data[i]));
    return FLTE_OK;
}

static flt_err draw_gains(const flt_attention_desc *desc, sines *p) {
    FLTX_TRY(flt_att_draw_normal(desc, "gains", 2, (size_t[]){p->d, p->K}, &p->gains));
    for (size_t i = 0; i < desc->H * p->d; i++) {
        double *g = p->gains.data + i * p->K, squares = 0;
        for (size_t k = 0; k < p->K; k++) squares += g[k] * g[k];
        for (size_t k = 0; k < p->K; k++) g[k] = log1p(exp(g[k] * 2 / sqrt(sqrt(squares))));
    }
    return FLTE_OK;
}

static flt_err read_positions(const flt_attention_desc *desc, sines *p) {
    FLTX_TRY(flt_att_positions_read(desc, &p->pos));
    if (p->pos.l == 1) return FLTE_OK;
    return flt_fail(
        FLTE_UNSUPPORTED, desc->mechanism,
        "positions have l = %zu, but its sines run along a line, l = 1; spe_conv takes grids of 2 and 3 dimensions, exact "
        "and flt any positions",
        p->pos.l);
}

static flt_err read_arrays(const flt_attention_desc *desc, sines *p) {
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
    return flt_gemm_check(desc->mechanism, 2 * p->waves, p->R, TILE);
}

static flt_err read(const flt_attention_desc *desc, void *self, size_t *R) {
    sines *p = self;
    p->N = desc->N, p->H = desc->H, p->BH = desc->B * desc->H;
    p->threads = desc->threads;
    FLTX_TRY(read_positions(desc, p));
    FLTX_TRY(read_arrays(desc, p));
    *R = p->R;
    FLTX_TRY(flt_alloc(lead(&p->freqs) * TILE, p->waves * sizeof *p->c, &p->c));
    FLTX_TRY(flt_alloc(lead(&p->freqs) * TILE, p->waves * sizeof *p->s, &p->s));
    FLTX_TRY(flt_alloc(lead(&p->gains), p->waves * sizeof *p->gain, &p->gain));
    FLTX_TRY(flt_alloc(lead(&p->z) * 2 * p->waves, p->R * sizeof *p->w, &p->w));
    FLTX_TRY(flt_alloc((size_t)p->threads, sizeof *p->rooms, &p->rooms));
    if (!desc->backward) return FLTE_OK;
    FLTX_TRY(flt_alloc(p->BH, p->waves * sizeof(double), &p->dfreqs));
    FLTX_TRY(flt_alloc(p->BH, p->waves * sizeof(double), &p->dphases));
    return flt_alloc(p->BH, p->waves * sizeof(double), &p->dgains);
}

static void load_steps(sines *p) {
    double *turns = p->rooms[0].turns;
    for (size_t row = 0; row < lead(&p->freqs) * TILE; row++) {
        const double *f = flt_att_head(&p->freqs, row / TILE), x = (double)(row % TILE) * p->pos.step;
        for (size_t k = 0; k < p->K; k++)
            for (size_t c = 0; c < p->d; c++) turns[k * p->d + c] = f[c * p->K + k] * x;
        flt_turns(p->waves, turns, p->c + row * p->waves, p->s + row * p->waves);
    }
}

// z [d, 2K, R] holds cosine and sine of a wave side by side; w [2, K, d, R] all cosines first.
static void load(void *self) {
    sines *p = self;
    const size_t d = p->d, K = p->K, R = p->R;
    load_steps(p);
    for (size_t h = 0; h < lead(&p->gains); h++)
        for (size_t c = 0; c < d; c++)
            for (size_t k = 0; k < K; k++)
                p->gain[(h * K + k) * d + c] =
                    (flt_real)(flt_att_head(&p->gains, h)[c * K + k] / sqrt((FLTX_BUG(LOST_HALF) ? 1.0 : 2.0) * (double)K));
    for (size_t h = 0; h < lead(&p->z); h++)
        for (size_t c = 0; c < d; c++)
            for (size_t j = 0; j < 2 * K; j++) {
                const double *z = flt_att_head(&p->z, h) + (c * 2 * K + j) * R;
                flt_real *w = p->w + ((h * 2 + j % 2) * p->waves + (j / 2) * d + c) * R;
                for (size_t r = 0; r < R; r++) w[r] = (flt_real)z[r];
            }
}

static void bind(void *self, flt_ws *ws) {
    sines *p = self;
    for (int t = 0; t < p->threads; t++) {
        room *w = &p->rooms[t];
        w->turns = flt_ws_take(ws, p->waves, sizeof(double));
        w->c = flt_ws_take(ws, p->waves, sizeof(flt_real));
        w->s = flt_ws_take(ws, p->waves, sizeof(flt_real));
        w->rc = flt_ws_take(ws, p->waves, sizeof(flt_real));
        w->rs = flt_ws_take(ws, p->waves, sizeof(flt_real));
        w->x = flt_ws_take(ws, TILE * 2 * p->waves, sizeof(flt_real));
    }
}

static void drop(void *self) {
    sines *p = self;
    flt_free(p->dgains);
    flt_free(p->dphases);
    flt_free(p->dfreqs);
    flt_free(p->rooms);
    flt_free(p->w);
    flt_free(p->gain);
    flt_free(p->s);
    flt_free(p->c);
    flt_att_drop(&p->z);
    flt_att_drop(&p->gains);
    flt_att_drop(&p->phases);
    flt_att_drop(&p->freqs);
    flt_att_drop(&p->pos.array);
}

static void arrays(void *self, flt_att_arrays *to) {
    sines *p = self;
    flt_att_arrays_add(to, &p->freqs);
    flt_att_arrays_add(to, &p->phases);
    flt_att_arrays_add(to, &p->gains);
    flt_att_arrays_add(to, &p->z);
}

static const char *const names[] = {"freqs", "phases", "gains", "z", FLTX_ATT_SPE_ARGS, NULL};
static const char *const trained[] = {"freqs", "phases", "gains", NULL};
static const flt_att_code code = {.size = sizeof(sines),
                                  .names = names,
                                  .trained = trained,
                                  .read = read,
                                  .bind = bind,
                                  .load = load,
                                  .drop = drop,
                                  .arrays = arrays,
                                  .encode = encode,
                                  .decode = decode,
                                  .clear = clear,
                                  .gather = gather};

static flt_err create(const flt_attention_desc *desc, void **self) {
    return flt_att_spe_create(desc, &code, self);
}

const flt_attention_kind flt_attention_kind_spe_sine = {
    .kind =
        {
            .name = "spe_sine",
            .summary =
                "stochastic positional encoding by sines, then FAVOR+; arguments freqs, phases, gains [d, K], z [d, 2K, R], "
                "share [d], eps [d, R], omega [m, R], pos [N, 1]",
            .formula = "qhat_ir = sum_d q_id sum_k gains z.(cos, sin)(2 pi f i + phase) / (sqrt(2K) (d R)^1/4), A_ij ~ "
                       "exp(qhat_i.khat_j / sqrt R)",
            .cost = "time O(N R (d K + m) + N m dv), memory O(d K R + m dv)",
            .citation = "Liutkus et al., Relative positional encoding for Transformers with linear complexity, ICML 2021, arXiv "
                        "2105.08399",
            .caps = FLTX_ATT_SPE_CAPS,
            .params = params,
        },
    .create = create,
    .destroy = flt_att_spe_destroy,
    .forward = flt_att_spe_forward,
    .streams = flt_att_spe_streams,
    .begin = flt_att_spe_begin,
    .step = flt_att_spe_step,
    .workspace = flt_att_spe_workspace,
    .draws = flt_att_spe_draws,
    .flagged = flt_att_spe_flagged,
    .backward = flt_att_spe_backward,
    .update = flt_att_spe_update,
};
