// SPDX-License-Identifier: MIT
// Coordinate-wise LSTM ("learning to learn by gradient descent by gradient descent"), the same small network for every
// coordinate:
//   x = [max(log(|g| + 2^-23) / k, -1), clip(g e^k, +-1)];   per cell, z = [x, h] W + b in four parts i, j, f, o:
//   c = sigmoid(f + 1) c + sigmoid(i) tanh(j),  h = sigmoid(o) tanh(c), which is the next cell's x;   p += lr scale (h head.w +
//   head.b).
// Shapes: cells.0.w [2 + hidden, 4 hidden], cells.I.w [2 hidden, 4 hidden], cells.I.b [4 hidden], head.w [hidden, 1], head.b [1].
// State: h and c of each cell, 2 layers hidden words per parameter. Reference: Andrychowicz et al., NeurIPS 2016, arXiv
// 1606.04474; k = 5 and the form of x are those of the published code, not of the paper's appendix. Cost: O(8 layers hidden^2)
// per coordinate. Limits: hidden at most 64, 4 cells. Untrained it follows a running mean of the clipped gradient.
#include "kernels/lstm.h"
#include "engine/lstm_graph.h"
#include "engine/mlp.h"
#include "flt/memory.h"
#include "flt/optimizer.h"
#include "flt/random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct lstm {
    size_t P, total; // parameters, meta-parameters
    flt_lstm_net net;
    const flt_lstm *kernels;
    flt_real *theta; // [total]: a copy
} lstm;

// ---- meta-parameters

static flt_err add_all(size_t hidden, size_t layers, flt_layout *theta) {
    char name[32];
    for (size_t i = 0; i < layers; i++) {
        snprintf(name, sizeof name, "cells.%zu.w", i);
        FLTX_TRY(flt_layout_add(theta, name, 2, (size_t[]){(i == 0 ? 2 : hidden) + hidden, 4 * hidden}));
        snprintf(name, sizeof name, "cells.%zu.b", i);
        FLTX_TRY(flt_layout_add(theta, name, 1, (size_t[]){4 * hidden}));
    }
    FLTX_TRY(flt_layout_add(theta, "head.w", 2, (size_t[]){hidden, 1}));
    return flt_layout_add(theta, "head.b", 1, (size_t[]){1});
}

static flt_err meta(const flt_params *p, flt_layout *theta) {
    *theta = (flt_layout){0};
    const flt_err err = add_all(flt_params_size(p, "hidden"), flt_params_size(p, "layers"), theta);
    if (err != FLTE_OK) flt_layout_free(theta);
    return err;
}

// Points the net into theta.
static void cut(flt_lstm_net *net, const flt_real *theta) {
    const flt_real *at = theta;
    for (size_t i = 0; i < net->layers; i++) {
        net->w[i] = at;
        net->b[i] = at += ((i == 0 ? 2 : net->hidden) + net->hidden) * 4 * net->hidden;
        at += 4 * net->hidden;
    }
    net->head_w = at;
    net->head_b = at + net->hidden;
}

// Unit 0 of every cell passes its input on: open input and output gates; that of the first cell remembers, c = 0.9 c + ..
static void pass_gradient(size_t hidden, size_t layer, flt_real *w, flt_real *b) {
    const size_t wide = 4 * hidden, inputs = (layer == 0 ? 2 : hidden) + hidden, from = layer == 0 ? 1 : 0;
    for (size_t k = 0; k < inputs; k++)
        for (size_t gate = 0; gate < 4; gate++) w[k * wide + gate * hidden] = 0;
    w[from * wide + hidden] = 1;
    b[0] = b[3 * hidden] = 3;
    b[2 * hidden] = layer == 0 ? (flt_real)1.2 : -5;
}

static void meta_init(const flt_params *p, uint64_t seed, flt_real *theta) {
    const size_t hidden = flt_params_size(p, "hidden"), layers = flt_params_size(p, "layers"), wide = 4 * hidden;
    const flt_rng rng = flt_rng_make(seed, "lstm meta_init", 0);
    for (size_t i = 0; i < layers; i++) {
        const size_t inputs = (i == 0 ? 2 : hidden) + hidden;
        const flt_rng stream = flt_rng_child(rng, "cell", i);
        flt_real *b = theta + inputs * wide;
        for (size_t k = 0; k < inputs * wide; k++) theta[k] = (flt_real)(flt_rng_normal_at(stream, k) / sqrt((double)inputs));
        memset(b, 0, wide * sizeof *b);
        pass_gradient(hidden, i, theta, b);
        theta = b + wide;
    }
    const flt_rng stream = flt_rng_child(rng, "head", 0);
    for (size_t k = 0; k < hidden; k++) theta[k] = (flt_real)(0.002 * flt_rng_normal_at(stream, k));
    theta[0] = (flt_real)-0.2; // steps near 1e-3
    theta[hidden] = 0;
}

static bool has_cell(const flt_tensors *weights, size_t i) {
    char name[32];
    snprintf(name, sizeof name, "cells.%zu.b", i);
    return flt_tensors_find(weights, name) != NULL;
}

static flt_err infer(const flt_tensors *weights, flt_params *p) {
    const flt_tensor *head = flt_tensors_find(weights, "head.w");
    size_t layers = 0;
    if (head == NULL) return flt_fail(FLTE_FORMAT, "lstm", "the weight file has no tensor head.w");
    FLTX_TRY(flt_tensor_expect("lstm", head, 2, (size_t[]){SIZE_MAX, 1}));
    while (has_cell(weights, layers)) layers++;
    FLTX_TRY(flt_set_size(p, "hidden", head->dim[0]));
    return flt_set_size(p, "layers", layers);
}

// ---- a run

static void destroy(void *self) {
    lstm *s = self;
    if (s == NULL) return;
    flt_free(s->theta);
    flt_free(s);
}

static flt_err create(const flt_params *p, const flt_layout *layout, void **self) {
    lstm *s = NULL;
    flt_err err = FLTE_OK;
    FLTX_TRY(flt_alloc(1, sizeof *s, &s));
    const double k = flt_params_real(p, "k");
    s->P = layout->total;
    s->net = (flt_lstm_net){.hidden = flt_params_size(p, "hidden"),
                            .layers = flt_params_size(p, "layers"),
                            .inverse_k = (flt_real)(1 / k),
                            .exp_k = (flt_real)exp(k),
                            .scale = (flt_real)(flt_params_real(p, "lr") * flt_params_real(p, "scale"))};
    s->kernels = FLTX_ISA_PICK(flt_lstm);
    for (size_t i = 0; i < s->net.layers; i++) s->total += ((i == 0 ? 2 : s->net.hidden) + s->net.hidden + 1) * 4 * s->net.hidden;
    s->total += s->net.hidden + 1;
    FLTX_GO(err, fail, flt_alloc(s->total, sizeof *s->theta, &s->theta));
    cut(&s->net, s->theta);
    *self = s;
    return FLTE_OK;
fail:
    destroy(s);
    return err;
}

static size_t state_words(const void *self) {
    const lstm *s = self;
    return 2 * s->net.layers * s->net.hidden * s->P;
}

static void init(void *self, flt_real *state) {
    memset(state, 0, state_words(self) * sizeof *state);
}

static void bind(void *self, const flt_real *theta) {
    lstm *s = self;
    memcpy(s->theta, theta, s->total * sizeof *theta);
}

static void step(void *self, uint64_t t, flt_real loss, const flt_real *grad, flt_real *param, flt_real *state) {
    const lstm *s = self;
    (void)t;
    (void)loss;
    s->kernels->step(&s->net, s->P, grad, param, state);
}

static const flt_param_spec params[] = {
    {"hidden", FLTX_INT, "20", 1, FLTX_LSTM_HIDDEN, NULL, "units of a cell"},
    {"layers", FLTX_INT, "2", 1, FLTX_LSTM_LAYERS, NULL, "cells"},
    {"k", FLTX_REAL, "5", 0.1, 50, NULL, "gradients above e^-k are seen through their logarithm"},
    {"scale", FLTX_REAL, "0.01", 0.0, 1e6, NULL, "multiplies the output"},
    {"lr", FLTX_REAL, "1", 0.0, 1e6, NULL, "multiplies the output once more: 1 as meta-trained, to be tuned at use"},
    {0},
};

const flt_optimizer_kind flt_optimizer_kind_lstm = {
    .kind = {.name = "lstm",
             .summary = "learned: a coordinate-wise LSTM on the logarithm and sign of the gradient",
             .formula = "c = sig(f+1) c + sig(i) tanh(j); h = sig(o) tanh(c); p += lr scale (h w + b)",
             .cost = "2 layers hidden state words per parameter; time O(8 layers hidden^2)",
             .citation = "Andrychowicz et al., arXiv 1606.04474",
             .caps = FLTX_OPT_LEARNED | FLTX_OPT_LR,
             .params = params},
    .meta = meta,
    .meta_init = meta_init,
    .infer = infer,
    .graph = flt_lstm_graph,
    .create = create,
    .destroy = destroy,
    .state_words = state_words,
    .init = init,
    .bind = bind,
    .step = step,
};
