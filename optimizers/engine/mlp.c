// SPDX-License-Identifier: MIT
// Sizes, layout and starting point of the per-coordinate network.
#include "engine/mlp.h"
#include "flt/random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

flt_mlp flt_mlp_make(const flt_params *p, size_t inputs, size_t outputs) {
    flt_mlp m = {.n_layers = flt_params_size(p, "layers") + 1};
    m.width[0] = inputs;
    for (size_t i = 1; i < m.n_layers; i++) m.width[i] = flt_params_size(p, "hidden");
    m.width[m.n_layers] = outputs;
    for (size_t i = 0; i < m.n_layers; i++) {
        m.w[i] = m.total;
        m.b[i] = m.w[i] + m.width[i] * m.width[i + 1];
        m.total = m.b[i] + m.width[i + 1];
    }
    return m;
}

flt_err flt_mlp_add(const flt_mlp *m, flt_layout *theta) {
    char name[32];
    for (size_t i = 0; i < m->n_layers; i++) {
        snprintf(name, sizeof name, "layers.%zu.w", i);
        FLTX_TRY(flt_layout_add(theta, name, 2, (size_t[]){m->width[i], m->width[i + 1]}));
        snprintf(name, sizeof name, "layers.%zu.b", i);
        FLTX_TRY(flt_layout_add(theta, name, 1, (size_t[]){m->width[i + 1]}));
    }
    return FLTE_OK;
}

flt_err flt_mlp_layout(const flt_mlp *m, flt_layout *theta) {
    *theta = (flt_layout){0};
    const flt_err err = flt_mlp_add(m, theta);
    if (err != FLTE_OK) flt_layout_free(theta);
    return err;
}

static const flt_tensor *bias_of(const flt_tensors *weights, size_t layer) {
    char name[32];
    snprintf(name, sizeof name, "layers.%zu.b", layer);
    return flt_tensors_find(weights, name);
}

flt_err flt_set_size(flt_params *p, const char *name, size_t x) {
    char text[32];
    snprintf(text, sizeof text, "%zu", x);
    const flt_err err = flt_params_set(p, name, text);
    return err == FLTE_OK ? err : flt_context(err, "the shapes of the weight file ask for it");
}

flt_err flt_mlp_infer(const char *who, const flt_tensors *weights, flt_params *p) {
    size_t n = 0;
    const flt_tensor *first = bias_of(weights, 0);
    if (first == NULL) return flt_fail(FLTE_FORMAT, who, "the weight file has no tensor layers.0.b");
    if (first->rank != 1) return flt_fail(FLTE_SHAPE, who, "tensor layers.0.b has rank %zu; rank 1 is expected", first->rank);
    while (bias_of(weights, n + 1) != NULL) n++;
    FLTX_TRY(flt_set_size(p, "layers", n));
    return n > 0 ? flt_set_size(p, "hidden", first->dim[0]) : FLTE_OK;
}

void flt_time_features(uint64_t t, double *times) {
    static const double tau[FLTX_TIMES] = {1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000};
    for (size_t i = 0; i < FLTX_TIMES; i++) times[i] = tanh((double)t / tau[i] - 1);
}

void flt_mlp_init(const flt_mlp *m, size_t pass, uint64_t seed, flt_real *theta) {
    const flt_rng rng = flt_rng_make(seed, "mlp meta_init", 0);
    const size_t last = m->n_layers - 1;
    for (size_t i = 0; i <= last; i++) {
        const size_t in = m->width[i], out = m->width[i + 1];
        const flt_rng stream = flt_rng_child(rng, "layer", i);
        const double scale = (i == last ? 0.02 : 1.0) / sqrt((double)in);
        flt_real *w = theta + m->w[i];
        for (size_t k = 0; k < in * out; k++) w[k] = (flt_real)(scale * flt_rng_normal_at(stream, k));
        memset(theta + m->b[i], 0, out * sizeof *theta);
        if (last > 0 && m->width[1] < 2) continue; // no room for a pair: the random start stands
        const size_t plus = i == 0 ? pass : 0, minus = i == 0 ? pass : 1, pair = i < last ? 2 : 1;
        for (size_t j = 0; j < out && i > 0; j++) w[j] = w[out + j] = 0;
        for (size_t k = 0; k < in; k++)
            for (size_t j = 0; j < pair && i < last; j++) w[k * out + j] = 0;
        if (i < last) w[minus * out + 1] = i == 0 ? -1 : 1;
        if (i == last && i > 0) w[minus * out] = -1;
        w[plus * out] = 1;
    }
}
