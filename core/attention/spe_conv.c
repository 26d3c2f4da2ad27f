// SPDX-License-Identifier: MIT
// SPE by convolution: one noise field, filtered for queries and for keys, then softmax attention of the coded rows.
//
//     qhat_ir = sum_d q_id sum_t filter_q[d, t] noise[r, d, width + p_i + t] / (d R)^(1/4),   khat with filter_k
//     E[qhat_i.khat_j]/sqrt R = (1/sqrt d) sum_d q_id k_jd P_d(p_i - p_j),  P_d(z) = sum_t filter_k[t] filter_q[t - z]
//     l = 1, 2 or 3 axes: filter_q, filter_k [d, width_1, .. width_l], noise [R, d, at least n_1 + 4 width_1, ..], where token i
//     stands at p_i of a grid [n_1, .. n_l]; share [d], eps [d, R]; omega [m, R]
//
// Liutkus et al., Relative positional encoding for Transformers with linear complexity, ICML 2021, arXiv 2105.08399; the names of
// the filters are straight, as in its JAX form (the PyTorch form swaps them).
// Where tokens stand: see engine/grid.h.
// Codes are not formed: for each feature and each row of filter taps a banded matrix, q_d times the taps, meets a stretch of
// noise in one matrix product for each run of neighbours along the last axis. Time O(N d taps R) at best, memory O(cells d R) for
// the noise. Limits: a stream that outlasts its plan stays at the last position. What is not given is drawn: filters U[0,
// 1)/sqrt(taps/2), noise and eps N(0, 1). The bit `random` is clear: what is estimated are logits with an encoding of their own,
// not softmax of q.k/sqrt d.
#include "engine/grid.h"
#include "engine/spe.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <string.h>

static const flt_param_spec params[] = {
    FLTX_ATT_SPE_PARAMS,
    {"width", FLTX_INT, "16", 1, 1 << 20, NULL, "taps of the filters along each axis, when they are drawn"},
    {"grid", FLTX_TEXT, "auto", 0, 0, NULL, "cells of a grid in row-major order that the tokens fill, as in 8x8; auto: see pos"},
    {.name = NULL}};

enum {
    AXES = FLTX_ATT_AXES,
    SPAN = 16, // rows of a banded matrix: more of them hold more zeros
};

typedef struct room {
    flt_real *band; // [span, span + width - 1]
} room;

typedef struct field {
    size_t H, BH, d, R, taps, last; // last: taps along the last axis
    flt_att_grid grid;
    flt_att_array filter[2], noise; // queries, keys
    flt_real *noises;               // [noise heads, d, cells, R]
    double *dfilter[2];             // [B H, d taps]
    bool wanted;                    // these sums
    int threads;
    room *rooms;
} field;

typedef struct run { // neighbours along the last axis
    size_t first, count, cell;
} run;

// ---- a tile there and back

// Rows from `at` of the tile that are neighbours; beyond the plan a stream has one row a call.
static run run_at(const field *p, flt_att_rows rows, size_t at) {
    const size_t row = rows.first + at < p->grid.N ? rows.first + at : p->grid.N - 1;
    size_t n = 1;
    while (at + n < rows.count && p->grid.cell[row + n] == p->grid.cell[row] + n) n++;
    return (run){at, n, p->grid.cell[row]};
}

// Cells between a token and the row of taps `o`, which lies along the last axis.
static size_t tap_row(const field *p, size_t o) {
    size_t step = 1, cells = 0;
    for (size_t a = p->grid.l - 1; a-- > 0; o /= p->grid.width[a]) {
        step *= p->grid.length[a + 1];
        cells += o % p->grid.width[a] * step;
    }
    return cells;
}

static const flt_real *noise_at(const field *p, size_t head, size_t c, size_t cell) {
    return p->noises + (((p->noise.heads == 0 ? 0 : head) * p->d + c) * p->grid.cells + cell) * p->R;
}

static const double *taps_at(const field *p, size_t head, bool query, size_t c, size_t o) {
    return flt_att_head(&p->filter[query != FLTX_BUG(SWAPPED_FILTERS) ? 0 : 1], head) + c * p->taps + o * p->last;
}

typedef struct piece { // of a run, at most SPAN of its rows: one feature and one row of taps
    size_t n, cols;
    const flt_real *x; // d apart
    const double *taps;
    const flt_real *noise;
} piece;

static piece piece_at(const field *p, flt_att_rows rows, bool query, run k, size_t i, size_t c, size_t o, const flt_real *x) {
    const size_t n = k.count - i < SPAN ? k.count - i : SPAN;
    return (piece){n, n + p->last - 1, x + i * p->d + c, taps_at(p, rows.head, query, c, o),
                   noise_at(p, rows.head, c, k.cell + i + tap_row(p, o))};
}

static void encode_piece(const field *p, flt_real *band, piece s, bool first, flt_real *hat) {
    memset(band, 0, s.n * s.cols * sizeof *band);
    for (size_t i = 0; i < s.n; i++)
        for (size_t t = 0; t < p->last; t++) band[i * s.cols + i + t] = s.x[i * p->d] * (flt_real)s.taps[t];
    flt_gemm(false, false, s.n, p->R, s.cols, 1, band, s.cols, s.noise, p->R, !first, hat, p->R);
}

// dx: d apart; dtaps NULL: not wanted
static void decode_piece(const field *p, flt_real *band, piece s, const flt_real *dhat, double *dtaps, flt_real *dx) {
    flt_gemm(false, true, s.n, s.cols, p->R, 1, dhat, p->R, s.noise, p->R, 0, band, s.cols);
    for (size_t i = 0; i < s.n; i++) {
        const flt_real *row = band + i * s.cols + i, f = s.x[i * p->d];
        flt_real sum = 0;
        for (size_t t = 0; t < p->last; t++) sum += row[t] * (flt_real)s.taps[t];
        for (size_t t = 0; dtaps != NULL && t < p->last; t++) dtaps[t] += (double)f * (double)row[t];
        dx[i * p->d] += sum;
    }
}

static void encode_run(const field *p, flt_att_rows rows, bool query, run k, const flt_real *x, flt_real *hat) {
    flt_real *band = p->rooms[rows.thread].band;
    for (size_t o = 0; o < p->taps / p->last; o++)
        for (size_t c = 0; c < p->d; c++)
            for (size_t i = 0; i < k.count; i += SPAN)
                encode_piece(p, band, piece_at(p, rows, query, k, i, c, o, x), c + o == 0, hat + i * p->R);
}

static void encode(const void *self, flt_att_rows rows, bool query, const flt_real *x, flt_real *hat) {
    const field *p = self;
    for (size_t i = 0; i < rows.count;) {
        const run k = run_at(p, rows, i);
        encode_run(p, rows, query, k, x + i * p->d, hat + i * p->R);
        i += k.count;
    }
}

static void decode_run(const field *p, flt_att_rows rows, bool query, run k, const flt_real *x, const flt_real *dhat,
                       double *dfilter, flt_real *dx) {
    flt_real *band = p->rooms[rows.thread].band;
    for (size_t o = 0; o < p->taps / p->last; o++)
        for (size_t c = 0; c < p->d; c++)
            for (size_t i = 0; i < k.count; i += SPAN)
                decode_piece(p, band, piece_at(p, rows, query, k, i, c, o, x), dhat + i * p->R,
                             p->wanted ? dfilter + c * p->taps + o * p->last : NULL, dx + i * p->d + c);
}

static void decode(void *self, flt_att_rows rows, size_t bh, bool query, const flt_real *x, const flt_real *dhat, flt_real *dx) {
    const field *p = self;
    double *dfilter = p->dfilter[query ? 0 : 1] + bh * p->d * p->taps;
    memset(dx, 0, rows.count * p->d * sizeof *dx);
    for (size_t i = 0; i < rows.count;) {
        const run k = run_at(p, rows, i);
        decode_run(p, rows, query, k, x + i * p->d, dhat + i * p->R, dfilter, dx + i * p->d);
        i += k.count;
    }
}

static void clear(void *self, bool wanted) {
    field *p = self;
    p->wanted = wanted;
    for (int side = 0; side < 2; side++) memset(p->dfilter[side], 0, p->BH * p->d * p->taps * sizeof(double));
}

static void gather(const void *self, const flt_attention_gradient *to) {
    const field *p = self;
    const int side = strcmp(to->name, "filter_q") == 0 ? 0 : 1;
    flt_att_gather(&p->filter[side], p->BH, p->H, p->dfilter[side], to->data);
}

// ---- plan

static flt_err draw_filters(const flt_attention_desc *desc, field *p) {
    static const char *const names[2] = {"filter_q", "filter_k"};
    size_t shape[1 + AXES] = {p->d};
    memcpy(shape + 1, p->grid.width, p->grid.l * sizeof *shape);
    for (int side = 0; side < 2; side++) {
        flt_att_array *f = &p->filter[side];
        if (f->data != NULL) continue;
        FLTX_TRY(flt_att_make(desc, names[side], 1 + p->grid.l, shape, f));
        for (size_t h = 0; h < desc->H; h++) {
            const flt_rng rng = flt_rng_child(flt_rng_make(desc->seed, names[side], 0), "head", h);
            flt_rng_uniform_double(rng, 0, f->count, flt_att_head(f, h));
        }
        for (size_t i = 0; i < desc->H * f->count; i++) f->data[i] /= sqrt(0.5 * (double)p->taps);
    }
    return FLTE_OK;
}

static flt_err read_filters(const flt_attention_desc *desc, field *p) {
    flt_att_dim dim[1 + AXES] = {
        {"d", (ptrdiff_t)desc->d}, {"width", FLTX_ATT_FREE}, {"width_2", FLTX_ATT_FREE}, {"width_3", FLTX_ATT_FREE}};
    FLTX_TRY(flt_att_take(desc, "filter_q", 1 + p->grid.l, dim, &p->filter[0]));
    FLTX_TRY(flt_att_take(desc, "filter_k", 1 + p->grid.l, dim, &p->filter[1]));
    p->taps = 1;
    for (size_t a = 0; a < p->grid.l; a++) {
        const size_t given = dim[1 + a].size == FLTX_ATT_FREE ? 0 : (size_t)dim[1 + a].size;
        FLTX_TRY(flt_att_size(desc, "width", given, &p->grid.width[a]));
        if (!flt_mul_ok(p->taps, p->grid.width[a], &p->taps))
            return flt_fail(FLTE_RANGE, desc->mechanism, "filters of so many taps do not fit in the address space");
    }
    p->last = p->grid.width[p->grid.l - 1];
    return FLTE_OK;
}

static flt_err read_noise(const flt_attention_desc *desc, field *p) {
    flt_att_dim dim[2 + AXES] = {{"R", (ptrdiff_t)p->R}, {"d", (ptrdiff_t)p->d}};
    size_t shape[2 + AXES] = {p->R, p->d};
    for (size_t a = 0; a < p->grid.l; a++) {
        dim[2 + a] = (flt_att_dim){"at least n + 4 width", FLTX_ATT_FREE};
        shape[2 + a] = p->grid.n[a] + 4 * p->grid.width[a];
    }
    FLTX_TRY(flt_att_take(desc, "noise", 2 + p->grid.l, dim, &p->noise));
    if (p->noise.data == NULL) return flt_att_draw_normal(desc, "noise", 2 + p->grid.l, shape, &p->noise);
    for (size_t a = 0; a < p->grid.l; a++) {
        if (p->noise.dim[2 + a] < shape[2 + a])
            return flt_fail(FLTE_SHAPE, desc->mechanism,
                            "argument 'noise' is %zu long on axis %zu; at least n + 4 width = %zu is wanted", p->noise.dim[2 + a],
                            a + 1, shape[2 + a]);
    }
    return FLTE_OK;
}

static flt_err read_arrays(const flt_attention_desc *desc, const flt_att_positions *pos, field *p) {
    FLTX_TRY(flt_att_grid_axes(desc, pos, &p->grid));
    FLTX_TRY(flt_att_spe_width(desc, "noise", 2 + p->grid.l, &p->R));
    FLTX_TRY(read_filters(desc, p));
    FLTX_TRY(flt_att_grid_guess(desc, &p->grid));
    FLTX_TRY(draw_filters(desc, p));
    FLTX_TRY(read_noise(desc, p));
    FLTX_TRY(flt_att_grid_place(desc, pos, &p->grid));
    return flt_gemm_check(desc->mechanism, SPAN + p->last, p->R, SPAN);
}

static flt_err read(const flt_attention_desc *desc, void *self, size_t *R) {
    field *p = self;
    flt_att_positions pos = {0};
    p->grid.N = desc->N, p->d = desc->d, p->H = desc->H, p->BH = desc->B * desc->H;
    p->threads = desc->threads;
    flt_err err = flt_att_positions_read(desc, &pos);
    if (err == FLTE_OK) err = read_arrays(desc, &pos, p);
    flt_att_drop(&pos.array);
    if (err != FLTE_OK) return err;
    *R = p->R;
    const size_t heads = p->noise.heads == 0 ? 1 : p->noise.heads;
    FLTX_TRY(flt_alloc(heads * p->d, p->R * sizeof *p->noises * p->grid.cells, &p->noises));
    for (int side = 0; side < 2 && desc->backward; side++)
        FLTX_TRY(flt_alloc(p->BH * p->d, p->taps * sizeof(double), &p->dfilter[side]));
    return flt_alloc((size_t)p->threads, sizeof *p->rooms, &p->rooms);
}

// Where cell `at` of the noise in use stands in the array, which is longer: behind the first `width` of every axis.
static size_t stored_at(const field *p, size_t at) {
    size_t step = 1, stored = 0;
    for (size_t a = p->grid.l; a-- > 0; at /= p->grid.length[a]) {
        stored += (at % p->grid.length[a] + p->grid.width[a]) * step;
        step *= p->noise.dim[2 + a];
    }
    return stored;
}

static void load(void *self) {
    field *p = self;
    const size_t R = p->R, d = p->d, heads = p->noise.heads == 0 ? 1 : p->noise.heads,
                 each = flt_att_cells(p->grid.l, p->noise.dim + 2);
    for (size_t h = 0; h < heads; h++)
        for (size_t c = 0; c < d; c++)
            for (size_t t = 0; t < p->grid.cells; t++) {
                flt_real *to = p->noises + ((h * d + c) * p->grid.cells + t) * R;
                const double *from = flt_att_head(&p->noise, h) + c * each + stored_at(p, t);
                for (size_t r = 0; r < R; r++) to[r] = (flt_real)from[r * d * each];
            }
}

static void bind(void *self, flt_ws *ws) {
    field *p = self;
    for (int t = 0; t < p->threads; t++) p->rooms[t].band = flt_ws_take(ws, SPAN * (SPAN + p->last - 1), sizeof(flt_real));
}

static void drop(void *self) {
    field *p = self;
    flt_free(p->rooms);
    flt_free(p->dfilter[1]);
    flt_free(p->dfilter[0]);
    flt_free(p->noises);
    flt_free(p->grid.cell);
    flt_att_drop(&p->noise);
    flt_att_drop(&p->filter[1]);
    flt_att_drop(&p->filter[0]);
}

static void arrays(void *self, flt_att_arrays *to) {
    field *p = self;
    flt_att_arrays_add(to, &p->filter[0]);
    flt_att_arrays_add(to, &p->filter[1]);
    flt_att_arrays_add(to, &p->noise);
}

static const char *const names[] = {"filter_q", "filter_k", "noise", FLTX_ATT_SPE_ARGS, NULL};
static const char *const trained[] = {"filter_q", "filter_k", NULL};
static const flt_att_code code = {.size = sizeof(field),
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

const flt_attention_kind flt_attention_kind_spe_conv = {
    .kind =
        {
            .name = "spe_conv",
            .summary =
                "stochastic positional encoding by filtered noise, then FAVOR+; arguments filter_q, filter_k [d, width], "
                "noise [R, d, N + 4 width], share [d], eps [d, R], omega [m, R]; on a grid: filters [d, w1, w2], noise [R, d, n1 "
                "+ 4 w1, n2 + 4 w2] (3 axes alike), pos [N, l] or grid=n1xn2",
            .formula =
                "qhat_ir = sum_d q_id sum_t filter_q[d, t] noise[r, d, width + p_i + t] / (d R)^1/4, A_ij ~ exp(qhat_i.khat_j / "
                "sqrt R)",
            .cost = "time O(N R (d taps + m) + N m dv), memory O(N d R + m dv)",
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
