// SPDX-License-Identifier: MIT
// FFTNet's mixing: an adaptive filter over the frequencies of the tokens and a soft threshold on their magnitudes.
//
//     z = rfft(x) over tokens, orthonormal;   z *= base_filter + modulation;   z *= max(|z| + bias, 0) / max(|z|, eps);
//     out = irfft(z, N)            x, out [N, d]; base_filter, modulation, bias [N/2 + 1], shared or one per head
//
// Fein-Ashley et al., The FFT strikes again: an efficient alternative to self-attention, arXiv 2502.18394, in its first form
// (filter and modReLU; v1, v2). Time O(d N log N), memory O(N) a thread. Any N; odd ones have no Nyquist frequency.
// This is the mixing alone: modulation = tanh(MLP(mean of x)), dropout, the residual and layer norm belong to the layer around
// it. Bidirectional: every frequency holds all tokens. It has no queries, keys or values: it takes x [.., N, d], dv = d.
// Defaults: base_filter 1, modulation 0, bias -0.1. Not linear in x, rows are no averages, and the order of tokens matters, so
// that the bits of those properties are clear.
#include "engine/args.h"
#include "engine/dct.h"

#include "flt/memory.h"
#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <omp.h>

static const flt_param_spec params[] = {{"eps", FLTX_REAL, "1e-3", 1e-30, 1e30, NULL, "magnitudes below this are not divided by"},
                                        {.name = NULL}};

enum { BLOCK = 16 }; // columns that are turned into rows together

typedef struct room { // one thread's
    flt_fft *fft;
    flt_real *rows; // [BLOCK, ld]
    flt_real *wave; // [N/2 + 1, 2]
} room;

typedef struct plan {
    size_t heads, H, N, d, pairs, ld; // ld: N rounded up, so that every row is aligned
    flt_att_array base, modulation, bias;
    flt_real *filter, *shift; // [H, pairs]: base + modulation over sqrt N, bias
    flt_real eps, back;
    int threads;
    room *rooms;
    flt_ws ws;
} plan;

static void mix_row(const plan *p, const room *w, const flt_real *filter, const flt_real *shift, flt_real *row) {
    flt_fft_forward(w->fft, row, w->wave);
    for (size_t k = 0; k < p->pairs; k++) {
        const flt_real re = w->wave[2 * k] * filter[k], im = FLTX_BUG(REAL_PART) ? 0 : w->wave[2 * k + 1] * filter[k];
        const flt_real size = (flt_real)sqrt((double)re * (double)re + (double)im * (double)im),
                       kept = FLTX_BUG(THRESHOLD_SIGN) ? size - shift[k] : size + shift[k];
        const flt_real factor = (FLTX_BUG(ENERGY_LOST) ? 1 : p->back) * (kept > 0 ? kept : 0) / (size > p->eps ? size : p->eps);
        w->wave[2 * k] = re * factor;
        w->wave[2 * k + 1] = im * factor;
    }
    flt_fft_inverse(w->fft, w->wave, row);
}

static void forward(void *self, const flt_real *x, const flt_real *k, const flt_real *v, flt_real *out) {
    const plan *p = self;
    (void)k, (void)v;
#pragma omp parallel for num_threads(p->threads) schedule(dynamic)
    for (size_t i = 0; i < p->heads; i++) {
        const room *w = &p->rooms[omp_get_thread_num()];
        const size_t at = i * p->N * p->d, of = i % p->H * p->pairs;
        for (size_t c = 0; c < p->d; c += BLOCK) {
            const size_t count = p->d - c < BLOCK ? p->d - c : BLOCK;
            flt_att_columns_out(p->N, p->d, x + at, c, count, p->ld, w->rows);
            for (size_t b = 0; b < count; b++) mix_row(p, w, p->filter + of, p->shift + of, w->rows + b * p->ld);
            flt_att_columns_in(p->N, p->d, out + at, c, count, p->ld, w->rows);
        }
    }
}

// ---- plan

static flt_err read_array(const flt_attention_desc *desc, const char *name, double otherwise, flt_att_array *out) {
    flt_att_dim dim[1] = {{"N/2 + 1", (ptrdiff_t)(desc->N / 2 + 1)}};
    FLTX_TRY(flt_att_take(desc, name, 1, dim, out));
    if (out->data != NULL) return FLTE_OK;
    FLTX_TRY(flt_att_make(desc, name, 1, (size_t[]){desc->N / 2 + 1}, out));
    for (size_t i = 0; i < desc->H * out->count; i++) out->data[i] = otherwise;
    return FLTE_OK;
}

static flt_err read_arrays(const flt_attention_desc *desc, plan *p) {
    const double root = sqrt((double)p->N);
    FLTX_TRY(read_array(desc, "base_filter", 1, &p->base));
    FLTX_TRY(read_array(desc, "modulation", 0, &p->modulation));
    FLTX_TRY(read_array(desc, "bias", -0.1, &p->bias));
    FLTX_TRY(flt_alloc(p->H * p->pairs, sizeof *p->filter, &p->filter));
    FLTX_TRY(flt_alloc(p->H * p->pairs, sizeof *p->shift, &p->shift));
    for (size_t i = 0; i < p->H * p->pairs; i++) {
        const size_t h = i / p->pairs, k = i % p->pairs;
        p->filter[i] = (flt_real)((flt_att_head(&p->base, h)[k] + flt_att_head(&p->modulation, h)[k]) / root);
        p->shift[i] = (flt_real)flt_att_head(&p->bias, h)[k];
    }
    p->back = (flt_real)root;
    return FLTE_OK;
}

static void bind(void *self, flt_ws *ws) {
    plan *p = self;
    for (int t = 0; t < p->threads; t++) {
        p->rooms[t].rows = flt_ws_take(ws, BLOCK * p->ld, sizeof(flt_real));
        p->rooms[t].wave = flt_ws_take(ws, 2 * p->pairs, sizeof(flt_real));
    }
}

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_ws_destroy(&p->ws);
    for (int t = 0; p->rooms != NULL && t < p->threads; t++) flt_fft_destroy(p->rooms[t].fft);
    flt_free(p->rooms);
    flt_free(p->shift);
    flt_free(p->filter);
    flt_att_drop(&p->bias);
    flt_att_drop(&p->modulation);
    flt_att_drop(&p->base);
    flt_free(p);
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    static const char *const names[] = {"base_filter", "modulation", "bias", NULL};
    plan *p = NULL;
    flt_err err = flt_att_args_known(desc, names);
    *self = NULL;
    if (err != FLTE_OK) return err;
    if (desc->dv != desc->d)
        return flt_fail(FLTE_SHAPE, desc->mechanism, "dv is %zu and d is %zu; it mixes one input x, so that both are its width",
                        desc->dv, desc->d);
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->heads = desc->B * desc->H, p->H = desc->H, p->N = desc->N, p->d = desc->d;
    p->pairs = p->N / 2 + 1, p->ld = (p->N + 15) / 16 * 16;
    p->eps = (flt_real)flt_params_real(desc->params, "eps");
    p->threads = (size_t)desc->threads < p->heads ? desc->threads : (int)p->heads;
    FLTX_GO(err, failed, read_arrays(desc, p));
    FLTX_GO(err, failed, flt_alloc((size_t)p->threads, sizeof *p->rooms, &p->rooms));
    for (int t = 0; t < p->threads; t++) FLTX_GO(err, failed, flt_fft_create(p->N, 1, &p->rooms[t].fft));
    FLTX_GO(err, failed, flt_ws_create(bind, p, &p->ws));
    *self = p;
    return FLTE_OK;
failed:
    destroy(p);
    return err;
}

static size_t workspace(const void *self) {
    return ((const plan *)self)->ws.size;
}

static size_t draws(const void *self, size_t max, flt_attention_arg *out) {
    const plan *p = self;
    size_t n = 0;
    flt_att_list(&p->base, max, out, &n);
    flt_att_list(&p->modulation, max, out, &n);
    flt_att_list(&p->bias, max, out, &n);
    return n;
}

const flt_attention_kind flt_attention_kind_fftnet = {
    .kind =
        {
            .name = "fftnet",
            .summary =
                "adaptive spectral filter over tokens with modReLU, of x alone; arguments base_filter, modulation, bias [N/2 "
                "+ 1]",
            .formula = "z = (base_filter + modulation) rfft(x), out = irfft(max(|z| + bias, 0) z / max(|z|, eps))",
            .cost = "time O(d N log N), memory O(N)",
            .citation = "Fein-Ashley et al., The FFT strikes again: an efficient alternative to self-attention, arXiv 2502.18394",
            .caps = FLTX_ATT_X | FLTX_ATT_MIXING,
            .params = params,
        },
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .workspace = workspace,
    .draws = draws,
};
