// SPDX-License-Identifier: MIT
// Convolutional network on real optical digits, or on the images of a folder of IDX files.
//
//   x_0 = image [batch, h, w, 1],  x_{i+1} = pool(act(conv3x3(x_i) + b_i)),  loss = mean_batch -log softmax(flat(x_depth) W +
//   b)[label]
//
// Convolutions keep the size (zeros around), pooling means 2 x 2 blocks while both sides are even. Tensors conv.I.w [3, 3, in,
// channels] ~ N(0, 2 / (9 in)), conv.I.b = 0.01, head.w ~ N(0, 1 / in), head.b = 0. The default, two stages of 16 channels, has
// 3,130 parameters. Each convolution is one product with the nine shifted images side by side: memory 9 batch h w channels
// numbers, time 6 * 9 batch h w in channels flops for loss and gradient. Evaluation covers the whole split.
#include "engine/images.h"
#include "engine/layers.h"
#include "flt/tasks.h"

#include <stdio.h>

typedef struct digits_conv {
    flt_images images; // first
    size_t channels, depth;
    const char *activation;
} digits_conv;

static const flt_param_spec params[] = {
    {"channels", FLTX_INT, "16", 1, 512, NULL, "channels of each convolution"},
    {"depth", FLTX_INT, "2", 1, 8, NULL, "convolutions"},
    {"activation", FLTX_ENUM, "relu", 0, 0, FLTX_ACTIVATIONS, "function after each convolution"},
    FLTX_IMAGES_PARAMS,
    {0},
};

static flt_err open(void *self, const flt_params *p) {
    digits_conv *s = self;
    s->channels = flt_params_size(p, "channels");
    s->depth = flt_params_size(p, "depth");
    s->activation = flt_params_text(p, "activation");
    return flt_images_open("task digits_conv", p, &s->images);
}

static void build(void *self, flt_task_model *m) {
    const digits_conv *s = self;
    const flt_dataset *d = s->images.data;
    size_t h = d->height, w = d->width;
    flt_graph *g = m->graph;
    const flt_image_inputs in = flt_images_inputs(&s->images, m);
    flt_node x = flt_reshape(g, in.pixels, 4, (size_t[]){m->rows, h, w, 1});
    for (size_t i = 0; i < s->depth; i++) {
        char name[32];
        snprintf(name, sizeof name, "conv.%zu", i);
        x = flt_activation(g, s->activation, flt_conv3(m, name, x, s->channels));
        if (h % 2 != 0 || w % 2 != 0) continue;
        x = flt_pool2(g, x);
        h /= 2;
        w /= 2;
    }
    const size_t features = h * w * s->channels;
    x = flt_dense(m, "head", flt_reshape(g, x, 2, (size_t[]){m->rows, features}), features, d->classes);
    flt_classify(m, x, in.labels, d->classes);
}

static const flt_graph_task task = {
    .size = sizeof(digits_conv),
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

const flt_task_kind flt_task_kind_digits_conv = {
    .kind = {.name = "digits_conv",
             .summary = "convolutional network on optical digits (8x8) or on IDX files",
             .formula = "mean over the batch of -log softmax(convnet(image))[label]",
             .cost = "time O(batch h w depth channels^2), memory O(batch h w depth channels)",
             .citation = "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (CC BY 4.0)",
             .caps = FLTX_TASK_STOCHASTIC | FLTX_TASK_DATA,
             .params = params},
    .create = create,
};
