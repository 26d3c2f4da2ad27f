// SPDX-License-Identifier: MIT
// Autoencoder of real optical digits, or of the images of a folder of IDX files: pixels - width - code - width - pixels.
//
//   y = sigmoid(W_3 act(W_2 act(W_1 act(W_0 x + b_0) + b_1) + b_2) + b_3),   loss = mean over batch and pixels of (y - x)^2
//
// The default, 64-32-16-32-64, is the geometry of learned-optimizer test suites. Training minibatches are augmented: the noise
// that is added to x (parameter noise) leaves a floor near its variance; evaluation is on plain images. Tensors layers.I.w ~ N(0,
// 1 / in), layers.I.b = 0. Cost of a step: 6 batch P flops.
#include "engine/images.h"
#include "engine/layers.h"
#include "flt/tasks.h"

#include <stdio.h>

typedef struct digits_autoencoder {
    flt_images images; // first
    size_t width, code;
    const char *activation;
    double grey; // loss of answering 0.5 everywhere: about the loss at initialisation
} digits_autoencoder;

static const flt_param_spec params[] = {
    {"width", FLTX_INT, "32", 1, 4096, NULL, "units of the outer hidden layers"},
    {"code", FLTX_INT, "16", 1, 4096, NULL, "units of the middle layer"},
    {"activation", FLTX_ENUM, "relu", 0, 0, FLTX_ACTIVATIONS, "function of the hidden units"},
    FLTX_IMAGES_PARAMS,
    {0},
};

static double loss_of_grey(const flt_images *s) {
    const flt_dataset *d = s->data;
    const size_t n = d->first[FLTX_TRAIN + 1], stride = d->width + 2;
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        for (size_t y = 1; y <= d->height; y++)
            for (size_t x = 1; x <= d->width; x++) {
                const double pixel = d->scale * d->pixels[(i * (d->height + 2) + y) * stride + x] - 0.5;
                sum += pixel * pixel;
            }
    return sum / (double)(n * d->height * d->width) + (s->augment ? s->noise * s->noise : 0.0);
}

static flt_err open(void *self, const flt_params *p) {
    digits_autoencoder *s = self;
    s->width = flt_params_size(p, "width");
    s->code = flt_params_size(p, "code");
    s->activation = flt_params_text(p, "activation");
    FLTX_TRY(flt_images_open("task digits_autoencoder", p, &s->images));
    s->grey = loss_of_grey(&s->images);
    return FLTE_OK;
}

static void build(void *self, flt_task_model *m) {
    const digits_autoencoder *s = self;
    const size_t pixels = s->images.data->height * s->images.data->width;
    const size_t units[] = {pixels, s->width, s->code, s->width, pixels};
    flt_graph *g = m->graph;
    const flt_node wanted = flt_images_inputs(&s->images, m).pixels;
    flt_node x = wanted;
    for (size_t i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "layers.%zu", i);
        x = flt_dense(m, name, x, units[i], units[i + 1]);
        x = i < 3 ? flt_activation(g, s->activation, x) : flt_sigmoid(g, x);
    }
    m->loss = flt_mean_all(g, flt_square(g, flt_sub(g, x, wanted)));
    m->normaliser = s->grey;
}

static const flt_graph_task task = {
    .size = sizeof(digits_autoencoder),
    .open = open,
    .close = flt_images_task_close,
    .build = build,
    .batch = flt_images_task_batch,
    .split_rows = flt_images_task_rows,
    .examples = flt_images_task_examples,
};

static flt_err create(const flt_params *p, flt_objective *out) {
    return flt_graph_task_create(&task, p, out);
}

const flt_task_kind flt_task_kind_digits_autoencoder = {
    .kind = {.name = "digits_autoencoder",
             .summary = "autoencoder of optical digits (8x8) or of IDX files",
             .formula = "mean over batch and pixels of (decode(encode(x)) - x)^2",
             .cost = "time O(batch P), memory O(P + batch (h w + width))",
             .citation = "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (CC BY 4.0)",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_DATA,
             .params = params},
    .create = create,
};
