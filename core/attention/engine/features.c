// SPDX-License-Identifier: MIT
// Softmax features by random projection, with or without positional snippets; see features.h.
#include "features.h"
#include "snippets.h"
#include "tiles.h"
#include "token.h"

#include "flt/num.h"
#include "flt/plant.h"

#include <math.h>
#include <string.h>

typedef struct room {  // one thread's
    flt_real *half;    // [tile]: |k|^2 / (2 sqrt d)
    flt_real *snippet; // [2, 2r]: of one token
    flt_real *bias;    // [F]: added to the keys' log features
    double *middle;    // [2, d]: means of q and k, then their sum
    double a, gain;    // FAVOR++: A, B
    double spread;     // of which they are
} room;

struct flt_att_features {
    size_t d, N, features, r, heads; // heads: 1 when omega is shared
    flt_att_form form;
    bool centred;
    double spread;                // FAVOR++; 0: measured
    double *norm2;                // [heads, F]: |omega_f|^2, FAVOR++
    flt_real *w;                  // [heads, d, F]: omega^T / d^(1/4)
    flt_real *panels;             // [heads, flt_panels_size(d, F)]: w for products
    flt_att_projected *projected; // NULL: no snippets
    size_t snippet_heads;
    double *snippets; // [snippet_heads, 2, 2r]: means of a and b together, of b; what follows is NULL where nothing is measured
    double *apart;    // [snippet_heads, 2]: their part of the spread, plain and centred
    double *shift;    // [snippet_heads, F]: omega times the means
    double *along;    // [snippet_heads, N]: the means times b
    int threads;
    const flt_att_tiles *tiles;
    const flt_att_token *one;
    room *rooms; // [threads]
    flt_ws ws;
};

// ---- drawing

static bool declares(const flt_attention_desc *desc, const char *name) {
    for (const flt_param_spec *s = flt_params_specs(desc->params); s != NULL && s->name != NULL; s++) {
        if (strcmp(s->name, name) == 0) return true;
    }
    return false;
}

flt_err flt_att_omega(const flt_attention_desc *desc, size_t width, flt_att_array *out) {
    flt_att_dim dim[2] = {{"m", FLTX_ATT_FREE}, {"width", (ptrdiff_t)width}};
    const flt_rng root = flt_rng_make(desc->seed, "omega", 0);
    const bool iid = declares(desc, "draw") && strcmp(flt_params_text(desc->params, "draw"), "iid") == 0;
    flt_real *rows = NULL;
    size_t m = 0;
    FLTX_TRY(flt_att_take(desc, "omega", 2, dim, out));
    FLTX_TRY(flt_att_size(desc, "m", out->dim[0], &m));
    if (out->data != NULL) return FLTE_OK;
    FLTX_TRY(flt_att_make(desc, "omega", 2, (size_t[]){m, width}, out));
    FLTX_TRY(flt_alloc(m, width * sizeof *rows, &rows));
    flt_err err = FLTE_OK;
    for (size_t h = 0; h < desc->H && err == FLTE_OK; h++) {
        const flt_rng rng = flt_rng_child(root, "head", FLTX_BUG(SHARED_SEED) ? 0 : h);
        if (iid)
            flt_gaussian(rng, m, width, rows);
        else
            err = flt_orthogonal_gaussian(rng, m, width, rows);
        for (size_t i = 0; i < m * width; i++) flt_att_head(out, h)[i] = (double)rows[i];
    }
    flt_free(rows);
    return err;
}

// ---- the map

static const flt_real *of_head(const flt_real *x, size_t heads, size_t head, size_t size) {
    return x + (heads == 1 || FLTX_BUG(SHARED_OMEGA) ? 0 : head * size);
}

// FAVOR++: B multiplies the snippets as well, hence comes last.
static bool gain_last(const flt_att_features *a) {
    return a->projected != NULL && a->form == FLTX_ATT_FAVORPP;
}

static void finish(const flt_att_features *a, flt_att_rows rows, const flt_real *shift, flt_real *u) {
    const size_t F = a->features;
    const flt_real gain = (flt_real)a->rooms[rows.thread].gain;
    for (size_t i = 0; gain_last(a) && i < rows.count; i++) {
        for (size_t f = 0; f < F; f++) u[i * F + f] = gain * u[i * F + f] - (shift != NULL ? shift[i] : 0);
    }
}

// u [count, F] = (projected snippets) - shift [count] + omega x
static void project(const flt_att_features *a, flt_att_rows rows, bool query, const flt_real *x, const flt_real *shift,
                    flt_real *u) {
    const size_t F = a->features;
    const flt_real gain = gain_last(a) ? 1 : (flt_real)a->rooms[rows.thread].gain;
    flt_panels_product p = {.m = rows.count, .n = F, .k = a->d, .alpha = gain, .a = x, .lda = a->d};
    p.panels = of_head(a->panels, a->heads, rows.head, flt_panels_size(a->d, F));
    p.d = a->projected != NULL ? flt_att_projected_rows(a->projected, rows, query, u) : NULL;
    p.ldd = F, p.s = gain_last(a) ? NULL : shift, p.c = u, p.ldc = F;
    flt_panels_multiply(&p);
    finish(a, rows, shift, u);
}

static void log_relu(size_t n, flt_real *u) {
    for (size_t i = 0; i < n; i++) u[i] = (flt_real)1e-3 + (u[i] < 0 ? 0 : u[i]); // NaN stays
    flt_vlog(n, u, u);
}

static void queries(const void *self, flt_att_rows rows, const flt_real *q, flt_real *u) {
    const flt_att_features *a = self;
    project(a, rows, true, q, NULL, u);
    if (a->form == FLTX_ATT_RELU) log_relu(rows.count * a->features, u);
}

// Which of the heads' snippets.
static size_t at_head(const flt_att_features *a, size_t head) {
    return a->snippet_heads == 1 ? 0 : head;
}

// |k|^2 / (2 sqrt d), less (mean q + mean k).k / sqrt d when centred.
static void key_halves(const flt_att_features *a, flt_att_rows rows, const flt_real *k, flt_real *half) {
    const room *w = &a->rooms[rows.thread];
    const double scale = FLTX_BUG(DROPPED_KEY_NORM) ? 0.0 : 0.5 / sqrt((double)a->d);
    for (size_t i = 0; i < rows.count; i++) {
        const flt_real *row = k + i * a->d;
        double along = 0.0;
        for (size_t c = 0; a->centred && c < a->d; c++) along += w->middle[c] * (double)row[c];
        const double snippet = a->centred && a->along != NULL ? a->along[at_head(a, rows.head) * a->N + rows.first + i] : 0.0;
        // the bound keeps a key finite whose square overflows
        half[i] = (flt_real)fmin(scale * (flt_sum_squares(a->d, row) - 2.0 * along) - snippet, 1e30);
    }
}

// What the keys' features share: A |omega|^2 of both sides (FAVOR++), less omega (mean q + mean k) when centred.
static void fill_bias(const flt_att_features *a, size_t head, const room *w) {
    const size_t F = a->features, at = a->heads == 1 ? 0 : head;
    const flt_real *omega = of_head(a->w, a->heads, head, a->d * F);
    for (size_t f = 0; f < F; f++) {
        double sum = a->form == FLTX_ATT_FAVORPP ? 2.0 * w->a * a->norm2[at * F + f] : 0.0;
        for (size_t c = 0; a->centred && c < a->d; c++) sum -= w->gain * w->middle[c] * (double)omega[c * F + f];
        if (a->centred && a->shift != NULL) sum -= w->gain * a->shift[at_head(a, head) * F + f];
        w->bias[f] = (flt_real)sum;
    }
}

static void add_bias(const flt_att_features *a, flt_att_rows rows, flt_real *u) {
    const room *w = &a->rooms[rows.thread];
    if (w->bias == NULL) return;
    fill_bias(a, rows.head, w);
    for (size_t i = 0; i < rows.count; i++) flt_axpy(a->features, 1, w->bias, u + i * a->features);
}

static void keys(const void *self, flt_att_rows rows, const flt_real *k, flt_real *u) {
    const flt_att_features *a = self;
    const room *w = &a->rooms[rows.thread];
    const bool relu = a->form == FLTX_ATT_RELU;
    if (!relu) key_halves(a, rows, k, w->half);
    project(a, rows, false, k, relu ? NULL : w->half, u);
    if (relu)
        log_relu(rows.count * a->features, u);
    else
        add_bias(a, rows, u);
}

// uq, uk [F] = (projected snippets) - half of the key
static void start_token(const flt_att_features *a, flt_att_rows row, const flt_real *half, flt_real *uq, flt_real *uk) {
    const room *w = &a->rooms[row.thread];
    const size_t F = a->features, width = 2 * a->r;
    const flt_real *of_query = a->projected != NULL ? flt_att_projected_table(a->projected, row, true) : NULL;
    const flt_real *of_key = a->projected != NULL ? flt_att_projected_table(a->projected, row, false) : NULL;
    a->tiles->start(1, F, of_query, NULL, uq);
    a->tiles->start(1, F, of_key, half, uk);
    if (a->projected == NULL || of_query != NULL) return;
    flt_att_snippet(a->projected, row, true, w->snippet);
    flt_att_snippet(a->projected, row, false, w->snippet + width);
    a->one->project(width, F, 1, flt_att_projected_omega(a->projected, row.head),
                    (flt_att_pair){.x = {w->snippet, w->snippet + width}, .to = {uq, uk}});
}

// Query and key of one token: omega is read once for both.
static void token(const void *self, flt_att_rows row, const flt_real *q, const flt_real *k, flt_real *uq, flt_real *uk) {
    const flt_att_features *a = self;
    const room *w = &a->rooms[row.thread];
    const size_t F = a->features;
    const bool relu = a->form == FLTX_ATT_RELU;
    const flt_real *half = relu ? NULL : w->half;
    if (!relu) key_halves(a, row, k, w->half);
    start_token(a, row, gain_last(a) ? NULL : half, uq, uk);
    a->one->project(a->d, F, gain_last(a) ? 1 : (flt_real)w->gain, of_head(a->w, a->heads, row.head, a->d * F),
                    (flt_att_pair){.x = {q, k}, .to = {uq, uk}});
    finish(a, row, NULL, uq);
    finish(a, row, half, uk);
    if (relu) {
        log_relu(F, uq);
        log_relu(F, uk);
    } else {
        add_bias(a, row, uk);
    }
}

// ---- what is measured on the whole sequence

// A of least variance when |q + k|^2 / sqrt d is `spread`: Likhosherstov et al., NeurIPS 2022, theorem 4.1.
static double least_variance(double d, double spread) {
    if (!(spread > 1e-12 * d) || isinf(spread)) return 0.0;
    const double b = 2.0 * spread + d, rho = 2.0 * d / (sqrt(b * b + 8.0 * spread * d) + b);
    return (1.0 - 1.0 / rho) / (FLTX_BUG(FAVOR_A) ? 4.0 : 8.0);
}

static void set_spread(const flt_att_features *a, room *w, double spread) {
    w->a = least_variance((double)(a->d + 2 * a->r), spread);
    w->spread = spread;
    w->gain = sqrt(1.0 - 4.0 * w->a);
}

static double mean_rows(size_t n, size_t d, const flt_real *x, double *mean) {
    double squares = 0.0;
    memset(mean, 0, d * sizeof *mean);
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < d; c++) mean[c] += (double)x[i * d + c];
        squares += flt_sum_squares(d, x + i * d);
    }
    for (size_t c = 0; c < d; c++) mean[c] /= (double)n;
    return squares / (double)n;
}

static void prepare(const void *self, flt_att_rows all, const flt_real *q, const flt_real *k) {
    const flt_att_features *a = self;
    room *w = &a->rooms[all.thread];
    double *mean_q = w->middle, *mean_k = w->middle + a->d, cross = 0.0;
    const double q2 = mean_rows(all.count, a->d, q, mean_q), k2 = mean_rows(all.count, a->d, k, mean_k);
    for (size_t c = 0; c < a->d; c++) {
        cross += a->centred ? -0.5 * (mean_q[c] * mean_q[c] + mean_k[c] * mean_k[c]) : mean_q[c] * mean_k[c];
        mean_q[c] += mean_k[c];
    }
    const double apart = a->apart != NULL ? a->apart[2 * at_head(a, all.head) + a->centred] : 0.0;
    if (a->form == FLTX_ATT_FAVORPP && a->spread == 0.0) set_spread(a, w, (q2 + k2 + 2.0 * cross) / sqrt((double)a->d) + apart);
}

// dA/ds of least_variance, A = 1/8 - (R + b) / 16d
static double least_slope(double d, double spread) {
    if (!(spread > 1e-12 * d) || isinf(spread)) return 0.0;
    const double b = 2.0 * spread + d, root = sqrt(b * b + 8.0 * spread * d);
    return -((2.0 * b + 4.0 * d) / root + 2.0) / (16.0 * d);
}

flt_att_measured flt_att_features_measured(const flt_att_features *a, size_t thread, size_t head) {
    const room *w = &a->rooms[thread];
    const bool measured = a->form == FLTX_ATT_FAVORPP && a->spread == 0.0;
    return (flt_att_measured){.form = a->form,
                              .centred = a->centred,
                              .a = w->a,
                              .gain = w->gain,
                              .slope = measured ? least_slope((double)(a->d + 2 * a->r), w->spread) : 0.0,
                              .middle = w->middle,
                              .snippets = a->snippets == NULL ? NULL : a->snippets + at_head(a, head) * 4 * a->r};
}

// Adds up rows 0 .. N-1 of one side; returns the sum of their squares.
static double add_snippets(const flt_att_features *a, size_t head, bool query, double *sum) {
    const room *w = &a->rooms[0];
    double squares = 0.0;
    for (size_t i = 0; i < a->N; i++) {
        flt_att_snippet(a->projected, (flt_att_rows){.head = head, .first = i, .count = 1}, query, w->snippet);
        for (size_t c = 0; c < 2 * a->r; c++) sum[c] += (double)w->snippet[c];
        squares += flt_sum_squares(2 * a->r, w->snippet);
    }
    return squares;
}

// The means of the snippets of one head, and what follows from them.
static void measure_snippets(const flt_att_features *a, size_t h) {
    const size_t width = 2 * a->r, F = a->features;
    const double n = (double)a->N;
    double *both = a->snippets + h * 2 * width, *keys_mean = both + width, cross = 0.0, own = 0.0;
    memset(both, 0, 2 * width * sizeof *both);
    const double squares = (add_snippets(a, h, true, both) + add_snippets(a, h, false, keys_mean)) / n;
    for (size_t c = 0; c < width; c++) {
        const double query = both[c] / n, key = keys_mean[c] / n;
        cross += query * key, own += query * query + key * key;
        both[c] = query + key, keys_mean[c] = key;
    }
    a->apart[2 * h] = squares + 2.0 * cross, a->apart[2 * h + 1] = squares - own;
    const flt_real *omega = flt_att_projected_omega(a->projected, h);
    for (size_t f = 0; f < F; f++) {
        double sum = 0.0;
        for (size_t c = 0; c < width; c++) sum += both[c] * (double)omega[c * F + f];
        a->shift[h * F + f] = sum;
    }
    for (size_t i = 0; i < a->N; i++) {
        double sum = 0.0;
        flt_real *key = a->rooms[0].snippet;
        flt_att_snippet(a->projected, (flt_att_rows){.head = h, .first = i, .count = 1}, false, key);
        for (size_t c = 0; c < width; c++) sum += both[c] * (double)key[c];
        a->along[h * a->N + i] = sum;
    }
}

static flt_err make_snippets(const flt_attention_desc *desc, const flt_att_array *omega, const flt_att_snippets *snippets,
                             flt_att_features *a) {
    a->r = snippets->xi->dim[0];
    FLTX_TRY(flt_att_projected_create(desc, omega, a->features, snippets, &a->projected));
    const size_t all = a->snippet_heads = flt_att_projected_heads(a->projected);
    if (!a->centred && a->form != FLTX_ATT_FAVORPP) return FLTE_OK;
    FLTX_TRY(flt_alloc(all * 4, a->r * sizeof *a->snippets, &a->snippets));
    FLTX_TRY(flt_alloc(all, 2 * sizeof *a->apart, &a->apart));
    FLTX_TRY(flt_alloc(all, a->features * sizeof *a->shift, &a->shift));
    return flt_alloc(all, a->N * sizeof *a->along, &a->along);
}

flt_att_map flt_att_features_map(const flt_att_features *a) {
    const bool measures = a->centred || (a->form == FLTX_ATT_FAVORPP && a->spread == 0.0);
    return (flt_att_map){a->features, a, queries, keys, measures ? prepare : NULL, token};
}

// ---- plan

static double unit_of(const flt_att_features *a, const flt_att_array *omega) {
    return a->form == FLTX_ATT_RELU ? 1.0 / sqrt((double)omega->dim[0]) : 1.0;
}

static void load_omega(flt_att_features *a, const flt_att_array *omega) {
    const size_t m = omega->dim[0], width = omega->dim[1], d = a->d, F = a->features;
    const double scale = pow((double)d, -0.25) * unit_of(a, omega);
    for (size_t h = 0; h < a->heads; h++) {
        const double *rows = flt_att_head(omega, h);
        flt_att_omega_turned(omega, F, h, 0, d, scale, a->w + h * d * F);
        flt_panels_fill(d, F, a->w + h * d * F, F, a->panels + h * flt_panels_size(d, F));
        for (size_t f = 0; a->form == FLTX_ATT_FAVORPP && f < m; f++) {
            double sum = 0.0;
            for (size_t c = 0; c < width; c++) sum += rows[f * width + c] * rows[f * width + c];
            a->norm2[h * m + f] = sum;
        }
    }
}

static flt_err make_omega(flt_att_features *a, const flt_att_array *omega) {
    a->heads = omega->heads == 0 ? 1 : omega->heads;
    FLTX_TRY(flt_alloc(a->heads * a->d, a->features * sizeof *a->w, &a->w));
    if (a->form == FLTX_ATT_FAVORPP) FLTX_TRY(flt_alloc(a->heads, omega->dim[0] * sizeof *a->norm2, &a->norm2));
    return flt_alloc(a->heads, flt_panels_size(a->d, a->features) * sizeof *a->panels, &a->panels);
}

void flt_att_features_update(flt_att_features *a, const flt_att_array *omega) {
    if (omega != NULL) load_omega(a, omega);
    if (a->projected == NULL) return;
    flt_att_projected_update(a->projected, omega, omega != NULL ? unit_of(a, omega) : 1.0);
    for (size_t h = 0; a->snippets != NULL && h < a->snippet_heads; h++) measure_snippets(a, h);
}

static void bind(void *self, flt_ws *ws) {
    flt_att_features *a = self;
    const size_t tile = a->N < FLTX_ATT_MAX_TILE ? a->N : FLTX_ATT_MAX_TILE;
    const bool biased = a->centred || a->form == FLTX_ATT_FAVORPP;
    for (int t = 0; t < a->threads; t++) {
        a->rooms[t].half = flt_ws_take(ws, tile, sizeof(flt_real));
        a->rooms[t].snippet = a->r > 0 ? flt_ws_take(ws, 4 * a->r, sizeof(flt_real)) : NULL;
        a->rooms[t].bias = biased ? flt_ws_take(ws, a->features, sizeof(flt_real)) : NULL;
        a->rooms[t].middle = biased ? flt_ws_take(ws, 2 * a->d, sizeof(double)) : NULL;
    }
}

static flt_err read_form(const flt_attention_desc *desc, flt_att_features *a) {
    static const char *const forms[] = {[FLTX_ATT_POSITIVE] = "positive",
                                        [FLTX_ATT_HYPERBOLIC] = "hyperbolic",
                                        [FLTX_ATT_RELU] = "relu",
                                        [FLTX_ATT_FAVORPP] = "favor++"};
    const char *text = flt_params_text(desc->params, "features");
    while (strcmp(forms[a->form], text) != 0) a->form++; // the table of choices holds no other
    a->centred = declares(desc, "centre") && strcmp(flt_params_text(desc->params, "centre"), "mean") == 0;
    if (a->form == FLTX_ATT_FAVORPP) a->spread = flt_params_real(desc->params, "spread");
    if (a->form == FLTX_ATT_FAVORPP && a->spread == 0.0 && desc->causal) a->spread = 2.0 * sqrt((double)desc->d);
    if (a->centred && a->form == FLTX_ATT_RELU)
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism,
                        "centre=mean shifts exponents, which relu features have not; these "
                        "have: positive, hyperbolic, favor++");
    if (a->centred && desc->causal)
        return flt_fail(FLTE_UNSUPPORTED, desc->mechanism,
                        "centre=mean takes means over the whole sequence, the future included; use it without causal");
    return FLTE_OK;
}

flt_err flt_att_features_create(const flt_attention_desc *desc, const flt_att_array *omega, const flt_att_snippets *snippets,
                                flt_att_features **out) {
    flt_att_features *a = NULL;
    flt_err err = flt_gemm_check(desc->mechanism, 2 * omega->dim[0], omega->dim[1], FLTX_ATT_MAX_TILE);
    *out = NULL;
    if (err != FLTE_OK) return err;
    FLTX_TRY(flt_alloc(1, sizeof *a, &a));
    a->d = desc->d, a->N = desc->N;
    a->threads = desc->threads;
    a->tiles = FLTX_ISA_PICK(flt_att_tiles);
    a->one = FLTX_ISA_PICK(flt_att_token);
    FLTX_GO(err, failed, read_form(desc, a));
    a->features = (a->form == FLTX_ATT_HYPERBOLIC ? 2 : 1) * omega->dim[0];
    FLTX_GO(err, failed, make_omega(a, omega));
    if (snippets != NULL) FLTX_GO(err, failed, make_snippets(desc, omega, snippets, a));
    FLTX_GO(err, failed, flt_alloc((size_t)a->threads, sizeof *a->rooms, &a->rooms));
    FLTX_GO(err, failed, flt_ws_create(bind, a, &a->ws));
    for (int t = 0; t < a->threads; t++) {
        a->rooms[t].gain = 1.0;
        if (a->form == FLTX_ATT_FAVORPP) set_spread(a, &a->rooms[t], a->spread);
    }
    flt_att_features_update(a, omega);
    *out = a;
    return FLTE_OK;
failed:
    flt_att_features_destroy(a);
    return err;
}

void flt_att_features_destroy(flt_att_features *a) {
    if (a == NULL) return;
    flt_free(a->along);
    flt_free(a->shift);
    flt_free(a->apart);
    flt_free(a->snippets);
    flt_att_projected_destroy(a->projected);
    flt_ws_destroy(&a->ws);
    flt_free(a->rooms);
    flt_free(a->norm2);
    flt_free(a->panels);
    flt_free(a->w);
    flt_free(a);
}

size_t flt_att_features_workspace(const flt_att_features *a) {
    return a->ws.size + flt_att_projected_workspace(a->projected);
}
