// SPDX-License-Identifier: MIT
// Sizes, layout and starting point of the flt optimizer's meta-parameters.
#include "engine/flt_net.h"
#include "engine/mlp.h"
#include "flt/memory.h"
#include "flt/num.h"
#include "flt/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char who[] = "flt";

const flt_param_spec flt_net_params[] = {
    {"heads", FLTX_INT, "1", 1, 64, NULL, "attention heads H"},
    {"m", FLTX_INT, "8", 1, 1024, NULL, "kernel features per head"},
    {"dk", FLTX_INT, "4", 1, 256, NULL, "width of queries and keys"},
    {"dv", FLTX_INT, "4", 1, 256, NULL, "width of values"},
    {"r", FLTX_INT, "4", 1, 256, NULL, "frequencies of the relative encoding"},
    {"hidden", FLTX_TEXT, "8", 0, 0, NULL, "width of the hidden layers, or one width per layer: 16x8"},
    {"layers", FLTX_INT, "2", 0, FLTX_NET_MAX_HIDDEN, NULL, "hidden layers, where hidden is a single width"},
    {"lr", FLTX_REAL, "0.001", 0.0, 1e6, NULL, "rate that multiplies the rms-normalised direction"},
    {"t_ref", FLTX_REAL, "1000", 1e-6, 1e12, NULL, "steps at which the time position reaches 1"},
    {"lr_time", FLTX_BOOL, "false", 0, 0, NULL, "learn the rate: lr exp(log_lr[0] + log_lr[1] position)"},
    {"warmup", FLTX_REAL, "0", 0, 1e9, NULL, "steps over which the rate rises linearly to its full size; 0: none"},
    {"schedule", FLTX_ENUM, "constant", 0, 0, "constant|cosine|linear", "course of the rate behind the warm-up"},
    {"final", FLTX_REAL, "0.01", 0, 1, NULL, "share of the rate that cosine and linear end at"},
    {"total", FLTX_INT, "0", 0, 1e15, NULL, "step at which they end; 0: with the run, where its length is known, else never"},
    {"settle", FLTX_REAL, "0", 0, 1e12, NULL,
     "form=adaptive: steps after which a tensor's rate moves half as fast, s / (s + t); 0: never"},
    {"memory", FLTX_ENUM, "flt", 0, 0, "flt|performer|discount|window|spe_sine|none",
     "what attention remembers of the trajectory"},
    {"time", FLTX_ENUM, "log", 0, 0, "log|linear", "position: log(1 + t) / log(1 + t_ref) or t / t_ref"},
    {"spectrum", FLTX_ENUM, "learned", 0, 0, "learned|fixed", "frequencies and weights of the encoding: meta-learned or fixed"},
    {"omega", FLTX_ENUM, "learned", 0, 0, "learned|fixed", "random features: meta-learned or a fixed draw"},
    {"inputs", FLTX_ENUM, "all", 0, 0, "all|raw", "features: all 30, or gradient, parameter and second moment alone"},
    {"form", FLTX_ENUM, "spec", 0, 0, "spec|adam|adaptive",
     "steps of equal root mean square; as long as their momentum is clear of noise; and with a rate that each tensor adapts"},
    {"basis", FLTX_ENUM, "none", 0, 0, "none|eigen",
     "eigen: matrices are stepped in the eigenbasis of their gradients' second moments, as SOAP does it"},
    {"turn", FLTX_INT, "10", 1, 1e15, NULL, "steps between two iterations of that basis"},
    {"clock", FLTX_BOOL, "false", 0, 0, NULL, "the network sees tanh(t / tau - 1) for eleven tau as well"},
    {"window", FLTX_INT, "16", 1, 4096, NULL, "tokens that memory=window keeps"},
    {"realisations", FLTX_INT, "8", 1, 256, NULL, "random codes R of memory=spe_sine"},
    {"draw", FLTX_INT, "0", 0, 1e15, NULL, "names the draw of omega=fixed"},
    {0},
};

// ---- sizes

// "8" with `layers` repeats it; "16x8" gives one width per layer.
static flt_err read_widths(const flt_params *p, flt_net *n) {
    const char *text = flt_params_text(p, "hidden");
    size_t count = 0;
    for (const char *at = text;; at++) {
        char *end = NULL;
        const unsigned long x = at[0] >= '0' && at[0] <= '9' ? strtoul(at, &end, 10) : 0;
        if (end == NULL || x < 1 || x > 4096 || (*end != 'x' && *end != '\0'))
            return flt_fail(FLTE_USAGE, who, "hidden: '%.80s' is not a list of widths; 1 .. 4096 each, as in 16x8", text);
        if (count == FLTX_NET_MAX_HIDDEN)
            return flt_fail(FLTE_RANGE, who, "hidden: '%.80s' has more than %d widths", text, FLTX_NET_MAX_HIDDEN);
        n->width[++count] = x;
        at = end;
        if (*end == '\0') break;
    }
    const size_t layers = flt_params_size(p, "layers");
    for (size_t i = 1; count == 1 && i <= layers; i++) n->width[i] = n->width[1];
    n->n_layers = (count == 1 ? layers : count) + 1;
    return FLTE_OK;
}

static size_t cut(size_t *end, size_t count) {
    const size_t start = *end;
    *end += count;
    return start;
}

static bool chosen(const flt_params *p, const char *name, const char *choice) {
    return strcmp(flt_params_text(p, name), choice) == 0;
}

static flt_memory memory_of(const flt_params *p) {
    static const char *const names[] = {"flt", "performer", "discount", "window", "spe_sine", "none"};
    flt_memory memory = FLTX_MEMORY_FLT;
    while (!chosen(p, "memory", names[memory])) memory++;
    return memory;
}

static void read_sizes(const flt_params *p, flt_net *n) {
    *n = (flt_net){.heads = flt_params_size(p, "heads"),
                   .m = flt_params_size(p, "m"),
                   .dk = flt_params_size(p, "dk"),
                   .dv = flt_params_size(p, "dv"),
                   .r = flt_params_size(p, "r"),
                   .memory = memory_of(p),
                   .raw = chosen(p, "inputs", "raw"),
                   .clock = flt_params_bool(p, "clock"),
                   .linear = chosen(p, "time", "linear"),
                   .fixed_spectrum = chosen(p, "spectrum", "fixed"),
                   .fixed_omega = chosen(p, "omega", "fixed"),
                   .adam = !chosen(p, "form", "spec"),
                   .adaptive = chosen(p, "form", "adaptive"),
                   .eigen = chosen(p, "basis", "eigen"),
                   .turn = (uint64_t)flt_params_int(p, "turn"),
                   .lr = flt_params_real(p, "lr"),
                   .t_ref = flt_params_real(p, "t_ref"),
                   .lr_time = flt_params_bool(p, "lr_time"),
                   .warmup = flt_params_real(p, "warmup"),
                   .schedule = flt_schedule_of(flt_params_text(p, "schedule")),
                   .final = flt_params_real(p, "final"),
                   .end = (uint64_t)flt_params_int(p, "total"),
                   .settle = flt_params_real(p, "settle"),
                   .window = flt_params_size(p, "window"),
                   .R = flt_params_size(p, "realisations"),
                   .draw = (uint64_t)flt_params_int(p, "draw")};
    n->features = n->raw ? FLTX_NET_RAW : FLTX_NET_FEATURES;
    if (n->memory == FLTX_MEMORY_NONE) n->heads = 0;
    n->D = n->memory == FLTX_MEMORY_FLT ? n->dk + 2 * n->r : n->memory == FLTX_MEMORY_SPE_SINE ? n->R : n->dk;
}

// Offsets of the encoding's tensors (fixed or not), where *end stands.
static void cut_spectrum(flt_net *n, size_t *end) {
    const bool spe = n->memory == FLTX_MEMORY_SPE_SINE;
    const size_t count = spe ? n->heads * n->dk * n->r : flt_net_encodes(n) ? n->heads * n->r : 0;
    n->xi = cut(end, count);
    n->phase = cut(end, spe ? count : 0);
    n->rho = cut(end, count);
}

static void cut_omega(flt_net *n, size_t *end) {
    n->omega = cut(end, flt_net_kernel(n) ? n->heads * n->m * n->D : 0);
    n->noise = cut(end, n->memory == FLTX_MEMORY_SPE_SINE ? n->heads * n->dk * 2 * n->r * n->R : 0);
}

flt_err flt_net_make(const flt_params *p, flt_net *out) {
    flt_net *n = out;
    read_sizes(p, n);
    if (n->adam && n->raw)
        return flt_fail(FLTE_UNSUPPORTED, who, "form=%s measures momenta, which inputs=raw leaves out; use form=spec with it",
                        flt_params_text(p, "form"));
    FLTX_TRY(read_widths(p, n));
    n->width[0] = n->features + n->heads * n->dv + (n->clock ? FLTX_TIMES : 0);
    n->width[n->n_layers] = FLTX_NET_OUTPUTS;
    n->wq = cut(&n->total, n->heads * n->features * n->dk);
    n->wk = cut(&n->total, n->heads * n->features * n->dk);
    n->wv = cut(&n->total, n->heads * n->features * n->dv);
    if (!n->fixed_spectrum) cut_spectrum(n, &n->total);
    if (!n->fixed_omega) cut_omega(n, &n->total);
    n->tau = cut(&n->total, flt_net_discounts(n) ? n->heads : 0);
    for (size_t i = 0; i < n->n_layers; i++) {
        n->w[i] = cut(&n->total, n->width[i] * n->width[i + 1]);
        n->b[i] = cut(&n->total, n->width[i + 1]);
    }
    n->log_lr = cut(&n->total, n->lr_time ? 2 : 0);
    n->snr = cut(&n->total, n->adam ? FLTX_NET_DECAYS : 0);
    n->adapt = cut(&n->total, n->adaptive ? FLTX_NET_ADAPT : 0);
    n->full = n->total;
    if (n->fixed_spectrum) cut_spectrum(n, &n->full);
    if (n->fixed_omega) cut_omega(n, &n->full);
    return FLTE_OK;
}

static flt_err add_layers(const flt_net *n, flt_layout *theta) {
    char name[32];
    for (size_t i = 0; i < n->n_layers; i++) {
        snprintf(name, sizeof name, "layers.%zu.w", i);
        FLTX_TRY(flt_layout_add(theta, name, 2, (size_t[]){n->width[i], n->width[i + 1]}));
        snprintf(name, sizeof name, "layers.%zu.b", i);
        FLTX_TRY(flt_layout_add(theta, name, 1, (size_t[]){n->width[i + 1]}));
    }
    return FLTE_OK;
}

static flt_err add_spectrum(const flt_net *n, flt_layout *theta) {
    if (n->memory == FLTX_MEMORY_SPE_SINE) {
        const size_t dim[] = {n->heads, n->dk, n->r};
        FLTX_TRY(flt_layout_add(theta, "xi", 3, dim));
        FLTX_TRY(flt_layout_add(theta, "phase", 3, dim));
        return flt_layout_add(theta, "rho", 3, dim);
    }
    if (!flt_net_encodes(n)) return FLTE_OK;
    FLTX_TRY(flt_layout_add(theta, "xi", 3, (size_t[]){n->heads, n->r, 1}));
    return flt_layout_add(theta, "rho", 2, (size_t[]){n->heads, n->r});
}

static flt_err add_omega(const flt_net *n, flt_layout *theta) {
    if (flt_net_kernel(n)) FLTX_TRY(flt_layout_add(theta, "omega", 3, (size_t[]){n->heads, n->m, n->D}));
    if (n->memory != FLTX_MEMORY_SPE_SINE) return FLTE_OK;
    return flt_layout_add(theta, "noise", 4, (size_t[]){n->heads, n->dk, 2 * n->r, n->R});
}

static flt_err add_attention(const flt_net *n, flt_layout *theta) {
    if (n->memory == FLTX_MEMORY_NONE) return FLTE_OK;
    FLTX_TRY(flt_layout_add(theta, "wq", 3, (size_t[]){n->heads, n->features, n->dk}));
    FLTX_TRY(flt_layout_add(theta, "wk", 3, (size_t[]){n->heads, n->features, n->dk}));
    FLTX_TRY(flt_layout_add(theta, "wv", 3, (size_t[]){n->heads, n->features, n->dv}));
    if (!n->fixed_spectrum) FLTX_TRY(add_spectrum(n, theta));
    if (!n->fixed_omega) FLTX_TRY(add_omega(n, theta));
    return flt_net_discounts(n) ? flt_layout_add(theta, "tau", 1, (size_t[]){n->heads}) : FLTE_OK;
}

static flt_err add_all(const flt_net *n, flt_layout *theta) {
    FLTX_TRY(add_attention(n, theta));
    FLTX_TRY(add_layers(n, theta));
    if (n->lr_time) FLTX_TRY(flt_layout_add(theta, "log_lr", 1, (size_t[]){2}));
    if (n->adam) FLTX_TRY(flt_layout_add(theta, "snr", 1, (size_t[]){FLTX_NET_DECAYS}));
    return n->adaptive ? flt_layout_add(theta, "adapt", 1, (size_t[]){FLTX_NET_ADAPT}) : FLTE_OK;
}

flt_err flt_net_layout(const flt_params *p, flt_layout *theta) {
    flt_net n;
    *theta = (flt_layout){0};
    FLTX_TRY(flt_net_make(p, &n));
    const flt_err err = add_all(&n, theta);
    if (err != FLTE_OK) flt_layout_free(theta);
    return err;
}

// ---- sizes from a weight file

static flt_err need(const flt_tensors *weights, const char *name, size_t rank, const flt_tensor **out) {
    *out = flt_tensors_find(weights, name);
    if (*out == NULL) return flt_fail(FLTE_FORMAT, who, "the weight file has no tensor %s", name);
    if ((*out)->rank == rank) return FLTE_OK;
    return flt_fail(FLTE_SHAPE, who, "tensor %s has rank %zu; rank %zu is expected", name, (*out)->rank, rank);
}

static bool has_layer(const flt_tensors *weights, size_t i) {
    char name[32];
    snprintf(name, sizeof name, "layers.%zu.w", i);
    if (flt_tensors_find(weights, name) != NULL) return true;
    snprintf(name, sizeof name, "layers.%zu.b", i);
    return flt_tensors_find(weights, name) != NULL;
}

// layers.0.b, layers.1.b, ..: all but the last are hidden.
static flt_err infer_hidden(const flt_tensors *weights, flt_params *p) {
    char list[128] = "", name[32];
    size_t n = 0;
    const flt_tensor *b = NULL;
    FLTX_TRY(need(weights, "layers.0.b", 1, &b));
    for (; has_layer(weights, n + 1); n++) {
        if (n == FLTX_NET_MAX_HIDDEN)
            return flt_fail(FLTE_SHAPE, who, "the weight file has more than %d hidden layers", FLTX_NET_MAX_HIDDEN);
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%zu", n > 0 ? "x" : "", b->dim[0]);
        snprintf(name, sizeof name, "layers.%zu.b", n + 1);
        FLTX_TRY(need(weights, name, 1, &b));
    }
    FLTX_TRY(flt_set_size(p, "layers", n));
    return flt_params_set(p, "hidden", n > 0 ? list : "8");
}

// Numbers that no shape shows: those of the file hold.
static flt_err same_number(const flt_tensors *weights, const flt_params *p, const char *name) {
    const char *text = flt_tensors_meta(weights, name);
    if (text == NULL || strcmp(text, flt_params_text(p, name)) == 0) return FLTE_OK;
    return flt_fail(FLTE_USAGE, who, "the weights were made with %s=%s; %s=%s was asked for", name, text, name,
                    flt_params_text(p, name));
}

static flt_err infer_attention(const flt_tensors *weights, flt_params *p) {
    const flt_tensor *wq = NULL, *wv = NULL, *xi = NULL, *omega = NULL;
    const flt_memory memory = memory_of(p);
    const bool spe = memory == FLTX_MEMORY_SPE_SINE, encodes = memory == FLTX_MEMORY_FLT || memory == FLTX_MEMORY_WINDOW;
    FLTX_TRY(need(weights, "wq", 3, &wq));
    FLTX_TRY(need(weights, "wv", 3, &wv));
    FLTX_TRY(flt_set_size(p, "heads", wq->dim[0]));
    FLTX_TRY(flt_set_size(p, "dk", wq->dim[2]));
    FLTX_TRY(flt_set_size(p, "dv", wv->dim[2]));
    if ((spe || encodes) && chosen(p, "spectrum", "learned")) {
        FLTX_TRY(need(weights, "xi", 3, &xi));
        FLTX_TRY(flt_set_size(p, "r", xi->dim[spe ? 2 : 1]));
    }
    if (memory == FLTX_MEMORY_WINDOW) return same_number(weights, p, "window");
    if (chosen(p, "omega", "fixed")) return same_number(weights, p, "draw");
    FLTX_TRY(need(weights, "omega", 3, &omega));
    FLTX_TRY(flt_set_size(p, "m", omega->dim[1]));
    return spe ? flt_set_size(p, "realisations", omega->dim[2]) : FLTE_OK;
}

flt_err flt_net_infer(const flt_tensors *weights, flt_params *p) {
    if (memory_of(p) != FLTX_MEMORY_NONE) FLTX_TRY(infer_attention(weights, p));
    FLTX_TRY(infer_hidden(weights, p));
    return flt_params_set(p, "lr_time", flt_tensors_find(weights, "log_lr") != NULL ? "true" : "false");
}

// ---- the starting point

static void fill_normal(flt_rng rng, const char *tag, double std, size_t n, flt_real *out) {
    const flt_rng stream = flt_rng_child(rng, tag, 0);
    for (size_t i = 0; i < n; i++) out[i] = (flt_real)(std * flt_rng_normal_at(stream, i));
}

// Units 0 and 1 of every hidden layer carry +x and -x through the ReLUs, and the direction is their difference: x.
static void pass_direction(const flt_net *n, flt_real *theta) {
    const size_t last = n->n_layers - 1, pass = n->raw ? 5 : 7; // g rsqrt(v), or m rsqrt(v) of decay 0.9
    for (size_t i = 0; i < n->n_layers; i++) {
        if (i < last && n->width[i + 1] < 2) return; // no room for a pair: the random start stands
        flt_real *w = theta + n->w[i];
        const size_t out = n->width[i + 1];
        for (size_t k = 0; k < n->width[i] && i < last; k++) w[k * out] = w[k * out + 1] = 0;
        for (size_t j = 0; j < out && i > 0; j++) w[j] = w[out + j] = 0;
        const size_t plus = i == 0 ? pass : 0, minus = i == 0 ? pass : 1;
        if (i < last) w[minus * out + 1] = i == 0 ? -1 : 1;
        if (i == last && i > 0) w[minus * out] = -1;
        w[plus * out] = 1;
    }
}

static void init_attention(const flt_net *n, flt_rng rng, flt_real *theta) {
    const double input = 1.0 / sqrt((double)n->features);
    const size_t inputs = n->heads * n->features, codes = n->heads * n->dk * n->r;
    const bool spe = n->memory == FLTX_MEMORY_SPE_SINE;
    fill_normal(rng, "wq", input, inputs * n->dk, theta + n->wq);
    fill_normal(rng, "wk", input, inputs * n->dk, theta + n->wk);
    fill_normal(rng, "wv", input, inputs * n->dv, theta + n->wv);
    const size_t spectrum = n->fixed_spectrum ? 0 : spe ? codes : flt_net_encodes(n) ? n->heads * n->r : 0;
    fill_normal(rng, "xi", 1.0, spectrum, theta + n->xi);
    if (spe) memset(theta + n->phase, 0, spectrum * sizeof *theta);
    for (size_t i = 0; i < spectrum; i++) theta[n->rho + i] = 1;
    if (!n->fixed_omega && flt_net_kernel(n)) fill_normal(rng, "omega", 1.0, n->heads * n->m * n->D, theta + n->omega);
    if (!n->fixed_omega && spe) fill_normal(rng, "noise", 1.0, 2 * codes * n->R, theta + n->noise);
    for (size_t h = 0; flt_net_discounts(n) && h < n->heads; h++) theta[n->tau + h] = (flt_real)0.02;
}

void flt_net_init(const flt_params *p, uint64_t seed, flt_real *theta) {
    flt_net n;
    if (flt_net_make(p, &n) != FLTE_OK) return; // the layout was made from the same parameters: cannot happen
    const flt_rng rng = flt_rng_make(seed, "flt meta_init", 0);
    init_attention(&n, rng, theta);
    for (size_t i = 0; i < n.n_layers; i++) {
        const bool last = i + 1 == n.n_layers;
        const flt_rng stream = flt_rng_child(rng, "layer", i);
        fill_normal(stream, "w", (last ? 0.02 : 1.0) / sqrt((double)n.width[i]), n.width[i] * n.width[i + 1], theta + n.w[i]);
        memset(theta + n.b[i], 0, n.width[i + 1] * sizeof *theta);
    }
    pass_direction(&n, theta);
    for (size_t i = 0; n.lr_time && i < 2; i++) theta[n.log_lr + i] = 0;
    for (size_t i = 0; n.adam && i < FLTX_NET_DECAYS; i++) theta[n.snr + i] = i == 0;
    for (size_t i = 0; n.adaptive && i < FLTX_NET_ADAPT; i++) theta[n.adapt + i] = 0;
}

// ---- what is fixed

static double normal_quantile(double p) {
    double low = -10, high = 10;
    for (int i = 0; i < 80; i++) {
        const double middle = (low + high) / 2;
        if (0.5 * erfc(-middle / sqrt(2.0)) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

static void fix_spectrum(const flt_net *n, flt_real *full) {
    const bool spe = n->memory == FLTX_MEMORY_SPE_SINE;
    const size_t count = spe ? n->heads * n->dk * n->r : flt_net_encodes(n) ? n->heads * n->r : 0;
    for (size_t i = 0; i < count; i++) {
        full[n->xi + i] = (flt_real)normal_quantile(((double)(i % n->r) + 0.5) / (double)n->r);
        full[n->rho + i] = 1;
        if (spe) full[n->phase + i] = 0;
    }
}

flt_err flt_net_fix(const flt_net *n, flt_real *full) {
    const flt_rng rng = flt_rng_make(n->draw, "flt fixed omega", 0);
    if (n->fixed_spectrum) fix_spectrum(n, full);
    if (!n->fixed_omega || !flt_net_kernel(n)) return FLTE_OK;
    for (size_t h = 0; h < n->heads; h++)
        FLTX_TRY(flt_orthogonal_gaussian(flt_rng_child(rng, "head", h), n->m, n->D, full + n->omega + h * n->m * n->D));
    if (n->memory == FLTX_MEMORY_SPE_SINE) flt_rng_normal(rng, 0, n->heads * n->dk * 2 * n->r * n->R, full + n->noise);
    return FLTE_OK;
}

// ---- the rate

double flt_net_adapt(const flt_net *n, const double *adapt, uint64_t t, double agreement, double size, double *log_rate) {
    const double speed = n->settle > 0 ? n->settle / (n->settle + (double)t) : 1;
    *log_rate += 0.1 * adapt[0] * speed * (agreement - 0.1 * adapt[1]);
    *log_rate = fmin(fmax(*log_rate, -8), 2);
    return exp(*log_rate + adapt[2] * log(size));
}

// ---- time

double flt_net_position(const flt_net *n, uint64_t t) {
    return n->linear ? (double)t / n->t_ref : log1p((double)t) / log1p(n->t_ref);
}

double flt_net_rate(const flt_net *n, const flt_real *theta, uint64_t steps, uint64_t t) {
    const double total = (double)(n->end > 0 ? n->end : steps);
    const flt_rate course = {n->lr, n->final, total > 0 ? n->schedule : FLTX_CONSTANT, n->warmup, total};
    const double full = flt_rate_at(&course, t);
    if (!n->lr_time) return full;
    const flt_real *log_lr = theta + n->log_lr;
    return full * exp((double)log_lr[0] + (double)log_lr[1] * flt_net_position(n, t));
}
