// SPDX-License-Identifier: MIT
// FFTNet: an adaptive filter over the frequencies of the tokens and a soft threshold on their magnitudes.
//
//     z = rfft(x) over tokens, orthonormal;   z *= base_filter + modulation;   z *= max(|z| + bias, 0) / max(|z|, eps);
//     out = irfft(z, N)            x, out [N, d]; base_filter, modulation, bias [N/2 + 1], shared or one per head
//
// Fein-Ashley et al., The FFT strikes again: an efficient alternative to self-attention, arXiv 2502.18394, in its first form
// (filter and modReLU; v1, v2). Time O(d N log N), memory O(N) a thread. Any N; odd ones have no Nyquist frequency.
// form=mixing is the above alone. form=context: the modulation comes from the mean of all tokens through a network of two layers;
// form=layer: a residual and layer norm besides (engine/context.h has both); the published layer without its dropout.
// Bidirectional: every frequency holds all tokens. It has no queries, keys or values: it takes x [.., N, d], dv = d. Defaults:
// base_filter 1, modulation 0, bias -0.1. Not linear in x, rows are no averages, and the order of tokens matters, so that the
// bits of those properties are clear. Gradients take the threshold's kinks, |z| = -bias and |z| = eps, as flat from the left.
#include "engine/bins.h"
#include "engine/context.h"
#include "engine/dct.h"

#include "flt/num.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static const flt_param_spec params[] = {
    {"eps", FLTX_REAL, "1e-3", 1e-30, 1e30, NULL, "magnitudes below this are not divided by"},
    {"form", FLTX_ENUM, "mixing", 0, 0, "mixing|context|layer",
     "mixing: modulation as given; context: from the mean of the tokens by w0 [H d, H d], b0, w2 [H (N/2 + 1), H d], b2; layer: "
     "with residual and layer norm gain, offset [H d] as well"},
    {.name = NULL},
};

enum { BLOCK = 16 }; // columns that are turned into rows together

typedef struct room { // one thread's
    flt_fft *fft;
    flt_real *rows, *grads; // [BLOCK, ld]
    flt_real *wave, *slope; // [N/2 + 1, 2]
} room;

typedef struct plan {
    size_t B, heads, H, N, d, pairs, ld; // heads: B H; ld: N rounded up, so that every row is aligned
    bool context;
    flt_att_array base, modulation, bias;
    flt_att_context net;
    flt_real *filter, *shift; // [B H, pairs]: base + modulation over sqrt N, bias
    double *dfilter, *dshift; // [B H, pairs]: sums of a pass
    flt_real *mixed;          // [B, H, N, d]: the mixing's output again, then its gradient (form=layer)
    double eps, back;
    const flt_att_bins_kernels *bins;
    int threads;
    bool backwards;
    room *rooms;
    flt_ws ws;
} plan;

// ---- one column

// Bins from .. from + n - 1 of one of B H.
static flt_att_bins bins_at(const plan *p, size_t head, size_t from, size_t n) {
    const size_t at = head * p->pairs + from;
    return (flt_att_bins){.n = n, .back = p->back, .eps = p->eps, .filter = p->filter + at, .shift = p->shift + at};
}

static void mix_row(const plan *p, const room *w, size_t head, flt_real *row) {
    const flt_att_bins all = bins_at(p, head, 0, p->pairs);
    flt_fft_forward(w->fft, row, w->wave);
    p->bins->mix(&all, w->wave);
    flt_fft_inverse(w->fft, w->wave, row);
}

static void mix_bins_back(const plan *p, const room *w, size_t head, size_t from, size_t to, double times) {
    const flt_att_bins some = bins_at(p, head, from, to - from);
    const size_t at = head * p->pairs + from;
    p->bins->mix_back(&some, times, w->wave + 2 * from, w->slope + 2 * from, p->dfilter + at, p->dshift + at);
}

// grad [N] = dy becomes dx. Frequencies that stand for themselves and their conjugates count twice in the sums; in dx the two
// cancel between the transforms.
static void mix_row_back(const plan *p, const room *w, size_t head, const flt_real *row, flt_real *grad) {
    const size_t alone = p->pairs > 1 && p->N % 2 == 0 ? p->pairs - 1 : p->pairs;
    flt_fft_forward(w->fft, row, w->wave);
    flt_fft_forward(w->fft, grad, w->slope);
    mix_bins_back(p, w, head, 0, 1, 1);
    mix_bins_back(p, w, head, 1, alone, 2);
    mix_bins_back(p, w, head, alone, p->pairs, 1);
    flt_fft_inverse(w->fft, w->slope, grad);
}

// ---- all of them

// The filters of every head; sequence b has its own where the context decides.
static void modulate(plan *p, size_t b) {
    for (size_t h = 0; h < p->H; h++) {
        const double *base = flt_att_head(&p->base, h);
        const double *by = p->context ? p->net.modulation + h * p->pairs : flt_att_head(&p->modulation, h);
        flt_real *filter = p->filter + (b * p->H + h) * p->pairs;
        for (size_t k = 0; k < p->pairs; k++) filter[k] = (flt_real)((base[k] + by[k]) / p->back);
    }
}

static void find_filters(plan *p, const flt_real *x) {
    for (size_t b = 0; p->context && b < p->B; b++) {
        flt_att_context_modulate(&p->net, b, x);
        modulate(p, b);
    }
}

static void mix(const plan *p, const flt_real *x, flt_real *out) {
#pragma omp parallel for num_threads(p->threads) schedule(dynamic)
    for (size_t i = 0; i < p->heads; i++) {
        const room *w = &p->rooms[omp_get_thread_num()];
        const size_t at = i * p->N * p->d;
        for (size_t c = 0; c < p->d; c += BLOCK) {
            const size_t count = p->d - c < BLOCK ? p->d - c : BLOCK;
            flt_att_columns_out(p->N, p->d, x + at, c, count, p->ld, w->rows);
            for (size_t b = 0; b < count; b++) mix_row(p, w, i, w->rows + b * p->ld);
            flt_att_columns_in(p->N, p->d, out + at, c, count, p->ld, w->rows);
        }
    }
}

static void forward(void *self, const flt_real *x, const flt_real *k, const flt_real *v, flt_real *out) {
    plan *p = self;
    (void)k, (void)v;
    find_filters(p, x);
    mix(p, x, out);
    if (p->net.norm) flt_att_context_norm(&p->net, x, out);
}

// dx from dy, the gradient of the mixing's output.
static void mix_back(const plan *p, const flt_real *x, const flt_real *dy, flt_real *dx) {
    memset(p->dfilter, 0, p->heads * p->pairs * sizeof *p->dfilter);
    memset(p->dshift, 0, p->heads * p->pairs * sizeof *p->dshift);
#pragma omp parallel for num_threads(p->threads) schedule(dynamic)
    for (size_t i = 0; i < p->heads; i++) {
        const room *w = &p->rooms[omp_get_thread_num()];
        const size_t at = i * p->N * p->d;
        for (size_t c = 0; c < p->d; c += BLOCK) {
            const size_t count = p->d - c < BLOCK ? p->d - c : BLOCK;
            flt_att_columns_out(p->N, p->d, x + at, c, count, p->ld, w->rows);
            flt_att_columns_out(p->N, p->d, dy + at, c, count, p->ld, w->grads);
            for (size_t b = 0; b < count; b++) mix_row_back(p, w, i, w->rows + b * p->ld, w->grads + b * p->ld);
            flt_att_columns_in(p->N, p->d, dx + at, c, count, p->ld, w->grads);
        }
    }
}

// Arguments, all of which have gradients.
static const char *const *argument_names(bool context, bool norm) {
    static const char *const mixing[] = {"base_filter", "modulation", "bias", NULL};
    static const char *const network[] = {"base_filter", "bias", "w0", "b0", "w2", "b2", NULL};
    static const char *const layer[] = {"base_filter", "bias", FLTX_ATT_CONTEXT_ARGS, NULL};
    return norm ? layer : context ? network : mixing;
}

static void gather(const plan *p, const flt_attention_gradient *to) {
    if (flt_att_context_gather(&p->net, to)) return;
    if (strcmp(to->name, "bias") == 0)
        flt_att_gather(&p->bias, p->heads, p->H, p->dshift, to->data);
    else
        flt_att_gather(strcmp(to->name, "base_filter") == 0 ? &p->base : &p->modulation, p->heads, p->H, p->dfilter, to->data);
}

static flt_err backward(void *self, const flt_attention_pass *pass) {
    plan *p = self;
    const flt_real *dy = pass->dout;
    const size_t count = p->heads * p->N * p->d;
    FLTX_TRY(flt_att_gradients_known("fftnet", pass, argument_names(p->context, p->net.norm)));
    find_filters(p, pass->q);
    flt_att_context_back_begin(&p->net);
    if (p->net.norm) {
        mix(p, pass->q, p->mixed);
        flt_att_context_norm_back(&p->net, pass->q, pass->dout, p->mixed);
        dy = p->mixed;
    }
    mix_back(p, pass->q, dy, pass->dq);
    for (size_t i = 0; p->net.norm && i < count; i++) pass->dq[i] += dy[i];
    for (size_t b = 0; p->context && b < p->B; b++) {
        flt_att_context_modulate(&p->net, b, pass->q);
        flt_att_context_modulate_back(&p->net, b, p->dfilter + b * p->H * p->pairs, pass->dq);
    }
    if (pass->dk != NULL) memset(pass->dk, 0, count * sizeof *pass->dk); // it reads x alone
    if (pass->dv != NULL) memset(pass->dv, 0, count * sizeof *pass->dv);
    for (size_t i = 0; i < pass->n_args; i++) gather(p, &pass->args[i]);
    return FLTE_OK;
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
    const char *form = flt_params_text(desc->params, "form");
    p->context = strcmp(form, "mixing") != 0;
    FLTX_TRY(read_array(desc, "base_filter", 1, &p->base));
    FLTX_TRY(read_array(desc, "bias", -0.1, &p->bias));
    if (p->context) return flt_att_context_read(desc, strcmp(form, "layer") == 0, &p->net);
    return read_array(desc, "modulation", 0, &p->modulation);
}

static void fill_tables(plan *p) {
    for (size_t i = 0; i < p->heads; i++) {
        for (size_t k = 0; k < p->pairs; k++) p->shift[i * p->pairs + k] = (flt_real)flt_att_head(&p->bias, i % p->H)[k];
    }
    for (size_t b = 0; !p->context && b < p->B; b++) modulate(p, b);
}

static flt_err update(void *self, size_t n_args, const flt_attention_arg *args) {
    plan *p = self;
    flt_att_arrays have = {.who = "fftnet"};
    flt_att_arrays_add(&have, &p->base);
    flt_att_arrays_add(&have, &p->modulation);
    flt_att_arrays_add(&have, &p->bias);
    flt_att_context_arrays(&p->net, &have);
    FLTX_TRY(flt_att_arrays_check(&have, n_args, args));
    flt_att_arrays_copy(&have, n_args, args);
    fill_tables(p);
    return FLTE_OK;
}

static void bind(void *self, flt_ws *ws) {
    plan *p = self;
    const size_t real = sizeof(flt_real), table = p->heads * p->pairs;
    for (int t = 0; t < p->threads; t++) {
        room *w = &p->rooms[t];
        w->rows = flt_ws_take(ws, BLOCK * p->ld, real);
        w->wave = flt_ws_take(ws, 2 * p->pairs, real);
        w->grads = p->backwards ? flt_ws_take(ws, BLOCK * p->ld, real) : NULL;
        w->slope = p->backwards ? flt_ws_take(ws, 2 * p->pairs, real) : NULL;
    }
    p->filter = flt_ws_take(ws, table, real);
    p->shift = flt_ws_take(ws, table, real);
    p->dfilter = p->backwards ? flt_ws_take(ws, table, sizeof(double)) : NULL;
    p->dshift = p->backwards ? flt_ws_take(ws, table, sizeof(double)) : NULL;
    p->mixed = p->backwards && p->net.norm ? flt_ws_take(ws, p->heads * p->N * p->d, real) : NULL;
    if (p->context) flt_att_context_bind(&p->net, p->backwards, ws);
}

static void destroy(void *self) {
    plan *p = self;
    if (p == NULL) return;
    flt_ws_destroy(&p->ws);
    for (int t = 0; p->rooms != NULL && t < p->threads; t++) flt_fft_destroy(p->rooms[t].fft);
    flt_free(p->rooms);
    flt_att_context_drop(&p->net);
    flt_att_drop(&p->bias);
    flt_att_drop(&p->modulation);
    flt_att_drop(&p->base);
    flt_free(p);
}

static flt_err check(const flt_attention_desc *desc) {
    const char *form = flt_params_text(desc->params, "form");
    FLTX_TRY(flt_att_args_known(desc, argument_names(strcmp(form, "mixing") != 0, strcmp(form, "layer") == 0)));
    if (desc->dv != desc->d)
        return flt_fail(FLTE_SHAPE, desc->mechanism, "dv is %zu and d is %zu; it mixes one input x, so that both are its width",
                        desc->dv, desc->d);
    return FLTE_OK;
}

static flt_err create(const flt_attention_desc *desc, void **self) {
    plan *p = NULL;
    flt_err err = check(desc);
    *self = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *p, &p));
    p->B = desc->B, p->H = desc->H, p->heads = desc->B * desc->H, p->N = desc->N, p->d = desc->d;
    p->pairs = p->N / 2 + 1, p->ld = (p->N + 15) / 16 * 16;
    p->eps = flt_params_real(desc->params, "eps");
    p->back = sqrt((double)p->N);
    p->bins = FLTX_ISA_PICK(flt_att_bins_kernels);
    p->backwards = desc->backward;
    p->threads = (size_t)desc->threads < p->heads ? desc->threads : (int)p->heads;
    FLTX_GO(err, failed, read_arrays(desc, p));
    FLTX_GO(err, failed, flt_alloc((size_t)p->threads, sizeof *p->rooms, &p->rooms));
    for (int t = 0; t < p->threads; t++) FLTX_GO(err, failed, flt_fft_create(p->N, 1, &p->rooms[t].fft));
    FLTX_GO(err, failed, flt_ws_create(bind, p, &p->ws));
    fill_tables(p);
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
    flt_att_context_list(&p->net, max, out, &n);
    return n;
}

const flt_attention_kind flt_attention_kind_fftnet = {
    .kind =
        {
            .name = "fftnet",
            .summary =
                "adaptive spectral filter over tokens with modReLU, of x alone; arguments base_filter, modulation, bias [N/2 "
                "+ 1], or the weights of its context network",
            .formula = "z = (base_filter + modulation) rfft(x), out = irfft(max(|z| + bias, 0) z / max(|z|, eps))",
            .cost = "time O(d N log N), memory O(N)",
            .citation = "Fein-Ashley et al., The FFT strikes again: an efficient alternative to self-attention, arXiv 2502.18394",
            .caps = FLTX_ATT_X | FLTX_ATT_MIXING | FLTX_ATT_BACKWARD,
            .params = params,
        },
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
    .update = update,
    .workspace = workspace,
    .draws = draws,
};
