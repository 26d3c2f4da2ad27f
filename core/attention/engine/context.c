// SPDX-License-Identifier: MIT
// The network around FFTNet's filter; see context.h.
#include "context.h"

#include <math.h>
#include <string.h>

enum { W0, B0, W2, B2, GAIN, OFFSET };
static const char *const names[FLTX_CONTEXT_ARRAYS] = {FLTX_ATT_CONTEXT_ARGS};

static const double spread = 1e-5; // of the norm

// ---- plan

static flt_err draw(const flt_attention_desc *desc, size_t which, size_t rank, const size_t *dim, flt_att_array *a) {
    const flt_attention_desc shared = {.H = 1};
    const flt_rng rng = flt_rng_make(desc->seed, names[which], 0);
    FLTX_TRY(flt_att_make(&shared, names[which], rank, dim, a));
    a->heads = 0; // shared
    if (which == W0 || which == W2) flt_rng_normal_double(rng, 0, a->count, a->data);
    for (size_t i = 0; i < a->count; i++) a->data[i] = which == GAIN ? 1.0 : a->data[i] / sqrt((double)dim[rank - 1]);
    return FLTE_OK;
}

static flt_err read_one(const flt_attention_desc *desc, size_t which, const flt_att_context *c, flt_att_array *a) {
    const ptrdiff_t D = (ptrdiff_t)c->D, rows = (ptrdiff_t)c->rows;
    flt_att_dim dim[2] = {{which == W2 || which == B2 ? "H (N/2 + 1)" : "H d", which == W2 || which == B2 ? rows : D},
                          {"H d", D}};
    const size_t rank = which == W0 || which == W2 ? 2 : 1;
    FLTX_TRY(flt_att_take(desc, names[which], rank, dim, a));
    if (a->heads != 0)
        return flt_fail(FLTE_SHAPE, desc->mechanism, "argument '%s' leads with H, but the context network spans all heads",
                        names[which]);
    if (a->data != NULL) return FLTE_OK;
    return draw(desc, which, rank, (size_t[]){(size_t)dim[0].size, c->D}, a);
}

flt_err flt_att_context_read(const flt_attention_desc *desc, bool norm, flt_att_context *out) {
    *out = (flt_att_context){.norm = norm, .B = desc->B, .H = desc->H, .N = desc->N, .d = desc->d, .D = desc->H * desc->d};
    out->rows = desc->H * (desc->N / 2 + 1);
    for (size_t i = 0; i < (norm ? FLTX_CONTEXT_ARRAYS : GAIN); i++) FLTX_TRY(read_one(desc, i, out, &out->weight[i]));
    return FLTE_OK;
}

void flt_att_context_drop(flt_att_context *c) {
    for (size_t i = 0; i < FLTX_CONTEXT_ARRAYS; i++) flt_att_drop(&c->weight[i]);
}

void flt_att_context_bind(flt_att_context *c, bool backward, flt_ws *ws) {
    double **const vectors[] = {&c->mean, &c->before, &c->hidden, &c->dmean, &c->dhidden};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) *vectors[i] = flt_ws_take(ws, c->D, sizeof(double));
    c->modulation = flt_ws_take(ws, c->rows, sizeof(double));
    for (size_t i = 0; backward && i < FLTX_CONTEXT_ARRAYS; i++)
        c->sum[i] = c->weight[i].data != NULL ? flt_ws_take(ws, c->weight[i].count, sizeof(double)) : NULL;
}

void flt_att_context_arrays(flt_att_context *c, flt_att_arrays *to) {
    for (size_t i = 0; i < FLTX_CONTEXT_ARRAYS; i++) flt_att_arrays_add(to, &c->weight[i]);
}

void flt_att_context_list(const flt_att_context *c, size_t max, flt_attention_arg *out, size_t *n) {
    for (size_t i = 0; i < FLTX_CONTEXT_ARRAYS; i++) flt_att_list(&c->weight[i], max, out, n);
}

// ---- modulation

// y [n] = w [n, D] x + b
static void affine(const flt_att_array *w, const flt_att_array *b, const double *x, double *y) {
    const size_t n = w->dim[0], D = w->dim[1];
    for (size_t i = 0; i < n; i++) {
        double sum = b->data[i];
        for (size_t c = 0; c < D; c++) sum += w->data[i * D + c] * x[c];
        y[i] = sum;
    }
}

// dw += dy x^T, db += dy, dx = w^T dy
static void affine_back(const flt_att_array *w, const double *x, const double *dy, double *dw, double *db, double *dx) {
    const size_t n = w->dim[0], D = w->dim[1];
    memset(dx, 0, D * sizeof *dx);
    for (size_t i = 0; i < n; i++) {
        db[i] += dy[i];
        for (size_t c = 0; c < D; c++) {
            dw[i * D + c] += dy[i] * x[c];
            dx[c] += w->data[i * D + c] * dy[i];
        }
    }
}

static double gelu(double x) {
    return 0.5 * x * erfc(-x / sqrt(2.0));
}

static double gelu_slope(double x) {
    return 0.5 * erfc(-x / sqrt(2.0)) + x * exp(-0.5 * x * x) / sqrt(FLTX_TWO_PI);
}

void flt_att_context_modulate(flt_att_context *c, size_t b, const flt_real *x) {
    memset(c->mean, 0, c->D * sizeof *c->mean);
    for (size_t h = 0; h < c->H; h++) {
        const flt_real *rows = x + (b * c->H + h) * c->N * c->d;
        for (size_t n = 0; n < c->N; n++) {
            for (size_t i = 0; i < c->d; i++) c->mean[h * c->d + i] += (double)rows[n * c->d + i];
        }
    }
    for (size_t i = 0; i < c->D; i++) c->mean[i] /= (double)c->N;
    affine(&c->weight[W0], &c->weight[B0], c->mean, c->before);
    for (size_t i = 0; i < c->D; i++) c->hidden[i] = gelu(c->before[i]);
    affine(&c->weight[W2], &c->weight[B2], c->hidden, c->modulation);
    for (size_t i = 0; i < c->rows; i++) c->modulation[i] = tanh(c->modulation[i]);
}

void flt_att_context_modulate_back(flt_att_context *c, size_t b, const double *dmod, flt_real *dx) {
    for (size_t i = 0; i < c->rows; i++) c->modulation[i] = dmod[i] * (1.0 - c->modulation[i] * c->modulation[i]);
    affine_back(&c->weight[W2], c->hidden, c->modulation, c->sum[W2], c->sum[B2], c->dhidden);
    for (size_t i = 0; i < c->D; i++) c->dhidden[i] *= gelu_slope(c->before[i]);
    affine_back(&c->weight[W0], c->mean, c->dhidden, c->sum[W0], c->sum[B0], c->dmean);
    for (size_t h = 0; h < c->H; h++) {
        flt_real *rows = dx + (b * c->H + h) * c->N * c->d;
        for (size_t n = 0; n < c->N; n++) {
            for (size_t i = 0; i < c->d; i++) rows[n * c->d + i] += (flt_real)(c->dmean[h * c->d + i] / (double)c->N);
        }
    }
}

// ---- norm

typedef struct token { // its D numbers, d at a time
    const flt_att_context *c;
    size_t b, n;
} token;

static size_t at(token t, size_t i) {
    const flt_att_context *c = t.c;
    return ((t.b * c->H + i / c->d) * c->N + t.n) * c->d + i % c->d;
}

// Mean of s = x + y and 1 / its standard deviation.
static void moments(token t, const flt_real *x, const flt_real *y, double *mean, double *inverse) {
    const size_t D = t.c->D;
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < D; i++) sum += (double)x[at(t, i)] + (double)y[at(t, i)];
    *mean = sum / (double)D;
    for (size_t i = 0; i < D; i++) squares += pow((double)x[at(t, i)] + (double)y[at(t, i)] - *mean, 2);
    *inverse = 1.0 / sqrt(squares / (double)D + spread);
}

void flt_att_context_norm(const flt_att_context *c, const flt_real *x, flt_real *y) {
    for (size_t t = 0; t < c->B * c->N; t++) {
        const token k = {c, t / c->N, t % c->N};
        double mean = 0.0, inverse = 0.0;
        moments(k, x, y, &mean, &inverse);
        for (size_t i = 0; i < c->D; i++) {
            const double s = ((double)x[at(k, i)] + (double)y[at(k, i)] - mean) * inverse;
            y[at(k, i)] = (flt_real)(c->weight[GAIN].data[i] * s + c->weight[OFFSET].data[i]);
        }
    }
}

// With u = (s - mean) inverse, du = gain dout: ds = inverse (du - mean(du) - u mean(du u))
static void norm_token_back(flt_att_context *c, token k, const flt_real *x, const flt_real *dout, flt_real *y) {
    const double *gain = c->weight[GAIN].data, D = (double)c->D;
    double mean = 0.0, inverse = 0.0, plain = 0.0, along = 0.0;
    moments(k, x, y, &mean, &inverse);
    for (size_t i = 0; i < c->D; i++) {
        const double u = ((double)x[at(k, i)] + (double)y[at(k, i)] - mean) * inverse, out = (double)dout[at(k, i)];
        c->sum[GAIN][i] += out * u;
        c->sum[OFFSET][i] += out;
        plain += gain[i] * out / D;
        along += gain[i] * out * u / D;
    }
    for (size_t i = 0; i < c->D; i++) {
        const double u = ((double)x[at(k, i)] + (double)y[at(k, i)] - mean) * inverse;
        y[at(k, i)] = (flt_real)(inverse * (gain[i] * (double)dout[at(k, i)] - plain - u * along));
    }
}

void flt_att_context_norm_back(flt_att_context *c, const flt_real *x, const flt_real *dout, flt_real *y) {
    for (size_t t = 0; t < c->B * c->N; t++) norm_token_back(c, (token){c, t / c->N, t % c->N}, x, dout, y);
}

// ---- gradients

void flt_att_context_back_begin(flt_att_context *c) {
    for (size_t i = 0; i < FLTX_CONTEXT_ARRAYS; i++) {
        if (c->sum[i] != NULL) memset(c->sum[i], 0, c->weight[i].count * sizeof *c->sum[i]);
    }
}

bool flt_att_context_gather(const flt_att_context *c, const flt_attention_gradient *to) {
    for (size_t i = 0; i < FLTX_CONTEXT_ARRAYS; i++) {
        if (c->sum[i] == NULL || strcmp(names[i], to->name) != 0) continue;
        memcpy(to->data, c->sum[i], c->weight[i].count * sizeof *to->data);
        return true;
    }
    return false;
}
