// SPDX-License-Identifier: MIT
// Attention with a factor a lag: a head, and the plan; see lagged.h.
#include "lagged_band.h"
#include "lagged_fft.h"

#include "flt/plant.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { TILE = FLTX_LAGGED_TILE, SAMPLE = 512, PASSES = 4 }; // tokens and passes of a measurement

// Sums and outputs, not yet divided.
static void run_plain(const flt_att_lagged *a, flt_att_lagged_slot *w, size_t head, const flt_real *v, flt_real *out) {
    if (a->levels > 0) {
        flt_att_lagged_fft(a, w, head, v, out);
        return;
    }
    for (size_t i = 0; i < a->N; i += TILE) {
        const size_t n = flt_smaller(TILE, a->N - i);
        flt_att_lagged_direct(a, w, head, i, n, flt_att_keys(a, 0, i + n - 1), v, out);
    }
}

void flt_att_lagged_run(const flt_att_lagged *a, size_t thread, size_t head, const flt_real *v, flt_real *out) {
    flt_att_lagged_slot *w = &a->slots[thread];
    const bool band = a->reach<a->N, transforms = a->levels> 0 && !band;
    flt_att_lagged_prepare(a, w);
    flt_att_lagged_clear(a, w, 0, a->N, out);
    (band ? flt_att_lagged_band : run_plain)(a, w, head, v, out);
    for (size_t i = 0; i < a->N; i++) {
        w->flagged += !transforms && !(w->sum[i] > 0 && w->sum[i] < (flt_real)INFINITY); // with transforms: counted there
        w->sum[i] = 1 / w->sum[i];
    }
    a->tiles->scale_rows(a->N, a->dv, out, w->sum);
}

void flt_att_lagged_norms(const flt_att_lagged *a, size_t thread, size_t head, bool band) {
    flt_att_lagged_slot *w = &a->slots[thread];
    flt_att_lagged_prepare(a, w);
    flt_att_lagged_clear(a, w, 0, a->N, NULL);
    (band ? flt_att_lagged_band : run_plain)(a, w, head, NULL, NULL);
    flt_vlog(a->N, w->sum, w->sum);
    for (size_t i = 0; i < a->N; i++) w->top[i] += w->sum[i];
}

// ---- which way

// Nanoseconds of a tile's work for each pair of tokens, and of the convolutions of one transform's size. A backward pass
// takes 2.1 to 2.6 times that either way.
static double pair_time(const flt_att_lagged *a) {
    return a->pace[0] * (0.4 + 0.027 * (double)a->m + 0.022 * (double)a->dv);
}

static double transform_time(const flt_att_lagged *a, size_t size) {
    const size_t width = a->convolver->width, columns = (a->dv + width - 1) / width * width + 1;
    const double each = 0.1 * (1 + (double)size / 65536) * (double)columns;
    return a->pace[1] * each * (double)a->m * (double)size * log2((double)size);
}

static double direct_time(const flt_att_lagged *a, double rows) {
    return pair_time(a) * rows * rows;
}

static double band_time(const flt_att_lagged *a) {
    const double width = (double)(a->causal ? 1 : 2) * ((double)a->reach + TILE);
    return (double)a->N * (pair_time(a) * fmin(width, (double)a->N) + 0.1 * (double)a->m * (double)(a->dv + 8));
}

// What a head takes by tiles alone, and by transforms and tiles where there are transforms.
static double tiles_time(const flt_att_lagged *a) {
    return direct_time(a, (double)a->N) * (a->causal ? 0.5 : 1);
}

// Causal: triangles of `block` tokens on the diagonal by tiles, and below it squares of as many, of twice as many and so on, each
// by transforms of twice its size however few of its rows there are.
static double split_time(const flt_att_lagged *a, size_t block) {
    double time = 0.5 * direct_time(a, (double)block) * (double)a->N / (double)block;
    for (size_t span = block; span < a->N; span *= 2)
        time += transform_time(a, 2 * span) * (double)((a->N - span - 1) / (2 * span) + 1);
    return time;
}

static double plain_time(const flt_att_lagged *a) {
    if (a->levels == 0) return tiles_time(a);
    return a->causal ? split_time(a, a->block) : transform_time(a, a->level[0].size);
}

bool flt_att_lagged_lags_by_tiles(const flt_att_lagged *a) {
    return a->levels == 0 || (a->widest == a->N && 2.6 * tiles_time(a) < 6.4 * plain_time(a));
}

// Rows up to which pieces are direct, and whether there are larger ones.
static bool choose_block(flt_att_lagged *a, size_t crossover) {
    a->widest = crossover == FLTX_LAGGED_AUTO ? a->N : crossover;
    if (crossover != FLTX_LAGGED_AUTO) {
        a->block = flt_smaller(FLTX_LAGGED_BLOCK, crossover);
        a->block = a->block < TILE ? TILE : a->block - a->block % TILE;
        return a->N > crossover && a->N > TILE;
    }
    if (!a->causal) return transform_time(a, 2 * a->N) < direct_time(a, (double)a->N);
    double least = tiles_time(a);
    a->block = a->N;
    for (size_t block = TILE; block < a->N; block *= 2) {
        const double time = split_time(a, block);
        if (time < least) a->block = block, least = time;
    }
    return a->block < a->N;
}

// ---- plan

static void bind_fft(flt_att_lagged *a, flt_ws *ws, flt_att_lagged_slot *w) {
    const size_t N = a->N, real = sizeof(flt_real), size = a->level[a->levels - 1].size;
    w->psi = flt_ws_take(ws, N * a->convolver->width, real);
    w->theta = flt_ws_take(ws, N * a->convolver->width, real);
    w->acc = flt_ws_take(ws, a->dv * N, real);
    w->colk = flt_ws_take(ws, N, real);
    w->colq = flt_ws_take(ws, N, real);
    w->high = flt_ws_take(ws, N, real);
    w->den = flt_ws_take(ws, N, real);
    w->est = flt_ws_take(ws, N, real);
    w->err = flt_ws_take(ws, N, real);
    w->row = flt_ws_take(ws, size, real);
    w->wave = flt_ws_take(ws, size * a->convolver->width, real);
    if (!a->backward) return;
    w->vt = flt_ws_take(ws, a->dv * N, real);
    w->spare = flt_ws_take(ws, size + 2, real);
}

static void bind(void *self, flt_ws *ws) {
    flt_att_lagged *a = self;
    const size_t N = a->N, m = a->m, tiles = (N + TILE - 1) / TILE, real = sizeof(flt_real);
    for (int t = 0; t < a->threads; t++) {
        flt_att_lagged_slot *w = &a->slots[t];
        w->lq = flt_ws_take(ws, N * m, real);
        w->lk = flt_ws_take(ws, N * m, real);
        w->pk = flt_ws_take(ws, tiles * TILE * m, real);
        w->anchor = flt_ws_take(ws, tiles, sizeof *w->anchor);
        w->phi = flt_ws_take(ws, TILE * m, real);
        w->s = flt_ws_take(ws, TILE * TILE, real);
        w->room = flt_ws_take(ws, TILE * m, real);
        w->keys = flt_ws_take(ws, TILE * m, real);
        w->logits = flt_ws_take(ws, TILE * TILE, real);
        w->top = flt_ws_take(ws, N, real);
        w->sum = flt_ws_take(ws, N, real);
        w->keep = flt_ws_take(ws, TILE, real);
        w->level = flt_ws_take(ws, m, real);
        w->scale = flt_ws_take(ws, m, real);
        w->z = flt_ws_take(ws, m, real);
        w->state = flt_ws_take(ws, m * a->dv, real);
        w->far = flt_ws_take(ws, TILE * a->dv, real);
        if (a->levels > 0) bind_fft(a, ws, w);
    }
}

flt_err flt_att_lagged_create(const flt_attention_desc *desc, size_t m, size_t heads, size_t crossover, const double pace[2],
                              flt_att_lagged **out) {
    flt_att_lagged *a = NULL;
    flt_err err = flt_gemm_check(desc->mechanism, m, desc->dv, TILE);
    *out = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->N = desc->N, a->m = m, a->dv = desc->dv, a->heads = heads, a->causal = desc->causal;
    a->threads = (size_t)desc->threads < desc->B * desc->H ? desc->threads : (int)(desc->B * desc->H);
    a->backward = desc->backward;
    for (int way = 0; way < 2; way++) a->pace[way] = pace != NULL ? pace[way] : 1;
    a->tiles = FLTX_ISA_PICK(flt_att_tiles);
    a->convolver = FLTX_ISA_PICK(flt_att_convolver);
    FLTX_GO(err, failed, flt_alloc(heads * (2 * a->N - 1), sizeof *a->lags, &a->lags));
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->slots, &a->slots));
    if (choose_block(a, crossover)) FLTX_GO(err, failed, flt_att_lagged_fft_plan(a));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    *out = a;
    return FLTE_OK;
failed:
    flt_att_lagged_destroy(a);
    return err;
}

// The least time of a pass, in nanoseconds, over log features and values of nothing; lags that have no band.
static double time_passes(flt_att_lagged *a, double *lags, const flt_real *v, flt_real *out) {
    double least = INFINITY;
    for (size_t i = 0; i < 2 * a->N - 1; i++) lags[i] = (double)(i % 2);
    flt_att_lagged_load(a, lags);
    for (int pass = 0; pass < PASSES; pass++) {
        const double start = omp_get_wtime();
        flt_att_lagged_run(a, 0, 0, v, out);
        least = fmin(least, 1e9 * (omp_get_wtime() - start));
    }
    return least;
}

flt_err flt_att_lagged_measure(const flt_attention_desc *desc, size_t m, double pace[2]) {
    const flt_attention_desc small = {
        .mechanism = desc->mechanism, .B = 1, .H = 1, .N = SAMPLE, .d = desc->d, .dv = desc->dv, .threads = 1};
    flt_real *values = NULL; // v, then out
    double *lags = NULL;
    flt_err err = flt_alloc(2 * SAMPLE, desc->dv * sizeof *values, &values);
    if (err == FLTE_OK) err = flt_alloc(2 * SAMPLE, sizeof *lags, &lags);
    for (int way = 0; way < 2 && err == FLTE_OK; way++) {
        flt_att_lagged *a = NULL;
        err = flt_att_lagged_create(&small, m, 1, way == 0 ? SAMPLE : 1, NULL, &a);
        if (err != FLTE_OK) break;
        const double count = way == 0 ? direct_time(a, SAMPLE) : transform_time(a, a->level[0].size);
        pace[way] = time_passes(a, lags, values, values + SAMPLE * desc->dv) / count;
        flt_att_lagged_destroy(a);
    }
    flt_free(lags);
    flt_free(values);
    return err;
}

void flt_att_lagged_load(flt_att_lagged *a, const double *lags) {
    const size_t n_lags = 2 * a->N - 1;
    for (size_t h = 0; h < a->heads; h++) {
        for (size_t i = 0; i < n_lags; i++)
            a->lags[h * n_lags + i] = (flt_real)lags[h * n_lags + (i + FLTX_BUG(LAG_OFF_BY_ONE)) % n_lags];
    }
    a->reach = flt_att_lagged_reach(a);
    if (a->reach > a->widest || band_time(a) >= plain_time(a)) a->reach = a->N;
    if (a->levels > 0 && (a->reach == a->N || a->backward)) flt_att_lagged_fft_load(a, lags);
}

void flt_att_lagged_destroy(flt_att_lagged *a) {
    if (a == NULL) return;
    flt_ws_destroy(&a->ws);
    for (int t = 0; a->slots != NULL && t < a->threads; t++)
        for (size_t k = 0; k < a->levels; k++) flt_fft_destroy(a->slots[t].fft[k]);
    for (size_t k = 0; k < a->levels; k++) {
        flt_free(a->level[k].norm);
        flt_free(a->level[k].top);
        flt_free(a->level[k].spectrum);
        flt_free(a->level[k].ordered);
        flt_free(a->level[k].twiddles);
    }
    flt_free(a->slots);
    flt_free(a->lags);
    flt_free(a);
}
